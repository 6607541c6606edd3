-- What was seen of identities and their rights in a window, where it differed from before.
--
-- Grain: one resource and aspect at one time.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from iam_snapshot
where event_hour >= $start
    and event_hour < $end
order by event_hour, captured_at, account_id, resource_type, resource_arn, aspect
