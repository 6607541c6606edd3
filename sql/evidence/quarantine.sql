-- What was kept out of the trail in a window of delivery, as the warehouse holds it.
--
-- Grain: one rejected piece of a source.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from quarantine
where event_hour >= $start
    and event_hour < $end
order by event_hour, source_uri, position, quarantine_id
