-- How many log files of a window are attested, and how many are not, by what is known of them.
--
-- Grain: status.
-- Parameters: $start, $end: half-open window of delivery, by full hours.
select
    status,
    count(*) as files
from log_file
where event_hour >= $start
    and event_hour < $end
group by status
order by files desc, status
