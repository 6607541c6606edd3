-- What is known of each operation of each table in the touched hours, and of each table as a whole (operation `*`).
--
-- Grain: account, region, table, operation, hour.
-- Reads reconciliation, metric, item_change, source_statement, sequence_proof; row_to_state (rows_to_state.sql), call
-- (calls.sql), selection (account_id, region, table_name, operation, event_hour, selection, excluded), watermark
-- (watermarks.sql), counted_operation (operation: those that CloudWatch counts), stream_operation (operation: those
-- on streams), open_gap (account_id, region, table_name, starts_at, ends_at), read_stream (account_id, region,
-- table_name, since: from when on the table had a stream that is read; NULL: not known), touched_hour (event_hour,
-- hour_end).
-- Parameters: $start, $end: half-open window around the touched hours.
with comparison as (
    select
        account_id, region, table_name, operation, event_hour, measure, witness_count, expected_ratio, verdict,
        reason_code,
        cast(ceil(abs(coalesce(difference, 0))) as bigint) as things
    from reconciliation
    where event_hour >= $start
        and event_hour < $end
        and event_hour in (select event_hour from touched_hour)
),

compared as (
    select
        account_id, region, table_name, event_hour,
        coalesce(operation, '*') as operation,
        sum(case when measure = 'requests' then witness_count end) as metric_count,
        max(case when measure = 'requests' then expected_ratio end) as expected_ratio,
        sum(case when measure = 'requests' and verdict <> 'not_comparable' then 1 else 0 end) as compared,
        sum(case when measure = 'requests' and verdict = 'not_comparable' then 1 else 0 end) as not_comparable,
        min(case when measure = 'requests' and verdict = 'not_comparable' then reason_code end) as not_comparable_code,
        sum(case when measure = 'requests' and verdict = 'missing' then things else 0 end) as shortfall,
        sum(case when measure = 'requests' and verdict = 'extra' then things else 0 end) as surplus,
        sum(
            case
                when measure in ('throttled', 'condition_failed', 'conflicts', 'system_errors') and verdict = 'missing'
                    then things
                else 0
            end
        ) as failures_shortfall,
        sum(case when measure = 'changes' and verdict = 'missing' then things else 0 end) as unexplained_changes,
        sum(case when measure = 'expiries' and verdict = 'missing' then things else 0 end) as expiries_shortfall
    from comparison
    where table_name is not null
    group by account_id, region, table_name, event_hour, coalesce(operation, '*')
),

witnessed as (
    select
        account_id, region, event_hour,
        coalesce(operation, '*') as operation,
        sum(things) as witness_shortfall
    from comparison
    where measure = 'second_witness'
        and table_name is null
        and verdict = 'missing'
    group by account_id, region, event_hour, coalesce(operation, '*')
),

returned as (
    select account_id, region, table_name, operation, event_hour, sum(value) as returned_items
    from metric
    where event_hour >= $start
        and event_hour < $end
        and event_hour in (select event_hour from touched_hour)
        and namespace = 'AWS/DynamoDB'
        and metric_name = 'ReturnedItemCount'
        and statistic = 'Sum'
        and index_name is null
    group by account_id, region, table_name, operation, event_hour
),

of_operation as (
    select
        r.account_id, r.region, r.table_name, r.table_arn, r.operation, r.event_hour,
        coalesce(c.events, 0) as events,
        coalesce(c.failed_events, 0) as failed_events,
        coalesce(c.late, 0) as late,
        m.metric_count,
        m.expected_ratio,
        e.returned_items,
        coalesce(s.selection, 'UNKNOWN') as selection,
        s.excluded,
        n.operation is not null as needs_metric,
        case
            when n.operation is null then 0
            when coalesce(m.compared, 0) = 0 and coalesce(c.events, 0) > 0 then 1
            when m.not_comparable > 0 then 1
            else 0
        end as uncounted,
        coalesce(m.not_comparable, 0) as not_comparable,
        m.not_comparable_code,
        coalesce(m.shortfall, 0) as shortfall,
        coalesce(m.surplus, 0) as surplus,
        coalesce(m.failures_shortfall, 0) as failures_shortfall
    from row_to_state as r
    left join call as c
        on c.account_id = r.account_id
        and c.region = r.region
        and c.table_name = r.table_name
        and c.operation = r.operation
        and c.event_hour = r.event_hour
    left join compared as m
        on m.account_id = r.account_id
        and m.region = r.region
        and m.table_name = r.table_name
        and m.operation = r.operation
        and m.event_hour = r.event_hour
    left join returned as e
        on e.account_id = r.account_id
        and e.region = r.region
        and e.table_name = r.table_name
        and e.operation = r.operation
        and e.event_hour = r.event_hour
    left join selection as s
        on s.account_id = r.account_id
        and s.region = r.region
        and s.table_name = r.table_name
        and s.operation = r.operation
        and s.event_hour = r.event_hour
    left join counted_operation as n
        on n.operation = r.operation
    where r.operation <> '*'
),

