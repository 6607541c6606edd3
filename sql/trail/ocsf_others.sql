-- The records in a window that are no requests, with what their own tables say of each, ready to be written as OCSF.
--
-- Grain: one audit_record of another kind than api_event.
-- Reads audit_record, item_change, attribution, finding, iam_snapshot, table_config, trail_config.
-- Parameters: $start, $end: half-open window of event time.
with record as (
    select *
    from audit_record
    where event_time >= $start
        and event_time < $end
        and kind <> 'api_event'
),

change as (
    select
        c.change_id, c.changed_attributes, c.change_origin, c.sequence_number, c.shard_id, c.reconstructed, c.source_uri,
        a.method
    from item_change as c
    left join attribution as a
        on a.change_id = c.change_id
        and a.event_time >= $start
        and a.event_time < $end
    where c.event_time >= $start
        and c.event_time < $end
),

-- One resource may be in two tables at one instant, under different aspects.
seen as (
    select
        captured_at, account_id, region, resource_type, resource_arn, aspect, resource_name, sha256, previous_sha256,
        status, reason
    from iam_snapshot
    where captured_at >= $start
        and captured_at < $end

    union all

    select
        captured_at, account_id, region, resource_type, resource_arn, aspect, resource_name, sha256, previous_sha256,
        status, reason
    from table_config
    where captured_at >= $start
        and captured_at < $end

    union all

    select
        captured_at, account_id, region, resource_type, resource_arn, aspect, resource_name, sha256, previous_sha256,
        status, reason
    from trail_config
    where captured_at >= $start
        and captured_at < $end
)

select
    r.record_id, r.event_time, r.kind, r.account_id, r.region, r.table_name, r.table_arn, r.index_name,
    r.item_key_token, r.operation, r.actor, r.actor_type, r.actor_class, r.acting_as, r.confidence, r.activity,
    r.outcome, r.source_ip_address, r.user_agent, r.detail, r.subject, r.ends_at, r.how_many, r.severity, r.event_id,
    r.change_id, r.finding_id, r.ocsf_category_uid, r.ocsf_class_uid, r.ocsf_activity_id, r.ocsf_type_uid,
    c.changed_attributes, c.change_origin, c.sequence_number, c.shard_id, c.reconstructed, c.source_uri, c.method,
    f.producer, f.kind as finding_kind, f.title, f.explanation, f.evidence_ids, f.controls, f.attack_techniques,
    s.resource_type, s.resource_name, s.sha256, s.previous_sha256, s.status, s.reason
from record as r
left join change as c
    on r.kind = 'item_change'
    and c.change_id = r.change_id
left join finding as f
    on r.kind = 'finding'
    and f.finding_id = r.finding_id
    and f.event_time = r.event_time
left join seen as s
    on r.kind = 'configuration'
    and s.account_id = r.account_id
    and s.region = r.region
    and s.resource_arn = r.subject
    and s.aspect = r.operation
    and s.captured_at = r.event_time
order by r.event_time, r.record_id
