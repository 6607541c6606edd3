-- What was found to be sensitive in a window.
--
-- Grain: one class at a path of a table, at one time.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from sensitive_attribute
where event_hour >= $start
    and event_hour < $end
order by event_hour, captured_at, account_id, region, table_arn, path, detected_class
