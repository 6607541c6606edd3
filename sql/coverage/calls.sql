-- How often each table was called in the touched hours, by operation, as the trail has it.
--
-- A table's calls are those in the trail of the account that owns it. An event that names several tables is a call of
-- each; one that names a table of another region is no call of the table of that name here. Events of a forged file are
-- no events of the trail. Late: delivered more than an hour after it happened.
--
-- Grain: account, region, table, operation, hour.
-- Reads api_event, log_file; touched_hour (event_hour).
-- Parameters: $start, $end: half-open window around the touched hours.
with file as (
    select source_uri, status, delivered_at
    from log_file
    where event_hour >= $start
),

call as (
    select
        e.recipient_account_id as account_id, e.region, e.event_hour, e.event_name, e.table_names, e.table_arns,
        case when e.error_code is null then 1 else 0 end as succeeded,
        case when f.delivered_at > e.event_time + interval '1' hour then 1 else 0 end as is_late
    from api_event as e
    left join file as f
        on f.source_uri = e.source_uri
    where e.event_hour >= $start
        and e.event_hour < $end
        and e.event_hour in (select event_hour from touched_hour)
        and e.event_source = 'dynamodb.amazonaws.com'
        and e.event_category = 'Data'
        and cardinality(e.table_names) > 0
        and coalesce(f.status, e.attestation) <> 'forged'
),

-- Lists are taken apart once per combination of tables, not once per event.
alike as (
    select
        account_id, region, event_hour, event_name, table_names, table_arns,
        sum(succeeded) as events,
        count(*) - sum(succeeded) as failed_events,
        sum(is_late) as late,
        row_number() over (order by account_id, region, event_hour, event_name, table_names, table_arns) as id
    from call
    group by account_id, region, event_hour, event_name, table_names, table_arns
),

named_table as (
    select a.id, t.nth, t.table_name
    from alike as a
    cross join unnest(a.table_names) with ordinality as t (table_name, nth)
),

named_arn as (
    select a.id, t.nth, t.table_arn
    from alike as a
    cross join unnest(a.table_arns) with ordinality as t (table_arn, nth)
),

of_table as (
    select distinct
        n.id, n.table_name,
        r.table_arn
    from named_table as n
    left join named_arn as r
        on r.id = n.id
        and r.nth = n.nth
    where n.table_name is not null
)

select
    a.account_id,
    a.region,
    o.table_name,
    max(o.table_arn) as table_arn,
    a.event_name as operation,
    a.event_hour,
    cast(sum(a.events) as bigint) as events,
    cast(sum(a.failed_events) as bigint) as failed_events,
    cast(sum(a.late) as bigint) as late
from alike as a
inner join of_table as o
    on o.id = a.id
where o.table_arn is null
    or (split_part(o.table_arn, ':', 5) = a.account_id and split_part(o.table_arn, ':', 4) = a.region)
group by a.account_id, a.region, o.table_name, a.event_name, a.event_hour
