-- The records of requests in a window with what CloudTrail said about each event, ready to be written as OCSF.
--
-- Grain: one audit_record of kind api_event.
-- Reads audit_record, api_event.
-- Parameters: $start, $end: half-open window of event time.
with record as (
    select *
    from audit_record
    where event_time >= $start
        and event_time < $end
        and kind = 'api_event'
),

event as (
    select *
    from api_event
    where event_time >= $start
        and event_time < $end
)

select
    r.record_id, r.event_time, r.account_id, r.region, r.table_name, r.table_arn, r.index_name, r.item_key_token,
    r.operation, r.kind, r.actor, r.actor_type, r.actor_class, r.activity, r.outcome, r.detail, r.event_id, r.ocsf_category_uid, r.ocsf_class_uid,
    r.ocsf_activity_id, r.ocsf_type_uid,
    e.account_id as caller_account_id,
    e.event_source, e.event_name, e.event_version, e.event_type, e.event_category, e.management_event, e.read_only,
    e.api_version, e.error_code, e.error_message, e.denied_action, e.denied_resource_arn, e.denied_by, e.resource_arns,
    e.principal_type, e.principal_arn, e.principal_id, e.user_name, e.access_key_id, e.session_name,
    e.session_issuer_arn, e.session_created_at, e.mfa_authenticated, e.source_identity, e.on_behalf_of_user_id,
    e.invoked_by, e.session_credential_from_console, e.source_ip_address, e.user_agent, e.vpc_endpoint_id,
    e.tls_version, e.request_id, e.shared_event_id, e.attribute_names, e.update_expression, e.statement,
    e.key_condition_token, e.key_condition_attributes, e.user_identity, e.request_parameters, e.response_elements,
    e.additional_event_data, e.other_fields, e.addendum_reason, e.original_event_id, e.source_uri, e.source_sha256, e.source_index,
    e.attestation
from record as r
inner join event as e
    on e.recipient_account_id = r.account_id
    and e.region = r.region
    and e.event_id = r.event_id
order by r.event_time, r.record_id
