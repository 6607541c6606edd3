-- Who signed the requests of the touched hours and an hour around each, as CloudTrail names them, each once.
--
-- Grain: one combination of what a record says of its caller; caller_id numbers them.
-- Reads api_event; touched_hour (event_hour).
-- Parameters: $start, $end: half-open window of whole hours around the touched hours, that of the margin included.
with reading as (
    select event_hour from touched_hour
    union
    select event_hour - interval '1' hour from touched_hour
    union
    select event_hour + interval '1' hour from touched_hour
),

caller as (
    select distinct
        access_key_id, principal_type, principal_arn, session_issuer_arn, invoked_by, on_behalf_of_user_id
    from api_event
    where event_hour >= $start
        and event_hour < $end
        and event_hour in (select event_hour from reading)
)

select
    cast(row_number() over (
        order by access_key_id, principal_type, principal_arn, session_issuer_arn, invoked_by, on_behalf_of_user_id
    ) as varchar) as caller_id,
    access_key_id, principal_type, principal_arn, session_issuer_arn, invoked_by, on_behalf_of_user_id
from caller
