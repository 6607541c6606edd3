-- Item changes of a window that no recorded request explains: what is likely behind each, what was ruled out, what was not.
--
-- Grain: one item change.
-- Reads attribution, item_change, coverage, table_config, api_event, api_event_item.
-- Parameters: $start, $end: half-open window of event time.
with unexplained as (
    select
        a.change_id, a.event_time, a.event_hour, a.account_id, a.region, a.table_name, a.table_arn, a.item_key_token,
        a.method, a.candidates, a.rivals,
        c.change_type, c.change_origin, c.by_ttl,
        date_trunc('second', a.event_time) as moment
    from attribution as a
    inner join item_change as c
        on c.change_id = a.change_id
        and c.event_hour = a.event_hour
    where a.event_time >= $start
        and a.event_time < $end
        and c.event_time >= $start
        and c.event_time < $end
        and a.method in ('no_request', 'bulk')
),

-- What is stated of the trail's side of an hour. Of a single operation only those that write can hide a write; the row
-- of all operations adds up what reads lack too, so of it only what concerns the place counts.
stated as (
    select account_id, region, table_name, event_hour, operation, reasons
    from coverage
    where event_hour >= date_trunc('hour', $start)
        and event_hour < $end
        and operation in (
            '*', 'PutItem', 'UpdateItem', 'DeleteItem', 'BatchWriteItem', 'TransactWriteItems',
            'ExecuteStatement', 'BatchExecuteStatement', 'ExecuteTransaction'
        )
),

code as (
    select account_id, region, table_name, event_hour, operation, split_part(reason, ':', 1) as code
    from (
        select account_id, region, table_name, event_hour, operation, unnest(reasons) as reason
        from stated
    ) as each
),

meaning as (
    select
        account_id, region, table_name, event_hour,
        case
            when code in (
                'count_shortfall', 'witness_shortfall', 'log_file_missing', 'log_file_altered', 'digest_missing',
                'digest_invalid', 'quarantined', 'selectors_partial', 'not_selected'
            ) then code
        end as lacking,
        case
            when code in ('may_still_be_late', 'digest_pending', 'log_file_not_yet_attested', 'metric_pending') then code
        end as pending,
        case
            when code in (
                'no_trail', 'no_digest', 'digest_unread', 'no_metric', 'metric_not_read', 'not_comparable',
                'count_surplus', 'selection_unknown'
            ) or code like 'unattested%' then code
        end as unsure
    from code
    where operation <> '*'
        or code not like '%shortfall'
),

doubt as (
    select
        account_id, region, table_name, event_hour,
        array_to_string(list_sort(list_distinct(array_agg(lacking))), ', ') as lacks,
        array_to_string(list_sort(list_distinct(array_agg(pending))), ', ') as pending,
        array_to_string(list_sort(list_distinct(array_agg(unsure))), ', ') as unsure
    from meaning
    group by account_id, region, table_name, event_hour
),

place as (
    select distinct account_id, region, table_name, event_hour
    from stated
),

-- Starting, stopping or reconfiguring a trail takes effect after minutes, and what was written before left no record.
retrailed as (
    select h.account_id, h.region, h.event_hour, min(e.event_name) as event_name
    from (select distinct account_id, region, event_hour from unexplained) as h
    inner join api_event as e
        on e.recipient_account_id = h.account_id
        and e.region = h.region
        and e.event_time >= h.event_hour - interval '15' minute
        and e.event_time < h.event_hour + interval '1' hour
    where e.event_hour >= date_trunc('hour', $start) - interval '1' hour
        and e.event_hour < $end
        and e.event_source = 'cloudtrail.amazonaws.com'
        and e.event_name in ('StartLogging', 'StopLogging', 'PutEventSelectors', 'CreateTrail', 'DeleteTrail')
        and e.error_code is null
        and e.attestation not in ('forged', 'altered')
    group by h.account_id, h.region, h.event_hour
),

read_region as (
    select distinct account_id, table_name, region
    from item_change
    where event_hour >= date_trunc('hour', $start)
        and event_hour < $end
),

-- A replica is one for good as far as this list goes: whether it was one at that minute is not looked up.
configured as (
    select
        resource_arn as table_arn,
        max(case when document like '%"Replicas":[{%' then 1 else 0 end) as has_replicas
    from table_config
    where aspect = 'DescribeTable'
        and document is not null
        and resource_arn in (select table_arn from unexplained)
    group by resource_arn
),

replica as (
    select distinct table_arn, region
    from (
        select
            resource_arn as table_arn,
            unnest(
                regexp_extract_all(split_part(document, '"Replicas":[{', 2), '"RegionName":"([^"]+)"', 1)
            ) as region
        from table_config
        where aspect = 'DescribeTable'
            and document is not null
            and resource_arn in (select table_arn from unexplained)
    ) as each
),

unread_replica as (
    select t.table_arn, array_to_string(list_sort(array_agg(p.region)), ', ') as regions
    from (select distinct account_id, table_name, table_arn from unexplained) as t
    inner join replica as p
        on p.table_arn = t.table_arn
    left join read_region as r
        on r.account_id = t.account_id
        and r.table_name = t.table_name
        and r.region = p.region
    where r.region is null
    group by t.table_arn
),

