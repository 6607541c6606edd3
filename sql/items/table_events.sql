-- Calls on tables whose record lists no items, and those that were denied.
--
-- Grain: one event and table. Of the copies that several accounts got of one event, the one that names the caller.
-- Reads api_event; wanted_item (table_arn, item_key_token).
-- Parameters: $start, $end: half-open window of event time.
with asked as (
    select distinct table_arn
    from wanted_item
),

called as (
    select
        e.event_id, e.event_time, e.recipient_account_id, e.region, e.shared_event_id, e.event_name, e.index_name,
        e.principal_type, e.principal_arn, e.principal_id, e.access_key_id, e.session_issuer_arn, e.session_name,
        e.invoked_by, e.on_behalf_of_user_id, e.source_ip_address, e.user_agent, e.attestation, e.attribute_names,
        e.statement, e.key_condition_token, e.key_condition_attributes, e.table_arns, e.request_parameters,
        e.denied_action, e.denied_by, e.denied_resource_arn,
        case
            when e.event_name in ('Query', 'Scan', 'SearchVectors', 'ExecuteStatement') then 'read'
            when e.event_name in ('BatchExecuteStatement', 'ExecuteTransaction') then 'statements'
            when e.event_name = 'GetRecords' then 'stream'
            else 'copy'
        end as kind
    from api_event as e
    where e.event_hour >= date_trunc('hour', $start)
        and e.event_hour < $end
        and e.event_time >= $start
        and e.event_time < $end
        and e.event_source = 'dynamodb.amazonaws.com'
        and e.attestation not in ('forged', 'altered')
        and e.error_code is null
        and e.event_name in (
            'Query', 'Scan', 'SearchVectors', 'GetRecords', 'ExecuteStatement', 'BatchExecuteStatement',
            'ExecuteTransaction', 'ExportTableToPointInTime', 'CreateBackup', 'RestoreTableFromBackup',
            'RestoreTableToPointInTime', 'CreateGlobalTable', 'UpdateGlobalTable', 'UpdateTable',
            'EnableKinesisStreamingDestination'
        )
        and (
            e.event_name not in ('ExecuteStatement', 'BatchExecuteStatement', 'ExecuteTransaction', 'UpdateTable')
            or (e.event_name = 'UpdateTable' and e.request_parameters like '%eplicaUpdates%')
            or (e.event_name <> 'UpdateTable' and upper(e.statement) like '%SELECT%')
        )
),

-- Apart from the calls above, so that each condition lets the store skip rows.
refused as (
    select
        e.event_id, e.event_time, e.recipient_account_id, e.region, e.shared_event_id, e.event_name, e.index_name,
        e.principal_type, e.principal_arn, e.principal_id, e.access_key_id, e.session_issuer_arn, e.session_name,
        e.invoked_by, e.on_behalf_of_user_id, e.source_ip_address, e.user_agent, e.attestation, e.attribute_names,
        e.statement, e.key_condition_token, e.key_condition_attributes, e.table_arns, e.request_parameters,
        e.denied_action, e.denied_by, e.denied_resource_arn,
        'denied' as kind
    from api_event as e
    where e.event_hour >= date_trunc('hour', $start)
        and e.event_hour < $end
        and e.event_time >= $start
        and e.event_time < $end
        and e.event_source = 'dynamodb.amazonaws.com'
        and e.attestation not in ('forged', 'altered')
        and e.denied_action >= 'dynamodb:'
        and e.denied_action < 'dynamodb;'
),

of_table as (
    select e.*, a.table_arn
    from called as e
    inner join asked as a
        on list_contains(e.table_arns, a.table_arn)
        -- A restored backup names its table only in the backup's ARN.
        or (e.kind = 'copy' and contains(e.request_parameters, a.table_arn || '/'))

    union all

    select e.*, a.table_arn
    from refused as e
    inner join asked as a
        on e.denied_resource_arn = a.table_arn
        or starts_with(e.denied_resource_arn, a.table_arn || '/')
)

select *
from of_table
qualify row_number() over (
    partition by coalesce(shared_event_id, recipient_account_id || ' ' || region || ' ' || event_id), table_arn
    order by case when principal_arn is null then 1 else 0 end, recipient_account_id, region, event_id
) = 1
order by event_time, event_id, recipient_account_id, region, table_arn
