-- Every credential session that began in a window, with the chain of issuing events back to whom it begins with.
--
-- A session is linked to the event that issued it by its key; else by the id of its role or user and the second of its
-- creation; else by role and session name, or user, close in time. Only then does the issuing event's own caller, whom
-- AWS names, continue the chain. A session name alone never identifies anybody.
--
-- Grain: one temporary access key. The walk goes from the beginnings down, so each session is reached once; what it does
-- not reach is a circle.
-- Reads issuing, key_use (dynatrail.trail.sessions_issuing); break_glass (pattern).
-- Parameters: $start, $end: half-open window of the instant at which a session began; $service_user: regular expression of
-- the ARNs (in lower case) of IAM users that are programs; $public_provider: of identity providers of people at large.
with recursive known as (
    select
        *,
        -- The copies that several accounts got of one event may not all have its response.
        coalesce(
            issued_key,
            case when shared_event_id is not null then max(issued_key) over (partition by shared_event_id) end
        ) as session_key,
        -- The copy of the account whose role it is does not name a caller of another account.
        case when caller_type is null or caller_type = 'AWSAccount' then 1 else 0 end as is_nameless,
        -- A service that hands a key on has an event of its own beside that of STS, which names only the service.
        case when event_source in ('sts.amazonaws.com', 'signin.amazonaws.com') then 0 else 1 end as is_handed_on
    from issuing
),

asked as (
    select *
    from known
    where session_key is not null
    qualify row_number() over (
        partition by session_key
        order by is_nameless, is_handed_on desc, event_time, event_id, recipient_account_id, region
    ) = 1
),

answered as (
    select
        session_key, event_id, event_time, event_name, region, issued_account_id
    from known
    where session_key is not null
    qualify row_number() over (
        partition by session_key
        order by
            case when recipient_account_id = issued_account_id then 0 else 1 end,
            is_handed_on, event_time, event_id, recipient_account_id, region
    ) = 1
),

-- What all events of one key say together: the copies of one event agree, and so do a service's event and that of STS.
said as (
    select
        session_key,
        min(case when is_handed_on = 0 then coalesce(shared_event_id, event_id) end) as least_event,
        max(case when is_handed_on = 0 then coalesce(shared_event_id, event_id) end) as greatest_event,
        min(case when is_handed_on = 1 then coalesce(shared_event_id, event_id) end) as least_handed_on,
        max(case when is_handed_on = 1 then coalesce(shared_event_id, event_id) end) as greatest_handed_on,
        min(case
            when is_nameless = 0 and is_handed_on = 0 then coalesce(caller_arn, provider || '/' || subject, invoked_by)
        end) as least_caller,
        max(case
            when is_nameless = 0 and is_handed_on = 0 then coalesce(caller_arn, provider || '/' || subject, invoked_by)
        end) as greatest_caller,
        max(case
            when is_nameless = 0 and is_handed_on = 0 and caller_type not in ('AWSService', 'WebIdentityUser')
                then caller_type
        end) as own_caller_type,
        min(event_id) as least_event_id,
        max(event_id) as greatest_event_id,
        max(role_arn) as role_arn,
        max(claimed_name) as claimed_name,
        max(issued_id) as issued_id,
        max(expires_at) as expires_at,
        max(origin_arn) as origin_arn
    from known
    where session_key is not null
    group by session_key
),

by_key as (
    select
        a.session_key as access_key_id,
        1 as proof,
        n.event_id as issued_event_id,
        n.event_time as issued_at,
        n.region as issued_region,
        case
            when s.least_event <> s.greatest_event
                then 'two events issued this key: ' || left(s.least_event, 200) || ' and ' || left(s.greatest_event, 200)
            when s.least_handed_on <> s.greatest_handed_on
                then 'two events issued this key: ' || left(s.least_handed_on, 200) || ' and '
                    || left(s.greatest_handed_on, 200)
            when s.least_handed_on is not null and s.own_caller_type is not null
                then 'a service says that it issued this key, which STS gave to another caller: '
                    || left(s.least_handed_on, 200) || ' and ' || left(s.least_event, 200)
            when s.least_caller <> s.greatest_caller
                then 'the copies of the event that issued this key name ' || left(s.least_caller, 200) || ' and '
                    || left(s.greatest_caller, 200)
        end as contradiction,
        s.least_event_id as contradicting_event_id,
        s.greatest_event_id as contradicted_event_id,
        a.event_name, a.caller_type, a.caller_arn, a.caller_id, a.caller_account_id, a.caller_key, a.caller_issuer_arn,
        a.caller_created_at, a.caller_source_identity, a.invoked_by, a.issued_arn,
        coalesce(a.issued_id, s.issued_id) as issued_id,
        n.issued_account_id,
        coalesce(a.role_arn, s.role_arn) as role_arn,
        coalesce(a.claimed_name, s.claimed_name) as claimed_name,
        coalesce(a.expires_at, s.expires_at) as expires_at,
        a.source_identity, a.transitive_tag_keys, a.mfa_authenticated, a.provider, a.subject,
        a.identity_center_user_id,
        coalesce(a.origin_arn, s.origin_arn) as origin_arn
    from asked as a
    inner join answered as n
        on n.session_key = a.session_key
    inner join said as s
        on s.session_key = a.session_key
),