-- Reading its stream is no operation on the table.
together as (
    select
        account_id, region, table_name, event_hour,
        sum(events) as events,
        sum(failed_events) as failed_events,
        sum(late) as late,
        sum(metric_count) as metric_count,
        sum(returned_items) as returned_items,
        sum(uncounted) as uncounted,
        sum(not_comparable) as not_comparable,
        min(not_comparable_code) as not_comparable_code,
        sum(shortfall) as shortfall,
        sum(surplus) as surplus,
        sum(failures_shortfall) as failures_shortfall
    from of_operation
    where operation not in (select operation from stream_operation)
    group by account_id, region, table_name, event_hour
),

-- Idle operations are selected or not as active ones are.
selected as (
    select
        account_id, region, table_name, event_hour,
        case
            when min(selection) = max(selection) then min(selection)
            when sum(case when selection in ('PARTIAL', 'NONE') then 1 else 0 end) > 0 then 'PARTIAL'
            else 'UNKNOWN'
        end as selection,
        list_sort(list_distinct(flatten(array_agg(coalesce(excluded, cast([] as varchar[])))))) as excluded
    from selection
    where operation not in (select operation from stream_operation)
    group by account_id, region, table_name, event_hour
),

changed as (
    select account_id, region, table_name, event_hour, count(*) as changes
    from item_change
    where event_hour >= $start
        and event_hour < $end
        and event_hour in (select event_hour from touched_hour)
    group by account_id, region, table_name, event_hour
),

-- A table has one origin of changes; where it moved from one to the other, the one that vouches for less counts, and
-- that it has no stream is said only where both say so.
stream as (
    select
        account_id, region, table_name, event_hour,
        case
            when sum(case when status = 'incomplete' then 1 else 0 end) > 0 then 'incomplete'
            when sum(case when status = 'reconstructed' then 1 else 0 end) > 0 then 'reconstructed'
            when sum(case when status = 'complete' then 1 else 0 end) > 0 then 'complete'
            else 'not_assessable'
        end as status,
        coalesce(
            max(case when array_to_string(reasons, ', ') <> 'no_stream' then array_to_string(reasons, ', ') end),
            max(array_to_string(reasons, ', '))
        ) as reasons
    from source_statement
    where event_hour >= $start
        and event_hour < $end
        and event_hour in (select event_hour from touched_hour)
        and source in ('streams', 'kinesis')
        and table_name is not null
    group by account_id, region, table_name, event_hour
),

gap as (
    select g.account_id, g.region, g.table_name, h.event_hour, count(*) as gaps
    from open_gap as g
    inner join touched_hour as h
        on g.starts_at < h.hour_end
        and g.ends_at > h.event_hour
    group by g.account_id, g.region, g.table_name, h.event_hour
),

broken as (
    select account_id, region, table_name, event_hour, count(*) as streams
    from sequence_proof
    where event_hour >= $start
        and event_hour < $end
        and event_hour in (select event_hour from touched_hour)
        and status = 'broken'
    group by account_id, region, table_name, event_hour
),

