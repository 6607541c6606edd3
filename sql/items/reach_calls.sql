-- What sessions called, by outcome.
--
-- Grain: one service, operation, outcome and denied resource.
-- Reads reach_event (as sql/items/reach_events.sql gives it).
-- Parameters: none.
select
    event_source, event_name, outcome, denied_resource_arn,
    cast(count(*) as bigint) as calls,
    min(event_time) as first_time,
    max(event_time) as last_time
from reach_event
group by event_source, event_name, outcome, denied_resource_arn
order by calls desc, event_source, event_name, outcome, denied_resource_arn
