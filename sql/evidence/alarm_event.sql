-- The entries of alarm histories of a window, as the warehouse holds them.
--
-- Grain: one entry.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from alarm_event
where event_hour >= $start
    and event_hour < $end
order by event_hour, event_time, alarm_name, alarm_event_id
