-- What a window holds in all: events, further deliveries of the same events, and corrections of events.
--
-- Grain: one row.
-- Parameters: $start, $end: half-open window of event time.
select
    count(*) as events,
    coalesce(sum(coalesce(cardinality(copies), 0)), 0) as copies,
    coalesce(sum(case when addendum_reason is not null then 1 else 0 end), 0) as addenda,
    count(distinct recipient_account_id) as accounts
from api_event
where event_time >= $start
    and event_time < $end
