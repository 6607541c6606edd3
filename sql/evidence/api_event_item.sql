-- The items that CloudTrail events of a window name, as the warehouse holds them.
--
-- Grain: one item named by one event.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from api_event_item
where event_hour >= $start
    and event_hour < $end
order by event_hour, event_time, event_id, ordinal, source_uri, source_index
