-- The hours of which extract_cloudwatch read all metrics; what it lacked of alarms or logs does not matter here.
--
-- Grain: account, region, hour.
-- Reads source_statement.
-- Parameters: $start, $end: half-open window, full hours.
with lacking as (
    select distinct s.account_id, s.region, s.event_hour
    from source_statement as s
    cross join unnest(s.reasons) as r (reason)
    where s.source = 'cloudwatch'
        and s.event_hour >= $start
        and s.event_hour < $end
        and r.reason like 'metrics: %'
)

select distinct
    s.account_id,
    s.region,
    s.event_hour
from source_statement as s
left join lacking as l
    on l.account_id = s.account_id
    and l.region = s.region
    and l.event_hour = s.event_hour
where s.source = 'cloudwatch'
    and s.table_name is null
    and s.status <> 'not_assessable'
    and s.event_hour >= $start
    and s.event_hour < $end
    and l.event_hour is null
order by s.account_id, s.region, s.event_hour
