-- One event, and who signed it; of the copies that several accounts got, the one that names its caller.
--
-- Grain: the event, or nothing.
-- Reads api_event.
-- Parameters: $event_id: CloudTrail eventID of any copy, or of the event that an addendum corrected.
with named as (
    select event_id, shared_event_id
    from api_event
    where event_id = $event_id
        or original_event_id = $event_id
)

select
    event_id, event_time, event_source, event_name, region, recipient_account_id, access_key_id, principal_type,
    principal_arn, session_issuer_arn, invoked_by, on_behalf_of_user_id, table_names, error_code, attestation
from api_event
where event_id in (select event_id from named)
    or shared_event_id in (select shared_event_id from named where shared_event_id is not null)
qualify row_number() over (
    order by
        case when principal_type = 'AWSAccount' then 1 else 0 end,
        event_time, event_id, recipient_account_id, region
) = 1
