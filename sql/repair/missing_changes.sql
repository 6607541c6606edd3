-- The changes of a window that no source has given: what an export's net changes add to the rows that are there.
--
-- An item's images form a chain: before the window, before and after each of its rows, at the end of the window. Where
-- the image after one row is not the image before the next, a change is missing between the two. The chain's ends come
-- from the export; an item that the export does not name had the same image at both ends.
--
-- Grain: one missing link of one item's chain; it may sum up several writes.
-- Reads item_change; export_change (the export's net changes, in the shape of item_change), export_file (source_uri:
-- its files, whose earlier rows count as not there), gap (starts_at, ends_at: what is known to be missing).
-- Parameters: $table_arn; $start, $end: the export's window; $from, $to: half-open, times of the rows to give;
-- $near_start, $past_start, $near_end, $past_end: a margin around $start and $end, as a stream's times are rounded.
with net as (
    select
        item_key_token, key_attributes, event_time as written_at, source_uri, source_position,
        coalesce(old_image_token, old_image, '') as image_at_start,
        coalesce(new_image_token, new_image, '') as image_at_end
    from export_change
),

-- Images are compared by their tokens, as the masking policy may hide what differs; rows of before there were tokens
-- by what they show. '' is an item that does not exist; NULL an image that the stream does not show.
delivered as (
    select
        item_key_token, key_attributes, event_time,
        coalesce(sequence_number, change_id) as position_id,
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
        and source_uri not in (select source_uri from export_file)
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
        d.item_key_token, d.key_attributes, d.event_time, d.position_id, d.image_before, d.image_after, d.position,
        d.position = b.first_position as is_first,
        d.position = b.last_position as is_last
    from delivered as d
    join bounded as b
        on b.item_key_token = d.item_key_token
        and d.position >= b.first_position
        and d.position <= b.last_position
),

-- Between two rows of an item.
inner_link as (
    select
        item_key_token, key_attributes,
        lag(image_after) over (partition by item_key_token order by position) as image_before,
        image_before as image_after,
        lag(event_time) over (partition by item_key_token order by position) as since,
        event_time as until,
        position_id,
        is_first
    from inside
),

opening as (
    select
        item_key_token, key_attributes, image_before as first_image, event_time as first_time, position_id
    from inside
    where is_first
),

closing as (
    select item_key_token, image_after as last_image, event_time as last_time
    from inside
    where is_last
),

named_link as (
    select
        n.item_key_token, n.key_attributes, n.image_at_start as image_before, o.first_image as image_after,
        $start as since, greatest(o.first_time, $start) as until, o.position_id,
        cast(null as timestamp with time zone) as written_at, n.source_uri, n.source_position
    from net as n
    join opening as o
        on o.item_key_token = n.item_key_token
    union all
    select
        n.item_key_token, n.key_attributes, l.image_before, l.image_after, l.since, l.until, l.position_id,
        cast(null as timestamp with time zone) as written_at, n.source_uri, n.source_position
    from net as n
    join inner_link as l
        on l.item_key_token = n.item_key_token
        and not l.is_first
    union all
    select
        n.item_key_token, n.key_attributes,
        case when c.item_key_token is null then n.image_at_start else c.last_image end as image_before,
        n.image_at_end as image_after,
        coalesce(c.last_time, $start) as since, $end as until, cast(null as varchar) as position_id,
        n.written_at, n.source_uri, n.source_position
    from net as n
    left join closing as c
        on c.item_key_token = n.item_key_token
),

-- An item without a net change ends as it began: what closes its chain lies before its rows or after them.
unnamed_link as (
    select
        l.item_key_token, l.key_attributes, l.image_before, l.image_after, l.since, l.until, l.position_id
    from inner_link as l
    left join net as n
        on n.item_key_token = l.item_key_token
    where not l.is_first
        and n.item_key_token is null
    union all
    select
        o.item_key_token, o.key_attributes, c.last_image as image_before, o.first_image as image_after,
        $start as since, o.first_time as until, o.position_id
    from opening as o
    join closing as c
        on c.item_key_token = o.item_key_token
    left join net as n
        on n.item_key_token = o.item_key_token
    where n.item_key_token is null
        and exists (select 1 from gap as g where g.starts_at <= o.first_time and g.ends_at > $start)
    union all
    select
        o.item_key_token, o.key_attributes, c.last_image as image_before, o.first_image as image_after,
        c.last_time as since, $end as until, cast(null as varchar) as position_id
    from opening as o
    join closing as c
        on c.item_key_token = o.item_key_token
    left join net as n
        on n.item_key_token = o.item_key_token
    where n.item_key_token is null
        and not exists (select 1 from gap as g where g.starts_at <= o.first_time and g.ends_at > $start)
),

link as (
    select
        item_key_token, key_attributes, image_before, image_after, since, until, position_id, written_at, source_uri,
        source_position, true as is_named
    from named_link
    union all
    select
        item_key_token, key_attributes, image_before, image_after, since, until, position_id,
        cast(null as timestamp with time zone) as written_at, cast(null as varchar) as source_uri,
        cast(null as varchar) as source_position, false as is_named
    from unnamed_link
),

