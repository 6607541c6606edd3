-- Item changes of hours and a margin around each, with what tells which request may have made them.
--
-- Grain: one item change of one hour to attribute; a change in the margins of several hours is there for each.
-- Reads item_change, api_event_item; touched_hour (event_hour).
-- Parameters: $start, $end: half-open window that holds the hours and their margins, whole hours.
with reading as (
    select event_hour as unit_hour, event_hour as read_hour from touched_hour
    union all
    select event_hour, event_hour - interval '1' hour from touched_hour
    union all
    select event_hour, event_hour + interval '1' hour from touched_hour
),

change as (
    select *
    from item_change
    where event_hour >= $start
        and event_hour < $end
),

-- A table of one name in several regions of an account may be a global table.
several_regions as (
    select account_id, table_name
    from change
    group by account_id, table_name
    having min(region) <> max(region)
),

maybe_replicated as (
    select c.change_id, c.account_id, c.region, c.table_name, c.table_arn, c.item_key_token, c.change_type,
        c.new_image, c.event_time
    from change as c
    inner join several_regions as s
        on s.account_id = c.account_id
        and s.table_name = c.table_name
    where not c.reconstructed
),

written as (
    select distinct i.table_arn, i.item_key_token, i.event_time
    from api_event_item as i
    inner join maybe_replicated as m
        on m.table_arn = i.table_arn
        and m.item_key_token = i.item_key_token
    where i.event_hour >= $start
        and i.event_hour < $end
        and i.operation in ('Put', 'Update', 'Delete')
),

local_write as (
    select distinct m.change_id
    from maybe_replicated as m
    inner join written as w
        on w.table_arn = m.table_arn
        and w.item_key_token = m.item_key_token
        and w.event_time >= m.event_time - interval '2' second
        and w.event_time <= m.event_time + interval '4' second
),

-- The item came to be the same elsewhere, shortly before, where somebody wrote it. Several writes may come over as one.
replicated as (
    select distinct m.change_id
    from maybe_replicated as m
    inner join maybe_replicated as o
        on o.account_id = m.account_id
        and o.table_name = m.table_name
        and o.item_key_token = m.item_key_token
        and (o.change_type = 'REMOVE') = (m.change_type = 'REMOVE')
        and o.region <> m.region
        and coalesce(o.new_image, '') = coalesce(m.new_image, '')
        and o.event_time >= m.event_time - interval '60' second
        and o.event_time <= m.event_time + interval '2' second
    inner join local_write as l
        on l.change_id = o.change_id
    where m.change_id not in (select change_id from local_write)
)

select
    r.unit_hour,
    c.event_hour = r.unit_hour as is_own,
    c.change_id, c.event_time, c.event_hour, c.account_id, c.region, c.table_name, c.table_arn, c.item_key_token,
    c.change_type, c.changed_attributes,
    case
        when c.reconstructed then 'reconstructed'
        when c.by_ttl then 'expiry'
        when p.change_id is not null then 'replication'
    end as origin
from change as c
inner join reading as r
    on r.read_hour = c.event_hour
    and c.event_time >= r.unit_hour - interval '5' minute
    and c.event_time < r.unit_hour + interval '65' minute
left join replicated as p
    on p.change_id = c.change_id
order by
    r.unit_hour,
    c.event_time,
    -- Digits without end: as a number, so shorter is less.
    length(ltrim(c.sequence_number, '0')),
    ltrim(c.sequence_number, '0'),
    c.change_id
