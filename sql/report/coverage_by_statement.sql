-- What is stated of the hours of each table as a whole in a window, and how often each reason is given.
--
-- Grain: statement and code of a reason; an hour counts once for each of its reasons. Code NULL: all hours so stated.
-- Parameters: $start, $end: half-open window, by full hours.
with hour as (
    select account_id, region, table_name, event_hour, statement, reasons
    from coverage
    where event_hour >= $start
        and event_hour < $end
        and operation = '*'
),

given as (
    select h.statement, split_part(r.reason, ':', 1) as code
    from hour as h
    cross join unnest(h.reasons) as r (reason)
)

select
    statement,
    cast(null as varchar) as code,
    count(*) as hours,
    count(distinct account_id || ' ' || region || ' ' || table_name) as tables
from hour
group by statement

union all

select statement, code, count(*) as hours, null as tables
from given
group by statement, code
order by statement, hours desc, code
