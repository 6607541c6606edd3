-- How many rows each shard of a stream gave for an hour, the least and the greatest of their sequence numbers, and how
-- many of these come again.
--
-- A sequence number has up to 40 digits, one of Kinesis 56: more than any integer of DuckDB (39) or decimal of Spark (38)
-- holds. So numbers compare as text, padded with zeros to 60. A longer one, or one that is no number, is not AWS's.
--
-- Grain: one hour of one shard of one table's stream that has rows.
-- Reads item_change; asked_hour (event_hour).
-- Parameters: $start, $end: half-open, the asked hours with one more on each side, in which a number may come again.
with numbered as (
    select
        account_id, region, table_name, table_arn, change_origin, stream_arn, shard_id, event_hour, sequence_number,
        case when regexp_matches(sequence_number, '^[0-9]{1,60}$') then lpad(sequence_number, 60, '0') end as number
    from item_change
    where event_time >= $start
        and event_time < $end
        and change_origin in ('stream', 'kinesis')
        and stream_arn is not null
),

counted as (
    select *, count(*) over (partition by stream_arn, shard_id, number) as times
    from numbered
)

select
    c.table_arn, c.change_origin, c.stream_arn, c.shard_id, c.event_hour,
    count(*) as changes,
    min_by(c.sequence_number, c.number) as first_sequence_number,
    max_by(c.sequence_number, c.number) as last_sequence_number,
    sum(case when c.number is null then 1 else 0 end) as unnumbered,
    sum(case when c.number is not null and c.times > 1 then 1 else 0 end) as repeated
from counted as c
join asked_hour as h
    on h.event_hour = c.event_hour
group by c.table_arn, c.change_origin, c.stream_arn, c.shard_id, c.event_hour
order by c.table_arn, c.stream_arn, c.event_hour, c.shard_id
