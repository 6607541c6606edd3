-- The credential sessions of a window, as the warehouse holds them.
--
-- Grain: one session.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from session
where event_hour >= $start
    and event_hour < $end
order by event_hour, started_at, region, account_id, access_key_id, issued_event_id