keyless as (
    select *
    from known
    where session_key is null
),

-- Identity Center hands other keys to its users than the one that its event names.
keyed_elsewhere as (
    select *
    from known
    where session_key is not null
        and event_name = 'AssumeRoleWithSAML'
        and role_arn like '%:role/aws-reserved/sso.amazonaws.com/%'
),

unissued as (
    select *
    from key_use
    where access_key_id not in (select access_key_id from by_key)
        and created_at is not null
        and principal_type <> 'AWSAccount'
),

likely as (
    select u.access_key_id, u.created_at, 2 as proof, k.*
    from unissued as u
    inner join keyless as k
        on k.issued_id = u.principal_id
        and k.event_time = u.created_at

    union all

    select u.access_key_id, u.created_at, 2 as proof, k.*
    from unissued as u
    inner join keyed_elsewhere as k
        on k.issued_id = u.principal_id
        and k.event_time = u.created_at

    union all

    select u.access_key_id, u.created_at, 3 as proof, k.*
    from unissued as u
    inner join keyless as k
        on k.role_arn = u.issuer_arn
        and k.claimed_name = u.session_name
        and u.created_at >= k.event_time - interval '5' second
        and u.created_at <= k.event_time + interval '5' second

    union all

    select u.access_key_id, u.created_at, 3 as proof, k.*
    from unissued as u
    inner join keyless as k
        on k.issued_arn = u.principal_arn
        and k.event_name in ('ConsoleLogin', 'SwitchRole', 'RenewRole')
        and u.created_at >= k.event_time - interval '60' second
        and u.created_at <= k.event_time + interval '60' second
),

best_proof as (
    select
        *,
        -- Whom the event names; of two copies of one event the one that names the caller counts.
        coalesce(caller_key, caller_arn, caller_id, provider || '/' || subject, invoked_by, event_id) as caller
    from likely
    qualify proof = min(proof) over (partition by access_key_id)
        and is_nameless = min(is_nameless) over (partition by access_key_id, proof)
),

by_likeness as (
    select
        access_key_id,
        proof,
        event_id as issued_event_id,
        event_time as issued_at,
        region as issued_region,
        case
            when min(caller) over (partition by access_key_id) <> max(caller) over (partition by access_key_id)
                then 'several events may have issued this key, for '
                    || left(min(caller) over (partition by access_key_id), 200) || ' and '
                    || left(max(caller) over (partition by access_key_id), 200)
        end as contradiction,
        min(event_id) over (partition by access_key_id) as contradicting_event_id,
        max(event_id) over (partition by access_key_id) as contradicted_event_id,
        event_name, caller_type, caller_arn, caller_id, caller_account_id, caller_key, caller_issuer_arn,
        caller_created_at, caller_source_identity, invoked_by, issued_arn, issued_id, issued_account_id,
        role_arn, claimed_name, expires_at, source_identity, transitive_tag_keys, mfa_authenticated,
        provider, subject, identity_center_user_id, origin_arn
    from best_proof
    qualify row_number() over (
        partition by access_key_id
        order by
            case
                when event_time = created_at then 0
                when event_time >= created_at - interval '5' second and event_time <= created_at + interval '5' second
                    then 1
                else 2
            end,
            event_time, event_id, recipient_account_id, region
    ) = 1
),

issued as (
    select * from by_key
    union all
    select * from by_likeness
),

held_account as (
    select recipient_account_id as account_id
    from issuing

    union

    select recipient_account_id as account_id
    from key_use
),

