-- Items that successful requests write in hours and a margin around each, and who made the requests.
--
-- Grain: one item of one request, for one hour to attribute; a request in the margins of several is there for each. Of
-- the copies that several accounts got of one event, the one that names the caller stands for all.
-- Reads api_event, api_event_item, session; touched_hour (event_hour).
-- Parameters: $start, $end: half-open window that holds the hours and their margins, whole hours; $sessions_from: from
-- when on sessions are read.
with reading as (
    select event_hour as unit_hour, event_hour as read_hour from touched_hour
    union all
    select event_hour, event_hour - interval '1' hour from touched_hour
    union all
    select event_hour, event_hour + interval '1' hour from touched_hour
),

event as (
    select *
    from api_event
    where event_hour >= $start
        and event_hour < $end
        and error_code is null
        and attestation not in ('forged', 'altered')
        and event_name in (
            'PutItem', 'UpdateItem', 'DeleteItem', 'BatchWriteItem', 'TransactWriteItems',
            'ExecuteStatement', 'BatchExecuteStatement', 'ExecuteTransaction'
        )
),

once as (
    select *
    from event
    qualify row_number() over (
        partition by coalesce(shared_event_id, recipient_account_id || ' ' || region || ' ' || event_id)
        order by case when principal_arn is null then 1 else 0 end, recipient_account_id, region, event_id
    ) = 1
),

key_session as (
    select
        access_key_id, started_at, first_principal_arn, principal_class,
        lead(started_at) over (partition by access_key_id order by started_at, account_id, region, issued_event_id)
            as next_started_at
    from session
    where event_hour >= $sessions_from
        and event_hour < $end
),

asked as (
    select
        e.event_id, i.ordinal, e.event_time, e.event_hour, i.table_arn, i.item_key_token, i.operation,
        e.principal_arn, e.access_key_id, e.principal_type, e.principal_id, e.invoked_by, e.recipient_account_id,
        e.region,
        e.event_name like '%Execute%' as is_partiql,
        case when i.operation = 'Update' then i.attribute_names end as attribute_names
    from api_event_item as i
    inner join once as e
        on e.recipient_account_id = i.recipient_account_id
        and e.region = i.region
        and e.event_id = i.event_id
    where i.event_hour >= $start
        and i.event_hour < $end
        and i.operation in ('Put', 'Update', 'Delete')
        and i.table_arn is not null
)

select
    r.unit_hour,
    a.event_id, a.ordinal, a.event_time, a.table_arn, a.item_key_token, a.operation, a.is_partiql, a.attribute_names,
    a.principal_arn, a.access_key_id,
    -- A user, or the account itself, is who it is; a temporary key is only known by its session.
    coalesce(
        s.first_principal_arn,
        case when a.principal_type in ('IAMUser', 'Root') then a.principal_arn end
    ) as first_principal_arn,
    s.principal_class,
    coalesce(
        s.first_principal_arn, a.principal_arn, a.principal_id, a.invoked_by, a.access_key_id
    ) as who
from asked as a
inner join reading as r
    on r.read_hour = a.event_hour
    -- Wider than the changes' margin, so that each change of it has all of its candidates.
    and a.event_time >= r.unit_hour - interval '310' second
    and a.event_time < r.unit_hour + interval '3910' second
left join key_session as s
    on s.access_key_id = a.access_key_id
    and a.event_time >= s.started_at
    and (s.next_started_at is null or a.event_time < s.next_started_at)
order by r.unit_hour, a.event_time, a.event_id, a.ordinal, a.recipient_account_id, a.region
