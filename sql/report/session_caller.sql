-- How events describe who signed with an access key: the first of them that names the caller.
--
-- Grain: one event, or nothing.
-- Reads api_event.
-- Parameters: $access_key_id; $start, $end: half-open window of event time, whole hours.
select access_key_id, principal_type, principal_arn, session_issuer_arn, invoked_by, on_behalf_of_user_id
from api_event
where event_hour >= $start
    and event_hour < $end
    and access_key_id = $access_key_id
    and attestation not in ('forged', 'altered')
qualify row_number() over (
    order by
        case when principal_type = 'AWSAccount' then 1 else 0 end,
        event_time, event_id, recipient_account_id, region
) = 1