credential as (
    select
        coalesce(i.access_key_id, u.access_key_id) as access_key_id,
        i.proof, i.issued_event_id, i.event_name, i.caller_type, i.caller_arn, i.caller_id, i.caller_key,
        i.caller_created_at, i.caller_account_id, i.caller_issuer_arn, i.provider as vouching_provider, i.subject,
        i.claimed_name, i.expires_at, i.transitive_tag_keys,
        i.invoked_by as issuing_service,
        coalesce(i.issued_at, u.event_time) as started_at,
        coalesce(i.issued_region, u.region) as region,
        coalesce(i.issued_account_id, u.account_id) as account_id,
        coalesce(
            u.principal_type,
            case
                when i.event_name = 'AssumeRoot' then 'Root'
                when i.event_name = 'GetFederationToken' then 'FederatedUser'
                when i.role_arn is not null then 'AssumedRole'
                when i.caller_type in ('AWSService', 'WebIdentityUser', 'SAMLUser') then 'AssumedRole'
                else i.caller_type
            end
        ) as principal_type,
        coalesce(u.principal_arn, i.issued_arn) as principal_arn,
        coalesce(u.principal_id, i.issued_id) as principal_id,
        coalesce(
            case when i.event_name <> 'AssumeRoot' then i.role_arn end,
            case when u.principal_type = 'AssumedRole' then u.issuer_arn end
        ) as role_arn,
        case when u.principal_type = 'FederatedUser' then u.issuer_arn end as federated_by,
        coalesce(i.claimed_name, u.session_name) as session_name,
        coalesce(u.source_identity, i.source_identity, i.caller_source_identity) as source_identity,
        coalesce(i.mfa_authenticated, u.mfa_authenticated) as mfa_authenticated,
        coalesce(u.identity_center_user_id, i.identity_center_user_id) as identity_center_user_id,
        coalesce(i.provider, u.provider) as provider,
        coalesce(i.invoked_by, u.invoked_by) as invoked_by,
        coalesce(u.origin_arn, i.origin_arn) as origin_arn,
        coalesce(u.from_instance, false) as from_instance,
        coalesce(u.is_assumed_root, false) as is_assumed_root,
        case
            when i.contradiction is not null then i.contradiction
            when u.other_principal_id is not null
                then 'two principals used this key: ' || left(u.principal_id, 200) || ' and '
                    || left(u.other_principal_id, 200)
            when u.other_user_id is not null
                then 'this key was used for two users of Identity Center: ' || left(u.identity_center_user_id, 200)
                    || ' and ' || left(u.other_user_id, 200)
            when i.proof = 1 and u.principal_type <> 'AWSAccount'
                and coalesce(i.issued_id <> u.principal_id, i.issued_arn <> u.principal_arn, false)
                then 'issued for ' || left(coalesce(i.issued_id, i.issued_arn), 200) || ' but used by '
                    || left(coalesce(u.principal_id, u.principal_arn), 200)
            -- Clocks of AWS differ by less than a minute.
            when i.proof = 1 and u.event_time < i.issued_at - interval '60' second
                then 'used by ' || u.event_id || ' before it was issued by ' || i.issued_event_id
        end as contradiction,
        case when i.contradiction is not null then i.contradicting_event_id else u.event_id end as contradicting_event_id,
        case
            when i.contradiction is not null then i.contradicted_event_id
            else coalesce(u.other_event_id, i.issued_event_id)
        end as contradicted_event_id,
        u.account_id is not null and u.account_id not in (select account_id from held_account) as is_foreign
    from issued as i
    full outer join key_use as u
        on u.access_key_id = i.access_key_id
),

-- Who signed the issuing request, where that was a session itself.
parent_candidate as (
    select
        c.access_key_id,
        p.access_key_id as parent_key,
        p.started_at,
        p.started_at > c.started_at + interval '60' second as is_later,
        p.issued_event_id as parent_event_id,
        1 as proof
    from credential as c
    inner join credential as p
        on p.access_key_id = c.caller_key

    union all

    select
        c.access_key_id, p.access_key_id as parent_key, p.started_at, false as is_later,
        p.issued_event_id as parent_event_id,
        2 as proof
    from credential as c
    inner join credential as p
        on p.principal_id = c.caller_id
        and p.started_at = c.caller_created_at
        and p.access_key_id <> c.access_key_id
        -- Keys that one sign-in gave are not issued by each other.
        and p.issued_event_id is distinct from c.issued_event_id
    where c.caller_key is null
        and c.caller_type = 'AssumedRole'

    union all

    select
        c.access_key_id, p.access_key_id as parent_key, p.started_at, false as is_later,
        p.issued_event_id as parent_event_id,
        3 as proof
    from credential as c
    inner join credential as p
        on p.principal_arn = c.caller_arn
        and (p.started_at < c.started_at or (p.started_at = c.started_at and p.proof = 1 and c.proof > 1))
        and p.started_at >= c.started_at - interval '12' hour
        and (p.expires_at is null or p.expires_at >= c.started_at)
        and p.issued_event_id is distinct from c.issued_event_id
    where c.caller_key is null
        and c.caller_type = 'AssumedRole'
),

