-- What the snapshots of the touched hours found to be other than at the look before: identities, policies, tables, trails.
--
-- A snapshot tells when a difference was seen, not when it came about, nor who made it. What the first look of an account
-- and region finds is no change. Reports of what was last used are no configuration.
--
-- Grain: one row of a snapshot table that differs from the one before of the same resource and aspect.
-- Reads iam_snapshot, table_config, trail_config, all of them; touched_hour (event_hour).
-- Parameters: $start, $end: half-open window around the touched hours; it lets the store skip files.
with seen as (
    select
        'iam_snapshot' as snapshot, captured_at, event_hour, event_date, account_id, region, resource_type,
        resource_arn, aspect, resource_name, sha256, previous_sha256, status, reason
    from iam_snapshot

    union all

    select
        'table_config', captured_at, event_hour, event_date, account_id, region, resource_type,
        resource_arn, aspect, resource_name, sha256, previous_sha256, status, reason
    from table_config

    union all

    select
        'trail_config', captured_at, event_hour, event_date, account_id, region, resource_type,
        resource_arn, aspect, resource_name, sha256, previous_sha256, status, reason
    from trail_config
),

first_look as (
    select snapshot, account_id, region, min(captured_at) as captured_at
    from seen
    group by snapshot, account_id, region
),

own as (
    select distinct snapshot, account_id, region, resource_arn, aspect
    from seen
    where event_hour >= $start
        and event_hour < $end
        and event_hour in (select event_hour from touched_hour)
        and aspect not in ('GetServiceLastAccessedDetails', 'GetCredentialReport.last_used')
),

compared as (
    select
        s.*,
        lag(s.status) over (
            partition by s.snapshot, s.account_id, s.region, s.resource_arn, s.aspect
            order by s.captured_at
        ) as status_before,
        lag(s.sha256) over (
            partition by s.snapshot, s.account_id, s.region, s.resource_arn, s.aspect
            order by s.captured_at
        ) as sha256_before
    from seen as s
    inner join own as o
        on o.snapshot = s.snapshot
        and o.account_id = s.account_id
        and o.region = s.region
        and o.resource_arn = s.resource_arn
        and o.aspect = s.aspect
),

differing as (
    select
        c.*,
        case
            when c.status = 'unreadable' then 'unreadable'
            when c.status = 'gone' then 'gone'
            when c.status_before = 'unreadable' then 'readable'
            when c.status_before = 'present' then 'changed'
            else 'new'
        end as difference,
        case
            when c.resource_arn like 'arn:%:dynamodb:%:table/%'
                then regexp_extract(c.resource_arn, '^arn:[^/]*:table/[^/]+', 0)
        end as table_arn
    from compared as c
    inner join first_look as f
        on f.snapshot = c.snapshot
        and f.account_id = c.account_id
        and f.region = c.region
    where c.captured_at > f.captured_at
        and c.event_hour >= $start
        and c.event_hour < $end
        and c.event_hour in (select event_hour from touched_hour)
        -- A look that was killed before it was noted is repeated: the same again is no difference.
        and (c.status is distinct from c.status_before or c.sha256 is distinct from c.sha256_before)
),

classed as (
    select
        *,
        case difference when 'new' then 1 when 'changed' then 3 when 'gone' then 4 else 2 end as activity_id,
        coalesce(previous_sha256, sha256_before) as sha256_of_before
    from differing
)

select
    sha256(
        'configuration'
        || ' ' || cast(length(snapshot) as varchar) || ':' || snapshot
        || ' ' || cast(length(account_id) as varchar) || ':' || account_id
        || ' ' || cast(length(region) as varchar) || ':' || region
        || ' ' || cast(length(resource_type) as varchar) || ':' || resource_type
        || ' ' || cast(length(resource_arn) as varchar) || ':' || resource_arn
        || ' ' || cast(length(aspect) as varchar) || ':' || aspect
        || ' ' || strftime(captured_at, '%Y-%m-%dT%H:%M:%S.%f')
    ) as record_id,
    captured_at as event_time,
    event_hour,
    event_date,
    'configuration' as kind,
    account_id,
    region,
    regexp_extract(table_arn, '[^/]+$', 0) as table_name,
    table_arn,
    cast(null as varchar) as index_name,
    cast(null as varchar) as item_key_token,
    aspect as operation,
    'Unknown' as actor,
    cast(null as varchar) as actor_type,
    'unresolved' as actor_class,
    cast(null as varchar) as acting_as,
    cast(null as varchar) as confidence,
    case difference when 'new' then 'Create' when 'changed' then 'Update' when 'gone' then 'Delete' else 'Read' end
        as activity,
    case when difference = 'unreadable' then 'failure' else 'success' end as outcome,
    cast(null as varchar) as source_ip_address,
    cast(null as varchar) as user_agent,
    translate(
        'Seen at ' || strftime(captured_at, '%Y-%m-%dT%H:%M:%SZ') || ': '
            || resource_type || ' ' || coalesce(resource_name, resource_arn) || ' (' || aspect || ')'
            || case difference
                when 'new' then ' is new'
                when 'changed' then ' changed'
                when 'gone' then ' is gone'
                when 'readable' then ' can be read again'
                else ' can no longer be read'
            end
            || case when difference = 'unreadable' and reason is not null then ' (' || reason || ')' else '' end
            || coalesce(', SHA-256 before ' || sha256_of_before, '')
            || coalesce(', now ' || sha256, ''),
        chr(9) || chr(10) || chr(13) || chr(27),
        '    '
    ) as detail,
    resource_arn as subject,
    cast(null as timestamp with time zone) as ends_at,
    cast(null as bigint) as how_many,
    cast(null as varchar) as severity,
    cast(null as varchar) as event_id,
    cast(null as varchar) as change_id,
    cast(null as varchar) as finding_id,
    3 as ocsf_category_uid,
    3004 as ocsf_class_uid,
    activity_id as ocsf_activity_id,
    cast(300400 + activity_id as bigint) as ocsf_type_uid,
    cast(null as varchar) as attestation
from classed
order by event_time, record_id
