-- How far the trail's requests fell short of what CloudWatch counted, or went beyond it, hour by hour.
--
-- Grain: account, region, table, operation and hour in which a span differs.
-- Reads reconciliation.
-- Parameters: $start, $end: half-open window.
select
    account_id,
    region,
    table_name,
    operation,
    event_hour,
    sum(case when verdict = 'missing' then difference else 0.0 end) as missing,
    sum(case when verdict = 'extra' then -difference else 0.0 end) as extra,
    sum(case when verdict <> 'not_comparable' then witness_count else 0.0 end) as witness_count,
    cast(sum(case when verdict <> 'not_comparable' then trail_count else 0 end) as bigint) as trail_count,
    max(samples) as samples
from reconciliation
where event_hour >= $start
    and event_hour < $end
    and measure = 'requests'
    and table_name is not null
    and operation is not null
group by account_id, region, table_name, operation, event_hour
having sum(case when verdict in ('missing', 'extra') then 1 else 0 end) > 0
order by account_id, region, table_name, event_hour, operation
