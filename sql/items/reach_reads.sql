-- Reads of sessions that list no items: queries, scans, PartiQL, readers of streams, copies.
--
-- Grain: one event of one table; columns as in sql/items/possible_reads.sql.
-- Reads reach_event (as sql/items/reach_events.sql gives it), table_key (table_arn, key_attributes).
-- Parameters: none.
with event as (
    select e.*, t.table_arn,
        case
            when e.event_name in (
                'ExportTableToPointInTime', 'CreateBackup', 'RestoreTableFromBackup', 'RestoreTableToPointInTime',
                'UpdateTable', 'CreateGlobalTable', 'UpdateGlobalTable', 'EnableKinesisStreamingDestination'
            ) then 'copy'
            when e.event_name = 'GetRecords' then 'stream'
            when e.event_name in ('BatchExecuteStatement', 'ExecuteTransaction') then 'statements'
            else 'read'
        end as kind
    from reach_event as e
    cross join unnest(e.table_arns) as t (table_arn)
    where e.outcome = 'success'
        and e.event_source = 'dynamodb.amazonaws.com'
        and (
            e.event_name in (
                'Query', 'Scan', 'SearchVectors', 'GetRecords', 'ExportTableToPointInTime', 'CreateBackup',
                'RestoreTableFromBackup', 'RestoreTableToPointInTime', 'CreateGlobalTable', 'UpdateGlobalTable',
                'EnableKinesisStreamingDestination'
            )
            or (
                e.event_name in ('ExecuteStatement', 'BatchExecuteStatement', 'ExecuteTransaction')
                and upper(e.statement) like '%SELECT%'
            )
            or (e.event_name = 'UpdateTable' and e.request_parameters like '%eplicaUpdates%')
        )
)

select
    e.event_id, e.event_time, e.recipient_account_id, e.region, e.event_name, e.index_name, e.principal_type,
    e.principal_arn, e.access_key_id, e.session_issuer_arn, e.session_name, e.invoked_by, e.on_behalf_of_user_id,
    e.source_ip_address, e.user_agent, e.attestation, e.attribute_names, e.statement, e.key_condition_token,
    e.key_condition_attributes, e.kind, e.table_arn,
    cast(0 as bigint) as items_named,
    cast(0 as bigint) as items_likely,
    cast(0 as bigint) as items_possible,
    cast(0 as bigint) as items_excluded,
    'possible' as bound,
    e.request_parameters like '%"select":"COUNT"%' as only_counted,
    case
        when e.kind = 'copy' then regexp_extract(e.request_parameters, '"s3Bucket":"([^"]*)"', 1)
    end as copied_to,
    case
        when e.kind = 'copy' then 'copies the table'
        when e.kind = 'stream' then 'reads changes from the stream'
        when e.key_condition_attributes is not null
            then 'bound to ' || array_to_string(e.key_condition_attributes, ', ')
        when e.event_name = 'Scan' then 'reads the table'
        else 'its condition is not known'
    end as why
from event as e
where e.kind <> 'read'
    or e.index_name is not null
    or e.key_condition_attributes is null
    or not exists (
        select 1
        from table_key as k
        where k.table_arn = e.table_arn
            and k.key_attributes = e.key_condition_attributes
    )
order by e.event_time, e.event_id, e.recipient_account_id, e.table_arn
