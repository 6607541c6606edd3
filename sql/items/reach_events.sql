-- The events of sessions and principals in a window.
--
-- Grain: one event; of the copies that several accounts got of one, the one that names the caller.
-- Reads api_event; reach_key (access_key_id).
-- Parameters: $start, $end: half-open window of event time; $who: as sql/items/reach_keys.sql: an event without a key may
-- still name its principal.
select
    e.event_id, e.event_time, e.event_hour, e.recipient_account_id, e.region, e.event_source, e.event_name, e.error_code,
    e.denied_action, e.denied_resource_arn, e.table_arns, e.index_name, e.principal_type, e.principal_arn,
    e.access_key_id, e.session_issuer_arn, e.session_name, e.invoked_by, e.on_behalf_of_user_id, e.source_ip_address,
    e.user_agent, e.attestation, e.attribute_names, e.statement, e.key_condition_token, e.key_condition_attributes,
    e.request_parameters, e.shared_event_id, e.read_only,
    case
        when e.denied_action is not null or e.error_code like '%AccessDenied%' or e.error_code like '%Unauthorized%'
            then 'denied'
        when e.error_code is not null or e.error_message is not null then 'failure'
        else 'success'
    end as outcome
from api_event as e
where e.event_hour >= date_trunc('hour', $start)
    and e.event_hour < $end
    and e.event_time >= $start
    and e.event_time < $end
    and e.attestation not in ('forged', 'altered')
    and (
        e.access_key_id in (select access_key_id from reach_key)
        or (e.access_key_id is null and $who in (e.principal_arn, e.session_issuer_arn, e.invoked_by))
    )
qualify row_number() over (
    partition by coalesce(e.shared_event_id, e.recipient_account_id || ' ' || e.region || ' ' || e.event_id)
    order by case when e.principal_arn is null then 1 else 0 end, e.recipient_account_id, e.region, e.event_id
) = 1
order by e.event_time, e.event_id, e.recipient_account_id, e.region
