-- How often each table was touched in a window, by operation and outcome.
--
-- Grain: table, operation.
-- Parameters: $start, $end: half-open window of event time.
select
    table_name,
    operation,
    count(*) as records,
    sum(case when outcome = 'success' then 1 else 0 end) as succeeded,
    sum(case when outcome = 'failure' then 1 else 0 end) as failed,
    sum(case when outcome = 'denied' then 1 else 0 end) as denied,
    count(distinct actor) as actors
from audit_record
where event_time >= $start
    and event_time < $end
    and table_name is not null
group by table_name, operation
order by table_name, records desc, operation
