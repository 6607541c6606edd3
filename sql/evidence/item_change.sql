-- The item changes of a window, as the warehouse holds them.
--
-- Grain: one change of one item.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from item_change
where event_hour >= $start
    and event_hour < $end
order by event_hour, event_time, item_key_token, sequence_number, change_id
