-- DynamoDB calls of a window and all that were denied, with what decides who was asked for which permission.
--
-- The columns before `combination` say who asked for what; calls with the same text there were decided by the same
-- statements, but for conditions about the columns after it. Reads api_event and api_event_item, and `chosen`: the
-- events that are asked for, or no row for all of the window.
--
-- Grain: one CloudTrail event that is not forged or altered.
-- Parameters: $start, $end: half-open window of event time.
with members as (
    select
        recipient_account_id,
        region,
        event_id,
        array_sort(array_distinct(array_agg(concat(operation, ' ', coalesce(table_arn, ''))))) as members
    from api_event_item
    where event_hour >= date_trunc('hour', cast($start as timestamptz))
        and event_hour < $end
    group by recipient_account_id, region, event_id
),
asked as (
    select
        *,
        case when event_name in ('TransactWriteItems', 'TransactGetItems') then 1 else 0 end as by_members,
        case when denied_action is not null or error_code like '%AccessDenied%'
            or error_code like '%UnauthorizedOperation%' then 1 else 0 end as was_denied
    from api_event
    where event_hour >= date_trunc('hour', cast($start as timestamptz))
        and event_hour < $end
        and event_time >= $start
        and event_time < $end
        and attestation not in ('forged', 'altered')
        and (
            not exists (select 1 from chosen)
            or event_id in (select c.event_id from chosen as c)
        )
),
calls as (
    select
        a.*,
        case when a.by_members = 1 then m.members end as members,
        -- Values of keys decide nothing, and would make every statement another one.
        regexp_replace(a.statement, 't1:[0-9a-f]{32}', 't1', 'g') as statement_shape,
        case
            when a.table_names is null
                or a.event_name not in (
                    'GetItem', 'PutItem', 'UpdateItem', 'DeleteItem', 'Query', 'Scan', 'BatchGetItem', 'BatchWriteItem'
                )
                then nullif(regexp_extract(
                    a.request_parameters,
                    '"(streamArn|shardIterator|backupArn|exportArn|importArn|bulkOperationArn|resourceArn)":[ ]*"(arn:[^"|]+)',
                    2
                ), '')
        end as own_arn
    from asked as a
    left join members as m
        on m.event_id = a.event_id
        and m.recipient_account_id = a.recipient_account_id
        and m.region = a.region
    where a.event_source = 'dynamodb.amazonaws.com'
        or a.was_denied = 1
        or exists (select 1 from chosen)
)
select
    recipient_account_id,
    region,
    account_id,
    event_source,
    event_name,
    event_type,
    principal_type,
    -- A session's policies are its role's; two sessions of one role differ in what comes after `combination`.
    case when principal_type in ('AssumedRole', 'FederatedUser') then session_issuer_arn else principal_arn end as holder_arn,
    session_issuer_arn,
    split_part(principal_id, ':', 1) as unique_id,
    invoked_by,
    was_denied,
    denied_action,
    denied_resource_arn,
    denied_by,
    error_code,
    table_names,
    table_arns,
    index_name,
    members,
    statement_shape,
    own_arn,
    event_id,
    event_time,
    source_ip_address,
    vpc_endpoint_id,
    event_version,
    substr(access_key_id, 1, 4) as key_kind,
    mfa_authenticated,
    session_created_at,
    source_identity,
    tls_version,
    user_agent,
    principal_arn,
    user_name,
    principal_id,
    nullif(regexp_extract(
        case when event_name in ('Query', 'Scan') then request_parameters end,
        '"select":[ ]*"(ALL_ATTRIBUTES|ALL_PROJECTED_ATTRIBUTES|COUNT|SPECIFIC_ATTRIBUTES)"',
        1
    ), '') as select_asked,
    md5(concat_ws(
        chr(31),
        recipient_account_id, region, coalesce(account_id, ''), event_source, event_name, coalesce(event_type, ''),
        coalesce(principal_type, ''),
        coalesce(case when principal_type in ('AssumedRole', 'FederatedUser') then '' else principal_arn end, ''),
        coalesce(session_issuer_arn, ''), coalesce(split_part(principal_id, ':', 1), ''), coalesce(invoked_by, ''),
        cast(was_denied as varchar), coalesce(denied_action, ''), coalesce(denied_resource_arn, ''),
        coalesce(denied_by, ''), coalesce(error_code, ''), coalesce(array_to_string(table_names, chr(30)), ''),
        coalesce(array_to_string(table_arns, chr(30)), ''), coalesce(index_name, ''),
        coalesce(array_to_string(members, chr(30)), ''), coalesce(statement_shape, ''), coalesce(own_arn, '')
    )) as combination
from calls
order by event_time, event_id, recipient_account_id, region
