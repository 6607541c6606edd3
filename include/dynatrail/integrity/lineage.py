"""Whether the shards that are known of a stream hang together: each with its parent, read after it, none lost unsaid.

Which shards must be read in which order, and when one is lost, `sources/streams/lineage.py` decides while reading; here
it is only looked at afterwards, whether what that left in the state database can be so.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from dynatrail.clock import HOUR
from dynatrail.sources.streams.lineage import RETENTION, began_at
from dynatrail.state.models import StreamGap, StreamShard

CONTRADICTIONS = {
    "parent_unknown": "a shard follows one that was never read, and no gap says so",
    "parent_not_drained": "a shard was read before the one that it follows had been read to its end",
    "shard_lost": "a shard was lost, and no gap says what went with it",
}
"""Reason code -> what it says."""


def alive(shards: Sequence[StreamShard], hour: datetime) -> list[StreamShard]:
    """The shards of one stream that may have taken changes within an hour.

    A description does not say when a shard began or ended. It began after the last change of its parents, and within
    the 24 hours before it was first seen; it ended before its children were seen.
    """
    by_id = {row.shard_id: row for row in shards}
    closed_by: dict[str, datetime] = {}
    for row in shards:
        for parent in row.parents:
            closed_by[parent] = min(row.first_seen_at, closed_by.get(parent, row.first_seen_at))
    return [
        row
        for row in shards
        if _began_after(row, by_id) < hour + HOUR and ((end := _ended_by(row, closed_by)) is None or hour <= end)
    ]


def contradictions(
    shards: Sequence[StreamShard], alive: Collection[StreamShard], gaps: Collection[StreamGap]
) -> set[str]:
    """What cannot be of these shards of a stream, given all of its shards and its table's gaps, closed ones too."""
    by_id = {row.shard_id: row for row in shards}
    told = {(gap.stream_arn, gap.shard_id) for gap in gaps}
    first = min((row.first_seen_at for row in shards), default=None)
    found = set()
    for row in alive:
        known = [by_id[parent] for parent in row.parents if parent in by_id]
        orphaned = row.parents and not known and not _head(row, first)
        if orphaned and not any((row.stream_arn, parent) in told for parent in row.parents):
            found.add("parent_unknown")
        if _was_read(row) and any(parent.status in ("open", "closed") for parent in known):
            found.add("parent_not_drained")
        if row.status == "lost" and (row.stream_arn, row.shard_id) not in told:
            found.add("shard_lost")
    return found


def _head(row: StreamShard, first: datetime | None) -> bool:
    """Whether reading a stream may have begun with a shard whose parent had gone by then.

    A shard goes when it has been closed for a day, so all of a younger stream's are there to be seen.
    """
    if row.first_seen_at != first:
        return False
    began = began_at(row.stream_arn)
    return row.source == "kinesis" or began is None or began < row.first_seen_at - RETENTION


def _began_after(row: StreamShard, by_id: Mapping[str, StreamShard]) -> datetime:
    if row.source == "kinesis":  # keeps its records as long as it is told to
        return row.oldest_event_at or row.first_seen_at
    bounds = [row.first_seen_at - RETENTION, began_at(row.stream_arn)]
    bounds += [by_id[parent].newest_event_at for parent in row.parents if parent in by_id]
    return max(bound for bound in bounds if bound is not None)


def _ended_by(row: StreamShard, closed_by: Mapping[str, datetime]) -> datetime | None:
    if row.status == "open":
        return None
    return closed_by.get(row.shard_id) or max(
        at for at in (row.newest_event_at, row.read_until, row.first_seen_at) if at is not None
    )


def _was_read(row: StreamShard) -> bool:
    return row.sequence_number is not None or row.read_until is not None
