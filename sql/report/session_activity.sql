-- What was done with an access key: calls by service, table and operation.
--
-- Grain: an operation on a table, or on none; an event that names several tables counts for each.
-- Reads api_event.
-- Parameters: $access_key_id; $start, $end: half-open window of event time, whole hours.
with event as (
    select
        event_id, event_time, event_source, event_name, error_code, denied_action,
        table_names
    from api_event
    where event_hour >= $start
        and event_hour < $end
        and access_key_id = $access_key_id
    -- An event that several accounts got is one call.
    qualify row_number() over (
        partition by coalesce(shared_event_id, event_id)
        order by recipient_account_id, region, event_id
    ) = 1
),

touched as (
    select e.event_time, e.event_source, e.event_name, e.error_code, e.denied_action, t.table_name
    from event as e
    cross join unnest(e.table_names) as t (table_name)

    union all

    select event_time, event_source, event_name, error_code, denied_action, cast(null as varchar) as table_name
    from event
    where coalesce(array_length(table_names), 0) = 0
)

select
    event_source,
    table_name,
    event_name,
    count(*) as calls,
    cast(sum(case when error_code is not null then 1 else 0 end) as bigint) as failed,
    cast(
        sum(case when denied_action is not null or error_code like '%AccessDenied%' then 1 else 0 end) as bigint
    ) as denied,
    min(event_time) as first_at,
    max(event_time) as last_at
from touched
group by event_source, table_name, event_name
order by case when table_name is null then 1 else 0 end, table_name, calls desc, event_source, event_name
