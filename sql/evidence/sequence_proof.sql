-- The sequence proofs of streams of a window, as the warehouse holds them.
--
-- Grain: one hour of one stream.
-- Parameters: $start, $end: half-open window, by full hours.
select *
from sequence_proof
where event_hour >= $start
    and event_hour < $end
order by event_hour, region, account_id, stream_arn
