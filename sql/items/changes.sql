-- The changes of items, each with the request that it is attributed to.
--
-- Grain: one item change.
-- Reads item_change, attribution; wanted_item (table_arn, item_key_token).
-- Parameters: $start, $end: half-open window, whole hours.
with attributed as (
    select a.*
    from attribution as a
    inner join wanted_item as w
        on w.table_arn = a.table_arn
        and w.item_key_token = a.item_key_token
    where a.event_hour >= $start
        and a.event_hour < $end
)

select
    c.change_id, c.event_time, c.event_hour, c.account_id, c.region, c.table_name, c.table_arn, c.item_key_token,
    c.key_attributes, c.change_type, c.old_image, c.new_image, c.changed_attributes, c.view_type, c.change_origin,
    c.reconstructed, c.reconstructed_from, c.reconstructed_to, c.by_ttl, c.sequence_number, c.time_precision,
    a.event_id, a.ordinal, a.principal_arn, a.access_key_id, a.first_principal_arn, a.principal_class, a.method,
    a.confidence, a.candidates, a.rivals, a.time_delta_s
from item_change as c
inner join wanted_item as w
    on w.table_arn = c.table_arn
    and w.item_key_token = c.item_key_token
left join attributed as a
    on a.change_id = c.change_id
    and a.event_hour = c.event_hour
where c.event_hour >= $start
    and c.event_hour < $end
order by
    c.event_time,
    -- Digits without end: as a number, so shorter is less.
    length(ltrim(c.sequence_number, '0')),
    ltrim(c.sequence_number, '0'),
    c.change_id
