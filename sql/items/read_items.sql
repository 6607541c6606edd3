-- Reads that name an item, and writes that gave an item's image back, with whom their callers begin with.
--
-- Grain: one item of one event.
-- Reads found_request, found_read (as the statements beside this one give them), wanted_part, found_principal.
-- Parameters: $start, $end: half-open window of event time.
with read as (
    select
        r.event_time, r.event_id, r.recipient_account_id, r.region, r.ordinal, r.table_arn, r.item_key_token, r.event_name,
        r.outcome, r.error_code,
        case
            when r.operation = 'ConditionCheck' then 'check'
            when r.operation in ('Put', 'Update', 'Delete') then 'returned_by_write'
            else 'read'
        end as way,
        coalesce(r.returned_image, r.operation) as operation,
        r.attribute_names, r.principal_arn, r.principal_type, r.access_key_id, r.session_name, r.source_ip_address,
        r.user_agent, r.attestation
    from found_request as r
    where r.event_time >= $start
        and r.event_time < $end
        and r.attestation not in ('forged', 'altered')
        and r.item_key_token is not null
        and (r.operation in ('Get', 'ConditionCheck') or r.returned_image is not null)

    union all

    select
        r.event_time, r.event_id, r.recipient_account_id, r.region, null, r.table_arn, w.item_key_token, r.event_name,
        'success', null,
        'read', 'Select', r.attribute_names, r.principal_arn, r.principal_type, r.access_key_id, r.session_name,
        r.source_ip_address, r.user_agent, r.attestation
    from found_read as r
    inner join wanted_part as w
        on w.table_arn = r.table_arn
        and w.token = r.key_condition_token
        and w.is_key
    where r.bound = 'named'
        and not r.only_counted
)

select
    r.event_time, r.table_arn, r.item_key_token, r.way, r.operation, r.event_name, r.outcome, r.error_code,
    p.first_principal_arn, p.principal_class, p.unresolved_reason, p.chain, p.chain_proof,
    r.principal_arn, r.principal_type, r.access_key_id, r.session_name, r.source_ip_address, r.user_agent,
    r.attribute_names, r.event_id, r.ordinal, r.attestation
from read as r
left join found_principal as p
    on p.caller_id = r.recipient_account_id || ' ' || r.region || ' ' || r.event_id
order by r.event_time, r.event_id, r.ordinal, r.table_arn, r.item_key_token
