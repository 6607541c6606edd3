-- The write of an item, in a window, by the session with the longest chain that is proven by keys from end to end.
--
-- Grain: one event, or nothing: people's before programs', then the first.
-- Reads api_event, session.
-- Parameters: $start, $end: half-open window of event time; $sessions_from: whole hour from which sessions are looked at.
select
    e.event_id, e.event_time, e.event_name, e.access_key_id, s.first_principal_arn,
    array_length(s.chain) as links
from api_event as e
inner join session as s
    on s.access_key_id = e.access_key_id
where e.event_time >= $start
    and e.event_time < $end
    and e.event_name in (
        'PutItem', 'UpdateItem', 'DeleteItem', 'BatchWriteItem', 'TransactWriteItems'
    )
    and e.error_code is null
    and e.attestation not in ('forged', 'altered')
    and s.event_hour >= $sessions_from
    and s.event_hour < $end
    and s.chain_proof = 'key'
    and s.first_principal_arn is not null
    and s.conflict is null
order by
    links desc,
    case when s.principal_class in ('person', 'break_glass') then 0 else 1 end,
    e.event_time, e.event_id, e.recipient_account_id, e.region
limit 1
