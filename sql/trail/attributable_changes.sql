-- Item changes of hours and a margin around each, with what tells which request may have made them.
--
-- Grain: one item change of one hour to attribute; a change in the margins of several hours is there for each.
-- Reads item_change, api_event, api_event_item, coverage; touched_hour (event_hour).
-- Parameters: $start, $end: half-open window that holds the hours and ten minutes around.
with reading as (
    select event_hour as unit_hour, event_hour as read_hour from touched_hour
    union all
    select event_hour, event_hour - interval '1' hour from touched_hour
    union all
    select event_hour, event_hour + interval '1' hour from touched_hour
),

-- A table of one name in several regions of an account may be a global table.
several_regions as (
    select account_id, table_name
    from item_change
    where event_hour >= date_trunc('hour', $start)
        and event_hour < $end
    group by account_id, table_name
    having min(region) <> max(region)
),

maybe_replicated as (
    select
        c.change_id, c.account_id, c.region, c.table_name, c.table_arn, c.item_key_token, c.change_type, c.by_ttl,
        c.event_time,
        -- What is shown of an item may be less than what it holds.
        coalesce(c.new_image_token, c.new_image, '') as became
    from item_change as c
    inner join several_regions as s
        on s.account_id = c.account_id
        and s.table_name = c.table_name
    where c.event_hour >= date_trunc('hour', $start)
        and c.event_hour < $end
        and c.event_time >= $start
        and c.event_time < $end
        and not c.reconstructed
),

written as (
    select distinct i.table_arn, i.item_key_token, i.event_time
    from api_event_item as i
    inner join maybe_replicated as m
        on m.table_arn = i.table_arn
        and m.item_key_token = i.item_key_token
    where i.event_hour >= date_trunc('hour', $start)
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

-- The item came to be the same elsewhere, shortly before, where somebody wrote it or where it expired. Several writes
-- may come over as one.
same_elsewhere as (
    select distinct m.change_id
    from maybe_replicated as m
    inner join maybe_replicated as o
        on o.account_id = m.account_id
        and o.table_name = m.table_name
        and o.item_key_token = m.item_key_token
        and (o.change_type = 'REMOVE') = (m.change_type = 'REMOVE')
        and o.region <> m.region
        and o.became = m.became
        and o.event_time >= m.event_time - interval '60' second
        and o.event_time <= m.event_time + interval '2' second
    left join local_write as l
        on l.change_id = o.change_id
    where l.change_id is not null
        or o.by_ttl
),

-- A bulk load writes items without an event of each, and AWS records no end of it. The latest one stands for all.
bulk_load as (
    select
        account_id, region, table_name, event_id, event_time,
        least(
            event_time + interval '24' hour,
            coalesce(
                lead(event_time) over (partition by account_id, region, table_name order by event_time, event_id),
                event_time + interval '24' hour
            )
        ) as until
    from (
        select
            recipient_account_id as account_id, region, event_id, event_time,
            unnest(list_distinct(table_names)) as table_name
        from api_event
        where event_hour >= date_trunc('hour', $start) - interval '24' hour
            and event_hour < $end
            and event_name = 'StartBulkPutItems'
            and error_code is null
            and attestation not in ('forged', 'altered')
    ) as each
),

-- What is stated of the trail's side of an hour; what concerns the stream alone is left out. Of a single operation only
-- those that write count; the row of all of them adds up what reads lack too.
stated as (
    select account_id, region, table_name, event_hour, operation, split_part(reason, ':', 1) as code
    from (
        select account_id, region, table_name, event_hour, operation, unnest(reasons) as reason
        from coverage
        where event_hour >= date_trunc('hour', $start) - interval '1' hour
            and event_hour < $end + interval '1' hour
            and operation in (
                '*', 'PutItem', 'UpdateItem', 'DeleteItem', 'BatchWriteItem', 'TransactWriteItems',
                'ExecuteStatement', 'BatchExecuteStatement', 'ExecuteTransaction'
            )
    ) as each
    where reason not like 'stream%'
        and reason not like 'sequence%'
        and reason not like 'expiries%'
        and reason not like 'log_file_forged%'
),

doubted as (
    select distinct account_id, region, table_name, event_hour
    from stated
    where code in (
        'count_shortfall', 'witness_shortfall', 'log_file_missing', 'log_file_altered', 'digest_missing',
        'digest_invalid', 'quarantined', 'selectors_partial', 'not_selected'
    )
        and (operation <> '*' or code not like '%shortfall')
),

vouched as (
    select c.account_id, c.region, c.table_name, c.event_hour
    from coverage as c
    left join stated as s
        on s.account_id = c.account_id
        and s.region = c.region
        and s.table_name = c.table_name
        and s.event_hour = c.event_hour
    where c.event_hour >= date_trunc('hour', $start) - interval '1' hour
        and c.event_hour < $end + interval '1' hour
        and c.operation = '*'
        and s.code is null
)

select
    r.unit_hour,
    c.event_hour = r.unit_hour as is_own,
    c.change_id, c.event_time, c.event_hour, c.account_id, c.region, c.table_name, c.table_arn, c.item_key_token,
    c.change_type, c.changed_attributes,
    case
        when c.reconstructed then 'reconstructed'
        when c.by_ttl then 'expiry'
        when s.change_id is not null and w.change_id is null then 'replication'
    end as origin,
    -- No request need be behind it, whatever request there is.
    s.change_id is not null or (b.event_id is not null and c.change_type <> 'REMOVE') as may_be_unasked,
    case when c.change_type <> 'REMOVE' then b.event_id end as load_event_id,
    -- Whether the trail is stated to lack writes of the table in the hour, or to lack nothing.
    d.event_hour is not null or e.event_hour is not null as is_doubted,
    v.event_hour is not null as is_vouched
from item_change as c
inner join reading as r
    on r.read_hour = c.event_hour
    and c.event_time >= r.unit_hour - interval '5' minute
    and c.event_time < r.unit_hour + interval '65' minute
left join same_elsewhere as s
    on s.change_id = c.change_id
left join local_write as w
    on w.change_id = c.change_id
left join bulk_load as b
    on b.account_id = c.account_id
    and b.region = c.region
    and b.table_name = c.table_name
    and c.event_time >= b.event_time
    and c.event_time < b.until
left join doubted as d
    on d.account_id = c.account_id
    and d.region = c.region
    and d.table_name = c.table_name
    and d.event_hour = c.event_hour
-- Its request may have completed after the end of the hour.
left join doubted as e
    on e.account_id = c.account_id
    and e.region = c.region
    and e.table_name = c.table_name
    and e.event_hour = date_trunc('hour', c.event_time + interval '3' second)
left join vouched as v
    on v.account_id = c.account_id
    and v.region = c.region
    and v.table_name = c.table_name
    and v.event_hour = c.event_hour
where c.event_hour >= date_trunc('hour', $start)
    and c.event_hour < $end
    and c.event_time >= $start
    and c.event_time < $end
order by
    r.unit_hour,
    c.event_time,
    -- Digits without end: as a number, so shorter is less.
    length(ltrim(c.sequence_number, '0')),
    ltrim(c.sequence_number, '0'),
    c.change_id
