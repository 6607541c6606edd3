-- The statements of completeness of a window, as the warehouse holds them.
--
-- Grain: one hour of one operation of one table.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from coverage
where event_hour >= $start
    and event_hour < $end
order by event_hour, region, account_id, table_name, operation
