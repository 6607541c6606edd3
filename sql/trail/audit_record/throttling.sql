-- The episodes of throttling that began in the touched hours: periods in which CloudWatch counted throttled requests, with
-- less than five minutes between one and the next.
--
-- An episode belongs to the hour in which it began, however many hours it goes on. At midnight UTC it ends, and another
-- begins if the throttling goes on, so that a day's episodes follow from the day's counts.
--
-- Grain: one episode of one metric of one table, index or operation.
-- Reads metric, all hours of the touched dates; touched_hour (event_hour).
-- Parameters: $start, $end: half-open window around the touched hours; it lets the store skip files.
with point as (
    select
        account_id, region, event_date, event_time, metric_name, dimensions, table_name, operation, index_name, value,
        event_time + period_s * interval '1' second as ends_at
    from metric
    where event_hour >= date_trunc('day', $start)
        and event_hour < date_trunc('day', $end - interval '1' second) + interval '1' day
        and event_date in (select cast(date_trunc('day', event_hour) as date) from touched_hour)
        and namespace = 'AWS/DynamoDB'
        and metric_name in ('ThrottledRequests', 'ReadThrottleEvents', 'WriteThrottleEvents')
        and statistic = 'Sum'
        and value > 0
        and table_name is not null
),

placed as (
    select
        *,
        max(ends_at) over (
            partition by account_id, region, event_date, metric_name, dimensions
            order by event_time
            rows between unbounded preceding and 1 preceding
        ) as ended_before
    from point
),

numbered as (
    select
        *,
        sum(case when event_time < ended_before + interval '5' minute then 0 else 1 end) over (
            partition by account_id, region, event_date, metric_name, dimensions
            order by event_time
            rows between unbounded preceding and current row
        ) as nth
    from placed
),

episode as (
    select
        account_id, region, event_date, metric_name, dimensions, table_name, operation, index_name,
        min(event_time) as event_time,
        date_trunc('hour', min(event_time)) as event_hour,
        max(ends_at) as ends_at,
        cast(round(sum(value)) as bigint) as how_many
    from numbered
    group by account_id, region, event_date, metric_name, dimensions, table_name, operation, index_name, nth
)

select
    sha256(
        'throttling'
        || ' ' || cast(length(account_id) as varchar) || ':' || account_id
        || ' ' || cast(length(region) as varchar) || ':' || region
        || ' ' || cast(length(metric_name) as varchar) || ':' || metric_name
        || ' ' || cast(length(dimensions) as varchar) || ':' || dimensions
        || ' ' || strftime(event_time, '%Y-%m-%dT%H:%M:%S')
    ) as record_id,
    event_time,
    event_hour,
    event_date,
    'throttling' as kind,
    account_id,
    region,
    table_name,
    case
        when region like 'cn-%'
            then 'arn:aws-cn:dynamodb:' || region || ':' || account_id || ':table/' || table_name
        when region like 'us-gov-%'
            then 'arn:aws-us-gov:dynamodb:' || region || ':' || account_id || ':table/' || table_name
        else 'arn:aws:dynamodb:' || region || ':' || account_id || ':table/' || table_name
    end as table_arn,
    index_name,
    cast(null as varchar) as item_key_token,
    coalesce(operation, case when metric_name like 'Read%' then 'Read' else 'Write' end) as operation,
    'dynamodb.amazonaws.com' as actor,
    'AWSService' as actor_type,
    'aws_service' as actor_class,
    cast(null as varchar) as acting_as,
    cast(null as varchar) as confidence,
    'General Error' as activity,
    'failure' as outcome,
    cast(null as varchar) as source_ip_address,
    cast(null as varchar) as user_agent,
    translate(
        'DynamoDB throttled '
            || coalesce(operation, case when metric_name like 'Read%' then 'reads' else 'writes' end)
            || ' of ' || coalesce('index ' || index_name || ' of ', '') || table_name
            || ' until ' || strftime(ends_at, '%Y-%m-%dT%H:%M:%SZ')
            || ': ' || metric_name || ' ' || cast(how_many as varchar),
        chr(9) || chr(10) || chr(13) || chr(27),
        '    '
    ) as detail,
    metric_name as subject,
    ends_at,
    how_many,
    cast(null as varchar) as severity,
    cast(null as varchar) as event_id,
    cast(null as varchar) as change_id,
    cast(null as varchar) as finding_id,
    6 as ocsf_category_uid,
    6008 as ocsf_class_uid,
    1 as ocsf_activity_id,
    cast(600801 as bigint) as ocsf_type_uid,
    cast(null as varchar) as attestation
from episode
where event_hour in (select event_hour from touched_hour)
order by event_time, record_id
