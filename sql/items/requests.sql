-- The requests that name items, with who made them.
--
-- Grain: one item of one request. Of the copies that several accounts got of one event, the one that names the caller
-- stands for all. One from a forged or altered file is there, marked so, unless another copy is believed.
-- Reads api_event_item, api_event; wanted_item (table_arn, item_key_token).
-- Parameters: $start, $end: half-open window, whole hours.
select
    e.event_id, e.event_time, e.event_hour, e.recipient_account_id, e.region, e.shared_event_id, e.event_name,
    e.principal_type, e.principal_arn, e.principal_id, e.access_key_id, e.session_issuer_arn, e.session_name,
    e.invoked_by, e.on_behalf_of_user_id, e.source_ip_address, e.user_agent, e.error_code, e.attestation, e.request_id,
    e.request_parameters,
    i.ordinal, i.table_arn, i.table_name, i.item_key_token, i.operation, i.key_attributes, i.attribute_names,
    i.update_expression,
    case
        when e.denied_action is not null or e.error_code like '%AccessDenied%' then 'denied'
        when e.error_code is not null then 'failure'
        else 'success'
    end as outcome,
    -- Which image the answer held, where a write gives one back; of the members of a transaction none is known.
    case
        when e.event_name in ('PutItem', 'UpdateItem', 'DeleteItem') and e.error_code is null
            then nullif(nullif(regexp_extract(e.request_parameters, '"returnValues":"([A-Z_]+)"', 1), ''), 'NONE')
        when e.event_name in ('PutItem', 'UpdateItem', 'DeleteItem')
            and e.error_code = 'ConditionalCheckFailedException'
            then nullif(
                nullif(
                    regexp_extract(
                        e.request_parameters, '"returnValuesOnConditionCheckFailure":"([A-Z_]+)"', 1
                    ),
                    ''
                ),
                'NONE'
            )
    end as returned_image
from api_event_item as i
inner join wanted_item as w
    on w.table_arn = i.table_arn
    and w.item_key_token = i.item_key_token
inner join api_event as e
    on e.event_id = i.event_id
    and e.recipient_account_id = i.recipient_account_id
    and e.region = i.region
where i.event_hour >= $start
    and i.event_hour < $end
    and e.event_hour >= $start
    and e.event_hour < $end
qualify row_number() over (
    partition by
        coalesce(e.shared_event_id, e.recipient_account_id || ' ' || e.region || ' ' || e.event_id),
        i.table_arn, i.item_key_token, i.ordinal
    order by
        case when e.attestation in ('forged', 'altered') then 1 else 0 end,
        case when e.principal_arn is null then 1 else 0 end,
        e.recipient_account_id, e.region, e.event_id
) = 1
order by e.event_time, e.event_id, i.ordinal, e.recipient_account_id, e.region, i.table_arn, i.item_key_token
