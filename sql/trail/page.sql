-- The next records of the timeline after a place in it, in the order of time and record id.
--
-- Grain: one audit_record.
-- Reads audit_record.
-- Parameters: $after_time, $after_id: the place: time and id of the record before, or the window's start and an empty
-- text; $end: instant before which records are wanted; $kind, $table, $actor: wanted ones alone, empty for any: a kind, a
-- table's name or ARN, an actor's ARN or the last part of it; $rows: how many at most.
select
    record_id, event_time, kind, account_id, region, table_name, table_arn, index_name, item_key_token, operation,
    actor, actor_type, actor_class, acting_as, confidence, activity, outcome, source_ip_address, user_agent, detail,
    subject, ends_at, how_many, severity, event_id, change_id, finding_id, attestation
from audit_record
where event_hour >= date_trunc('hour', $after_time)
    and event_time < $end
    and (event_time > $after_time or (event_time = $after_time and record_id > $after_id))
    and ($kind = '' or kind = $kind)
    and ($table = '' or table_name = $table or table_arn = $table)
    and ($actor = '' or actor = $actor or right(actor, length($actor) + 1) in ('/' || $actor, ':' || $actor))
order by event_time, record_id
limit $rows
