-- The hours whose events may lie in a log file that is known to be lost or altered, or in deliveries whose digest is lost.
--
-- An event lies in a file that is delivered after it, as a rule within the hour.
--
-- Grain: account, region, hour.
-- Reads log_file, trail_digest.
-- Parameters: $start, $end: half-open window, full hours.
with lost as (
    select account_id, region, date_trunc('hour', delivered_at) as delivery_hour
    from log_file
    where event_hour >= $start
        and event_hour < $end + interval '1' hour
        and status in ('missing', 'altered')

    union all

    select account_id, region, date_trunc('hour', digest_end_time) as delivery_hour
    from trail_digest
    where event_hour >= $start
        and event_hour < $end + interval '2' hour
        and status = 'missing'

    union all

    select account_id, region, date_trunc('hour', digest_end_time) - interval '1' hour as delivery_hour
    from trail_digest
    where event_hour >= $start
        and event_hour < $end + interval '2' hour
        and status = 'missing'
)

select distinct account_id, region, delivery_hour as event_hour
from lost

union

select distinct account_id, region, delivery_hour - interval '1' hour as event_hour
from lost

order by account_id, region, event_hour
