-- What was done in the touched hours with values that are encrypted for their subject: erasures and reveals.
--
-- Who is only claimed to have asked is nobody that can be named; the claim stands in the sentence.
--
-- Grain: one privacy_event.
-- Reads privacy_event; touched_hour (event_hour).
-- Parameters: $start, $end: half-open window around the touched hours; it lets the store skip files.
select
    sha256('privacy_event ' || cast(length(privacy_event_id) as varchar) || ':' || privacy_event_id) as record_id,
    event_time,
    event_hour,
    event_date,
    'privacy_event' as kind,
    account_id,
    region,
    table_name,
    table_arn,
    cast(null as varchar) as index_name,
    item_key_token,
    kind as operation,
    case when actor_claimed then 'Unknown' else coalesce(actor, 'Unknown') end as actor,
    case when actor_claimed or actor is null then null else 'AirflowUser' end as actor_type,
    'unresolved' as actor_class,
    cast(null as varchar) as acting_as,
    cast(null as varchar) as confidence,
    case when kind = 'erasure' then 'Delete' else 'Read' end as activity,
    'success' as outcome,
    cast(null as varchar) as source_ip_address,
    cast(null as varchar) as user_agent,
    translate(
        case
            when kind = 'erasure' then 'The key of subject ' || subject || ' was destroyed'
            else 'Values of subject ' || subject || ' in a change of ' || coalesce(table_name, 'a table')
                || ' were revealed: ' || coalesce(array_to_string(attributes, ', '), 'none')
        end
            || coalesce(case when actor_claimed then ', to somebody who claims to be ' else ', asked for by ' end || actor, '')
            || coalesce(', approved by ' || approved_by, '')
            || coalesce(', ticket ' || ticket, '')
            || ', reason: ' || reason,
        chr(9) || chr(10) || chr(13) || chr(27),
        '    '
    ) as detail,
    subject,
    cast(null as timestamp with time zone) as ends_at,
    cast(null as bigint) as how_many,
    cast(null as varchar) as severity,
    cast(null as varchar) as event_id,
    change_id,
    cast(null as varchar) as finding_id,
    case when kind = 'erasure' then 3 else 6 end as ocsf_category_uid,
    case when kind = 'erasure' then 3004 else 6005 end as ocsf_class_uid,
    case when kind = 'erasure' then 4 else 1 end as ocsf_activity_id,
    cast(case when kind = 'erasure' then 300404 else 600501 end as bigint) as ocsf_type_uid,
    cast(null as varchar) as attestation
from privacy_event
where event_hour >= $start
    and event_hour < $end
    and event_hour in (select event_hour from touched_hour)
order by event_time, record_id
