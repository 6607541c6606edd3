-- Where the rows of a window do not add up to the net changes that an export of it has, item by item.
--
-- An item's rows are folded: the image before the first and the image after the last must be those of the export, the
-- image after each must be the one before the next, and an item that the export does not name must end as it began.
--
-- Grain: one item and one way in which it differs.
-- Reads item_change; export_change (the export's net changes, in the shape of item_change).
-- Parameters: $table_arn; $start, $end: the export's window; $near_start, $past_start, $near_end, $past_end: a margin
-- around $start and $end, as a stream's times are rounded.
with net as (
    select
        item_key_token, event_time as written_at,
        coalesce(old_image_token, old_image, '') as image_at_start,
        coalesce(new_image_token, new_image, '') as image_at_end
    from export_change
),

-- Images are compared by their tokens, as the masking policy may hide what differs; rows of before there were tokens
-- by what they show. '' is an item that does not exist; NULL an image that the stream does not show.
delivered as (
    select
        item_key_token, event_time,
        case when change_type = 'INSERT' then '' else coalesce(old_image_token, old_image) end as image_before,
        case when change_type = 'REMOVE' then '' else coalesce(new_image_token, new_image) end as image_after,
        row_number() over (
            partition by item_key_token
            order by event_time, reconstructed desc, length(sequence_number), sequence_number, change_id
        ) as position
    from item_change
    where table_arn = $table_arn
        and event_time >= $near_start
        and event_time < $past_end
),

item as (
    select
        d.item_key_token,
        max(n.image_at_start) as image_at_start,
        max(n.image_at_end) as image_at_end,
        1 + sum(case when d.event_time < $start then 1 else 0 end) as first_by_time,
        sum(case when d.event_time < $end then 1 else 0 end) as last_by_time
    from delivered as d
    left join net as n
        on n.item_key_token = d.item_key_token
    group by d.item_key_token
),

-- Which row is the first in the window, and which the last: near its ends images decide, else time does.
first_candidate as (
    select d.item_key_token, d.position as position, abs(d.position - i.first_by_time) as distance
    from delivered as d
    join item as i
        on i.item_key_token = d.item_key_token
        and i.image_at_start = d.image_before
    where d.event_time < $past_start
    union all
    select d.item_key_token, d.position + 1 as position, abs(d.position + 1 - i.first_by_time) as distance
    from delivered as d
    join item as i
        on i.item_key_token = d.item_key_token
        and i.image_at_start = d.image_after
    where d.event_time < $past_start
),

last_candidate as (
    select d.item_key_token, d.position as position, abs(d.position - i.last_by_time) as distance
    from delivered as d
    join item as i
        on i.item_key_token = d.item_key_token
        and i.image_at_end = d.image_after
    where d.event_time >= $near_end
    union all
    select d.item_key_token, d.position - 1 as position, abs(d.position - 1 - i.last_by_time) as distance
    from delivered as d
    join item as i
        on i.item_key_token = d.item_key_token
        and i.image_at_end = d.image_before
    where d.event_time >= $near_end
),

first_choice as (
    select
        item_key_token, position,
        row_number() over (partition by item_key_token order by distance, position) as rank
    from first_candidate
),

last_choice as (
    select
        item_key_token, position,
        row_number() over (partition by item_key_token order by distance, position desc) as rank
    from last_candidate
),

bounded as (
    select
        i.item_key_token,
        coalesce(f.position, i.first_by_time) as first_position,
        coalesce(l.position, i.last_by_time) as last_position
    from item as i
    left join first_choice as f
        on f.item_key_token = i.item_key_token
        and f.rank = 1
    left join last_choice as l
        on l.item_key_token = i.item_key_token
        and l.rank = 1
),

inside as (
    select
        d.item_key_token, d.event_time, d.image_before, d.image_after, d.position,
        d.position = b.first_position as is_first,
        d.position = b.last_position as is_last
    from delivered as d
    join bounded as b
        on b.item_key_token = d.item_key_token
        and d.position >= b.first_position
        and d.position <= b.last_position
),

linked as (
    select
        item_key_token, event_time, image_before, is_first,
        lag(image_after) over (partition by item_key_token order by position) as image_expected
    from inside
),

folded as (
    select
        item_key_token,
        max(case when is_first then image_before end) as image_before,
        max(case when is_last then image_after end) as image_after,
        max(case when event_time >= $past_start and event_time < $near_end then 1 else 0 end) as is_clear_of_the_ends,
        min(event_time) as first_time
    from inside
    group by item_key_token
),

difference as (
    select n.item_key_token, 'not_in_warehouse' as difference, n.written_at as noticed_at
    from net as n
    left join folded as f
        on f.item_key_token = n.item_key_token
    where f.item_key_token is null
        and n.image_at_start <> n.image_at_end
    union all
    select f.item_key_token, 'not_in_export' as difference, f.first_time as noticed_at
    from folded as f
    left join net as n
        on n.item_key_token = f.item_key_token
    where n.item_key_token is null
        and f.image_before <> f.image_after
        and f.is_clear_of_the_ends = 1
    union all
    select n.item_key_token, 'image_before' as difference, f.first_time as noticed_at
    from net as n
    join folded as f
        on f.item_key_token = n.item_key_token
    where f.image_before <> n.image_at_start
    union all
    select n.item_key_token, 'image_after' as difference, n.written_at as noticed_at
    from net as n
    join folded as f
        on f.item_key_token = n.item_key_token
    where f.image_after <> n.image_at_end
    union all
    select item_key_token, 'chain' as difference, min(event_time) as noticed_at
    from linked
    where not is_first
        and image_before <> image_expected
    group by item_key_token
    union all
    select item_key_token, 'not_comparable' as difference, min(event_time) as noticed_at
    from inside
    where image_before is null
        or image_after is null
    group by item_key_token
)

select item_key_token, difference, noticed_at
from difference
order by noticed_at, item_key_token, difference
