-- Items that recorded requests were to write in a window and that no change is attributed to, and why that may be.
--
-- Grain: one item of one request.
-- Reads api_event, api_event_item, attribution, item_change, coverage, sequence_proof.
-- Parameters: $start, $end: half-open window of event time.
with write as (
    select
        i.event_id, i.ordinal, i.event_time, i.event_hour, i.recipient_account_id, i.region, i.table_name, i.table_arn,
        i.item_key_token, i.operation, e.event_name, e.error_code, e.principal_arn
    from api_event_item as i
    inner join api_event as e
        on e.recipient_account_id = i.recipient_account_id
        and e.region = i.region
        and e.event_id = i.event_id
    where i.event_time >= $start
        and i.event_time < $end
        and i.event_hour >= date_trunc('hour', $start)
        and i.event_hour < $end
        and e.event_time >= $start
        and e.event_time < $end
        and e.event_hour >= date_trunc('hour', $start)
        and e.event_hour < $end
        and i.operation in ('Put', 'Update', 'Delete')
        and e.attestation not in ('forged', 'altered')
    -- Copies that several accounts got of one event are one request.
    qualify row_number() over (
        partition by
            coalesce(e.shared_event_id, e.recipient_account_id || ' ' || e.region || ' ' || e.event_id), i.ordinal
        order by case when e.principal_arn is null then 1 else 0 end, e.recipient_account_id, e.event_id
    ) = 1
),

attributed as (
    select table_arn, event_id, ordinal, rivals
    from attribution
    where event_time >= $start - interval '4' second
        and event_time < $end + interval '2' second
        and event_hour >= date_trunc('hour', $start) - interval '1' hour
        and event_hour < $end + interval '1' hour
),

made as (
    select distinct event_id, ordinal
    from attributed
    where event_id is not null
),

rivalling as (
    select distinct table_arn, unnest(rivals) as event_id
    from attributed
),

read_table as (
    select distinct table_arn
    from item_change
    where event_hour >= date_trunc('hour', $start) - interval '1' hour
        and event_hour < $end + interval '1' hour
),

-- What is stated of the table's stream in the hour; NULL where it was not read up to it.
stream as (
    select
        table_arn, event_hour,
        max(stream_status) as status,
        max(stream_gaps) as gaps,
        max(case when list_contains(reasons, 'stream_not_read') then 1 else 0 end) as not_read
    from coverage
    where event_hour >= date_trunc('hour', $start)
        and event_hour < $end
        and operation = '*'
        and table_arn is not null
    group by table_arn, event_hour
),

proof as (
    select
        table_arn, event_hour,
        max(case when status = 'broken' then 1 else 0 end) as broken,
        min(case when status = 'proven' then 1 else 0 end) as proven
    from sequence_proof
    where event_hour >= date_trunc('hour', $start)
        and event_hour < $end
    group by table_arn, event_hour
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
        when w.error_code is not null then 'it failed'
        when v.event_id is not null then 'it may have made a change that is attributed to another request'
        when s.gaps > 0 or s.status = 'incomplete' or p.broken = 1
            then 'it changed nothing, or its change is lost: changes of this hour are'
        when s.status = 'not_assessable' and r.table_arn is null then 'the table had no stream, or it could not be read'
        when s.table_arn is not null and s.status is null and r.table_arn is null
            then 'the stream was not read over this hour'
        when s.status = 'reconstructed' then 'its change is part of a net change from an export, or there was none'
        when r.table_arn is null and coalesce(s.status, '') <> 'complete'
            then 'no change of the table was read in these hours: no stream, or it was lost'
        when s.status is null and s.not_read = 1
            then 'it changed nothing, or its change is lost: reading the stream began later'
        when s.status is null then 'it changed nothing, or its change is still to come: nothing is stated of the hour'
        when s.status = 'not_assessable' then 'it changed nothing, or its change was not read'
        when w.event_name in ('BatchWriteItem', 'BatchExecuteStatement')
            then 'it changed nothing, or was left unprocessed: the hour''s changes are all there'
        else 'it changed nothing: the hour''s changes are all there'
    end as reason,
    case
        when w.error_code is not null then null
        when p.broken = 1 then 'broken'
        when p.proven = 1 then 'proven'
        else s.status
    end as stream
from write as w
left join made as m
    on m.event_id = w.event_id
    and m.ordinal = w.ordinal
left join read_table as r
    on r.table_arn = w.table_arn
left join rivalling as v
    on v.event_id = w.event_id
    and v.table_arn = w.table_arn
left join stream as s
    on s.table_arn = w.table_arn
    and s.event_hour = w.event_hour
left join proof as p
    on p.table_arn = w.table_arn
    and p.event_hour = w.event_hour
where m.event_id is null
order by w.event_time, w.event_id, w.ordinal
