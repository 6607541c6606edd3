-- How each temporary key was first used in a window, and what any of its uses says about where it came from.
--
-- Long-term keys (AKIA) belong to an IAM user for good and are no session.
--
-- Grain: one temporary access key.
-- Reads api_event.
-- Parameters: $start, $end: half-open window of event time, whole hours.
with by_principal as (
    select
        access_key_id,
        -- Another account's copy does not name the caller.
        case when principal_type <> 'AWSAccount' then principal_id end as principal_id,
        min(event_time) as event_time,
        min(event_id) as event_id,
        -- Of all uses, since not every service's records have these.
        min(on_behalf_of_user_id) as least_user_id,
        max(on_behalf_of_user_id) as greatest_user_id,
        max(source_identity) as source_identity,
        max(case when user_identity like '%"inScopeOf"%' then user_identity end) as scoped_identity
    from api_event
    where event_hour >= $start
        and event_hour < $end
        and access_key_id like 'ASIA%'
        and attestation not in ('forged', 'altered')
    group by access_key_id, case when principal_type <> 'AWSAccount' then principal_id end
),

first_use as (
    select
        access_key_id,
        min(event_time) as event_time,
        min(least_user_id) as identity_center_user_id,
        case when min(least_user_id) <> max(greatest_user_id) then max(greatest_user_id) end as other_user_id,
        max(source_identity) as source_identity,
        max(scoped_identity) as scoped_identity,
        min(principal_id) as least_principal_id,
        max(principal_id) as greatest_principal_id
    from by_principal
    group by access_key_id
),

told as (
    select
        e.access_key_id, e.event_id, e.event_time, e.region, e.recipient_account_id,
        e.principal_type, e.principal_arn, e.principal_id, e.session_name, e.mfa_authenticated, e.invoked_by,
        f.source_identity, f.identity_center_user_id, f.other_user_id,
        coalesce(e.account_id, e.recipient_account_id) as account_id,
        e.session_issuer_arn as issuer_arn,
        e.session_created_at as created_at,
        coalesce(f.scoped_identity, e.user_identity) as user_identity,
        -- A key is one principal's; two are a contradiction.
        case
            when f.least_principal_id = f.greatest_principal_id then null
            when e.principal_id = f.greatest_principal_id then f.least_principal_id
            else f.greatest_principal_id
        end as other_principal_id
    from api_event as e
    inner join first_use as f
        on f.access_key_id = e.access_key_id
        and f.event_time = e.event_time
    where e.event_hour >= $start
        and e.event_hour < $end
        and e.attestation not in ('forged', 'altered')
    qualify row_number() over (
        partition by e.access_key_id
        order by case when e.principal_type = 'AWSAccount' then 1 else 0 end, e.event_id, e.recipient_account_id, e.region
    ) = 1
)

select t.*, o.event_id as other_event_id
from told as t
left join by_principal as o
    on o.access_key_id = t.access_key_id
    and o.principal_id = t.other_principal_id
