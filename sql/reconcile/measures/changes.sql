-- How many item writes the trail recorded of a table, against how many changes its stream gave.
--
-- A recorded write need not change anything, so there may be fewer changes than writes, never more: the trail's count is
-- an upper bound. It holds every member of a batch, transaction or PartiQL statement, also where the key is redacted; a
-- batch of which the record shows no member counts with as many as it may have, a write that failed inside DynamoDB
-- (HTTP 500) as one, since it may have happened. Of two records of one call across accounts one counts.
--
-- Expired items and net changes over more than a span are left out: nobody asked for them one by one. A table that gave
-- its changes by stream and by Kinesis counts once. Whether replication wrote a change cannot be told from it.
--
-- Grain: account, region, table and span of five minutes with a recorded write or a change. uncertain_count: writes of
-- the spans beside it that have no change there, so that theirs may be here.
-- Parameters: $start, $end: half-open window of event time.
with listed as (
    select
        coalesce(split_part(i.table_arn, ':', 5), i.recipient_account_id) as account_id,
        coalesce(split_part(i.table_arn, ':', 4), i.region) as region,
        i.table_name,
        i.event_time,
        coalesce(e.shared_event_id, e.event_id) as call_id,
        i.ordinal
    from api_event_item as i
    join api_event as e
        on e.recipient_account_id = i.recipient_account_id
        and e.region = i.region
        and e.event_id = i.event_id
    where i.event_time >= $start
        and i.event_time < $end
        and e.event_time >= $start
        and e.event_time < $end
        and i.operation in ('Put', 'Update', 'Delete')
        and (e.error_code is null or e.error_code in ('InternalServerError', 'InternalFailure', 'ServiceUnavailable'))
        and e.attestation <> 'forged'
),

written as (
    select distinct account_id, region, table_name, event_time, call_id, ordinal
    from listed
    where table_name is not null
),

unlisted as (
    select
        coalesce(split_part(e.table_arns[1], ':', 5), e.recipient_account_id) as account_id,
        coalesce(split_part(e.table_arns[1], ':', 4), e.region) as region,
        t.table_name,
        e.event_time,
        max(case when e.event_name in ('TransactWriteItems', 'ExecuteTransaction') then 100 else 25 end) as most
    from api_event as e
    cross join unnest(e.table_names) as t (table_name)
    where e.event_time >= $start
        and e.event_time < $end
        and e.event_source = 'dynamodb.amazonaws.com'
        and e.event_name in ('BatchWriteItem', 'TransactWriteItems', 'BatchExecuteStatement', 'ExecuteTransaction')
        and e.error_code is null
        and e.attestation <> 'forged'
        and not exists (
            select 1
            from api_event_item as i
            where i.recipient_account_id = e.recipient_account_id
                and i.region = e.region
                and i.event_id = e.event_id
                and i.event_time >= $start
                and i.event_time < $end
        )
    group by 1, 2, 3, 4, coalesce(e.shared_event_id, e.event_id)
),

recorded as (
    select account_id, region, table_name, event_time, 1 as writes from written
    union all
    select account_id, region, table_name, event_time, most as writes from unlisted
),

recorded_bin as (
    select
        account_id, region, table_name,
        date_trunc('hour', event_time)
            + cast(floor(extract(minute from event_time) / 5) as integer) * interval '5' minute as bin_start,
        sum(writes) as writes
    from recorded
    group by 1, 2, 3, 4
),

changed as (
    select
        account_id, region, table_name,
        event_hour + cast(floor(extract(minute from event_time) / 5) as integer) * interval '5' minute as bin_start,
        sum(case when change_origin = 'stream' then 1 else 0 end) as by_stream,
        sum(case when change_origin = 'kinesis' then 1 else 0 end) as by_kinesis,
        sum(case when change_origin = 'export' then 1 else 0 end) as by_export
    from item_change
    where event_time >= $start
        and event_time < $end
        and not coalesce(by_ttl, change_type = 'REMOVE')
        and (not reconstructed or reconstructed_to <= reconstructed_from + interval '5' minute)
    group by 1, 2, 3, 4
),

span as (
    select
        coalesce(r.account_id, c.account_id) as account_id,
        coalesce(r.region, c.region) as region,
        coalesce(r.table_name, c.table_name) as table_name,
        coalesce(r.bin_start, c.bin_start) as bin_start,
        date_trunc('hour', coalesce(r.bin_start, c.bin_start)) as bin_hour,
        coalesce(r.writes, 0) as writes,
        coalesce(greatest(c.by_stream, c.by_kinesis) + c.by_export, 0) as changes
    from recorded_bin as r
    full join changed as c
        on c.account_id = r.account_id
        and c.region = r.region
        and c.table_name = r.table_name
        and c.bin_start = r.bin_start
),

