-- The erasures and reveals of a window, as the warehouse holds them.
--
-- Grain: one erasure of a subject, or one reveal of a subject's values in one change.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from privacy_event
where event_hour >= $start
    and event_hour < $end
order by event_hour, event_time, privacy_event_id
