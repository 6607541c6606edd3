-- The items that sessions read or changed for certain, or may have changed.
--
-- Grain: one item.
-- Reads api_event_item, attribution; reach_event (as sql/items/reach_events.sql gives it), table_key (table_arn,
-- key_attributes).
-- Parameters: $start, $end: half-open window of event time.
with named as (
    select i.*
    from api_event_item as i
    inner join (select distinct event_id, recipient_account_id, region from reach_event) as e
        on e.event_id = i.event_id
        and e.recipient_account_id = i.recipient_account_id
        and e.region = i.region
    where i.event_hour >= date_trunc('hour', $start)
        and i.event_hour < $end
        and i.table_arn is not null
        and i.item_key_token is not null
),

attributed as (
    select change_id, table_arn, item_key_token, event_time, event_id, confidence, rivals
    from attribution
    where event_hour >= date_trunc('hour', $start) - interval '1' hour
        and event_hour < $end + interval '1' hour
        and (event_id in (select event_id from reach_event) or cardinality(rivals) > 0)
),

rivalling as (
    select change_id, table_arn, item_key_token, event_time, event_id, unnest(rivals) as rival
    from attributed
),

touched as (
    select
        n.table_arn, n.item_key_token, e.event_time,
        case when n.operation = 'Get' and e.outcome = 'success' then 1 else 0 end as is_read,
        case when n.operation = 'ConditionCheck' and e.outcome = 'success' then 1 else 0 end as is_check,
        case
            when e.event_name in ('PutItem', 'UpdateItem', 'DeleteItem')
                and (
                    (
                        e.error_code is null
                        and e.request_parameters like '%"returnValues":"%'
                        and e.request_parameters not like '%"returnValues":"NONE"%'
                    )
                    or (
                        e.error_code = 'ConditionalCheckFailedException'
                        and e.request_parameters like '%"returnValuesOnConditionCheckFailure":"ALL_OLD"%'
                    )
                )
                then 1
            else 0
        end as is_returned,
        case when e.outcome <> 'success' then 1 else 0 end as is_failed,
        0 as is_sure, 0 as is_unsure, 0 as is_rival
    from named as n
    inner join reach_event as e
        on e.event_id = n.event_id
        and e.recipient_account_id = n.recipient_account_id
        and e.region = n.region

    union all

    -- Bound to the whole key: one item, as if it were named.
    select k.table_arn, e.key_condition_token, e.event_time, 1, 0, 0, 0, 0, 0, 0
    from reach_event as e
    cross join unnest(e.table_arns) as t (table_arn)
    inner join table_key as k
        on k.table_arn = t.table_arn
        and k.key_attributes = e.key_condition_attributes
    where e.outcome = 'success'
        and e.index_name is null
        and e.key_condition_token is not null
        and e.request_parameters not like '%"select":"COUNT"%'

    union all

    select
        a.table_arn, a.item_key_token, a.event_time, 0, 0, 0, 0,
        case when a.confidence in ('certain', 'identity_certain') then 1 else 0 end,
        case when a.confidence in ('certain', 'identity_certain') then 0 else 1 end,
        0
    from attributed as a
    where a.event_id in (select event_id from reach_event)

    union all

    -- Changes that are attributed to another's request, though one of these may have made them.
    select distinct r.table_arn, r.item_key_token, r.event_time, 0, 0, 0, 0, 0, 0, 1
    from rivalling as r
    where r.rival in (select event_id from reach_event)
        and (r.event_id is null or r.event_id not in (select event_id from reach_event))
)

select
    table_arn, item_key_token,
    cast(sum(is_read) as bigint) as reads,
    cast(sum(is_returned) as bigint) as returned_by_writes,
    cast(sum(is_check) as bigint) as checks,
    cast(sum(is_failed) as bigint) as failed,
    cast(sum(is_sure) as bigint) as changes_sure,
    cast(sum(is_unsure) as bigint) as changes_unsure,
    cast(sum(is_rival) as bigint) as changes_of_others,
    min(event_time) as first_time,
    max(event_time) as last_time
from touched
group by table_arn, item_key_token
order by table_arn, item_key_token
