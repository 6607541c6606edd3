-- Whom the caller of a request begins with: its session's first principal, or itself where it is no session.
--
-- A key belongs to one principal for good, so the key alone decides; the instant does not matter.
--
-- Grain: one row of caller.
-- Reads session; caller (caller_id, and access_key_id, principal_type, principal_arn, session_issuer_arn, invoked_by,
-- on_behalf_of_user_id as in api_event); break_glass (pattern).
-- Parameters: $service_user: regular expression of the ARNs (in lower case) of IAM users that are programs.
with known as (
    select *
    from session
    where access_key_id in (select access_key_id from caller)
    qualify row_number() over (
        partition by access_key_id
        order by issued_event_id nulls last, started_at, account_id, region
    ) = 1
),

told as (
    select
        c.caller_id, c.access_key_id, c.principal_type, c.principal_arn, c.session_issuer_arn,
        s.access_key_id is not null as has_session,
        s.principal_class, s.chain, s.chain_proof, s.unresolved_reason, s.conflict,
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
    left join known as s
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
        else 'session_not_built'
    end as unresolved_reason,
    conflict
from told as t
order by caller_id
