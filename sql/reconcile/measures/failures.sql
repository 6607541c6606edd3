-- How many calls on a table the trail shows as failed, by kind of failure, and how many CloudWatch counted.
--
-- throttled: a batch is throttled only if all of it was. No public record shows that every throttled call leaves an event.
-- system_errors: failed inside AWS; fault injection counts as well. No public record shows that each leaves an event.
-- condition_failed: stopped by their own condition. The metric has no operation. Whether it counts a transaction that a
-- condition cancelled, or an INSERT of PartiQL that found its item, no public source tells: these are uncertain.
-- conflicts: stopped by another transaction. TransactionConflict counts items in its Sum and calls in its SampleCount.
-- Which table of a cancelled transaction had the conflict is not recorded: one that names several is uncertain for each.
--
-- Grain: kind of failure, account, region, table, operation (of the first two kinds) and span on one of the two sides;
-- the other side's count comes in another row. uncertain_count: further events that the witness may or may not have
-- counted.
-- Reads api_event, metric.
-- Parameters: $start, $end: half-open window, full hours.
with failed as (
    select
        recipient_account_id, region, event_name, error_code, error_message, table_names, table_arns,
        event_hour + cast(floor(extract(minute from event_time) / 5) as integer) * interval '5' minute as bin_start,
        -- Without its message, a cancelled transaction may have been cancelled for either cause.
        error_code like 'TransactionCanceled%'
            and (error_message is null or error_message like '%ConditionalCheckFailed%') as by_condition,
        error_code like 'TransactionCanceled%'
            and (error_message is null or error_message like '%TransactionConflict%') as by_conflict
    from api_event
    where event_hour >= $start
        and event_hour < $end
        and event_source = 'dynamodb.amazonaws.com'
        and event_category = 'Data'
        and attestation <> 'forged'
        and error_code is not null
),

of_kind as (
    select
        'throttled' as measure, event_name as operation, 1 as events,
        recipient_account_id, region, table_names, table_arns, bin_start
    from failed
    where error_code in (
            'ProvisionedThroughputExceededException', 'ThrottlingException', 'ThrottlingError', 'RequestLimitExceeded'
        )

    union all

    select
        'system_errors' as measure, event_name as operation, 1 as events,
        recipient_account_id, region, table_names, table_arns, bin_start
    from failed
    where error_code in (
            'InternalServerError', 'InternalServerErrorException', 'InternalFailure', 'ServiceUnavailable',
            'ServiceUnavailableException'
        )

    union all

    select
        'condition_failed' as measure, null as operation,
        case when error_code like 'ConditionalCheckFailed%' then 1 else 0 end as events,
        recipient_account_id, region, table_names, table_arns, bin_start
    from failed
    where error_code in ('ConditionalCheckFailedException', 'ConditionalCheckFailed', 'DuplicateItemException')
        or by_condition

    union all

    select
        'conflicts' as measure, null as operation,
        case when error_message is not null and cardinality(table_names) = 1 then 1 else 0 end as events,
        recipient_account_id, region, table_names, table_arns, bin_start
    from failed
    where error_code like 'TransactionConflict%'
        or by_conflict
),

alike as (
    select
        measure, operation, recipient_account_id, region, table_names, table_arns, bin_start,
        sum(events) as events,
        sum(1 - events) as uncertain,
        row_number() over (
            order by measure, operation, recipient_account_id, region, table_names, table_arns, bin_start
        ) as id
    from of_kind
    group by measure, operation, recipient_account_id, region, table_names, table_arns, bin_start
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
        case metric_name
            when 'ThrottledRequests' then 'throttled'
            when 'SystemErrors' then 'system_errors'
            when 'ConditionalCheckFailedRequests' then 'condition_failed'
            else 'conflicts'
        end as measure,
        account_id, region, table_name,
        case when metric_name in ('ThrottledRequests', 'SystemErrors') then operation end as operation,
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
        and (
            (
                metric_name in ('ThrottledRequests', 'SystemErrors', 'ConditionalCheckFailedRequests')
                and statistic = 'Sum'
            )
            or (metric_name = 'TransactionConflict' and statistic = 'SampleCount')
        )
        and table_name is not null
    group by 1, 2, 3, 4, 5, 6, 7
)

select
    a.bin_start,
    300 as bin_s,
    a.recipient_account_id as account_id,
    a.region,
    n.table_name,
    a.operation,
    a.measure,
    cast(sum(a.events) as bigint) as trail_count,
    cast(null as double) as witness_count,
    case
        when sum(a.uncertain) > 0 and a.measure = 'condition_failed' then 'transaction_condition'
        when sum(a.uncertain) > 0 then 'transaction_tables'
    end as reason_code,
    cast(sum(a.uncertain) as bigint) as uncertain_count
from alike as a
join named as n
    on n.id = a.id
    and n.owner = a.recipient_account_id
group by 1, 2, 3, 4, 5, 6, 7

union all

select
    bin_start,
    bin_s,
    account_id,
    region,
    table_name,
    operation,
    measure,
    cast(0 as bigint) as trail_count,
    requests as witness_count,
    cast(null as varchar) as reason_code,
    cast(0 as bigint) as uncertain_count
from witness
where requests > 0
