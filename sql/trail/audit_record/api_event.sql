-- What requests touched in the touched hours, from CloudTrail events and the items that they name: sign-ins, role
-- assumptions and changes of policies and configuration are among them.
--
-- Grain: an item that an event names; else a table that it names; else the event. An event that names items of one table
-- and also another table gives a row for each of those items and one for that other table.
-- Reads api_event, api_event_item; touched_hour (event_hour), ocsf_activity (include/ocsf/activities.csv, ranked) and
-- caller_principal (the columns of sql/trail/callers.sql, and whom each caller begins with).
-- Parameters: $start, $end: half-open window around the touched hours; it lets the store skip files.
with event as (
    select
        event_id, event_time, event_hour, event_date, recipient_account_id, region, event_source, event_name,
        ocsf_class_uid, index_name, principal_type, user_name, session_name, invoked_by, source_ip_address, user_agent,
        error_code, table_names, table_arns, attestation, principal_arn, access_key_id, session_issuer_arn,
        on_behalf_of_user_id,
        split_part(event_source, '.', 1) as service,
        -- A session's issuer, the ARN of an identity, or what the identity store or AWS itself vouches for; a session
        -- name is the caller's claim and never the actor. CloudTrail's own word for an identity it cannot name is last.
        coalesce(
            nullif(session_issuer_arn, ''),
            nullif(
                case
                    when principal_arn like 'arn:%:sts::%:assumed-role/%'
                        then regexp_extract(principal_arn, '^[^/]*/[^/]*', 0)
                    else principal_arn
                end,
                ''
            ),
            on_behalf_of_user_id,
            nullif(
                case
                    when principal_type in ('AssumedRole', 'AWSAccount') then split_part(principal_id, ':', 1)
                    else principal_id
                end,
                ''
            ),
            nullif(user_name, ''),
            invoked_by,
            account_id,
            'Unknown'
        ) as signer,
        case
            when denied_action is not null
                or error_code like '%AccessDenied%'
                or error_code like '%Unauthorized%'
                or error_code like '%NotAuthorized%'
                or error_code in ('AuthorizationError', 'Forbidden', 'ForbiddenException')
                then 'denied'
            -- A failed sign-in has no error code: the message or the response says it.
            when error_code is not null
                or error_message is not null
                or (event_name = 'ConsoleLogin' and response_elements like '%"Failure"%')
                then 'failure'
            else 'success'
        end as outcome,
        -- A denied call loses its parameters; what it was refused on is in the message.
        case
            when denied_resource_arn like 'arn:%:dynamodb:%:table/%' and denied_resource_arn not like '%:table/*%'
                then regexp_extract(denied_resource_arn, '^arn:[^/]*:table/[^/]+', 0)
        end as denied_table_arn,
        -- What a PartiQL text does, where it is one statement.
        case
            when statement is null or statement like '%;%' then null
            when upper(ltrim(statement)) like 'SELECT%' then 'Select'
            when upper(ltrim(statement)) like 'INSERT%' then 'Put'
            when upper(ltrim(statement)) like 'UPDATE%' then 'Update'
            when upper(ltrim(statement)) like 'DELETE%' then 'Delete'
        end as statement_operation
    from api_event
    where event_hour >= $start
        and event_hour < $end
        and event_hour in (select event_hour from touched_hour)
),

item as (
    select recipient_account_id, region, event_id, ordinal, table_name, table_arn, item_key_token, operation
    from api_event_item
    where event_hour >= $start
        and event_hour < $end
        and event_hour in (select event_hour from touched_hour)
),

named_table as (
    select e.recipient_account_id, e.region, e.event_id, t.nth, t.table_name
    from event as e
    cross join unnest(e.table_names) with ordinality as t (table_name, nth)
),

named_arn as (
    select e.recipient_account_id, e.region, e.event_id, t.nth, t.table_arn
    from event as e
    cross join unnest(e.table_arns) with ordinality as t (table_arn, nth)
),

