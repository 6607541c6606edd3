-- What vouches for the touched hours of an account and region: its log files, digests, quarantine and metrics.
--
-- The events of an hour are in files delivered from its start to shortly after its end, and in whichever later
-- file holds an event of it. Missing, altered and forged files count for the hours in which they were delivered, forged
-- ones also for those that they claim to be of.
--
-- Grain: account, region, hour.
-- Reads api_event, log_file, trail_digest, quarantine, source_statement; touched_hour (event_hour, hour_end,
-- delivered_until, settled_at), place (account_id, region), watermark (watermarks.sql).
-- Parameters: $start, $end: half-open window around the touched hours; $until: end of the digests of what is delivered
-- of them.
with hour_of_place as (
    select p.account_id, p.region, h.event_hour, h.hour_end, h.delivered_until, h.settled_at
    from place as p
    cross join touched_hour as h
),

holding as (
    select
        recipient_account_id as account_id, region, event_hour, source_uri,
        min(attestation) as attestation
    from api_event
    where event_hour >= $start
        and event_hour < $end
        and event_hour in (select event_hour from touched_hour)
    group by recipient_account_id, region, event_hour, source_uri
),

known_file as (
    select account_id, region, source_uri, delivered_at, status, reason_code
    from log_file
    where event_hour >= $start
),

file as (
    select
        h.account_id, h.region, h.event_hour, h.source_uri,
        true as holds,
        coalesce(k.status, h.attestation) as status,
        k.reason_code
    from holding as h
    left join known_file as k
        on k.source_uri = h.source_uri

    union all

    select
        h.account_id, h.region, h.event_hour, k.source_uri,
        false as holds,
        k.status,
        k.reason_code
    from hour_of_place as h
    inner join known_file as k
        on k.account_id = h.account_id
        and k.region = h.region
        and k.delivered_at >= h.event_hour
        and k.delivered_at < h.delivered_until
    left join holding as o
        on o.account_id = h.account_id
        and o.region = h.region
        and o.event_hour = h.event_hour
        and o.source_uri = k.source_uri
    where o.source_uri is null
),

file_count as (
    select
        account_id, region, event_hour,
        count(*) as files_seen,
        sum(case when holds and status <> 'forged' then 1 else 0 end) as log_files,
        sum(case when holds and status = 'attested' then 1 else 0 end) as log_files_attested,
        sum(case when holds and status = 'not_yet_attested' then 1 else 0 end) as not_yet,
        sum(case when status = 'missing' then 1 else 0 end) as missing,
        sum(case when status = 'altered' then 1 else 0 end) as altered,
        sum(case when status = 'forged' then 1 else 0 end) as forged
    from file
    group by account_id, region, event_hour
),

unattested_count as (
    select account_id, region, event_hour, coalesce(reason_code, 'unknown') as reason_code, count(*) as files
    from file
    where holds
        and status = 'unattested'
    group by account_id, region, event_hour, coalesce(reason_code, 'unknown')
),

unattested as (
    select
        account_id, region, event_hour,
        array_to_string(list_sort(array_agg('unattested_' || reason_code || ': ' || cast(files as varchar))), '|')
            as unattested_reasons,
        sum(files) as unattested
    from unattested_count
    group by account_id, region, event_hour
),

digest as (
    select
        account_id, region, trail_name, home_region, chain, status, digest_end_time,
        coalesce(digest_start_time, digest_end_time - interval '1' hour) as digest_start_time
    from trail_digest
    where event_hour >= $start
        and event_hour < $until
),

digest_of_hour as (
    select
        h.account_id, h.region, h.event_hour, h.delivered_until,
        d.trail_name, d.home_region, d.chain, d.status, d.digest_start_time, d.digest_end_time,
        lag(d.digest_end_time) over (
            partition by h.account_id, h.region, h.event_hour, d.trail_name, d.home_region, d.chain
            order by d.digest_end_time, d.digest_start_time
        ) as previous_end_time
    from hour_of_place as h
    inner join digest as d
        on d.account_id = h.account_id
        and d.region = h.region
        and d.digest_end_time > h.event_hour
        and d.digest_start_time < h.delivered_until
),

-- Of several trails one that reaches over all of it is enough; what is wrong with any of them counts.
chain_of_hour as (
    select
        account_id, region, event_hour,
        max(case when chain = 'standard' then 1 else 0 end) as is_standard,
        case
            when min(digest_start_time) <= event_hour
                and max(digest_end_time) >= max(delivered_until)
                and max(case when digest_start_time > previous_end_time then 1 else 0 end) = 0
                then 1
            else 0
        end as reaches,
        count(*) as digests,
        sum(case when status = 'invalid' then 1 else 0 end) as invalid,
        sum(case when status = 'missing' then 1 else 0 end) as missing,
        sum(case when status = 'pending' then 1 else 0 end) as pending,
        sum(case when status = 'unread' then 1 else 0 end) as unread
    from digest_of_hour
    group by account_id, region, event_hour, trail_name, home_region, chain
),

