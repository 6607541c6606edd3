-- How many successful calls the trail holds of a table's operation, and how many CloudWatch counted.
--
-- An event that names several tables counts once for each of them, as CloudWatch gives each a sample. A call across
-- accounts counts only as the table's own account recorded it. Rows of a forged file are no events of the trail.
-- PartiQL has series by Verb or OperationType beside the plain one, of the same calls: the greater count stands.
--
-- Grain: account, region, table, operation and span on one of the two sides; the other side's count comes in another row.
-- Reads api_event, metric; counted_operation (operation: those that CloudWatch counts).
-- Parameters: $start, $end: half-open window, full hours.
with call as (
    select
        recipient_account_id, region, event_name, table_names, table_arns,
        event_hour + cast(floor(extract(minute from event_time) / 5) as integer) * interval '5' minute as bin_start,
        case when invoked_by = 'dax.amazonaws.com' then 1 else 0 end as by_dax
    from api_event
    where event_hour >= $start
        and event_hour < $end
        and event_source = 'dynamodb.amazonaws.com'
        and event_category = 'Data'
        and error_code is null
        and attestation <> 'forged'
),

-- Lists are taken apart once per combination of tables, not once per event.
alike as (
    select
        recipient_account_id, region, event_name, table_names, table_arns, bin_start,
        count(*) as events,
        max(by_dax) as by_dax,
        row_number() over (
            order by recipient_account_id, region, event_name, table_names, table_arns, bin_start
        ) as id
    from call
    group by recipient_account_id, region, event_name, table_names, table_arns, bin_start
),

named as (
    select distinct
        a.id,
        case when t.name like 'arn:%' then split_part(t.name, ':', 5) else a.recipient_account_id end as owner,
        case when t.name like 'arn:%' then regexp_extract(t.name, ':table/([^/]+)', 1) else t.name end as table_name
    from alike as a
    cross join unnest(coalesce(a.table_arns, a.table_names)) as t (name)
),

of_table as (
    select id, owner, table_name, count(*) over (partition by id) as tables
    from named
),

trail as (
    select
        a.bin_start, a.recipient_account_id as account_id, a.region, o.table_name, a.event_name as operation,
        a.events,
        case
            when c.operation is null then 'no_metric'
            when a.by_dax = 1 then 'dax'
            when o.tables > 1 then 'several_tables'
        end as reason_code
    from alike as a
    join of_table as o
        on o.id = a.id
        and o.owner = a.recipient_account_id
    left join counted_operation as c
        on c.operation = a.event_name

    union all

    select
        bin_start, recipient_account_id as account_id, region, null as table_name, event_name as operation,
        events, 'table_unknown' as reason_code
    from alike
    where id not in (select id from named)
),

datapoint as (
    select
        account_id, region, table_name, operation, event_time, event_hour, value,
        case when period_s > 300 then 3600 else 300 end as bin_s,
        case when dimensions like '%"Verb"%' or dimensions like '%"OperationType"%' then value else 0 end as in_part,
        case when dimensions like '%"Verb"%' or dimensions like '%"OperationType"%' then 0 else value end as as_whole
    from metric
    where event_hour >= $start
        and event_hour < $end
        and namespace = 'AWS/DynamoDB'
        and metric_name = 'SuccessfulRequestLatency'
        and statistic = 'SampleCount'
        and table_name is not null
        and operation is not null
),

witness as (
    select
        account_id, region, table_name, operation, bin_s,
        case
            when bin_s = 3600 then event_hour
            else event_hour + cast(floor(extract(minute from event_time) / 5) as integer) * interval '5' minute
        end as bin_start,
        greatest(sum(as_whole), sum(in_part)) as requests
    from datapoint
    group by 1, 2, 3, 4, 5, 6
)

select
    bin_start,
    300 as bin_s,
    account_id,
    region,
    table_name,
    operation,
    'requests' as measure,
    cast(sum(events) as bigint) as trail_count,
    cast(null as double) as witness_count,
    min(reason_code) as reason_code,
    cast(0 as bigint) as uncertain_count
from trail
group by bin_start, account_id, region, table_name, operation

union all

select
    bin_start,
    bin_s,
    account_id,
    region,
    table_name,
    operation,
    'requests' as measure,
    cast(0 as bigint) as trail_count,
    requests as witness_count,
    cast(null as varchar) as reason_code,
    cast(0 as bigint) as uncertain_count
from witness
where requests > 0
