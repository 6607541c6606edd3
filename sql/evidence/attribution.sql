-- The requests behind item changes of a window, as the warehouse holds them.
--
-- Grain: one item change.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from attribution
where event_hour >= $start
    and event_hour < $end
order by event_hour, event_time, item_key_token, change_id
