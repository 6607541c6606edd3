-- How an export's net changes spread over the hours of its window, and whether it names an item twice.
--
-- Grain: one hour in which an item was written last.
-- Reads export_change.
-- Parameters: none.
with counted as (
    select
        event_hour,
        row_number() over (partition by item_key_token order by source_uri, source_position) as occurrence
    from export_change
)

select
    event_hour,
    count(*) as changes,
    sum(case when occurrence > 1 then 1 else 0 end) as repeated
from counted
group by event_hour
order by event_hour
