-- What sessions did to each table.
--
-- Grain: one table.
-- Reads reach_event, reach_item, reach_read (as sql/items/reach_events.sql, reach_items.sql, reach_reads.sql give them).
-- Parameters: none.
with called as (
    select
        t.table_arn,
        count(*) as calls,
        min(e.event_time) as first_time,
        max(e.event_time) as last_time
    from reach_event as e
    cross join unnest(e.table_arns) as t (table_arn)
    where e.outcome <> 'denied'
    group by t.table_arn
),

denied as (
    select
        regexp_extract(denied_resource_arn, '^arn:[^/]*:table/[^/]+', 0) as table_arn,
        count(*) as denied
    from reach_event
    where outcome = 'denied'
        and denied_resource_arn like 'arn:%:dynamodb:%:table/%'
    group by regexp_extract(denied_resource_arn, '^arn:[^/]*:table/[^/]+', 0)
),

item as (
    select
        table_arn,
        sum(case when reads + returned_by_writes > 0 then 1 else 0 end) as items_read,
        sum(case when changes_sure > 0 then 1 else 0 end) as items_changed,
        sum(case when changes_sure = 0 and changes_unsure > 0 then 1 else 0 end) as items_probably_changed,
        sum(case when changes_sure + changes_unsure = 0 and changes_of_others > 0 then 1 else 0 end)
            as items_possibly_changed,
        count(*) as items
    from reach_item
    group by table_arn
),

bounded as (
    select
        table_arn,
        sum(case when event_name = 'Scan' then 1 else 0 end) as scans,
        sum(case when kind <> 'copy' and event_name <> 'Scan' then 1 else 0 end) as queries,
        count(distinct key_condition_token) as partitions,
        sum(case when kind = 'copy' then 1 else 0 end) as copies
    from reach_read
    group by table_arn
),

named as (
    select table_arn from called
    union
    select table_arn from denied
    union
    select table_arn from item
)

select
    n.table_arn,
    cast(coalesce(c.calls, 0) as bigint) as calls,
    cast(coalesce(i.items, 0) as bigint) as items,
    cast(coalesce(i.items_read, 0) as bigint) as items_read,
    cast(coalesce(i.items_changed, 0) as bigint) as items_changed,
    cast(coalesce(i.items_probably_changed, 0) as bigint) as items_probably_changed,
    cast(coalesce(i.items_possibly_changed, 0) as bigint) as items_possibly_changed,
    cast(coalesce(b.scans, 0) as bigint) as scans,
    cast(coalesce(b.queries, 0) as bigint) as queries,
    cast(coalesce(b.partitions, 0) as bigint) as partitions,
    cast(coalesce(b.copies, 0) as bigint) as copies,
    cast(coalesce(d.denied, 0) as bigint) as denied,
    c.first_time, c.last_time
from named as n
left join called as c
    on c.table_arn = n.table_arn
left join denied as d
    on d.table_arn = n.table_arn
left join item as i
    on i.table_arn = n.table_arn
left join bounded as b
    on b.table_arn = n.table_arn
order by n.table_arn