parent as (
    select access_key_id, parent_key, parent_event_id, proof, is_later
    from parent_candidate
    qualify row_number() over (partition by access_key_id order by proof, started_at desc, parent_key) = 1
),

placed as (
    select
        c.*,
        case when c.contradiction is null and not coalesce(p.is_later, false) then p.parent_key end as parent_key,
        greatest(coalesce(c.proof, 1), coalesce(p.proof, 1)) as link_proof,
        coalesce(
            c.contradiction,
            case when p.is_later then 'issued by a key that was issued later: ' || p.parent_key end
        ) as conflict,
        case when c.contradiction is not null then c.contradicting_event_id else c.issued_event_id end as one_event_id,
        case when c.contradiction is not null then c.contradicted_event_id else p.parent_event_id end as other_event_id,
        case
            when c.role_arn like '%:role/aws-service-role/%'
                then split_part(split_part(c.role_arn, '/aws-service-role/', 2), '/', 1)
        end as linked_service,
        c.role_arn like '%:role/aws-reserved/sso.amazonaws.com/%' as is_identity_center,
        exists (
            select 1
            from break_glass as b
            where regexp_matches(c.role_arn, b.pattern)
                or regexp_matches(c.principal_arn, b.pattern)
                or regexp_matches(c.caller_arn, b.pattern)
        ) as is_break_glass
    from credential as c
    left join parent as p
        on p.access_key_id = c.access_key_id
),

-- Whom a session begins with that no other session issued.
beginning as (
    select
        access_key_id,
        case
            when conflict is not null then 'contradiction'
            when linked_service is not null or origin_arn is not null or from_instance then null
            when is_identity_center and identity_center_user_id is not null then null
            when caller_type in ('IAMUser', 'Root') then null
            -- The root that somebody else took is not the beginning.
            when caller_type is null and principal_type in ('IAMUser', 'Root') and not is_assumed_root then null
            when coalesce(caller_issuer_arn, federated_by) is not null
                and coalesce(caller_type, principal_type) = 'FederatedUser' then null
            when caller_type in ('SAMLUser', 'WebIdentityUser') and subject is not null then null
            when caller_type = 'AWSService' then null
            when caller_type = 'AWSAccount' then 'issuer_in_other_account'
            when issued_event_id is not null and caller_type in ('SAMLUser', 'WebIdentityUser') then 'subject_not_recorded'
            when issued_event_id is not null and coalesce(caller_type, 'Unknown') <> 'AssumedRole' then 'caller_not_named'
            when principal_type = 'AWSAccount' or is_foreign then 'issuer_in_other_account'
            else 'issuer_not_seen'
        end as unresolved_reason,
        case
            when linked_service is not null then linked_service
            when is_identity_center and identity_center_user_id is not null
                then 'arn:' || split_part(role_arn, ':', 2) || ':identitystore:::user/' || identity_center_user_id
            when caller_type in ('SAMLUser', 'WebIdentityUser') then vouching_provider || '/' || subject
            when caller_type in ('IAMUser', 'Root') then caller_arn
            when caller_type = 'FederatedUser' then caller_issuer_arn
            when caller_type = 'AWSService' or ((origin_arn is not null or from_instance) and caller_type is null)
                then coalesce(origin_arn, role_arn, principal_arn)
            when caller_type is null and principal_type in ('IAMUser', 'Root') and not is_assumed_root then principal_arn
            when caller_type is null and principal_type = 'FederatedUser' then federated_by
        end as arn,
        case
            when linked_service is not null then 'AWSService'
            -- A service that hands a role to a function, task or instance acts for that, not for itself.
            when caller_type = 'AWSService' then 'Role'
            when is_identity_center and identity_center_user_id is not null then 'IdentityCenterUser'
            when caller_type is not null and caller_type <> 'FederatedUser' then caller_type
            when coalesce(caller_type, principal_type) = 'FederatedUser'
                then case when coalesce(caller_issuer_arn, federated_by) like '%:root' then 'Root' else 'IAMUser' end
            when origin_arn is not null or from_instance then 'Role'
            else principal_type
        end as type,
        -- Who is behind the issuing event, as it names them: the beginning of the chain as a person reads it.
        coalesce(
            case when caller_type in ('SAMLUser', 'WebIdentityUser') then vouching_provider || '/' || subject end,
            caller_arn,
            issuing_service,
            case
                when caller_type = 'AWSAccount'
                    then 'account ' || coalesce(caller_account_id, '?') || ' ' || coalesce(caller_id, '?')
            end,
            caller_id,
            'not named'
        ) as who
    from placed
    where parent_key is null
),

