-- The sessions that were issued with a key.
--
-- Grain: one session.
-- Reads session.
-- Parameters: $access_key_id: key that signed the issuing requests; $start, $end: half-open window in which they began,
-- whole hours.
select access_key_id, started_at, issued_event_id, issued_event_name, account_id, principal_arn, role_arn, claimed_name
from session
where event_hour >= $start
    and event_hour < $end
    and parent_access_key_id = $access_key_id
order by started_at, access_key_id
