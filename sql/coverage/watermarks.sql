-- How far each account and region has been told of, by the data alone: what ends later may still change.
--
-- Grain: account and region (table_name NULL), and each table there of which changes are read.
-- Reads trail_digest, source_statement.
-- Parameters: none.
with place as (
    select account_id, region from trail_digest
    union
    select account_id, region from source_statement where source = 'cloudwatch' and table_name is null
),

digest as (
    select account_id, region, max(digest_end_time) as newest_digest
    from trail_digest
    where status = 'valid'
        and chain = 'standard'
    group by account_id, region
),

metric_statement as (
    select account_id, region, max(event_hour) as newest_metric_hour
    from source_statement
    where source = 'cloudwatch'
        and table_name is null
    group by account_id, region
)

select
    p.account_id,
    p.region,
    cast(null as varchar) as table_name,
    d.newest_digest,
    m.newest_metric_hour,
    cast(null as timestamp with time zone) as newest_stream_hour
from place as p
left join digest as d
    on d.account_id = p.account_id
    and d.region = p.region
left join metric_statement as m
    on m.account_id = p.account_id
    and m.region = p.region

union all

select
    account_id,
    region,
    table_name,
    null as newest_digest,
    null as newest_metric_hour,
    max(event_hour) as newest_stream_hour
from source_statement
where source in ('streams', 'kinesis')
    and table_name is not null
group by account_id, region, table_name
having max(case when status = 'not_assessable' then 0 else 1 end) = 1