-- Writes that name the item at about that time and cannot be it, but for those whose record somebody altered: what it
-- says now is nothing to judge by. One of a kind and second is enough to say so.
other_write as (
    select
        i.table_arn, i.item_key_token,
        date_trunc('second', i.event_time) as moment,
        e.attestation = 'altered' as is_altered,
        min(
            e.event_name || ' ' || replace(e.event_id, '|', ' ') || case
                when e.attestation = 'altered' then ': its record was altered'
                when e.attestation = 'forged' then ': its record is forged'
                when e.error_code is not null then ': failed, ' || replace(e.error_code, '|', ' ')
                else ': succeeded, made another change or none'
            end
        ) as told
    from api_event_item as i
    inner join api_event as e
        on e.recipient_account_id = i.recipient_account_id
        and e.region = i.region
        and e.event_id = i.event_id
        and e.event_hour = i.event_hour
    where i.event_hour >= date_trunc('hour', $start) - interval '1' hour
        and i.event_hour < $end + interval '1' hour
        and e.event_hour >= date_trunc('hour', $start) - interval '1' hour
        and e.event_hour < $end + interval '1' hour
        and i.operation in ('Put', 'Update', 'Delete')
        and i.item_key_token in (select item_key_token from unexplained)
    group by
        i.table_arn, i.item_key_token, date_trunc('second', i.event_time), e.attestation = 'altered',
        e.attestation = 'forged', e.error_code is null, i.operation
),

-- Joined by minute first: a busy item has few seconds a minute, and many writes an hour.
asked_minute as (
    select distinct table_arn, item_key_token, moment, date_trunc('minute', moment - interval '2' second) as near
    from unexplained
    union
    select distinct table_arn, item_key_token, moment, date_trunc('minute', moment + interval '4' second) as near
    from unexplained
),

named as (
    select
        m.table_arn, m.item_key_token, m.moment,
        array_to_string(list_sort(list_distinct(array_agg(case when not w.is_altered then w.told end))), '|') as told,
        array_to_string(list_sort(list_distinct(array_agg(case when w.is_altered then w.told end))), '|') as altered
    from asked_minute as m
    inner join other_write as w
        on w.table_arn = m.table_arn
        and w.item_key_token = m.item_key_token
        and date_trunc('minute', w.moment) = m.near
        and w.moment >= m.moment - interval '2' second
        and w.moment <= m.moment + interval '4' second
    group by m.table_arn, m.item_key_token, m.moment
)

select
    u.change_id, u.event_time, u.account_id, u.region, u.table_name, u.item_key_token, u.change_type, u.method,
    u.candidates, u.rivals,
    case
        when u.method = 'bulk' then 'a bulk load of the table was started within a day before'
        when n.altered <> '' then 'a write that names the item at the time stands in an altered log file: it may be the one'
        when d.lacks <> '' then 'the trail lacks events of this table in this hour'
        when t.event_name is not null
            then 'the trail was started, stopped or its selectors changed about this hour: it may not have recorded the write'
        when u.candidates > 0 then 'all requests that could have made it made other changes, or are too far away'
        when n.told <> '' then 'the only writes that name the item at the time failed or write otherwise'
        when x.regions is not null then 'it may come from a replica that is not read'
        when d.unsure <> '' or p.event_hour is null
            then 'it cannot be said whether the trail holds all events of this hour'
        when d.pending <> '' then 'events of this hour may still come'
        else 'no recorded write names the item at the time'
    end as reason,
    string_split(
        concat_ws(
            '|',
            case
                when u.change_type <> 'REMOVE' then 'expiry: it only deletes'
                when not u.by_ttl then 'expiry: the ' || u.change_origin || ' does not name it'
            end,
            'reconstruction: it was read from the ' || u.change_origin,
            case
                when g.has_replicas = 0 then 'replication: the table has no replica'
                when g.has_replicas = 1 and x.regions is null
                    then 'replication: no other region shows the same change behind a recorded write'
            end,
            case
                when u.method = 'bulk' then null
                when u.change_type = 'REMOVE' then 'bulk load: it only puts'
                else 'bulk load: none was started in the day before'
            end,
            nullif(n.told, ''),
            case
                when p.event_hour is not null
                    and t.event_name is null
                    and coalesce(d.lacks, '') || coalesce(d.unsure, '') || coalesce(d.pending, '') = ''
                    then 'missing record: the trail is stated complete in this hour'
            end
        ),
        '|'
    ) as ruled_out,
    string_split(
        nullif(
            concat_ws(
                '|',
                case when u.change_type = 'REMOVE' and u.by_ttl is null then 'expiry: the source does not tell' end,
                case
                    when x.regions is not null then 'replication: its replicas are not read in ' || x.regions
                    when g.table_arn is null then 'replication: its configuration was not read'
                end,
                nullif(n.altered, ''),
                case when u.method = 'bulk' then 'bulk load: ' || array_to_string(u.rivals, ', ') end,
                'missing record: ' || nullif(
                    concat_ws(
                        ', ',
                        nullif(d.lacks, ''),
                        case when t.event_name is not null then t.event_name || ' in the hour' end,
                        nullif(d.unsure, ''),
                        nullif(d.pending, ''),
                        case when p.event_hour is null then 'nothing is stated of the hour' end
                    ),
                    ''
                )
            ),
            ''
        ),
        '|'
    ) as not_ruled_out
from unexplained as u
left join place as p
    on p.event_hour = u.event_hour
    and p.account_id = u.account_id
    and p.region = u.region
    and p.table_name = u.table_name
left join doubt as d
    on d.event_hour = u.event_hour
    and d.account_id = u.account_id
    and d.region = u.region
    and d.table_name = u.table_name
left join retrailed as t
    on t.event_hour = u.event_hour
    and t.account_id = u.account_id
    and t.region = u.region
left join unread_replica as x
    on x.table_arn = u.table_arn
left join configured as g
    on g.table_arn = u.table_arn
left join named as n
    on n.table_arn = u.table_arn
    and n.item_key_token = u.item_key_token
    and n.moment = u.moment
order by u.event_time, u.table_name, u.item_key_token, u.change_id