event_table as (
    select distinct n.recipient_account_id, n.region, n.event_id, n.table_name, a.table_arn
    from named_table as n
    left join named_arn as a
        on a.recipient_account_id = n.recipient_account_id
        and a.region = n.region
        and a.event_id = n.event_id
        and a.nth = n.nth
    where n.table_name is not null

    union all

    select recipient_account_id, region, event_id, regexp_extract(denied_table_arn, '[^/]+$', 0), denied_table_arn
    from event
    where denied_table_arn is not null
        and not exists (
            select 1
            from named_table as n
            where n.recipient_account_id = event.recipient_account_id
                and n.region = event.region
                and n.event_id = event.event_id
        )
),

told_table as (
    select *, count(*) over (partition by recipient_account_id, region, event_id) as tables
    from event_table
),

touched as (
    select
        i.recipient_account_id, i.region, i.event_id,
        'item' as part, cast(i.ordinal as varchar) as part_id,
        i.table_name, i.table_arn, i.item_key_token, i.operation
    from item as i

    union all

    -- The key also tells apart two tables of one name, which an event can name by ARN in two accounts.
    select
        t.recipient_account_id, t.region, t.event_id,
        'table', coalesce(t.table_arn, t.table_name),
        t.table_name, t.table_arn, null, null
    from told_table as t
    where not exists (
        select 1
        from item as i
        where i.recipient_account_id = t.recipient_account_id
            and i.region = t.region
            and i.event_id = t.event_id
            and (
                -- An item of a table that is not told is of the only one that the event names; of several, of any.
                (i.table_name is null and t.tables = 1)
                or (
                    i.table_name = t.table_name
                    -- An ARN that one side lacks tells nothing apart.
                    and coalesce(i.table_arn, t.table_arn, '') = coalesce(t.table_arn, i.table_arn, '')
                )
            )
    )

    union all

    select
        e.recipient_account_id, e.region, e.event_id,
        'event', '',
        null, null, null, null
    from event as e
    where not exists (
            select 1
            from item as i
            where i.recipient_account_id = e.recipient_account_id
                and i.region = e.region
                and i.event_id = e.event_id
        )
        and not exists (
            select 1
            from event_table as t
            where t.recipient_account_id = e.recipient_account_id
                and t.region = e.region
                and t.event_id = e.event_id
        )
),

happening as (
    select
        t.part, t.part_id, t.table_name, t.table_arn, t.item_key_token, t.operation,
        coalesce(t.operation, e.statement_operation, '') as acting,
        e.*,
        coalesce(p.first_principal_arn, e.signer) as actor,
        case when p.first_principal_arn is null then e.principal_type else p.first_principal_type end as actor_type,
        -- What a forged or altered record says of whom it names is not believed.
        case
            when e.attestation in ('forged', 'altered') then 'unresolved'
            else coalesce(p.principal_class, 'unresolved')
        end as actor_class
    from touched as t
    inner join event as e
        on e.recipient_account_id = t.recipient_account_id
        and e.region = t.region
        and e.event_id = t.event_id
    left join caller_principal as p
        on p.access_key_id is not distinct from e.access_key_id
        and p.principal_type is not distinct from e.principal_type
        and p.principal_arn is not distinct from e.principal_arn
        and p.session_issuer_arn is not distinct from e.session_issuer_arn
        and p.invoked_by is not distinct from e.invoked_by
        and p.on_behalf_of_user_id is not distinct from e.on_behalf_of_user_id
),

-- The mapping has patterns, so it is resolved once per kind of call, not once per row.
kind_of_call as (
    select ocsf_class_uid, event_source, event_name, coalesce(statement_operation, '') as acting
    from event

    union

    select e.ocsf_class_uid, e.event_source, e.event_name, i.operation
    from item as i
    inner join event as e
        on e.recipient_account_id = i.recipient_account_id
        and e.region = i.region
        and e.event_id = i.event_id
),

activity as (
    select
        k.ocsf_class_uid, k.event_source, k.event_name, k.acting,
        m.activity_id, m.activity, m.did, m.to_do
    from kind_of_call as k
    inner join ocsf_activity as m
        on m.class_uid = k.ocsf_class_uid
        and (m.event_source = k.event_source or m.event_source = '*')
        and (m.event_name = k.event_name or (m.is_prefix and starts_with(k.event_name, m.event_name)))
        and (m.operation = k.acting or m.operation = '')
    qualify row_number() over (
        partition by k.ocsf_class_uid, k.event_source, k.event_name, k.acting
        order by m.specificity desc, m.event_source, m.event_name
    ) = 1
),