of_table as (
    select
        r.account_id, r.region, r.table_name, r.table_arn, r.operation, r.event_hour,
        coalesce(t.events, 0) as events,
        coalesce(t.failed_events, 0) as failed_events,
        coalesce(t.late, 0) as late,
        t.metric_count,
        cast(null as double) as expected_ratio,
        t.returned_items,
        coalesce(s.selection, 'UNKNOWN') as selection,
        s.excluded,
        true as needs_metric,
        coalesce(t.uncounted, 0) as uncounted,
        coalesce(t.not_comparable, 0) as not_comparable,
        t.not_comparable_code,
        coalesce(t.shortfall, 0) + coalesce(m.shortfall, 0) as shortfall,
        coalesce(t.surplus, 0) + coalesce(m.surplus, 0) as surplus,
        coalesce(t.failures_shortfall, 0) + coalesce(m.failures_shortfall, 0) as failures_shortfall,
        coalesce(m.unexplained_changes, 0) as unexplained_changes,
        coalesce(m.expiries_shortfall, 0) as expiries_shortfall,
        coalesce(c.changes, 0) as changes,
        x.status as stream_status,
        x.reasons as stream_reasons,
        coalesce(g.gaps, 0) as stream_gaps,
        x.status is null and coalesce(w.newest_stream_hour < r.event_hour, false) as stream_open,
        -- A stream is met when its first day is long gone: of the hours before nobody knows what it held.
        x.status is null
            and not coalesce(w.newest_stream_hour < r.event_hour, false)
            and d.account_id is not null
            and coalesce(d.since < h.hour_end, true)
            as stream_unread,
        coalesce(b.streams, 0) as sequences_broken
    from row_to_state as r
    left join together as t
        on t.account_id = r.account_id
        and t.region = r.region
        and t.table_name = r.table_name
        and t.event_hour = r.event_hour
    left join compared as m
        on m.account_id = r.account_id
        and m.region = r.region
        and m.table_name = r.table_name
        and m.operation = '*'
        and m.event_hour = r.event_hour
    left join selected as s
        on s.account_id = r.account_id
        and s.region = r.region
        and s.table_name = r.table_name
        and s.event_hour = r.event_hour
    left join changed as c
        on c.account_id = r.account_id
        and c.region = r.region
        and c.table_name = r.table_name
        and c.event_hour = r.event_hour
    left join stream as x
        on x.account_id = r.account_id
        and x.region = r.region
        and x.table_name = r.table_name
        and x.event_hour = r.event_hour
    left join gap as g
        on g.account_id = r.account_id
        and g.region = r.region
        and g.table_name = r.table_name
        and g.event_hour = r.event_hour
    left join broken as b
        on b.account_id = r.account_id
        and b.region = r.region
        and b.table_name = r.table_name
        and b.event_hour = r.event_hour
    left join watermark as w
        on w.account_id = r.account_id
        and w.region = r.region
        and w.table_name = r.table_name
    left join read_stream as d
        on d.account_id = r.account_id
        and d.region = r.region
        and d.table_name = r.table_name
    inner join touched_hour as h
        on h.event_hour = r.event_hour
    where r.operation = '*'
),

fact as (
    select
        account_id, region, table_name, table_arn, operation, event_hour, events, failed_events, late, metric_count,
        expected_ratio, returned_items, selection, excluded, needs_metric, uncounted, not_comparable,
        not_comparable_code, shortfall, surplus, failures_shortfall,
        0 as unexplained_changes,
        0 as expiries_shortfall,
        cast(null as bigint) as changes,
        cast(null as varchar) as stream_status,
        cast(null as varchar) as stream_reasons,
        cast(null as bigint) as stream_gaps,
        false as stream_open,
        false as stream_unread,
        0 as sequences_broken
    from of_operation

    union all

    select
        account_id, region, table_name, table_arn, operation, event_hour, events, failed_events, late, metric_count,
        expected_ratio, returned_items, selection, excluded, needs_metric, uncounted, not_comparable,
        not_comparable_code, shortfall, surplus, failures_shortfall, unexplained_changes,
        expiries_shortfall, changes, stream_status, stream_reasons, stream_gaps, stream_open, stream_unread, sequences_broken
    from of_table
)

select
    f.account_id,
    f.region,
    f.table_name,
    f.table_arn,
    f.operation,
    f.event_hour,
    cast(f.events as bigint) as events,
    cast(f.failed_events as bigint) as failed_events,
    cast(f.metric_count as double) as metric_count,
    case when f.metric_count > 0 then cast(f.events as double) / f.metric_count end as ratio,
    f.expected_ratio,
    f.returned_items,
    f.selection,
    case when cardinality(f.excluded) > 0 then f.excluded end as excluded,
    cast(f.changes as bigint) as changes,
    f.stream_status,
    f.stream_reasons,
    cast(f.stream_gaps as bigint) as stream_gaps,
    f.stream_open,
    f.stream_unread,
    cast(f.sequences_broken as bigint) as sequences_broken,
    cast(f.late as bigint) as late,
    f.needs_metric,
    cast(f.uncounted as bigint) as uncounted,
    cast(f.not_comparable as bigint) as not_comparable,
    f.not_comparable_code,
    cast(f.shortfall as bigint) as shortfall,
    cast(f.surplus as bigint) as surplus,
    cast(f.failures_shortfall as bigint) as failures_shortfall,
    cast(f.unexplained_changes as bigint) as unexplained_changes,
    cast(f.expiries_shortfall as bigint) as expiries_shortfall,
    cast(coalesce(w.witness_shortfall, 0) as bigint) as witness_shortfall
from fact as f
left join witnessed as w
    on w.account_id = f.account_id
    and w.region = f.region
    and w.operation = f.operation
    and w.event_hour = f.event_hour
