-- How many requests CloudWatch counted since an account's trail last delivered anything.
--
-- Grain: account, region.
-- Reads metric; silent (account_id, region, newest_at).
-- Parameters: $since: earliest newest_at; $until: end of what is looked at.
select
    m.account_id,
    m.region,
    cast(sum(m.value) as bigint) as requests,
    min(m.event_time) as first_at
from metric as m
inner join silent as s
    on s.account_id = m.account_id
    and s.region = m.region
    and m.event_time >= s.newest_at
where m.event_hour >= $since
    and m.event_hour < $until
    and m.namespace = 'AWS/DynamoDB'
    and m.metric_name = 'SuccessfulRequestLatency'
    and m.statistic = 'SampleCount'
    and m.table_name is not null
group by m.account_id, m.region
having sum(m.value) > 0
