-- What somebody must look at: every finding that lies in a window or reaches into it, the worst first.
--
-- Grain: one finding.
-- Parameters: $start, $end: half-open window of what the findings are about.
select
    severity,
    rule_id,
    event_time,
    ends_at,
    account_id,
    region,
    table_name,
    actor,
    title,
    how_many,
    finding_id
from finding
where event_time < $end
    and (event_time >= $start or ends_at > $start)
order by
    case severity
        when 'Critical' then 1
        when 'High' then 2
        when 'Medium' then 3
        when 'Low' then 4
        else 5
    end,
    event_time,
    rule_id,
    finding_id
