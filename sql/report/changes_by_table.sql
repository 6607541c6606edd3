-- How often items of each table changed in a window, and who says so.
--
-- Grain: table and origin of the change.
-- Parameters: $start, $end: half-open window of event time.
select
    table_name,
    change_origin,
    sum(case when change_type = 'INSERT' then 1 else 0 end) as inserted,
    sum(case when change_type = 'MODIFY' then 1 else 0 end) as modified,
    sum(case when change_type = 'REMOVE' then 1 else 0 end) as removed,
    sum(case when by_ttl then 1 else 0 end) as expired,
    sum(case when reconstructed then 1 else 0 end) as reconstructed,
    count(distinct item_key_token) as items
from item_change
where event_time >= $start
    and event_time < $end
group by table_name, change_origin
order by table_name, change_origin
