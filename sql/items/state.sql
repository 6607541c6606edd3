-- The changes of an item next to an instant: those of the last second in which it changed before, and the first after.
--
-- A stream tells the second of a change, cut, so a change of the instant's own second may have come after the instant.
--
-- Grain: one change; side is before or after.
-- Reads item_change; wanted_item (table_arn, item_key_token).
-- Parameters: $at: the instant; $start, $end: half-open window to look in, whole hours.
with change as (
    select
        c.change_id, c.event_time, c.event_hour, c.sequence_number,
        case when c.event_time <= $at then 'before' else 'after' end as side
    from item_change as c
    inner join wanted_item as w
        on w.table_arn = c.table_arn
        and w.item_key_token = c.item_key_token
    where c.event_hour >= $start
        and c.event_hour < $end
),

ranked as (
    select
        *,
        row_number() over (
            partition by side
            order by event_time, length(ltrim(sequence_number, '0')), ltrim(sequence_number, '0'), change_id
        ) as from_oldest,
        max(event_time) over (partition by side) as newest_time
    from change
)

select change_id, event_time, event_hour, side
from ranked
where (side = 'before' and date_trunc('second', event_time) = date_trunc('second', newest_time))
    or (side = 'after' and from_oldest = 1)
order by event_time, length(ltrim(sequence_number, '0')), ltrim(sequence_number, '0'), change_id
