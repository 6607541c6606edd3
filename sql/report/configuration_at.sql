-- How everything was configured at an instant: of each resource and aspect, the newest document seen by then.
--
-- Grain: one resource under one aspect; what was gone by then is left out, what could not be read says why.
-- Parameters: $at: the instant; rows captured at it count.
with seen as (
    select
        'iam_snapshot' as snapshot,
        *
    from iam_snapshot
    where captured_at <= $at
    union all
    select
        'table_config' as snapshot,
        *
    from table_config
    where captured_at <= $at
    union all
    select
        'trail_config' as snapshot,
        *
    from trail_config
    where captured_at <= $at
),
ranked as (
    select
        *,
        row_number() over (
            partition by snapshot, account_id, region, resource_arn, aspect
            order by captured_at desc
        ) as age
    from seen
)
select
    snapshot,
    account_id,
    region,
    resource_type,
    resource_arn,
    resource_name,
    aspect,
    status,
    document,
    sha256,
    captured_at as unchanged_since,
    reason
from ranked
where age = 1
    and status <> 'gone'
