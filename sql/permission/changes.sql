-- Calls that changed what somebody may do: to users, groups, roles, policies, and policies of tables and streams.
--
-- Reads api_event.
--
-- Grain: one successful call that is not forged or altered.
-- Parameters: $start, $end: half-open window of event time.
select
    recipient_account_id as account_id,
    region,
    event_id,
    event_time,
    event_source,
    event_name,
    request_parameters,
    response_elements
from api_event
where event_hour >= date_trunc('hour', cast($start as timestamptz))
    and event_hour < $end
    and event_time >= $start
    and event_time < $end
    and error_code is null
    and attestation not in ('forged', 'altered')
    and (
        (
            event_source = 'iam.amazonaws.com'
            and event_name in (
                'PutUserPolicy', 'DeleteUserPolicy', 'AttachUserPolicy', 'DetachUserPolicy',
                'PutRolePolicy', 'DeleteRolePolicy', 'AttachRolePolicy', 'DetachRolePolicy',
                'PutGroupPolicy', 'DeleteGroupPolicy', 'AttachGroupPolicy', 'DetachGroupPolicy',
                'PutUserPermissionsBoundary', 'DeleteUserPermissionsBoundary',
                'PutRolePermissionsBoundary', 'DeleteRolePermissionsBoundary',
                'AddUserToGroup', 'RemoveUserFromGroup',
                'CreatePolicy', 'CreatePolicyVersion', 'SetDefaultPolicyVersion', 'DeletePolicy',
                'CreateUser', 'DeleteUser', 'CreateRole', 'CreateServiceLinkedRole', 'DeleteRole',
                'CreateGroup', 'DeleteGroup', 'TagUser', 'UntagUser'
            )
        )
        or (
            event_source = 'dynamodb.amazonaws.com'
            and event_name in (
                'PutResourcePolicy', 'DeleteResourcePolicy', 'CreateTable', 'DeleteTable',
                'RestoreTableFromBackup', 'RestoreTableToPointInTime'
            )
        )
    )
order by event_time, event_id
