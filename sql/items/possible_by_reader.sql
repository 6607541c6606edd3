-- How often each caller read in a way that may have returned wanted items, and at most how many were returned then.
--
-- Grain: one caller, table, index, operation and bound.
-- Reads possible_read (as sql/items/possible.sql gives it).
-- Parameters: none.
with point as (
    select distinct
        first_principal_arn, principal_class, principal_arn, table_arn, event_name, index_name, kind, bound, why,
        only_counted, copied_to, counted_from, counted_s, returned_items
    from possible_read
    where returned_items is not null
),

returned as (
    select
        first_principal_arn, principal_class, principal_arn, table_arn, event_name, index_name, kind, bound, why,
        only_counted, copied_to,
        sum(returned_items) as returned_items
    from point
    group by
        first_principal_arn, principal_class, principal_arn, table_arn, event_name, index_name, kind, bound, why,
        only_counted, copied_to
),

counted as (
    select
        first_principal_arn, principal_class, principal_arn, table_arn, event_name, index_name, kind, bound, why,
        only_counted, copied_to,
        count(*) as calls,
        max(items_likely) as items_likely,
        max(items_likely + items_possible) as items_possible,
        min(event_time) as first_time,
        max(event_time) as last_time,
        count(distinct source_ip_address) as addresses,
        count(returned_items) as calls_counted
    from possible_read
    group by
        first_principal_arn, principal_class, principal_arn, table_arn, event_name, index_name, kind, bound, why,
        only_counted, copied_to
)

select
    c.first_principal_arn, c.principal_class, c.principal_arn, c.table_arn, c.event_name, c.index_name, c.kind, c.bound,
    c.why, c.only_counted, c.copied_to,
    cast(c.calls as bigint) as calls,
    cast(c.items_likely as bigint) as items_likely,
    cast(c.items_possible as bigint) as items_possible,
    c.first_time, c.last_time,
    cast(c.addresses as bigint) as addresses,
    -- Where some of the calls were not counted, their sum is no bound.
    case when c.calls_counted = c.calls then r.returned_items end as returned_items
from counted as c
left join returned as r
    on r.first_principal_arn is not distinct from c.first_principal_arn
    and r.principal_class is not distinct from c.principal_class
    and r.principal_arn is not distinct from c.principal_arn
    and r.table_arn = c.table_arn
    and r.event_name = c.event_name
    and r.index_name is not distinct from c.index_name
    and r.kind = c.kind
    and r.bound = c.bound
    and r.why = c.why
    and r.only_counted is not distinct from c.only_counted
    and r.copied_to is not distinct from c.copied_to
order by
    case c.bound when 'likely' then 0 else 1 end, c.kind = 'copy' desc, c.calls desc, c.table_arn, c.event_name,
    c.first_principal_arn, c.principal_arn, c.index_name, c.why, c.copied_to
