-- Items that successful requests write in hours and a margin around each, and who made the requests.
--
-- Grain: one item of one request, for one hour to attribute; a request in the margins of several is there for each. Of
-- the copies that several accounts got of one event, the one that names the caller stands for all.
-- Reads api_event, api_event_item; touched_hour (event_hour); caller_principal (the rows of callers.sql with what
-- first_principal.sql says of them).
-- Parameters: $start, $end: half-open window that holds the hours and ten minutes around.
with reading as (
    select event_hour as unit_hour, event_hour as read_hour from touched_hour
    union all
    select event_hour, event_hour - interval '1' hour from touched_hour
    union all
    select event_hour, event_hour + interval '1' hour from touched_hour
),

event as (
    select
        event_id, event_time, event_hour, event_name, recipient_account_id, region, shared_event_id, access_key_id,
        principal_type, principal_arn, principal_id, session_issuer_arn, invoked_by, on_behalf_of_user_id
    from api_event
    where event_hour >= date_trunc('hour', $start)
        and event_hour < $end
        and event_time >= $start
        and event_time < $end
        -- After an error of its own AWS does not say whether it wrote.
        and (
            error_code is null
            or error_code in ('InternalServerError', 'InternalServerErrorException', 'InternalFailure', 'ServiceUnavailable')
        )
        and attestation not in ('forged', 'altered')
        and event_name in (
            'PutItem', 'UpdateItem', 'DeleteItem', 'BatchWriteItem', 'TransactWriteItems',
            'ExecuteStatement', 'BatchExecuteStatement', 'ExecuteTransaction'
        )
),

shared as (
    select *
    from event
    where shared_event_id is not null
    qualify row_number() over (
        partition by shared_event_id
        order by case when principal_arn is null then 1 else 0 end, recipient_account_id, region, event_id
    ) = 1
),

once as (
    select * from event where shared_event_id is null
    union all
    select * from shared
),

named as (
    select o.*, c.first_principal_arn, c.principal_class
    from once as o
    left join caller_principal as c
        on c.access_key_id is not distinct from o.access_key_id
        and c.principal_type is not distinct from o.principal_type
        and c.principal_arn is not distinct from o.principal_arn
        and c.session_issuer_arn is not distinct from o.session_issuer_arn
        and c.invoked_by is not distinct from o.invoked_by
        and c.on_behalf_of_user_id is not distinct from o.on_behalf_of_user_id
),

asked as (
    select
        e.event_id, i.ordinal, e.event_time, e.event_hour, i.table_arn, i.item_key_token, i.operation,
        e.principal_arn, e.access_key_id, e.principal_id, e.invoked_by, e.recipient_account_id, e.region,
        e.first_principal_arn, e.principal_class,
        e.event_name like '%Execute%' as is_partiql,
        case when i.operation = 'Update' then i.attribute_names end as attribute_names
    from api_event_item as i
    inner join named as e
        on e.recipient_account_id = i.recipient_account_id
        and e.region = i.region
        and e.event_id = i.event_id
    where i.event_hour >= date_trunc('hour', $start)
        and i.event_hour < $end
        and i.event_time >= $start
        and i.event_time < $end
        and i.operation in ('Put', 'Update', 'Delete')
        and i.table_arn is not null
)

select
    r.unit_hour,
    a.event_id, a.ordinal, a.event_time, a.table_arn, a.item_key_token, a.operation, a.is_partiql, a.attribute_names,
    a.principal_arn, a.access_key_id, a.first_principal_arn,
    coalesce(a.principal_class, 'unresolved') as principal_class,
    -- Who is nobody known is told apart by what the record has of them.
    coalesce(
        a.first_principal_arn, a.principal_arn, a.principal_id, a.invoked_by, a.access_key_id
    ) as who
from asked as a
inner join reading as r
    on r.read_hour = a.event_hour
    -- Wider than the changes' margin, so that each change of it has all of its candidates.
    and a.event_time >= r.unit_hour - interval '310' second
    and a.event_time < r.unit_hour + interval '3910' second
order by r.unit_hour, a.event_time, a.event_id, a.ordinal, a.recipient_account_id, a.region
