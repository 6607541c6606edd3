-- The log events of a window that configured filters matched, as the warehouse holds them.
--
-- Grain: one log event and filter.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from log_event
where event_hour >= $start
    and event_hour < $end
order by event_hour, event_time, log_group, log_event_id
