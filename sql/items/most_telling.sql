-- The item of a window whose life shows most: several changes by several principals, a read, a write with a chained role.
--
-- Grain: one item; at most one row.
-- Reads attribution, api_event_item, session.
-- Parameters: $start, $end: half-open window of event time; $sessions_from: from when on sessions are read.
with chained as (
    select distinct access_key_id
    from session
    where event_hour >= $sessions_from
        and event_hour < $end
        and parent_access_key_id like 'ASIA%'
),

changed as (
    select
        a.table_arn, a.item_key_token,
        count(*) as changes,
        count(a.event_id) as attributed,
        count(distinct a.first_principal_arn) as principals,
        max(case when c.access_key_id is not null then 1 else 0 end) as has_chain
    from attribution as a
    left join chained as c
        on c.access_key_id = a.access_key_id
    where a.event_hour >= date_trunc('hour', $start)
        and a.event_hour < $end
        and a.event_time >= $start
        and a.event_time < $end
    group by a.table_arn, a.item_key_token
),

asked as (
    select
        table_arn, item_key_token,
        max(case when operation in ('Get', 'ConditionCheck') then 1 else 0 end) as has_read,
        count(*) as requests
    from api_event_item
    where event_hour >= date_trunc('hour', $start)
        and event_hour < $end
        and event_time >= $start
        and event_time < $end
        and item_key_token is not null
    group by table_arn, item_key_token
)

select c.table_arn, c.item_key_token
from changed as c
left join asked as a
    on a.table_arn = c.table_arn
    and a.item_key_token = c.item_key_token
order by
    case when c.principals > 1 then 1 else 0 end
        + case when c.attributed > 1 then 1 else 0 end
        + coalesce(a.has_read, 0)
        + c.has_chain desc,
    c.has_chain desc,
    -- A life that a page shows whole.
    case when c.changes + coalesce(a.requests, 0) <= 24 then 0 else 1 end,
    c.principals desc, c.attributed desc, c.changes desc, coalesce(a.requests, 0) desc, c.table_arn, c.item_key_token
limit 1