digest_count as (
    select
        account_id, region, event_hour,
        max(is_standard * reaches) as reaches,
        sum(digests) as digests,
        sum(invalid) as digests_invalid,
        sum(missing) as digests_missing,
        sum(pending) as digests_pending,
        sum(unread) as digests_unread
    from chain_of_hour
    group by account_id, region, event_hour
),

-- A rejected piece lies in the hour that its file was delivered in; the file's own time says which hours it may be of.
rejected as (
    select q.account_id, q.region, coalesce(k.delivered_at, q.event_hour) as delivered_at
    from quarantine as q
    left join known_file as k
        on k.source_uri = q.source_uri
    where q.event_hour >= $start
        and q.event_hour < $until
        and q.source = 'cloudtrail'
),

rejected_count as (
    select h.account_id, h.region, h.event_hour, count(*) as quarantined
    from hour_of_place as h
    inner join rejected as r
        on r.account_id = h.account_id
        and r.region = h.region
        and r.delivered_at >= h.event_hour
        and r.delivered_at < h.delivered_until
    group by h.account_id, h.region, h.event_hour
),

metric_statement as (
    select
        account_id, region, event_hour, status,
        case when array_to_string(reasons, '|') like '%metrics: %' then 1 else 0 end as lacks_metrics
    from source_statement
    where event_hour >= $start
        and event_hour < $end
        and source = 'cloudwatch'
        and table_name is null
)

select
    h.account_id,
    h.region,
    h.event_hour,
    coalesce(f.files_seen, 0) + coalesce(d.digests, 0) > 0 as has_trail,
    cast(coalesce(f.log_files, 0) as bigint) as log_files,
    cast(coalesce(f.log_files_attested, 0) as bigint) as log_files_attested,
    cast(coalesce(f.not_yet, 0) as bigint) as files_not_yet,
    cast(coalesce(f.missing, 0) as bigint) as files_missing,
    cast(coalesce(f.altered, 0) as bigint) as files_altered,
    cast(coalesce(f.forged, 0) as bigint) as files_forged,
    cast(coalesce(u.unattested, 0) as bigint) as files_unattested,
    u.unattested_reasons,
    case
        when d.digests is null then null
        else d.reaches = 1 and d.digests_invalid + d.digests_missing + d.digests_pending + d.digests_unread = 0
    end as digests_valid,
    cast(coalesce(d.digests_invalid, 0) as bigint) as digests_invalid,
    cast(coalesce(d.digests_missing, 0) as bigint) as digests_missing,
    cast(coalesce(d.digests_unread, 0) as bigint) as digests_unread,
    coalesce(d.digests_pending, 0) > 0
        or (coalesce(d.reaches, 0) = 0 and coalesce(w.newest_digest < h.delivered_until, false)) as digests_open,
    coalesce(d.reaches, 0) = 0 and (w.newest_digest is null or w.newest_digest >= h.delivered_until) as no_digest,
    cast(coalesce(q.quarantined, 0) as bigint) as quarantined,
    case
        when m.status is not null and m.status <> 'not_assessable' and m.lacks_metrics = 0 then 'read'
        when m.status is not null then 'not_read'
        when w.newest_metric_hour < h.event_hour then 'open'
        else 'none'
    end as metrics,
    coalesce(w.newest_digest >= h.settled_at, false)
        and (w.newest_metric_hour is null or w.newest_metric_hour >= h.settled_at - interval '1' hour) as settled
from hour_of_place as h
left join file_count as f
    on f.account_id = h.account_id
    and f.region = h.region
    and f.event_hour = h.event_hour
left join unattested as u
    on u.account_id = h.account_id
    and u.region = h.region
    and u.event_hour = h.event_hour
left join digest_count as d
    on d.account_id = h.account_id
    and d.region = h.region
    and d.event_hour = h.event_hour
left join rejected_count as q
    on q.account_id = h.account_id
    and q.region = h.region
    and q.event_hour = h.event_hour
left join metric_statement as m
    on m.account_id = h.account_id
    and m.region = h.region
    and m.event_hour = h.event_hour
left join watermark as w
    on w.account_id = h.account_id
    and w.region = h.region
    and w.table_name is null
