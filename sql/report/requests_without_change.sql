-- Items that recorded requests were to write in a window and that no change is attributed to, and why that may be.
--
-- Grain: one item of one request, in no certain order: of a million of them, sorting would need most of the memory.
-- Reads api_event, api_event_item, attribution, item_change, coverage, sequence_proof.
-- Parameters: $start, $end: half-open window of event time.
with once as (
    select event_id, recipient_account_id, region, event_name, error_code, principal_arn
    from api_event
    where event_time >= $start
        and event_time < $end
        and event_hour >= date_trunc('hour', $start)
        and event_hour < $end
        and attestation not in ('forged', 'altered')
        and event_name in (
            'PutItem', 'UpdateItem', 'DeleteItem', 'BatchWriteItem', 'TransactWriteItems',
            'ExecuteStatement', 'BatchExecuteStatement', 'ExecuteTransaction'
        )
        and shared_event_id is null
    union all
    -- Copies that several accounts got of one event are one request.
    select event_id, recipient_account_id, region, event_name, error_code, principal_arn
    from api_event
    where event_time >= $start
        and event_time < $end
        and event_hour >= date_trunc('hour', $start)
        and event_hour < $end
        and attestation not in ('forged', 'altered')
        and event_name in (
            'PutItem', 'UpdateItem', 'DeleteItem', 'BatchWriteItem', 'TransactWriteItems',
            'ExecuteStatement', 'BatchExecuteStatement', 'ExecuteTransaction'
        )
        and shared_event_id is not null
    qualify row_number() over (
        partition by shared_event_id
        order by case when principal_arn is null then 1 else 0 end, recipient_account_id, region, event_id
    ) = 1
),

made as (
    select distinct event_id, ordinal
    from attribution
    where event_time >= $start - interval '9' second
        and event_time < $end + interval '4' second
        and event_hour >= date_trunc('hour', $start) - interval '1' hour
        and event_hour < $end + interval '1' hour
        and event_id is not null
),

rivalling as (
    select distinct table_arn, event_id
    from (
        select table_arn, unnest(rivals) as event_id
        from attribution
        where event_time >= $start - interval '9' second
            and event_time < $end + interval '4' second
            and event_hour >= date_trunc('hour', $start) - interval '1' hour
            and event_hour < $end + interval '1' hour
    ) as each
),

-- What is known of the table's changes in the hour: whether any was read in it or beside it, what is stated of its
-- stream (NULL: it was not read up to it), and what its sequence numbers prove.
known as (
    select
        table_arn, event_hour,
        max(was_read) as was_read, max(is_stated) as is_stated, max(status) as status, max(gaps) as gaps,
        max(not_read) as not_read, max(broken) as broken, min(proven) as proven
    from (
        select
            table_arn, near as event_hour,
            1 as was_read, 0 as is_stated, null as status, null as gaps, 0 as not_read, 0 as broken, null as proven
        from (
            select
                table_arn,
                unnest(array[event_hour - interval '1' hour, event_hour, event_hour + interval '1' hour]) as near
            from (
                select distinct table_arn, event_hour
                from item_change
                where event_hour >= date_trunc('hour', $start) - interval '1' hour
                    and event_hour < $end + interval '1' hour
            ) as changed
        ) as beside
        union all
        select
            table_arn, event_hour, 0, 1, stream_status, stream_gaps,
            case when list_contains(reasons, 'stream_not_read') then 1 else 0 end, 0, null
        from coverage
        where event_hour >= date_trunc('hour', $start)
            and event_hour < $end
            and operation = '*'
            and table_arn is not null
        union all
        select
            table_arn, event_hour, 0, 0, null, null, 0,
            case when status = 'broken' then 1 else 0 end,
            case when status = 'proven' then 1 else 0 end
        from sequence_proof
        where event_hour >= date_trunc('hour', $start)
            and event_hour < $end
    ) as each
    group by table_arn, event_hour
),

left_over as (
    select
        i.event_id, i.ordinal, i.event_time, i.event_hour, i.recipient_account_id, i.region, i.table_name, i.table_arn,
        i.item_key_token, i.operation
    from api_event_item as i
    left join made as m
        on m.event_id = i.event_id
        and m.ordinal = i.ordinal
    where i.event_time >= $start
        and i.event_time < $end
        and i.event_hour >= date_trunc('hour', $start)
        and i.event_hour < $end
        and i.operation in ('Put', 'Update', 'Delete')
        and m.event_id is null
),

write as (
    select
        i.event_id, i.ordinal, i.event_time, i.event_hour, i.recipient_account_id, i.region, i.table_name, i.table_arn,
        i.item_key_token, i.operation, e.event_name, e.error_code, e.principal_arn
    from left_over as i
    inner join once as e
        on e.recipient_account_id = i.recipient_account_id
        and e.region = i.region
        and e.event_id = i.event_id
)

select
    w.event_id, w.ordinal, w.event_time, w.recipient_account_id, w.region, w.table_name, w.item_key_token,
    w.operation, w.event_name, w.principal_arn, w.error_code,
    case
        when w.error_code in ('ConditionalCheckFailedException', 'ConditionalCheckFailed', 'DuplicateItemException')
            then 'its condition failed'
        when w.error_code = 'TransactionCanceledException' then 'its transaction was cancelled'
        when w.error_code in (
            'ProvisionedThroughputExceededException', 'ThrottlingException', 'RequestLimitExceeded'
        ) then 'it was throttled'
        when w.error_code like 'AccessDenied%' then 'it was denied'
        when w.error_code is not null
            and w.error_code not in (
                'InternalServerError', 'InternalServerErrorException', 'InternalFailure', 'ServiceUnavailable'
            ) then 'it failed'
        when v.event_id is not null then 'it may have made a change that is attributed to another request'
        when w.error_code is not null then 'AWS failed at it, and does not tell whether it was carried out'
        when k.gaps > 0 or k.status = 'incomplete' or k.broken = 1
            then 'it changed nothing, or its change is lost: some changes of this hour are known to be lost'
        when k.status = 'not_assessable' and k.was_read = 0 then 'the table had no stream, or it could not be read'
        when k.is_stated = 1 and k.status is null and k.was_read = 0 then 'the stream was not read over this hour'
        when k.status = 'reconstructed' then 'its change is part of a net change from an export, or there was none'
        when coalesce(k.was_read, 0) = 0 and coalesce(k.status, '') <> 'complete'
            then 'no change of the table was read in these hours: no stream, or it was lost'
        when k.status is null and k.not_read = 1
            then 'it changed nothing, or its change is lost: reading the stream began later'
        when k.status is null then 'it changed nothing, or its change is still to come: nothing is stated of the hour'
        when k.status = 'not_assessable' then 'it changed nothing, or its change was not read'
        when w.event_name in ('BatchWriteItem', 'BatchExecuteStatement')
            then 'it changed nothing, or was left unprocessed: the hour''s changes are all there'
        else 'it changed nothing: the hour''s changes are all there'
    end as reason,
    case
        when w.error_code is not null then null
        when k.broken = 1 then 'broken'
        when k.proven = 1 then 'proven'
        else k.status
    end as stream
from write as w
left join known as k
    on k.table_arn = w.table_arn
    and k.event_hour = w.event_hour
left join rivalling as v
    on v.event_id = w.event_id
    and v.table_arn = w.table_arn
