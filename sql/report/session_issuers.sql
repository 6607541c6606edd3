-- The events that issued sessions: when, by whom, from where; of the copies that several accounts got of one event, the
-- one that names its caller.
--
-- Grain: one row of wanted_event.
-- Reads api_event; wanted_event (event_id, as in session.issued_event_id).
-- Parameters: $start, $end: half-open window that holds the events, whole hours.
with event as (
    select *
    from api_event
    where event_hour >= $start
        and event_hour < $end
        and event_source <> 'dynamodb.amazonaws.com'
),

of_wanted as (
    select w.event_id as issued_event_id, e.event_id, e.shared_event_id
    from wanted_event as w
    inner join event as e
        on e.event_id = w.event_id
),

copy as (
    select o.issued_event_id, e.*
    from of_wanted as o
    inner join event as e
        on e.event_id = o.event_id

    union all

    select o.issued_event_id, e.*
    from of_wanted as o
    inner join event as e
        on e.shared_event_id = o.shared_event_id
)

select
    issued_event_id, event_time, event_name, region, recipient_account_id, account_id, access_key_id, principal_type,
    principal_arn, principal_id, invoked_by, source_ip_address, user_agent, mfa_authenticated, attestation
from copy
qualify row_number() over (
    partition by issued_event_id
    order by
        case when principal_type = 'AWSAccount' then 1 else 0 end,
        event_time, event_id, recipient_account_id, region
) = 1
order by issued_event_id
