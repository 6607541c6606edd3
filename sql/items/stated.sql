-- What the sources of item changes say of each hour of a table between two instants, and which hours have open gaps.
--
-- Grain: one hour of which something is stated that is not complete; and one row without an hour, that counts those stated.
-- Reads source_statement, coverage.
-- Parameters: $start, $end: half-open window, whole hours; $account_id, $region, $table_name: the table.
with stated as (
    select
        event_hour, status, array_to_string(reasons, ', ') as reasons
    from source_statement
    where event_hour >= $start
        and event_hour < $end
        and account_id = $account_id
        and region = $region
        and table_name = $table_name
        and source in ('streams', 'kinesis')
),

gap as (
    select event_hour, stream_gaps
    from coverage
    where event_hour >= $start
        and event_hour < $end
        and account_id = $account_id
        and region = $region
        and table_name = $table_name
        and operation = '*'
        and stream_gaps > 0
)

select
    cast(null as timestamptz) as event_hour,
    'hours_stated' as status,
    cast(null as varchar) as reasons,
    cast(count(distinct event_hour) as bigint) as hours
from stated

union all

select s.event_hour, s.status, s.reasons, 1
from stated as s
where s.status <> 'complete'

union all

select g.event_hour, 'gap', 'stream_gap', g.stream_gaps
from gap as g
order by event_hour nulls first, status, reasons
