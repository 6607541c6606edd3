-- The two counts of every span beside each other, what was to be expected, and by how much they differ.
--
-- differs: whether any span of the same series does. What selectors leave out is missing all the same, with its cause.
--
-- Grain: account, region, table, operation, measure and span.
-- Reads counted (the rows of measures/), metrics_read (metrics_read.sql), expected (expected.sql), measure (measure,
-- from_cloudwatch, calibrated, one_sided), selection (account_id, region, table_name, operation, event_hour, selection), accepted (account_id,
-- region, table_name, operation, starts_at, ends_at, ratio; NULL: all), unwatched (account_id, region, table_name),
-- tells_only (reason_code).
-- Parameters: $least: samples without which history is not believed.
with placed as (
    select
        account_id, region, table_name, operation, measure, bin_start, bin_s, trail_count, witness_count, reason_code,
        uncertain_count,
        date_trunc('hour', bin_start) as event_hour,
        max(bin_s) over (
            partition by account_id, region, table_name, operation, measure, date_trunc('hour', bin_start)
        ) as longest_s
    from counted
),

span as (
    select
        account_id, region, table_name, operation, measure, event_hour,
        case when longest_s > 300 then event_hour else bin_start end as bin_start,
        longest_s as bin_s,
        cast(sum(trail_count) as bigint) as trail_count,
        sum(witness_count) as witness_count,
        min(reason_code) as reason_code,
        sum(uncertain_count) as uncertain_count
    from placed
    group by 1, 2, 3, 4, 5, 6, 7, 8
),

decided as (
    select s.account_id, s.region, s.table_name, s.operation, s.event_hour, min(a.ratio) as ratio
    from (select distinct account_id, region, table_name, operation, event_hour from span) as s
    join accepted as a
        on (a.account_id is null or a.account_id = s.account_id)
        and (a.region is null or a.region = s.region)
        and (a.table_name is null or a.table_name = s.table_name)
        and (a.operation is null or a.operation = s.operation)
        and a.starts_at <= s.event_hour
        and (a.ends_at is null or a.ends_at > s.event_hour)
    group by s.account_id, s.region, s.table_name, s.operation, s.event_hour
),

informed as (
    select
        s.account_id, s.region, s.table_name, s.operation, s.measure, s.event_hour, s.bin_start, s.bin_s,
        s.trail_count, s.witness_count,
        coalesce(s.uncertain_count, 0) as uncertain_count,
        case
            when s.reason_code is null and u.table_name is not null and s.witness_count is null then 'table_not_watched'
            else s.reason_code
        end as reason_code,
        m.one_sided, m.from_cloudwatch,
        not m.from_cloudwatch or r.event_hour is not null as is_read,
        case when m.calibrated then coalesce(e.samples, 0) end as samples,
        case
            when not m.calibrated then 1.0
            when d.ratio is not null then d.ratio
            when coalesce(e.samples, 0) < $least then 1.0
            else e.expected_ratio
        end as expected_ratio,
        case when m.calibrated and coalesce(e.samples, 0) >= $least then e.spread end as spread,
        case
            when d.ratio is not null then 'accepted_ratio'
            when c.selection = 'NONE' then 'selection_none'
            when c.selection = 'PARTIAL' then 'selection_partial'
        end as known_cause
    from span as s
    join measure as m
        on m.measure = s.measure
    left join metrics_read as r
        on r.account_id = s.account_id
        and r.region = s.region
        and r.event_hour = s.event_hour
    left join unwatched as u
        on u.account_id = s.account_id
        and u.region = s.region
        and u.table_name = s.table_name
    left join expected as e
        on m.calibrated
        and e.account_id = s.account_id
        and e.region = s.region
        and e.table_name = s.table_name
        and e.operation = s.operation
    left join selection as c
        on m.calibrated
        and c.account_id = s.account_id
        and c.region = s.region
        and c.table_name = s.table_name
        and c.operation = s.operation
        and c.event_hour = s.event_hour
    left join decided as d
        on m.calibrated
        and d.account_id = s.account_id
        and d.region = s.region
        and d.table_name = s.table_name
        and d.operation = s.operation
        and d.event_hour = s.event_hour
),

compared as (
    select
        i.account_id, i.region, i.table_name, i.operation, i.measure, i.event_hour, i.bin_start, i.bin_s,
        i.trail_count, i.witness_count, i.uncertain_count, i.one_sided, i.from_cloudwatch, i.is_read, i.samples,
        i.expected_ratio, i.spread, i.known_cause, i.reason_code,
        i.reason_code is not null and t.reason_code is null as is_blocked,
        i.trail_count is not null
            and (
                i.witness_count is not null
                or (i.is_read and (i.reason_code is null or t.reason_code is not null))
            ) as is_comparable,
        coalesce(i.witness_count, 0.0) * i.expected_ratio as expected_count
    from informed as i
    left join tells_only as t
        on t.reason_code = i.reason_code
),

differing as (
    select
        account_id, region, table_name, operation, measure, event_hour, bin_start, bin_s, trail_count, witness_count,
        uncertain_count, from_cloudwatch, is_read, samples, expected_ratio, spread, known_cause,
        reason_code, is_blocked, is_comparable, expected_count,
        case
            when not is_comparable then 0.0
            when expected_count > trail_count then greatest(expected_count - trail_count - uncertain_count, 0.0)
            when one_sided then 0.0
            else expected_count - trail_count
        end as difference
    from compared
)

select
    account_id, region, table_name, operation, measure, event_hour, bin_start, bin_s, trail_count, witness_count,
    from_cloudwatch, is_read, samples, expected_ratio, spread, known_cause, reason_code, is_blocked,
    is_comparable, expected_count, difference,
    max(case when abs(difference) > 0.000001 then 1 else 0 end)
        over (partition by account_id, region, table_name, operation, measure) = 1 as differs
from differing
order by account_id, region, table_name, operation, measure, bin_start
