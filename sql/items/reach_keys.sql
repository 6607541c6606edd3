-- The access keys that a session or a principal had, and those of the sessions that were issued with them, and so on.
--
-- Grain: one access key.
-- Reads session, api_event.
-- Parameters: $who: an access key, or the ARN of a first principal, role, user or session; $start, $end: half-open window,
-- whole hours; $sessions_from: from when on sessions are read, before $start, as a chain may have begun days before.
with recursive issued as (
    select access_key_id, parent_access_key_id, first_principal_arn, principal_arn, role_arn
    from session
    where event_hour >= $sessions_from
        and event_hour < $end
),

seed as (
    select $who as access_key_id
    where $who not like 'arn:%'

    union

    select access_key_id
    from issued
    where $who in (first_principal_arn, principal_arn, role_arn)

    union

    select access_key_id
    from api_event
    where event_hour >= $start
        and event_hour < $end
        and access_key_id is not null
        and $who in (principal_arn, session_issuer_arn)
        and attestation not in ('forged', 'altered')
),

-- The rows are distinct, so a circle of keys ends.
reached as (
    select access_key_id, cast(1 as integer) as is_seed
    from seed

    union

    select i.access_key_id, 0
    from reached as r
    inner join issued as i
        on i.parent_access_key_id = r.access_key_id
)

select access_key_id, max(is_seed) = 1 as is_own
from reached
group by access_key_id
order by access_key_id
