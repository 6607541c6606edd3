-- Changes of the spans in which a stream gave more of them than the trail recorded writes, those first whose item no
-- recorded write around the time names.
--
-- Grain: one change.
-- Reads item_change, api_event_item; unexplained (account_id, region, table_name, starts_at, ends_at: spans that neither
-- overlap nor touch).
-- Parameters: $start, $end: half-open, the spans and what lies around them, in which a write may name an item.
with named as (
    select distinct table_arn, item_key_token, event_time
    from api_event_item
    where event_time >= $start
        and event_time < $end
        and operation in ('Put', 'Update', 'Delete')
        and item_key_token is not null
),

changed as (
    select
        u.account_id, u.region, u.table_name, u.starts_at,
        c.change_id, c.event_time, c.table_arn,
        exists (
            select 1
            from named as n
            where n.table_arn = c.table_arn
                and n.item_key_token = c.item_key_token
                and n.event_time >= c.event_time - interval '5' minute
                and n.event_time <= c.event_time + interval '5' minute
        ) as is_named
    from unexplained as u
    join item_change as c
        on c.account_id = u.account_id
        and c.region = u.region
        and c.table_name = u.table_name
        and c.event_time >= u.starts_at
        and c.event_time < u.ends_at
    where c.event_time >= $start
        and c.event_time < $end
        and not coalesce(c.by_ttl, c.change_type = 'REMOVE')
        and not c.reconstructed
),

ranked as (
    select
        *,
        row_number() over (
            partition by account_id, region, table_name, starts_at
            order by is_named, event_time, change_id
        ) as place
    from changed
)

select account_id, region, table_name, starts_at, table_arn, change_id, event_time, is_named
from ranked
where place <= 20
order by account_id, region, table_name, starts_at, place
