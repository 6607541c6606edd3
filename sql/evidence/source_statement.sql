-- What each source states of the hours of a window.
--
-- Grain: one source, table or account, and hour.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from source_statement
where event_hour >= $start
    and event_hour < $end
order by event_hour, account_id, region, source, table_name
