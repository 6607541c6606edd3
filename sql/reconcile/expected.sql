-- What each table's operation came to before: its usual ratio of trail to witness, and how far above it spans lie.
--
-- The ratio is never below one: whoever takes events away from the first day on would become normal.
-- Only what the trail held beyond the usual count makes the spread: missing events never widen it. The median of that
-- stands until half of such spans are odd; the median of all ratios until half of all are.
--
-- Grain: account, region, table, operation.
-- Reads reconciliation.
-- Parameters: $since, $until: half-open window of the hours that count as history.
with sample as (
    select
        account_id, region, table_name, operation,
        cast(trail_count as double) as trail_count,
        witness_count,
        trail_count / witness_count as ratio
    from reconciliation
    where event_hour >= $since
        and event_hour < $until
        and measure = 'requests'
        and verdict <> 'not_comparable'
        and trail_count is not null
        and witness_count > 0
        and table_name is not null
),

ranked as (
    select
        account_id, region, table_name, operation, ratio,
        row_number() over (partition by account_id, region, table_name, operation order by ratio) as place,
        count(*) over (partition by account_id, region, table_name, operation) as samples
    from sample
),

middle as (
    select
        account_id, region, table_name, operation, samples,
        greatest(avg(ratio), 1.0) as expected_ratio
    from ranked
    where place >= samples / 2.0
        and place <= samples / 2.0 + 1
    group by account_id, region, table_name, operation, samples
),

beyond as (
    select
        m.account_id, m.region, m.table_name, m.operation, m.samples, m.expected_ratio,
        (s.trail_count - m.expected_ratio * s.witness_count) / sqrt(m.expected_ratio * s.witness_count) as excess,
        s.trail_count >= m.expected_ratio * s.witness_count as is_beyond
    from sample as s
    join middle as m
        on m.account_id = s.account_id
        and m.region = s.region
        and m.table_name = s.table_name
        and m.operation = s.operation
),

ranked_beyond as (
    select
        account_id, region, table_name, operation, excess,
        row_number() over (partition by account_id, region, table_name, operation order by excess) as place,
        count(*) over (partition by account_id, region, table_name, operation) as samples
    from beyond
    where is_beyond
),

spread as (
    select account_id, region, table_name, operation, avg(excess) as spread
    from ranked_beyond
    where place >= samples / 2.0
        and place <= samples / 2.0 + 1
    group by account_id, region, table_name, operation
)

select
    m.account_id,
    m.region,
    m.table_name,
    m.operation,
    m.samples,
    m.expected_ratio,
    coalesce(s.spread, 0.0) as spread
from middle as m
left join spread as s
    on s.account_id = m.account_id
    and s.region = m.region
    and s.table_name = m.table_name
    and s.operation = m.operation
order by m.account_id, m.region, m.table_name, m.operation
