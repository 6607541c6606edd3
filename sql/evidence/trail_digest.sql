-- The CloudTrail digest files of a window, as the warehouse holds them.
--
-- Grain: one digest file, or the place of a missing one.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from trail_digest
where event_hour >= $start
    and event_hour < $end
order by event_hour, digest_end_time, region, account_id, trail_name, home_region, chain, digest_uri
