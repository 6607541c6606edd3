-- Who signed the calls of DynamoDB that may have succeeded in a window: those whom `first_principal.sql` is asked about.
--
-- Grain: one way in which events describe a caller.
-- Reads api_event.
-- Parameters: $start, $end: half-open window of event time, whole hours.
with caller as (
    select distinct
        access_key_id, principal_type, principal_arn, session_issuer_arn, invoked_by, on_behalf_of_user_id
    from api_event
    where event_hour >= $start
        and event_hour < $end
        and event_source = 'dynamodb.amazonaws.com'
        and (
            error_code is null
            or error_code in ('InternalServerError', 'InternalServerErrorException', 'InternalFailure', 'ServiceUnavailable')
        )
)

select
    cast(row_number() over (
        order by access_key_id, principal_type, principal_arn, session_issuer_arn, invoked_by, on_behalf_of_user_id
    ) as varchar) as caller_id,
    access_key_id, principal_type, principal_arn, session_issuer_arn, invoked_by, on_behalf_of_user_id
from caller
order by caller_id
