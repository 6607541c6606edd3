-- What was seen of trails, their bucket, keys and alarms in a window, where it differed from before.
--
-- Grain: one resource and aspect at one time.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from trail_config
where event_hour >= $start
    and event_hour < $end
order by event_hour, captured_at, account_id, region, resource_type, resource_arn, aspect
