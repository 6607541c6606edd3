-- How many rows each source gave in a window.
--
-- Grain: warehouse table.
-- Parameters: $start, $end: half-open window, by full hours.
with
counted as (
    select 'api_event' as table_name, event_hour from api_event
    union all
    select 'item_change' as table_name, event_hour from item_change
    union all
    select 'metric' as table_name, event_hour from metric
    union all
    select 'alarm_event' as table_name, event_hour from alarm_event
    union all
    select 'log_event' as table_name, event_hour from log_event
    union all
    select 'iam_snapshot' as table_name, event_hour from iam_snapshot
    union all
    select 'table_config' as table_name, event_hour from table_config
    union all
    select 'trail_config' as table_name, event_hour from trail_config
)
select
    table_name,
    count(*) as row_count,
    count(distinct event_hour) as hours
from counted
where event_hour >= $start
    and event_hour < $end
group by table_name
order by table_name
