"""One row for each change, although Kinesis may hold its record several times.

"Each record … may appear more than once": DynamoDB writes the copies with one `eventID`, at any later moment and, after
a split, into another shard. The copy with the smallest position stays, whichever was read first, so that reading again
gives the same rows.
"""

import pyarrow as pa
import pyarrow.compute as pc


def once(rows: pa.Table) -> pa.Table:
    """Rows of one table's `item_change` without further copies of a change from Kinesis."""
    own = pc.and_(pc.equal(rows["change_origin"], "kinesis"), pc.is_valid(rows["event_id"]))
    ids = rows["event_id"].filter(own)
    if pc.count_distinct(ids).as_py() == len(ids):
        return rows
    best: dict[str, tuple[tuple[str, int, str, str], int]] = {}
    columns = (rows[name].to_pylist() for name in ("event_id", "stream_arn", "sequence_number", "shard_id"))
    kept = []
    for row, (event_id, arn, number, shard, chosen) in enumerate(zip(*columns, own.to_pylist(), strict=True)):
        if not chosen:
            kept.append(row)
            continue
        position = (arn or "", len(number or ""), number or "", shard or "")
        if event_id not in best or position < best[event_id][0]:
            best[event_id] = (position, row)
    return rows.take(pa.array(sorted([*kept, *(row for _, row in best.values())]), pa.int64()))
