-- One change of each table about a window, as a sign that changes of the table were read at all.
--
-- Grain: one table of the wanted items.
-- Reads item_change; wanted_item (table_arn, item_key_token).
-- Parameters: $start, $end: half-open window of event time.
select table_arn, max(event_time) as event_time
from item_change
where event_hour >= date_trunc('hour', $start) - interval '1' hour
    and event_hour < $end + interval '1' hour
    and event_time >= $start - interval '1' hour
    and event_time < $end + interval '1' hour
    and table_arn in (select table_arn from wanted_item)
group by table_arn
order by table_arn
