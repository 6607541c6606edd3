-- The sessions behind access keys, and what each was used for in a window.
--
-- Grain: one access key.
-- Reads session; reach_key (access_key_id, is_own), reach_event (as sql/items/reach_events.sql gives it).
-- Parameters: $sessions_from, $end: half-open window of sessions, whole hours.
with known as (
    select s.*
    from session as s
    inner join reach_key as k
        on k.access_key_id = s.access_key_id
    where s.event_hour >= $sessions_from
        and s.event_hour < $end
    qualify row_number() over (
        partition by s.access_key_id
        order by s.issued_event_id nulls last, s.started_at, s.account_id, s.region
    ) = 1
),

used as (
    select
        access_key_id,
        count(*) as calls,
        sum(case when outcome = 'denied' then 1 else 0 end) as denied,
        min(event_time) as first_time,
        max(event_time) as last_time,
        max(principal_arn) as principal_arn,
        list_sort(list(distinct source_ip_address)) as addresses
    from reach_event
    group by access_key_id
)

select
    k.access_key_id, k.is_own, s.parent_access_key_id,
    coalesce(s.principal_arn, u.principal_arn) as principal_arn,
    s.first_principal_arn, s.principal_class, s.chain, s.unresolved_reason, s.conflict,
    s.issued_event_id, s.issued_event_name, s.claimed_name, s.started_at, s.expires_at,
    cast(coalesce(u.calls, 0) as bigint) as calls,
    cast(coalesce(u.denied, 0) as bigint) as denied,
    u.first_time, u.last_time, u.addresses
from reach_key as k
left join known as s
    on s.access_key_id = k.access_key_id
left join used as u
    on u.access_key_id = k.access_key_id
order by coalesce(s.started_at, u.first_time) nulls first, k.is_own desc, k.access_key_id
