-- The tables that changes, requests and successful calls name.
--
-- Grain: one table.
-- Reads item_change, api_event_item, api_event.
-- Parameters: none.
with named as (
    select distinct table_arn from item_change

    union

    select distinct table_arn from api_event_item

    union

    select distinct t.table_arn
    from api_event as e
    cross join unnest(e.table_arns) as t (table_arn)
    -- A name that a call mistook is no table.
    where e.event_source = 'dynamodb.amazonaws.com'
        and e.error_code is null
)

select
    split_part(table_arn, ':', 5) as account_id,
    split_part(table_arn, ':', 4) as region,
    split_part(table_arn, '/', 2) as table_name,
    table_arn
from named
where table_arn like 'arn:%:table/%'
order by table_name, account_id, region, table_arn
