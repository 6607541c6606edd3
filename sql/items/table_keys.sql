-- The key attributes with which items of each table were named in a window.
--
-- Grain: one table and set of attributes.
-- Reads item_change, api_event_item.
-- Parameters: $start, $end: half-open window, whole hours.
select distinct table_arn, key_attributes
from item_change
where event_hour >= $start
    and event_hour < $end

union

select distinct table_arn, key_attributes
from api_event_item
where event_hour >= $start
    and event_hour < $end
    and table_arn is not null
    and key_attributes is not null
order by table_arn, key_attributes
