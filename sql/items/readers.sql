-- Who read items that the reads name, and how often.
--
-- Grain: one caller: whom it begins with, and as whom it acted.
-- Reads item_read (as sql/items/read_items.sql gives it).
-- Parameters: none.
with item as (
    select distinct first_principal_arn, principal_class, principal_arn, table_arn, item_key_token
    from item_read
    where way <> 'check'
        and (outcome = 'success' or way = 'returned_by_write')
),

items as (
    select
        first_principal_arn, principal_class, principal_arn,
        count(*) as items,
        count(distinct table_arn) as tables
    from item
    group by first_principal_arn, principal_class, principal_arn
),

counted as (
    select
        first_principal_arn, principal_class, principal_arn,
        sum(case when way = 'read' and outcome = 'success' then 1 else 0 end) as reads,
        sum(case when way = 'returned_by_write' then 1 else 0 end) as returned_by_writes,
        sum(case when way = 'check' and outcome = 'success' then 1 else 0 end) as checks,
        sum(case when way <> 'returned_by_write' and outcome <> 'success' then 1 else 0 end) as failed,
        min(event_time) as first_time,
        max(event_time) as last_time,
        count(distinct source_ip_address) as addresses
    from item_read
    group by first_principal_arn, principal_class, principal_arn
)

select
    c.first_principal_arn, c.principal_class, c.principal_arn,
    cast(c.reads as bigint) as reads,
    cast(c.returned_by_writes as bigint) as returned_by_writes,
    cast(c.checks as bigint) as checks,
    cast(c.failed as bigint) as failed,
    cast(coalesce(i.items, 0) as bigint) as items,
    cast(coalesce(i.tables, 0) as bigint) as tables,
    c.first_time, c.last_time,
    cast(c.addresses as bigint) as addresses
from counted as c
left join items as i
    on i.first_principal_arn is not distinct from c.first_principal_arn
    and i.principal_class is not distinct from c.principal_class
    and i.principal_arn is not distinct from c.principal_arn
order by reads desc, returned_by_writes desc, checks desc, failed desc, c.first_principal_arn, c.principal_arn
