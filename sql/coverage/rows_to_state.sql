-- What there is to state of the touched hours: every operation that was active, and each table as a whole.
--
-- An operation is active where the trail holds a call of it, or CloudWatch counted one, or it was stated before: what
-- was stated once is stated again. Operation `*` is the table as a whole, idle or not.
--
-- Grain: account, region, table, operation, hour.
-- Reads reconciliation, item_change; present (coverage as it is), touched_hour (event_hour, hour_end), call
-- (calls.sql), known_table (account_id, region, table_name, table_arn, since, until).
-- Parameters: $start, $end: half-open window around the touched hours.
with counted as (
    select account_id, region, table_name, operation, event_hour
    from reconciliation
    where event_hour >= $start
        and event_hour < $end
        and event_hour in (select event_hour from touched_hour)
        and table_name is not null
        and witness_count > 0
),

changed as (
    select account_id, region, table_name, max(table_arn) as table_arn, event_hour
    from item_change
    where event_hour >= $start
        and event_hour < $end
        and event_hour in (select event_hour from touched_hour)
    group by account_id, region, table_name, event_hour
),

stated as (
    select account_id, region, table_name, table_arn, operation, event_hour
    from present
    where event_hour in (select event_hour from touched_hour)
),

-- A table that only failed calls name may never have been there.
existing as (
    select k.account_id, k.region, k.table_name, k.table_arn, h.event_hour
    from known_table as k
    inner join touched_hour as h
        on (k.since is null or k.since < h.hour_end)
        and (k.until is null or k.until > h.event_hour)

    union all

    select account_id, region, table_name, table_arn, event_hour
    from call
    where events > 0

    union all

    select account_id, region, table_name, null as table_arn, event_hour
    from counted

    union all

    select account_id, region, table_name, table_arn, event_hour
    from changed

    union all

    select account_id, region, table_name, table_arn, event_hour
    from stated
),

place as (
    select
        account_id, region, table_name, event_hour,
        max(table_arn) as table_arn
    from existing
    group by account_id, region, table_name, event_hour
),

active as (
    select account_id, region, table_name, operation, event_hour from call
    union
    select account_id, region, table_name, operation, event_hour from counted where operation is not null
    union
    select account_id, region, table_name, operation, event_hour from stated where operation <> '*'
)

select p.account_id, p.region, p.table_name, p.table_arn, '*' as operation, p.event_hour
from place as p

union all

select p.account_id, p.region, p.table_name, p.table_arn, a.operation, p.event_hour
from place as p
inner join active as a
    on a.account_id = p.account_id
    and a.region = p.region
    and a.table_name = p.table_name
    and a.event_hour = p.event_hour
