-- What was kept out of the trail in a window, and why.
--
-- Grain: source, reason.
-- Parameters: $start, $end: half-open window of delivery, by full hours.
select
    source,
    reason_code,
    count(*) as pieces,
    count(distinct source_uri) as objects,
    min(reason) as reason
from quarantine
where event_hour >= $start
    and event_hour < $end
group by source, reason_code
order by pieces desc, source, reason_code
