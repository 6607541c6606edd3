-- How many data events of an operation the trail holds, and how many CloudTrail counted itself.
--
-- CloudTrail counts where a trail has Insights of data events: per account, region and operation, failed calls included,
-- by the events' own time, without telling the table. It counts what a trail selects, so an event that selectors leave
-- out is on neither side: what differs was lost between CloudTrail and here. Of several trails the greatest count stands,
-- as they count the same events. An hour of which it counted nothing at all is not compared, for nobody may have asked.
--
-- Grain: account, region, operation and five minutes on one of the two sides; the other side's count comes in another row.
-- Reads api_event, metric.
-- Parameters: $start, $end: half-open window, full hours.
with datapoint as (
    select
        account_id, region, operation, dimensions, event_hour, value,
        event_hour + cast(floor(extract(minute from event_time) / 5) as integer) * interval '5' minute as bin_start
    from metric
    where event_hour >= $start
        and event_hour < $end
        and namespace = 'CloudTrail'
        and metric_name = 'ApiCallRateInsight'
        and statistic = 'Sum'
        and period_s = 60
),

of_trail as (
    select account_id, region, operation, dimensions, event_hour, bin_start, sum(value) as events
    from datapoint
    group by account_id, region, operation, dimensions, event_hour, bin_start
),

witness as (
    select account_id, region, operation, event_hour, bin_start, max(events) as events
    from of_trail
    group by account_id, region, operation, event_hour, bin_start
),

counted_hour as (
    select distinct account_id, region, event_hour
    from witness
),

trail as (
    select
        e.recipient_account_id as account_id, e.region, e.event_name as operation,
        e.event_hour + cast(floor(extract(minute from e.event_time) / 5) as integer) * interval '5' minute as bin_start
    from api_event as e
    join counted_hour as c
        on c.account_id = e.recipient_account_id
        and c.region = e.region
        and c.event_hour = e.event_hour
    where e.event_hour >= $start
        and e.event_hour < $end
        and e.event_source = 'dynamodb.amazonaws.com'
        and e.event_category = 'Data'
        and e.attestation <> 'forged'
)

select
    bin_start,
    300 as bin_s,
    account_id,
    region,
    cast(null as varchar) as table_name,
    operation,
    'second_witness' as measure,
    count(*) as trail_count,
    cast(null as double) as witness_count,
    cast(null as varchar) as reason_code
from trail
group by bin_start, account_id, region, operation

union all

select
    bin_start,
    300 as bin_s,
    account_id,
    region,
    cast(null as varchar) as table_name,
    operation,
    'second_witness' as measure,
    cast(0 as bigint) as trail_count,
    events as witness_count,
    cast(null as varchar) as reason_code
from witness
