-- What each source states of a window: how many hours it vouches for, and how many rows it gave.
--
-- Grain: source.
-- Parameters: $start, $end: half-open window, by full hours.
select
    source,
    count(*) as stated,
    sum(case when status = 'complete' then 1 else 0 end) as complete,
    sum(case when status = 'reconstructed' then 1 else 0 end) as reconstructed,
    sum(case when status = 'incomplete' then 1 else 0 end) as incomplete,
    sum(case when status = 'not_assessable' then 1 else 0 end) as not_assessable,
    sum(records) as records
from source_statement
where event_hour >= $start
    and event_hour < $end
group by source
order by source
