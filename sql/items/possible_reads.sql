-- Reads that list no item and may have returned wanted ones: queries, scans, PartiQL, readers of streams, copies.
--
-- AWS records no list of the items that these return. Values that a condition binds by equality are recorded, as tokens:
-- where they are key values of the item, it is `likely` (or `named`, where they are its whole key); where they are other
-- values of its key attributes, the read cannot have returned it and is counted in items_excluded. Whatever else is
-- `possible`. A key attribute may be bound through an index too: it is the item's own all the same.
--
-- Grain: one event of one table, and how many of the wanted items of that table it stands to each in which way.
-- Reads table_event (as sql/items/table_events.sql gives it); wanted_item (table_arn, item_key_token), wanted_part (table_arn, item_key_token, attributes, token,
-- value_token, is_key): each wanted item's key and each attribute of it; NULL where a token is not known.
-- Parameters: none.
with asked as (
    select table_arn, count(*) as items
    from wanted_item
    group by table_arn
),

once as (
    select e.*, a.items
    from table_event as e
    inner join asked as a
        on a.table_arn = e.table_arn
    where e.kind <> 'denied'
),

-- Parts of keys whose token or value is known; a part stands for as many wanted items as share it.
part as (
    select
        table_arn, attributes, token, is_key,
        count(*) as items
    from wanted_part
    where token is not null
    group by table_arn, attributes, token, is_key
),

valued as (
    select
        table_arn, attributes, value_token,
        count(*) as items
    from wanted_part
    where token is null
        and value_token is not null
    group by table_arn, attributes, value_token
),

part_set as (
    select
        table_arn, attributes, is_key,
        sum(case when token is null and value_token is null then 1 else 0 end) as unknown_items
    from wanted_part
    group by table_arn, attributes, is_key
),

keyed as (
    select
        o.recipient_account_id, o.region, o.event_id, o.table_arn,
        s.is_key, s.unknown_items,
        coalesce(p.items, 0) as token_items,
        coalesce(v.items, 0) as value_items
    from once as o
    inner join part_set as s
        on s.table_arn = o.table_arn
        and s.attributes = o.key_condition_attributes
    left join part as p
        on p.table_arn = o.table_arn
        and p.attributes = o.key_condition_attributes
        and p.token = o.key_condition_token
    left join valued as v
        on v.table_arn = o.table_arn
        and v.attributes = o.key_condition_attributes
        and contains(o.request_parameters, v.value_token)
    where o.kind = 'read'
),

-- A batch of statements has no token of its conditions, but its texts hold the tokens of their key values. Without `?`
-- and without what AWS redacted, an item whose values are not among them was not asked for.
stated as (
    select
        o.recipient_account_id, o.region, o.event_id, o.table_arn,
        count(*) as items
    from once as o
    inner join (
        select
            w.table_arn, w.item_key_token, w.value_token,
            count(*) over (partition by w.table_arn, w.item_key_token) as values_of_item
        from wanted_part as w
        where cardinality(w.attributes) = 1
    ) as w
        on w.table_arn = o.table_arn
        and contains(o.statement, w.value_token)
    where o.kind = 'statements'
    group by o.recipient_account_id, o.region, o.event_id, o.table_arn, w.item_key_token, w.values_of_item
    having count(*) = w.values_of_item
),

stated_items as (
    select recipient_account_id, region, event_id, table_arn, count(*) as items
    from stated
    group by recipient_account_id, region, event_id, table_arn
),

unvalued as (
    select table_arn, count(distinct item_key_token) as items
    from wanted_part
    where cardinality(attributes) = 1
        and value_token is null
    group by table_arn
),

counted as (
    select
        o.*,
        case when k.is_key and o.index_name is null then k.token_items else 0 end as items_named,
        case
            when k.is_key and o.index_name is null then 0
            when k.event_id is not null then k.token_items + k.value_items
            when o.kind = 'statements' then coalesce(s.items, 0)
            else 0
        end as items_likely,
        case
            when k.event_id is not null then k.unknown_items
            when o.kind = 'statements' and (o.statement like '%?%' or o.statement like '%***%')
                then o.items - coalesce(s.items, 0)
            when o.kind = 'statements' then coalesce(u.items, 0)
            else o.items
        end as items_possible
    from once as o
    left join keyed as k
        on k.recipient_account_id = o.recipient_account_id
        and k.region = o.region
        and k.event_id = o.event_id
        and k.table_arn = o.table_arn
    left join stated_items as s
        on s.recipient_account_id = o.recipient_account_id
        and s.region = o.region
        and s.event_id = o.event_id
        and s.table_arn = o.table_arn
    left join unvalued as u
        on u.table_arn = o.table_arn
)

select
    event_id, event_time, recipient_account_id, region, event_name, index_name, principal_type, principal_arn,
    principal_id, access_key_id, session_issuer_arn, session_name, invoked_by, on_behalf_of_user_id, source_ip_address,
    user_agent, attestation, attribute_names, statement, key_condition_token, key_condition_attributes, kind, table_arn,
    cast(items_named as bigint) as items_named,
    cast(items_likely as bigint) as items_likely,
    cast(items_possible as bigint) as items_possible,
    cast(items - items_named - items_likely - items_possible as bigint) as items_excluded,
    case
        when items_named > 0 then 'named'
        when items_likely > 0 then 'likely'
        when items_possible > 0 then 'possible'
        else 'excluded'
    end as bound,
    request_parameters like '%"select":"COUNT"%' as only_counted,
    case
        when kind = 'copy' then regexp_extract(request_parameters, '"s3Bucket":"([^"]*)"', 1)
    end as copied_to,
    case
        when kind = 'copy' then 'copies the table'
        when kind = 'stream' then 'reads changes from the stream'
        when items_named > 0 then 'bound to the whole key'
        when items_likely > 0 and kind = 'statements' then 'the statements hold the key''s values'
        when items_likely > 0 then 'bound to ' || array_to_string(key_condition_attributes, ', ') || ' of the item'
        when items_possible = 0 then 'bound to another key'
        when key_condition_attributes is not null and items_possible < items then 'bound to values that are not known'
        when key_condition_attributes is not null
            then 'bound to ' || array_to_string(key_condition_attributes, ', ')
        when event_name = 'Scan' then 'reads the table'
        else 'its condition is not known'
    end as why
from counted
order by event_time, event_id, recipient_account_id, region, table_arn