-- A write completes, and its change is noted, at times that may lie in two spans next to each other.
beside as (
    select
        *,
        greatest(lag(writes - changes) over (
            partition by account_id, region, table_name order by bin_start
        ), 0) as left_before,
        lag(bin_start) over (partition by account_id, region, table_name order by bin_start) as bin_before,
        greatest(lead(writes - changes) over (
            partition by account_id, region, table_name order by bin_start
        ), 0) as left_after,
        lead(bin_start) over (partition by account_id, region, table_name order by bin_start) as bin_after
    from span
),

not_read as (
    select
        account_id, region, table_name, event_hour,
        max(case when status = 'not_assessable' then 0 else 1 end) as is_read
    from source_statement
    where source in ('streams', 'kinesis')
        and event_hour >= $start - interval '1' hour
        and event_hour < $end
    group by 1, 2, 3, 4
),

replicated as (
    select distinct account_id, region, resource_name as table_name
    from table_config
    where aspect = 'DescribeTable'
        and document like '%"Replicas":[{%'
),

-- Fills a table without an event for each item; how long it goes on is not recorded, so a day counts.
loaded as (
    select
        e.recipient_account_id as account_id,
        e.region,
        t.table_name,
        e.event_hour,
        max(case
            when e.event_name = 'ImportTable' then 'import'
            when e.event_name = 'StartBulkPutItems' then 'bulk_load'
            else 'restore'
        end) as cause
    from api_event as e
    cross join unnest(e.table_names) as t (table_name)
    where e.event_hour >= $start - interval '25' hour
        and e.event_hour < $end
        and e.event_source = 'dynamodb.amazonaws.com'
        and e.event_name in (
            'ImportTable', 'StartBulkPutItems', 'RestoreTableFromBackup', 'RestoreTableToPointInTime'
        )
        and e.error_code is null
        and e.attestation <> 'forged'
    group by 1, 2, 3, 4
),

-- What a trail records changes some time about the call that changes it.
reset as (
    select distinct event_time
    from api_event
    where event_hour >= $start - interval '1' hour
        and event_hour < $end + interval '1' hour
        and event_source = 'cloudtrail.amazonaws.com'
        and event_name in (
            'CreateTrail', 'DeleteTrail', 'PutEventSelectors', 'StartLogging', 'StopLogging', 'UpdateTrail'
        )
        and error_code is null
        and attestation <> 'forged'
),

heard as (
    select distinct recipient_account_id as account_id, region, event_hour
    from api_event
    where event_hour >= $start - interval '25' hour
        and event_hour < $end
)

select
    s.bin_start,
    300 as bin_s,
    s.account_id,
    s.region,
    s.table_name,
    cast(null as varchar) as operation,
    'changes' as measure,
    cast(s.writes as bigint) as trail_count,
    case when n.is_read = 0 and s.changes = 0 then null else cast(s.changes as double) end as witness_count,
    case
        when n.is_read = 0 and s.changes = 0 then 'no_stream'
        when g.table_name is not null then 'global_table'
        when exists (
            select 1
            from loaded as l
            where l.account_id = s.account_id
                and l.region = s.region
                and l.table_name = s.table_name
                and l.event_hour <= s.bin_hour
                and l.event_hour >= s.bin_hour - interval '24' hour
        ) then (
            select max(l.cause)
            from loaded as l
            where l.account_id = s.account_id
                and l.region = s.region
                and l.table_name = s.table_name
                and l.event_hour <= s.bin_hour
                and l.event_hour >= s.bin_hour - interval '24' hour
        )
        when exists (
            select 1
            from reset as t
            where t.event_time >= s.bin_start - interval '5' minute
                and t.event_time < s.bin_start + interval '10' minute
        ) then 'trail_changed'
        when not exists (
            select 1
            from heard as h
            where h.account_id = s.account_id
                and h.region = s.region
                and h.event_hour <= s.bin_hour
                and h.event_hour >= s.bin_hour - interval '24' hour
        ) then 'trail_silent'
    end as reason_code,
    cast(
        case when s.bin_before = s.bin_start - interval '5' minute then s.left_before else 0 end
        + case when s.bin_after = s.bin_start + interval '5' minute then s.left_after else 0 end
        as bigint
    ) as uncertain_count
from beside as s
left join not_read as n
    on n.account_id = s.account_id
    and n.region = s.region
    and n.table_name = s.table_name
    and n.event_hour = s.bin_hour
left join replicated as g
    on g.account_id = s.account_id
    and g.region = s.region
    and g.table_name = s.table_name
order by s.bin_start, s.account_id, s.region, s.table_name