classified as (
    select
        access_key_id, unresolved_reason, who,
        case when unresolved_reason is null then arn end as arn,
        case when unresolved_reason is null then type end as type,
        case
            when unresolved_reason is not null or arn is null then 'unresolved'
            when type = 'AWSService' then 'aws_service'
            when type = 'Role' then 'workload'
            when type = 'WebIdentityUser'
                then case
                    when regexp_matches(arn, $public_provider) then 'person'
                    else 'workload'
                end
            when type = 'IAMUser' and regexp_matches(lower(arn), $service_user) then 'workload'
            else 'person'
        end as class
    from beginning
),

walk as (
    select
        p.access_key_id, c.arn, c.type, c.class, c.unresolved_reason, p.is_break_glass, p.source_identity,
        case
            when p.issued_event_id is null then cast([] as varchar[])
            else [
                case p.link_proof when 1 then 'key' when 2 then 'role_id' else 'interval' end
                    || ' ' || p.event_name || ' ' || p.issued_event_id || ': ' || c.who
            ]
        end as chain,
        case when p.issued_event_id is not null then p.link_proof end as weakest
    from placed as p
    inner join classified as c
        on c.access_key_id = p.access_key_id

    union all

    select
        p.access_key_id, w.arn, w.type, w.class, w.unresolved_reason,
        p.is_break_glass or w.is_break_glass as is_break_glass,
        coalesce(p.source_identity, w.source_identity) as source_identity,
        list_concat(
            w.chain,
            [
                case p.link_proof when 1 then 'key' when 2 then 'role_id' else 'interval' end
                    || ' ' || p.event_name || ' ' || p.issued_event_id || ': ' || coalesce(p.caller_arn, p.parent_key)
            ]
        ) as chain,
        greatest(p.link_proof, coalesce(w.weakest, 1)) as weakest
    from walk as w
    inner join placed as p
        on p.parent_key = w.access_key_id
)

select
    p.started_at,
    p.expires_at,
    date_trunc('hour', p.started_at) as event_hour,
    cast(date_trunc('day', p.started_at) as date) as event_date,
    p.account_id,
    p.region,
    p.access_key_id,
    p.issued_event_id,
    p.event_name as issued_event_name,
    p.principal_type,
    p.principal_arn,
    p.principal_id,
    p.role_arn,
    coalesce(p.caller_key, p.parent_key) as parent_access_key_id,
    w.arn as first_principal_arn,
    w.type as first_principal_type,
    case
        when coalesce(w.is_break_glass, p.is_break_glass)
            or exists (select 1 from break_glass as b where regexp_matches(w.arn, b.pattern)) then 'break_glass'
        else coalesce(w.class, 'unresolved')
    end as principal_class,
    w.chain,
    case w.weakest when 1 then 'key' when 2 then 'role_id' when 3 then 'interval' end as chain_proof,
    case when w.access_key_id is null then 'circle' else w.unresolved_reason end as unresolved_reason,
    coalesce(p.conflict, case when w.access_key_id is null then 'the issuing events go in a circle' end) as conflict,
    case
        when p.conflict is null and w.access_key_id is not null then null
        when p.other_event_id is null or p.other_event_id = p.one_event_id then [p.one_event_id]
        when p.one_event_id is null then [p.other_event_id]
        else [least(p.one_event_id, p.other_event_id), greatest(p.one_event_id, p.other_event_id)]
    end as conflict_event_ids,
    p.session_name as claimed_name,
    coalesce(p.source_identity, w.source_identity) as source_identity,
    p.transitive_tag_keys,
    p.mfa_authenticated,
    p.identity_center_user_id,
    p.provider as federated_provider,
    p.subject as federated_subject,
    p.origin_arn,
    p.invoked_by
from placed as p
left join walk as w
    on w.access_key_id = p.access_key_id
where p.started_at >= $start
    and p.started_at < $end
order by p.started_at, p.access_key_id, p.issued_event_id
