-- What tells the key of a table: its latest description, and the key attributes of items that were named.
--
-- Grain: one description, or one set of key attributes.
-- Reads table_config, item_change, api_event_item.
-- Parameters: $table_arn: the table; $start, $end: half-open window of items, whole hours.
with described as (
    select document
    from table_config
    where resource_arn = $table_arn
        and aspect = 'DescribeTable'
        and document is not null
    qualify row_number() over (order by captured_at desc) = 1
),

named as (
    select distinct key_attributes
    from item_change
    where event_hour >= $start
        and event_hour < $end
        and table_arn = $table_arn

    union

    select distinct key_attributes
    from api_event_item
    where event_hour >= $start
        and event_hour < $end
        and table_arn = $table_arn
        and key_attributes is not null
)

select document, cast(null as varchar[]) as key_attributes from described

union all

select null, key_attributes from named
order by document nulls last, key_attributes
