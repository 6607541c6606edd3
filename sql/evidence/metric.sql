-- The CloudWatch datapoints of a window, as the warehouse holds them.
--
-- Grain: one datapoint.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from metric
where event_hour >= $start
    and event_hour < $end
order by event_hour, event_time, region, account_id, metric_name, dimensions, contributor_token, statistic, period_s
