-- How many digests of a window are valid, missing or wrong, and of how many chains they are.
--
-- Grain: status.
-- Parameters: $start, $end: half-open window, by full hours of the digests' ends.
select
    status,
    count(*) as digests,
    count(distinct account_id || ' ' || region || ' ' || trail_name || ' ' || home_region || ' ' || chain) as chains
from trail_digest
where event_hour >= $start
    and event_hour < $end
group by status
order by digests desc, status
