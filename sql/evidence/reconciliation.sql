-- The counts that were held against each other of a window, as the warehouse holds them.
--
-- Grain: one count of one span.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from reconciliation
where event_hour >= $start
    and event_hour < $end
order by event_hour, bin_start, region, account_id, table_name, operation, measure