-- A write of known time fills only gaps that began before it.
placed as (
    select
        l.item_key_token, l.position_id, l.since, l.until, l.written_at, l.is_named,
        any_value(l.key_attributes) as key_attributes,
        any_value(l.image_before) as image_before,
        any_value(l.image_after) as image_after,
        any_value(l.source_uri) as source_uri,
        any_value(l.source_position) as source_position,
        min(g.starts_at) as gap_starts_at,
        max(g.ends_at) as gap_ends_at
    from link as l
    left join gap as g
        on g.starts_at <= coalesce(l.written_at, l.until)
        and g.ends_at > l.since
    where l.image_before is null
        or l.image_after is null
        or l.image_before <> l.image_after
    group by l.item_key_token, l.position_id, l.since, l.until, l.written_at, l.is_named
),

-- Where a stream does not show both images the chain has holes; the net change as a whole then stands for its gaps,
-- unless its last write lies in none of them and was delivered.
doubtful as (
    select distinct item_key_token
    from placed
    where gap_starts_at is not null
        and (image_before is null or image_after is null)
),

whole as (
    select n.item_key_token
    from net as n
    join doubtful as u
        on u.item_key_token = n.item_key_token
    where exists (select 1 from gap as g where g.starts_at <= n.written_at and g.ends_at > n.written_at)
        or not exists (
            select 1
            from delivered as d
            where d.item_key_token = n.item_key_token
                and d.event_time >= n.written_at - interval '2' second
                and d.event_time <= n.written_at + interval '2' second
        )
),

missing as (
    select
        p.item_key_token, p.key_attributes, p.image_before, p.image_after, p.position_id, p.written_at, p.source_uri,
        p.source_position,
        p.gap_starts_at is not null as is_in_gap,
        greatest(p.since, coalesce(p.gap_starts_at, p.since)) as starts_at,
        least(p.until, coalesce(p.gap_ends_at, p.until)) as ends_at
    from placed as p
    left join doubtful as u
        on u.item_key_token = p.item_key_token
    where u.item_key_token is null
        and p.image_before is not null
        and p.image_after is not null
        and (p.is_named or p.gap_starts_at is not null)
    union all
    select
        n.item_key_token, n.key_attributes, n.image_at_start as image_before, n.image_at_end as image_after,
        cast(null as varchar) as position_id, n.written_at, n.source_uri, n.source_position,
        true as is_in_gap, $start as starts_at, $end as ends_at
    from net as n
    join whole as w
        on w.item_key_token = n.item_key_token
),

-- Where the item was written again, only the latest time that the missing write can have had is known.
timed as (
    select
        item_key_token, key_attributes, image_before, image_after, position_id, written_at, source_uri,
        source_position, is_in_gap,
        least(starts_at, coalesce(written_at, starts_at)) as starts_at,
        greatest(
            ends_at,
            starts_at + interval '1' microsecond,
            coalesce(written_at + interval '1' microsecond, ends_at)
        ) as ends_at
    from missing
),

seen as (
    select item_key_token, old_image_token as token, old_image as image
    from export_change
    where old_image_token is not null
    union
    select item_key_token, new_image_token, new_image
    from export_change
    where new_image_token is not null
    union
    select item_key_token, old_image_token, old_image
    from item_change
    where table_arn = $table_arn
        and event_time >= $near_start
        and event_time < $past_end
        and old_image_token is not null
    union
    select item_key_token, new_image_token, new_image
    from item_change
    where table_arn = $table_arn
        and event_time >= $near_start
        and event_time < $past_end
        and new_image_token is not null
),

-- What is shown of an image; under a policy that was changed it may have been shown in two ways.
shown as (
    select item_key_token, token, max(image) as image
    from seen
    group by item_key_token, token
)

select
    coalesce(t.written_at, t.ends_at - interval '1' microsecond) as event_time,
    t.item_key_token,
    t.key_attributes,
    case when t.image_before = '' then 'INSERT' when t.image_after = '' then 'REMOVE' else 'MODIFY' end as change_type,
    coalesce(b.image, nullif(t.image_before, '')) as old_image,
    coalesce(a.image, nullif(t.image_after, '')) as new_image,
    b.token as old_image_token,
    a.token as new_image_token,
    t.starts_at as reconstructed_from,
    t.ends_at as reconstructed_to,
    case when t.written_at is not null then 'MICROSECOND' end as time_precision,
    t.source_uri,
    t.source_position,
    t.position_id as before_position,
    t.is_in_gap
from timed as t
left join shown as b
    on b.item_key_token = t.item_key_token
    and b.token = t.image_before
left join shown as a
    on a.item_key_token = t.item_key_token
    and a.token = t.image_after
where coalesce(t.written_at, t.ends_at - interval '1' microsecond) >= $from
    and coalesce(t.written_at, t.ends_at - interval '1' microsecond) < $to
