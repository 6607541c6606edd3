-- How many calls on a table's operation the trail shows as throttled, and how many CloudWatch counted.
--
-- A batch is throttled only if all of it was. No public record shows that every throttled call leaves an event.
--
-- Grain: account, region, table, operation and span on one of the two sides; the other side's count comes in another row.
-- uncertain_count: further events that the witness may or may not have counted.
-- Reads api_event, metric.
-- Parameters: $start, $end: half-open window, full hours.
with failed as (
    select
        recipient_account_id, region, event_name, error_code, error_message, table_names, table_arns,
        event_hour + cast(floor(extract(minute from event_time) / 5) as integer) * interval '5' minute as bin_start
    from api_event
    where event_hour >= $start
        and event_hour < $end
        and event_source = 'dynamodb.amazonaws.com'
        and event_category = 'Data'
        and attestation <> 'forged'
        and error_code in (
            'ProvisionedThroughputExceededException', 'ThrottlingException', 'ThrottlingError', 'RequestLimitExceeded'
        )
),

alike as (
    select
        recipient_account_id, region, event_name, table_names, table_arns, bin_start,
        count(*) as events,
        0 as uncertain,
        row_number() over (
            order by recipient_account_id, region, event_name, table_names, table_arns, bin_start
        ) as id
    from failed
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

witness as (
    select
        account_id, region, table_name, operation as operation,
        case when period_s > 300 then 3600 else 300 end as bin_s,
        case
            when period_s > 300 then event_hour
            else event_hour + cast(floor(extract(minute from event_time) / 5) as integer) * interval '5' minute
        end as bin_start,
        sum(value) as requests
    from metric
    where event_hour >= $start
        and event_hour < $end
        and namespace = 'AWS/DynamoDB'
        and metric_name = 'ThrottledRequests'
        and statistic = 'Sum'
        and table_name is not null
    group by 1, 2, 3, 4, 5, 6
)

select
    a.bin_start,
    300 as bin_s,
    a.recipient_account_id as account_id,
    a.region,
    n.table_name,
    a.event_name as operation,
    'throttled' as measure,
    cast(sum(a.events) as bigint) as trail_count,
    cast(null as double) as witness_count,
    cast(null as varchar) as reason_code,
    cast(sum(a.uncertain) as bigint) as uncertain_count
from alike as a
join named as n
    on n.id = a.id
    and n.owner = a.recipient_account_id
group by 1, 2, 3, 4, 5, 6

union all

select
    bin_start,
    bin_s,
    account_id,
    region,
    table_name,
    operation,
    'throttled' as measure,
    cast(0 as bigint) as trail_count,
    requests as witness_count,
    cast(null as varchar) as reason_code,
    cast(0 as bigint) as uncertain_count
from witness
where requests > 0
