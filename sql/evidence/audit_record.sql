-- The unified timeline of a window, as the warehouse holds it.
--
-- Grain: one audit_record.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from audit_record
where event_hour >= $start
    and event_hour < $end
order by event_hour, event_time, record_id
