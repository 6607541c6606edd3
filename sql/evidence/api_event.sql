-- The CloudTrail events of a window, as the warehouse holds them.
--
-- Grain: one CloudTrail event.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from api_event
where event_hour >= $start
    and event_hour < $end
order by event_hour, event_time, event_id, source_uri, source_index
