-- The findings of the touched hours: each lies where what it is about began.
--
-- Grain: one finding.
-- Reads finding; touched_hour (event_hour).
-- Parameters: $start, $end: half-open window around the touched hours; it lets the store skip files.
select
    sha256('finding ' || cast(length(finding_id) as varchar) || ':' || finding_id) as record_id,
    event_time,
    event_hour,
    event_date,
    'finding' as kind,
    account_id,
    region,
    table_name,
    table_arn,
    cast(null as varchar) as index_name,
    cast(null as varchar) as item_key_token,
    kind as operation,
    coalesce(actor, 'Unknown') as actor,
    cast(null as varchar) as actor_type,
    cast(null as varchar) as actor_class,
    cast(null as varchar) as acting_as,
    cast(null as varchar) as confidence,
    'Create' as activity,
    'success' as outcome,
    cast(null as varchar) as source_ip_address,
    cast(null as varchar) as user_agent,
    translate(severity || ': ' || title, chr(9) || chr(10) || chr(13) || chr(27), '    ') as detail,
    rule_id as subject,
    ends_at,
    how_many,
    severity,
    cast(null as varchar) as event_id,
    cast(null as varchar) as change_id,
    finding_id,
    2 as ocsf_category_uid,
    2004 as ocsf_class_uid,
    1 as ocsf_activity_id,
    cast(200401 as bigint) as ocsf_type_uid,
    cast(null as varchar) as attestation
from finding
where event_hour >= $start
    and event_hour < $end
    and event_hour in (select event_hour from touched_hour)
order by event_time, record_id