sentence as (
    select
        h.*,
        coalesce(a.activity_id, 99) as activity_id,
        -- OCSF: an activity that is not mapped is 99 with the source's own name for it.
        case when coalesce(a.activity_id, 99) = 99 then h.event_name else a.activity end as activity,
        case
            when h.actor like 'arn:%' then regexp_extract(h.actor, '[^/:]+$', 0)
            when h.actor <> h.signer then h.actor
            else coalesce(nullif(h.user_name, ''), h.actor)
        end
            || case
                when h.actor = h.signer then ''
                when h.signer like 'arn:%' then ' as ' || regexp_extract(h.signer, '[^/:]+$', 0)
                else ' as ' || h.signer
            end
            || case when h.session_name is null then '' else ' (session name ' || h.session_name || ')' end
            as who,
        case h.outcome
            when 'success' then ' '
            when 'denied' then ' was not allowed to '
            else ' failed to '
        end
            || replace(
                case
                    when a.did is null and h.outcome = 'success' then 'called ' || h.service || ':' || h.event_name
                    when a.did is null then 'call ' || h.service || ':' || h.event_name
                    when h.outcome = 'success' then a.did
                    else a.to_do
                end
                    || case when a.did is null and h.table_name is not null then ' on {table}' else '' end,
                '{table}',
                coalesce(h.table_name, 'a table that the record does not name')
            )
            as what,
        case when h.index_name is null then '' else ' through index ' || h.index_name end
            || case when h.part = 'item' and (h.event_name like 'Batch%' or h.event_name like '%Transact%')
                then ' (' || h.event_name || ', item ' || cast(cast(h.part_id as integer) + 1 as varchar) || ')'
                else ''
            end
            || case
                when h.invoked_by is null or h.invoked_by in (h.actor, h.signer) then ''
                else ', called by ' || h.invoked_by
            end
            || case when h.error_code is null then '' else ': ' || h.error_code end
            || case h.attestation
                when 'forged' then ' (its record is forged)'
                when 'altered' then ' (its record was altered)'
                else ''
            end
            as how
    from happening as h
    left join activity as a
        on a.ocsf_class_uid = h.ocsf_class_uid
        and a.event_source = h.event_source
        and a.event_name = h.event_name
        and a.acting = h.acting
)

select
    -- Each text is preceded by its length, so that no two different keys read the same.
    sha256(
        'api_event'
        || ' ' || cast(length(recipient_account_id) as varchar) || ':' || recipient_account_id
        || ' ' || cast(length(region) as varchar) || ':' || region
        || ' ' || cast(length(event_id) as varchar) || ':' || event_id
        || ' ' || part || ' ' || part_id
    ) as record_id,
    event_time,
    event_hour,
    event_date,
    'api_event' as kind,
    recipient_account_id as account_id,
    region,
    table_name,
    table_arn,
    index_name,
    item_key_token,
    coalesce(operation, event_name) as operation,
    actor,
    actor_type,
    actor_class,
    principal_arn as acting_as,
    cast(null as varchar) as confidence,
    activity,
    outcome,
    source_ip_address,
    user_agent,
    -- One line, whatever a name holds: this column is printed to terminals and logs.
    translate(who || what || how, chr(9) || chr(10) || chr(13) || chr(27), '    ') as detail,
    cast(null as varchar) as subject,
    cast(null as timestamp with time zone) as ends_at,
    cast(null as bigint) as how_many,
    cast(null as varchar) as severity,
    event_id,
    cast(null as varchar) as change_id,
    cast(null as varchar) as finding_id,
    cast(floor(ocsf_class_uid / 1000) as integer) as ocsf_category_uid,
    ocsf_class_uid,
    cast(activity_id as integer) as ocsf_activity_id,
    cast(ocsf_class_uid as bigint) * 100 + activity_id as ocsf_type_uid,
    attestation
from sentence
order by event_time, record_id
