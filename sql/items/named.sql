-- Where items are named: by their changes, and by requests.
--
-- Grain: one change, or one item of one request. Only narrow columns are read, so that the wide ones need to be read of
-- few days.
-- Reads item_change, api_event_item; wanted_item (table_arn, item_key_token).
-- Parameters: $start, $end: half-open window, whole hours.
select 'change' as named_by, w.table_arn, w.item_key_token, c.event_hour, c.change_id as id
from item_change as c
inner join wanted_item as w
    on w.table_arn = c.table_arn
    and w.item_key_token = c.item_key_token
where c.event_hour >= $start
    and c.event_hour < $end

union all

select 'request', w.table_arn, w.item_key_token, i.event_hour, i.event_id
from api_event_item as i
inner join wanted_item as w
    on w.table_arn = i.table_arn
    and w.item_key_token = i.item_key_token
where i.event_hour >= $start
    and i.event_hour < $end
order by event_hour, named_by, id, table_arn, item_key_token
