-- The CloudTrail log files of a window, as the warehouse holds them.
--
-- Grain: one log file.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from log_file
where event_hour >= $start
    and event_hour < $end
order by event_hour, delivered_at, source_uri
