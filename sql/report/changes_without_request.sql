-- Item changes of a window that no recorded request explains, with what was ruled out and what may be behind each.
--
-- Grain: one item change.
-- Reads attribution, item_change, coverage, api_event, api_event_item.
-- Parameters: $start, $end: half-open window of event time.
with unexplained as (
    select a.*, c.change_type, c.by_ttl
    from attribution as a
    inner join item_change as c
        on c.change_id = a.change_id
        and c.event_hour = a.event_hour
    where a.event_time >= $start
        and a.event_time < $end
        and c.event_time >= $start
        and c.event_time < $end
        and a.method = 'no_request'
),

-- What the trail holds of writes of the table in that hour; the worst statement counts.
stated as (
    select
        u.change_id,
        max(case when v.statement = 'incomplete' then 1 else 0 end) as incomplete,
        max(case when v.statement = 'not_assessable' then 1 else 0 end) as not_assessable
    from unexplained as u
    inner join coverage as v
        on v.event_hour = u.event_hour
        and v.account_id = u.account_id
        and v.region = u.region
        and v.table_name = u.table_name
    group by u.change_id
),

-- Writes that AWS makes item by item without an event of each.
loaded as (
    select distinct u.change_id
    from unexplained as u
    inner join api_event as e
        on e.recipient_account_id = u.account_id
        and e.region = u.region
        and e.event_name in ('StartBulkPutItems', 'ImportTable')
        and e.error_code is null
        and e.event_time <= u.event_time
        and e.event_time >= u.event_time - interval '24' hour
    where list_contains(e.table_names, u.table_name)
),

-- The item is named by a write at about that time that could not be it: other operation, attributes or outcome.
named as (
    select distinct u.change_id
    from unexplained as u
    inner join api_event_item as i
        on i.table_arn = u.table_arn
        and i.item_key_token = u.item_key_token
        and i.operation in ('Put', 'Update', 'Delete')
        and i.event_time >= u.event_time - interval '2' second
        and i.event_time <= u.event_time + interval '4' second
)

select
    u.change_id, u.event_time, u.account_id, u.region, u.table_name, u.item_key_token, u.change_type, u.candidates,
    case
        when l.change_id is not null then 'a bulk load was started within a day before'
        when s.incomplete = 1 then 'the trail lacks events of this table in this hour'
        when u.candidates > 0 then 'all requests that could have made it made other changes, or are too far away'
        when n.change_id is not null then 'the only writes that name the item at the time failed or write otherwise'
        when s.not_assessable = 1 then 'it cannot be said whether the trail holds all events of this hour'
        else 'no recorded write names the item at the time'
    end as reason,
    'expiry, replication, reconstruction' as ruled_out
from unexplained as u
left join stated as s
    on s.change_id = u.change_id
left join loaded as l
    on l.change_id = u.change_id
left join named as n
    on n.change_id = u.change_id
order by u.event_time, u.table_name, u.item_key_token, u.change_id
