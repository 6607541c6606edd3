-- The findings of a window, as the warehouse holds them.
--
-- Grain: one finding.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from finding
where event_hour >= $start
    and event_hour < $end
order by event_hour, event_time, finding_id
