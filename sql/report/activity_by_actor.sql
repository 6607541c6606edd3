-- Who made requests in a window: how many, on how many tables and items, from how many addresses, and how often denied.
--
-- Grain: whom the requests begin with, as far as it is proven.
-- Parameters: $start, $end: half-open window of event time.
select
    actor,
    count(*) as records,
    sum(case when ocsf_class_uid = 6005 and activity in ('Read', 'Query') then 1 else 0 end) as item_reads,
    sum(case when ocsf_class_uid = 6005 and activity not in ('Read', 'Query') then 1 else 0 end) as item_writes,
    sum(case when ocsf_class_uid <> 6005 then 1 else 0 end) as other_calls,
    sum(case when outcome = 'denied' then 1 else 0 end) as denied,
    count(distinct table_arn) as tables,
    count(distinct item_key_token) as items,
    count(distinct source_ip_address) as addresses,
    max(event_time) as last_seen
from audit_record
where event_time >= $start
    and event_time < $end
    and kind = 'api_event'
group by actor
order by records desc, actor
