-- How often requests touched each table in a window, by operation and outcome.
--
-- Grain: table, operation; control plane calls of a table are one operation, 'control plane'.
-- Parameters: $start, $end: half-open window of event time.
select
    table_name,
    case when ocsf_class_uid = 6005 then operation else 'control plane' end as operation,
    count(*) as records,
    sum(case when outcome = 'failure' then 1 else 0 end) as failed,
    sum(case when outcome = 'denied' then 1 else 0 end) as denied
from audit_record
where event_time >= $start
    and event_time < $end
    and kind = 'api_event'
    and table_name is not null
group by table_name, case when ocsf_class_uid = 6005 then operation else 'control plane' end
order by table_name, operation
