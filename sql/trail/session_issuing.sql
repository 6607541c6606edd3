-- The events of a window that issued credentials, as recorded: who asked, and the documents that say what was issued.
--
-- An event that failed issued nothing, and one in a forged or altered file proves nothing. A sign-in that failed has no
-- error code in older records: its response says it.
--
-- Grain: one issuing event as one account recorded it; an event that an addendum corrected is the addendum.
-- Reads api_event.
-- Parameters: $start, $end: half-open window of event time, whole hours.
select
    event_id, event_time, event_source, event_name, region, recipient_account_id, shared_event_id, original_event_id, user_identity,
    request_parameters, response_elements, additional_event_data, invoked_by,
    principal_type as caller_type,
    principal_arn as caller_arn,
    principal_id as caller_id,
    account_id as caller_account_id,
    access_key_id as caller_key,
    session_issuer_arn as caller_issuer_arn,
    session_created_at as caller_created_at,
    source_identity as caller_source_identity,
    on_behalf_of_user_id as identity_center_user_id
from api_event
where event_hour >= $start
    and event_hour < $end
    and (
        (
            event_source = 'sts.amazonaws.com'
            and event_name in (
                'AssumeRole', 'AssumeRoleWithSAML', 'AssumeRoleWithWebIdentity', 'AssumeRoot', 'GetSessionToken',
                'GetFederationToken', 'GetDelegatedAccessToken'
            )
        )
        or (event_source = 'signin.amazonaws.com' and event_name in ('ConsoleLogin', 'SwitchRole', 'RenewRole'))
        -- Services that take a role for those whom they know, and hand the key on.
        or (event_source = 'rolesanywhere.amazonaws.com' and event_name = 'CreateSession')
        or (event_source = 'eks-auth.amazonaws.com' and event_name = 'AssumeRoleForPodIdentity')
        or (event_source = 'cognito-identity.amazonaws.com' and event_name = 'GetCredentialsForIdentity')
    )
    and error_code is null
    and error_message is null
    and attestation not in ('forged', 'altered')
    and not (event_source = 'signin.amazonaws.com' and coalesce(response_elements, '') like '%"Failure"%')
qualify row_number() over (
    partition by recipient_account_id, region, coalesce(original_event_id, event_id)
    order by original_event_id nulls last, event_time desc, event_id
) = 1
