-- How many items a table's stream says DynamoDB deleted as expired, against how many CloudWatch counted.
--
-- Expiries have no event at all, so these two are the only ones that know of them. Only the region that expired an item
-- of a global table marks its deletion and counts it.
--
-- Grain: account, region, table and span with an expiry on either side: five minutes, or an hour where CloudWatch keeps
-- no finer datapoints.
-- Parameters: $start, $end: half-open window of event time.
with kept as (
    select
        account_id, region, table_name, event_time, event_hour, period_s, value,
        min(period_s) over (partition by account_id, region, table_name, event_hour) as finest_s
    from metric
    where event_time >= $start
        and event_time < $end
        and namespace = 'AWS/DynamoDB'
        and metric_name = 'TimeToLiveDeletedItemCount'
        and statistic = 'Sum'
        and table_name is not null
),

coarse as (
    select distinct account_id, region, table_name, event_hour
    from kept
    where finest_s > 300
),

counted as (
    select
        account_id, region, table_name,
        case
            when finest_s > 300 then event_hour
            else event_hour + cast(floor(extract(minute from event_time) / 5) as integer) * interval '5' minute
        end as bin_start,
        max(case when finest_s > 300 then 3600 else 300 end) as bin_s,
        sum(value) as expiries
    from kept
    where period_s = finest_s
    group by 1, 2, 3, 4
),

deleted as (
    select
        c.account_id, c.region, c.table_name,
        case
            when k.table_name is not null then c.event_hour
            else c.event_hour + cast(floor(extract(minute from c.event_time) / 5) as integer) * interval '5' minute
        end as bin_start,
        max(case when k.table_name is not null then 3600 else 300 end) as bin_s,
        sum(case when c.change_origin = 'stream' then 1 else 0 end) as by_stream,
        sum(case when c.change_origin = 'kinesis' then 1 else 0 end) as by_kinesis
    from item_change as c
    left join coarse as k
        on k.account_id = c.account_id
        and k.region = c.region
        and k.table_name = c.table_name
        and k.event_hour = c.event_hour
    where c.event_time >= $start
        and c.event_time < $end
        and c.by_ttl
        and not c.reconstructed
    group by 1, 2, 3, 4
),

span as (
    select
        coalesce(d.bin_start, m.bin_start) as bin_start,
        coalesce(d.bin_s, m.bin_s) as bin_s,
        coalesce(d.account_id, m.account_id) as account_id,
        coalesce(d.region, m.region) as region,
        coalesce(d.table_name, m.table_name) as table_name,
        coalesce(greatest(d.by_stream, d.by_kinesis), 0) as deletions,
        m.expiries
    from deleted as d
    full join counted as m
        on m.account_id = d.account_id
        and m.region = d.region
        and m.table_name = d.table_name
        and m.bin_start = d.bin_start
),

heard as (
    select
        account_id, region, table_name, event_hour,
        max(case when status = 'not_assessable' then 0 else 1 end) as is_read,
        max(case when status = 'incomplete' then 1 else 0 end) as is_incomplete
    from source_statement
    where source in ('streams', 'kinesis')
        and event_hour >= $start - interval '1' hour
        and event_hour < $end
    group by 1, 2, 3, 4
)

select
    s.bin_start,
    cast(s.bin_s as integer) as bin_s,
    s.account_id,
    s.region,
    s.table_name,
    cast(null as varchar) as operation,
    'expiries' as measure,
    case when h.is_read = 0 and s.deletions = 0 then null else cast(s.deletions as bigint) end as trail_count,
    s.expiries as witness_count,
    case
        when h.is_read = 0 and s.deletions = 0 then 'no_stream'
        when h.is_read is null then 'stream_not_stated'
        when h.is_incomplete = 1 then 'stream_incomplete'
    end as reason_code
from span as s
left join heard as h
    on h.account_id = s.account_id
    and h.region = s.region
    and h.table_name = s.table_name
    and h.event_hour = date_trunc('hour', s.bin_start)
order by s.bin_start, s.account_id, s.region, s.table_name
