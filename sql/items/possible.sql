-- Reads that may have returned wanted items, with whom their callers begin with and what CloudWatch counted.
--
-- CloudWatch counts the items that an operation returned on a table in a period, of all callers together.
--
-- Grain: one event of one table.
-- Reads found_read (as sql/items/possible_reads.sql gives it), found_principal (as sql/items/principals.sql), metric.
-- Parameters: $start, $end: half-open window of event time.
with period as (
    select event_id, recipient_account_id, region, table_arn, event_name, 60 as period_s, date_trunc('minute', event_time) as at
    from found_read
    where event_name in ('Query', 'Scan')

    union all

    select
        event_id, recipient_account_id, region, table_arn, event_name, 300,
        date_trunc('hour', event_time)
            + cast(floor(extract(minute from event_time) / 5) as integer) * interval '5' minute
    from found_read
    where event_name in ('Query', 'Scan')

    union all

    select event_id, recipient_account_id, region, table_arn, event_name, 3600, date_trunc('hour', event_time)
    from found_read
    where event_name in ('Query', 'Scan')
),

counted as (
    select
        'arn:' || split_part(r.table_arn, ':', 2) || ':dynamodb:' || m.region || ':' || m.account_id || ':table/'
            || m.table_name as table_arn,
        m.operation, m.period_s, m.event_time, m.value
    from metric as m
    inner join (select distinct table_arn from found_read) as r
        on m.table_name = split_part(r.table_arn, '/', 2)
        and m.account_id = split_part(r.table_arn, ':', 5)
        and m.region = split_part(r.table_arn, ':', 4)
    where m.event_hour >= date_trunc('hour', $start)
        and m.event_hour < $end
        and m.namespace = 'AWS/DynamoDB'
        and m.metric_name = 'ReturnedItemCount'
        and m.statistic = 'Sum'
        and m.operation in ('Query', 'Scan')
        and m.index_name is null
),

returned as (
    select
        p.event_id, p.recipient_account_id, p.region, p.table_arn, c.period_s, c.event_time as counted_from, c.value
    from period as p
    inner join counted as c
        on c.table_arn = p.table_arn
        and c.operation = p.event_name
        and c.period_s = p.period_s
        and c.event_time = p.at
    -- The shortest period says most.
    qualify row_number() over (
        partition by p.event_id, p.recipient_account_id, p.region, p.table_arn
        order by c.period_s
    ) = 1
)

select
    r.event_time, r.event_id, r.recipient_account_id, r.region, r.table_arn, r.kind, r.event_name, r.index_name, r.bound,
    r.why,
    r.items_likely, r.items_possible, r.items_excluded, r.only_counted, r.copied_to, r.attribute_names, r.statement,
    w.first_principal_arn, w.principal_class, w.unresolved_reason, w.chain, w.chain_proof,
    r.principal_arn, r.principal_type, r.access_key_id, r.session_name, r.source_ip_address, r.user_agent, r.attestation,
    r.key_condition_attributes,
    n.value as returned_items,
    n.counted_from,
    cast(n.period_s as integer) as counted_s
from found_read as r
left join found_principal as w
    on w.caller_id = r.recipient_account_id || ' ' || r.region || ' ' || r.event_id
left join returned as n
    on n.event_id = r.event_id
    and n.recipient_account_id = r.recipient_account_id
    and n.region = r.region
    and n.table_arn = r.table_arn
order by r.event_time, r.event_id, r.recipient_account_id, r.region, r.table_arn
