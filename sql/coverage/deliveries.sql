-- When each account and region last delivered anything, and which pause between two deliveries is usual for it.
--
-- A delivery is a log file that was there (a forged one was never delivered) or the end of a valid digest, which says
-- that nothing else came. The usual pause is the second longest of the days' longest ones: one outage does not become
-- what is usual.
--
-- Grain: account, region.
-- Reads log_file, trail_digest.
-- Parameters: $since: how far back pauses are looked at.
with delivery as (
    select account_id, region, delivered_at
    from log_file
    where event_hour >= $since
        and status not in ('missing', 'forged')

    union

    select account_id, region, digest_end_time
    from trail_digest
    where event_hour >= $since
        and status = 'valid'
),

pause as (
    select
        account_id, region, delivered_at,
        lag(delivered_at) over (partition by account_id, region order by delivered_at) as previous_at
    from delivery
),

longest_of_day as (
    select account_id, region, previous_at, delivered_at
    from pause
    where previous_at is not null
    qualify row_number() over (
        partition by account_id, region, date_trunc('day', delivered_at)
        order by delivered_at - previous_at desc, delivered_at
    ) = 1
),

ranked as (
    select
        account_id, region, previous_at, delivered_at,
        row_number() over (
            partition by account_id, region
            order by delivered_at - previous_at desc, delivered_at
        ) as place,
        count(*) over (partition by account_id, region) as days
    from longest_of_day
),

usual as (
    select account_id, region, previous_at, delivered_at, days
    from ranked
    where place = case when days > 1 then 2 else 1 end
),

newest as (
    select account_id, region, max(delivered_at) as newest_at
    from delivery
    group by account_id, region
)

select
    n.account_id,
    n.region,
    n.newest_at,
    u.previous_at as pause_from,
    u.delivered_at as pause_to,
    cast(coalesce(u.days, 0) as bigint) as days
from newest as n
left join usual as u
    on u.account_id = n.account_id
    and u.region = n.region
order by n.account_id, n.region
