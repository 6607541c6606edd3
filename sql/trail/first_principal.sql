-- Whom the caller of a request begins with: its session's first principal, or itself where it is no session.
--
-- A key belongs to one principal for good, so the key alone decides; the instant does not matter. Sessions of one key
-- that begin with different principals contradict each other, and none of them is believed.
--
-- Grain: one row of caller.
-- Reads session; caller (caller_id, and access_key_id, principal_type, principal_arn, session_issuer_arn, invoked_by,
-- on_behalf_of_user_id as in api_event); break_glass (pattern).
-- Parameters: $service_user: regular expression of the ARNs (in lower case) of IAM users that are programs;
-- $sessions_from, $sessions_until: half-open window in which the sessions asked about began, whole hours.
with known as (
    select
        *,
        min(first_principal_arn) over (partition by access_key_id) as least_arn,
        max(first_principal_arn) over (partition by access_key_id) as greatest_arn
    from session
    where event_hour >= $sessions_from
        and event_hour < $sessions_until
        and access_key_id in (select access_key_id from caller)
    qualify row_number() over (
        partition by access_key_id
        -- What somebody was seen to issue tells more than a first use.
        order by issued_event_id nulls last, started_at, account_id, region
    ) = 1
),

known_key as (
    select
        access_key_id, chain, chain_proof, principal_class,
        least_arn <> greatest_arn as is_contradictory,
        case when least_arn = greatest_arn or least_arn is null then first_principal_arn end as first_principal_arn,
        case
            when least_arn = greatest_arn or least_arn is null then first_principal_type
        end as first_principal_type,
        case when least_arn <> greatest_arn then 'contradiction' else unresolved_reason end as unresolved_reason,
        case
            when least_arn <> greatest_arn
                then 'this key was issued again, for ' || least_arn || ' and ' || greatest_arn
            else conflict
        end as conflict
    from known
),

told as (
    select
        c.caller_id, c.access_key_id, c.principal_type, c.principal_arn, c.session_issuer_arn,
        s.access_key_id is not null as has_session,
        s.chain, s.chain_proof, s.unresolved_reason, s.conflict,
        case when s.is_contradictory then 'unresolved' else s.principal_class end as principal_class,
        case
            when s.access_key_id is not null then s.first_principal_arn
            when c.principal_type in ('IAMUser', 'Root') then c.principal_arn
            when c.principal_type = 'FederatedUser' then c.session_issuer_arn
            when c.principal_type = 'AWSService' then c.invoked_by
            when c.principal_type = 'IdentityCenterUser'
                then 'arn:aws:identitystore:::user/' || c.on_behalf_of_user_id
            when c.session_issuer_arn like '%:role/aws-service-role/%'
                then split_part(split_part(c.session_issuer_arn, '/aws-service-role/', 2), '/', 1)
        end as first_principal_arn,
        case
            when s.access_key_id is not null then s.first_principal_type
            when c.principal_type in ('IAMUser', 'Root', 'AWSService', 'IdentityCenterUser') then c.principal_type
            when c.principal_type = 'FederatedUser'
                then case when c.session_issuer_arn like '%:root' then 'Root' else 'IAMUser' end
            when c.session_issuer_arn like '%:role/aws-service-role/%' then 'AWSService'
        end as first_principal_type
    from caller as c
    left join known_key as s
        on s.access_key_id = c.access_key_id
)

select
    caller_id,
    first_principal_arn,
    case when first_principal_arn is not null then first_principal_type end as first_principal_type,
    case
        when has_session and principal_class = 'break_glass' then 'break_glass'
        when exists (
            select 1
            from break_glass as b
            where regexp_matches(t.first_principal_arn, b.pattern)
                or regexp_matches(t.principal_arn, b.pattern)
                or regexp_matches(t.session_issuer_arn, b.pattern)
        ) then 'break_glass'
        when has_session then principal_class
        when first_principal_arn is null then 'unresolved'
        when first_principal_type = 'AWSService' then 'aws_service'
        when first_principal_type = 'IAMUser' and regexp_matches(lower(first_principal_arn), $service_user)
            then 'workload'
        else 'person'
    end as principal_class,
    chain,
    chain_proof,
    case
        when has_session then unresolved_reason
        when first_principal_arn is not null then null
        when principal_type = 'AWSAccount' then 'issuer_in_other_account'
        when access_key_id is null then 'key_not_recorded'
        when access_key_id like 'AKIA%' then 'caller_not_named'
        else 'session_not_built'
    end as unresolved_reason,
    conflict
from told as t
order by caller_id
