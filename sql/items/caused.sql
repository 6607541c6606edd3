-- The requests behind changes, by their event ids.
--
-- A PartiQL INSERT names no item, and yet may be behind a change.
--
-- Grain: one event of one region; of the copies that several accounts got of one, the one that names the caller. One
-- from a forged or altered file caused nothing.
-- Reads api_event; wanted_event (event_id).
-- Parameters: $start, $end: half-open window, whole hours.
select
    e.event_id, e.event_time, e.event_hour, e.recipient_account_id, e.region, e.event_name, e.principal_type,
    e.principal_arn, e.principal_id, e.access_key_id, e.session_issuer_arn, e.session_name, e.invoked_by,
    e.on_behalf_of_user_id, e.source_ip_address, e.user_agent, e.attestation
from api_event as e
inner join wanted_event as w
    on w.event_id = e.event_id
where e.event_hour >= $start
    and e.event_hour < $end
    and e.attestation not in ('forged', 'altered')
qualify row_number() over (
    partition by e.event_id, e.region
    order by case when e.principal_arn is null then 1 else 0 end, e.recipient_account_id
) = 1
order by e.event_time, e.event_id, e.region
