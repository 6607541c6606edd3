-- The life of items in order: each change, each read that names it, each write request that changed nothing.
--
-- Within one second the stream's sequence orders the changes; what a request did before or after them in that second
-- nothing tells, so requests stand behind the changes.
--
-- Grain: one happening.
-- Reads found_change, found_cause, found_request, found_read, unmatched (relations as the statements beside this one and
-- sql/report/requests_without_change.sql give them), found_principal (as sql/trail/first_principal.sql).
-- Parameters: $start, $end: half-open window of event time.
with happening as (
    select
        c.event_time,
        'change' as kind,
        0 as place,
        c.table_arn, c.item_key_token,
        c.change_type as operation,
        r.event_name,
        'success' as outcome,
        cast(null as varchar) as reason,
        c.principal_arn, r.principal_type, c.access_key_id, r.session_name,
        c.first_principal_arn, c.principal_class,
        r.source_ip_address, r.user_agent, r.attestation,
        coalesce(c.method, 'not_attributed') as method,
        coalesce(c.confidence, 'none') as confidence,
        cast(coalesce(cardinality(c.rivals), 0) as bigint) as rivals,
        c.event_id, r.recipient_account_id, r.region, c.ordinal, c.change_id, c.change_type, c.view_type, c.change_origin, c.reconstructed,
        c.reconstructed_from, c.reconstructed_to, c.sequence_number, c.old_image, c.new_image, c.changed_attributes,
        cast(null as varchar[]) as attribute_names,
        q.returned_image
    from found_change as c
    -- A request is recorded in the region of its table.
    left join found_cause as r
        on r.event_id = c.event_id
        and r.region = c.region
    left join found_request as q
        on q.event_id = r.event_id
        and q.recipient_account_id = r.recipient_account_id
        and q.region = r.region
        and q.ordinal = c.ordinal
        and q.table_arn = c.table_arn
        and q.item_key_token = c.item_key_token
    where c.event_time >= $start
        and c.event_time < $end

    union all

    select
        r.event_time,
        'read', 1,
        r.table_arn, r.item_key_token, r.operation, r.event_name, r.outcome, r.error_code,
        r.principal_arn, r.principal_type, r.access_key_id, r.session_name, null, null,
        r.source_ip_address, r.user_agent, r.attestation,
        null, null, null,
        r.event_id, r.recipient_account_id, r.region, r.ordinal, null, null, null, null, null, null, null, null, null,
        null, null,
        r.attribute_names, null
    from found_request as r
    where r.operation in ('Get', 'ConditionCheck')
        and r.event_time >= $start
        and r.event_time < $end
        and r.attestation not in ('forged', 'altered')

    union all

    select
        r.event_time,
        'read', 1,
        r.table_arn, w.item_key_token, 'Select', r.event_name, 'success', null,
        r.principal_arn, r.principal_type, r.access_key_id, r.session_name, null, null,
        r.source_ip_address, r.user_agent, r.attestation,
        null, null, null,
        r.event_id, r.recipient_account_id, r.region, null, null, null, null, null, null, null, null, null, null, null, null,
        r.attribute_names, null
    from found_read as r
    inner join wanted_part as w
        on w.table_arn = r.table_arn
        and w.token = r.key_condition_token
        and w.is_key
    where r.bound = 'named'

    union all

    select
        r.event_time,
        'no_change', 2,
        r.table_arn, r.item_key_token, r.operation, r.event_name, r.outcome, u.reason,
        r.principal_arn, r.principal_type, r.access_key_id, r.session_name, null, null,
        r.source_ip_address, r.user_agent, r.attestation,
        null, null, null,
        r.event_id, r.recipient_account_id, r.region, r.ordinal, null, null, null, null, null, null, null, null, null,
        null, null,
        r.attribute_names, r.returned_image
    from found_request as r
    inner join unmatched as u
        on u.event_id = r.event_id
        and u.recipient_account_id = r.recipient_account_id
        and u.region = r.region
        and u.ordinal = r.ordinal
    where r.operation in ('Put', 'Update', 'Delete')
        and r.event_time >= $start
        and r.event_time < $end
        and r.attestation not in ('forged', 'altered')
)

select
    h.event_time, h.kind, h.table_arn, h.item_key_token, h.operation, h.event_name, h.outcome, h.reason,
    coalesce(p.first_principal_arn, h.first_principal_arn) as first_principal_arn,
    coalesce(p.principal_class, h.principal_class) as principal_class,
    p.unresolved_reason, p.chain, p.chain_proof,
    h.principal_arn, h.principal_type, h.access_key_id, h.session_name, h.source_ip_address, h.user_agent,
    h.attestation, h.method, h.confidence, h.rivals, h.event_id, h.ordinal, h.change_id, h.view_type, h.change_origin,
    h.reconstructed, h.reconstructed_from, h.reconstructed_to, h.sequence_number, h.old_image, h.new_image,
    h.changed_attributes, h.attribute_names, h.returned_image
from happening as h
left join found_principal as p
    on p.caller_id = h.recipient_account_id || ' ' || h.region || ' ' || h.event_id
order by
    date_trunc('second', h.event_time), h.place, h.event_time,
    length(ltrim(h.sequence_number, '0')), ltrim(h.sequence_number, '0'),
    h.change_id, h.event_id, h.ordinal
