-- Items that recorded requests were to write in a window and that no change is attributed to, with what may be the reason.
--
-- Grain: one item of one request.
-- Reads api_event, api_event_item, attribution, item_change.
-- Parameters: $start, $end: half-open window of event time.
with write as (
    select
        i.event_id, i.ordinal, i.event_time, i.recipient_account_id, i.region, i.table_name, i.table_arn,
        i.item_key_token, i.operation, e.event_name, e.error_code, e.principal_arn
    from api_event_item as i
    inner join api_event as e
        on e.recipient_account_id = i.recipient_account_id
        and e.region = i.region
        and e.event_id = i.event_id
    where i.event_time >= $start
        and i.event_time < $end
        and e.event_time >= $start
        and e.event_time < $end
        and i.operation in ('Put', 'Update', 'Delete')
        and e.attestation not in ('forged', 'altered')
    -- Copies that several accounts got of one event are one request.
    qualify row_number() over (
        partition by
            coalesce(e.shared_event_id, e.recipient_account_id || ' ' || e.region || ' ' || e.event_id), i.ordinal
        order by case when e.principal_arn is null then 1 else 0 end, e.recipient_account_id, e.event_id
    ) = 1
),

made as (
    select distinct event_id, ordinal
    from attribution
    where event_time >= $start - interval '4' second
        and event_time < $end + interval '2' second
        and event_id is not null
),

rivalling as (
    select distinct table_arn, unnest(rivals) as event_id
    from attribution
    where event_time >= $start - interval '4' second
        and event_time < $end + interval '2' second
),

read_table as (
    select distinct table_arn
    from item_change
    where event_time >= $start - interval '1' hour
        and event_time < $end + interval '1' hour
)

select
    w.event_id, w.ordinal, w.event_time, w.recipient_account_id, w.region, w.table_name, w.item_key_token,
    w.operation, w.event_name, w.principal_arn, w.error_code,
    case
        when w.error_code in ('ConditionalCheckFailedException', 'TransactionCanceledException')
            then 'its condition failed or its transaction was cancelled'
        when w.error_code is not null then 'it failed'
        when r.table_arn is null then 'no change of the table was read in these hours: no stream, or it was lost'
        when v.event_id is not null then 'it may have made a change that is attributed to another request'
        else 'it changed nothing, was left unprocessed, or its change was lost'
    end as reason
from write as w
left join made as m
    on m.event_id = w.event_id
    and m.ordinal = w.ordinal
left join read_table as r
    on r.table_arn = w.table_arn
left join rivalling as v
    on v.event_id = w.event_id
    and v.table_arn = w.table_arn
where m.event_id is null
order by w.event_time, w.event_id, w.ordinal
