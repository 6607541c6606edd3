-- The item changes of the touched hours, and who made each, as attribution says it.
--
-- Nobody is named where the requests of several fit, or none does: then the actor is Unknown, and the sentence ends with
-- the reason. What DynamoDB does by itself names its service.
--
-- Grain: one item_change.
-- Reads item_change, attribution, api_event (also of the hours before and after, where a request may lie); touched_hour
-- (event_hour) and caller_principal (the columns of sql/trail/callers.sql, and whom each caller begins with).
-- Parameters: $start, $end: half-open window around the touched hours; it lets the store skip files.
with change as (
    select
        change_id, event_time, event_hour, event_date, account_id, region, table_name, table_arn, item_key_token,
        change_type, changed_attributes
    from item_change
    where event_hour >= $start
        and event_hour < $end
        and event_hour in (select event_hour from touched_hour)
),

made as (
    select
        change_id, method, confidence,
        confidence in ('certain', 'identity_certain', 'probable') as is_named,
        case when confidence in ('certain', 'identity_certain', 'probable') then event_id end as event_id,
        first_principal_arn, principal_class, principal_arn, access_key_id
    from attribution
    where event_hour >= $start
        and event_hour < $end
        and event_hour in (select event_hour from touched_hour)
),

-- The copy of the event that the change was attributed to: another copy may name somebody else.
request as (
    select
        event_id, access_key_id, principal_type, principal_arn, session_issuer_arn, invoked_by, on_behalf_of_user_id,
        source_ip_address, user_agent,
        -- As in api_event.sql: never the session name.
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
            account_id
        ) as signer
    from api_event
    where event_hour >= $start - interval '1' hour
        and event_hour < $end + interval '1' hour
        and event_id in (select event_id from made where event_id is not null)
        and attestation not in ('forged', 'altered')
    qualify row_number() over (
        partition by event_id, principal_arn, access_key_id
        order by recipient_account_id, region
    ) = 1
),

told as (
    select
        c.*,
        m.method, m.confidence, m.event_id,
        coalesce(m.is_named, false) as is_named,
        r.signer, r.source_ip_address, r.user_agent,
        case when m.is_named then coalesce(m.principal_arn, r.principal_arn) end as acting_as,
        case
            when m.is_named then coalesce(m.first_principal_arn, p.first_principal_arn, r.signer)
            when m.method = 'expiry' then 'dynamodb.amazonaws.com'
            when m.method = 'replication' then 'replication.dynamodb.amazonaws.com'
        end as named,
        case
            when not m.is_named and m.method in ('expiry', 'replication') then 'AWSService'
            when not m.is_named then null
            when p.first_principal_arn is not null then p.first_principal_type
            when m.first_principal_arn is null then r.principal_type
        end as actor_type,
        case
            when m.is_named then coalesce(m.principal_class, p.principal_class, 'unresolved')
            when m.method in ('expiry', 'replication') then 'aws_service'
            else 'unresolved'
        end as actor_class
    from change as c
    left join made as m
        on m.change_id = c.change_id
    left join request as r
        on r.event_id = m.event_id
        and r.principal_arn is not distinct from m.principal_arn
        and r.access_key_id is not distinct from m.access_key_id
    left join caller_principal as p
        on p.access_key_id is not distinct from r.access_key_id
        and p.principal_type is not distinct from r.principal_type
        and p.principal_arn is not distinct from r.principal_arn
        and p.session_issuer_arn is not distinct from r.session_issuer_arn
        and p.invoked_by is not distinct from r.invoked_by
        and p.on_behalf_of_user_id is not distinct from r.on_behalf_of_user_id
        and r.event_id is not null
),

sentence as (
    select
        t.*,
        case
            when t.method = 'expiry' and not t.is_named then 'DynamoDB'
            when t.method = 'replication' and not t.is_named then 'Replication'
            when t.named is null then 'Somebody'
            when t.named like 'arn:%' then regexp_extract(t.named, '[^/:]+$', 0)
            else t.named
        end
            || case
                when t.signer is null or t.named = t.signer then ''
                when t.signer like 'arn:%' then ' as ' || regexp_extract(t.signer, '[^/:]+$', 0)
                else ' as ' || t.signer
            end
            || case when t.confidence = 'probable' then ', probably,' else '' end
            as who,
        case t.change_type
            when 'INSERT' then ' put a new item in '
            when 'MODIFY' then ' changed an item in '
            else ' deleted an item from '
        end
            || t.table_name
            || case
                when t.change_type <> 'MODIFY' or coalesce(cardinality(t.changed_attributes), 0) = 0 then ''
                else ' (' || array_to_string(t.changed_attributes, ', ') || ')'
            end
            as what,
        case
            when t.method is null then ': not attributed yet'
            when t.is_named then ''
            when t.confidence = 'ambiguous' then ': the requests of several fit (ambiguous)'
            when t.method = 'expiry' then ', as it had expired (expiry)'
            when t.method = 'replication' then ' from another region (replication)'
            when t.method = 'reconstructed' then ', as an export shows (reconstructed)'
            when t.method = 'no_request' then ': no request for it is known (no_request)'
            else ': no request is behind it (' || t.method || ')'
        end as how
    from told as t
)

select
    sha256('item_change ' || cast(length(change_id) as varchar) || ':' || change_id) as record_id,
    event_time,
    event_hour,
    event_date,
    'item_change' as kind,
    account_id,
    region,
    table_name,
    table_arn,
    cast(null as varchar) as index_name,
    item_key_token,
    change_type as operation,
    coalesce(named, 'Unknown') as actor,
    actor_type,
    actor_class,
    acting_as,
    confidence,
    case change_type when 'INSERT' then 'Create' when 'MODIFY' then 'Update' else 'Delete' end as activity,
    'success' as outcome,
    source_ip_address,
    user_agent,
    translate(who || what || how, chr(9) || chr(10) || chr(13) || chr(27), '    ') as detail,
    cast(null as varchar) as subject,
    cast(null as timestamp with time zone) as ends_at,
    cast(null as bigint) as how_many,
    cast(null as varchar) as severity,
    event_id,
    change_id,
    cast(null as varchar) as finding_id,
    6 as ocsf_category_uid,
    6005 as ocsf_class_uid,
    case change_type when 'INSERT' then 6 when 'MODIFY' then 2 else 7 end as ocsf_activity_id,
    cast(600500 + case change_type when 'INSERT' then 6 when 'MODIFY' then 2 else 7 end as bigint) as ocsf_type_uid,
    cast(null as varchar) as attestation
from sentence
order by event_time, record_id
