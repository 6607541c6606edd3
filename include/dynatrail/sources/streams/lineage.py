"""Which shards of a stream are to be read, in which order, and which can no longer be.

A shard is read when its parent has been read to its end: DynamoDB keeps the changes of one item in order within a shard
and from a parent to its children ("Shards", DynamoDB developer guide). Siblings have no order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dynatrail.errors import SourceError
from dynatrail.sources.streams.client import Shard, Stream
from dynatrail.state.models import StreamShard
from dynatrail.state.streams import Gap, read_point

RETENTION = timedelta(hours=24)
"""How long a record stays; nothing younger is ever trimmed."""

LAG = timedelta(minutes=5)
"""How much later than it happened a change may appear in its stream; "near-real time" is all that AWS promises."""

_SLACK = timedelta(hours=1)


@dataclass(slots=True)
class Plan:
    """What to do with one stream.

    Attributes:
        ready: shards that may be read now.
        waiting: parent -> children that may be read once it has been.
        safe: shard -> everything before was read, as of earlier runs; None: it is met for the first time.
        gaps: what is missing; the shard that each names is lost.
    """

    ready: list[Shard] = field(default_factory=list)
    waiting: dict[str, list[Shard]] = field(default_factory=dict)
    safe: dict[str, datetime | None] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)


def plan(stream: Stream, known: Sequence[StreamShard], table_arn: str, since: datetime | None = None) -> Plan:
    """Compare what AWS shows with what is known; `known` are the rows of this stream, as they were before.

    Where nothing is known of the stream, `since` says from when on it had to be read: from its beginning, when the
    table was watched before; None when the table is met for the first time. Reading then begins with the oldest record
    that is left, and nothing counts as missing.
    """
    shown = {shard.shard_id for shard in stream.shards}
    rows = {row.shard_id: row for row in known}
    result = Plan()
    lost = {row.shard_id for row in known if row.status == "lost"}
    fresh = set()
    for row in known:
        if row.status in ("open", "closed") and row.shard_id not in shown:
            result.gaps.append(vanished(row, stream.at))
            lost.add(row.shard_id)
            fresh.add(row.shard_id)
    done = lost | {row.shard_id for row in known if row.status == "drained"}
    before = read_point(known) if known else since
    earliest = min([since] if since else [_unread_since(row) for row in known], default=None)
    for shard in stream.shards:
        if shard.shard_id in done:
            continue
        parent = shard.parent
        unseen = parent is not None and parent not in shown and parent not in rows
        if unseen and earliest is not None and shard.shard_id not in rows:
            result.gaps.append(_hole(stream, shard, before or earliest, table_arn))
            result.safe[shard.shard_id] = None  # whatever of it is missing lies in that gap
        elif parent in fresh and shard.shard_id not in rows:
            result.safe[shard.shard_id] = None  # likewise
        else:
            result.safe[shard.shard_id] = _safe(rows.get(shard.shard_id), rows.get(parent or ""), before)
        if parent is None or parent in done or parent not in shown:
            result.ready.append(shard)
        else:
            result.waiting.setdefault(parent, []).append(shard)
    return result


def began_at(stream_arn: str) -> datetime | None:
    """When a stream was enabled: its label, the end of its ARN."""
    try:
        began = datetime.fromisoformat(stream_arn.rpartition("/stream/")[2] + "+00:00")
    except ValueError:
        return None
    return began


def table_of(stream_arn: str) -> str:
    """The ARN of the table that a stream belongs to."""
    return stream_arn.partition("/stream/")[0]


def trimmed(
    stream: Stream, shard_id: str, after: str | None, safe: datetime, first: datetime | None, at: datetime
) -> Gap:
    """What a shard has lost by its age: from the last checkpoint to the first record that is left, if there is one."""
    start = _second(safe)
    end = _latest_trimmed(start, at)
    if first is not None:
        end = min(end, _second(first) + timedelta(seconds=1))
    return Gap(
        source="streams",
        table_arn=table_of(stream.arn),
        stream_arn=stream.arn,
        shard_id=shard_id,
        after_sequence_number=after,
        starts_at=start,
        ends_at=max(end, start + timedelta(seconds=1)),
        reason="trimmed",
        explanation="The shard was not read for more than the 24 hours that a stream keeps its records. Changes of the "
        "span may be missing; repair_changes can reconstruct them from an incremental export.",
    )


def vanished(row: StreamShard, at: datetime) -> Gap:
    """What is lost with a shard that AWS no longer has and that was not read to its end."""
    never = row.sequence_number is None and row.read_until is None
    start = _second(_safe(row, None, None) or _unread_since(row))
    return Gap(
        source="streams",
        table_arn=row.table_arn,
        stream_arn=row.stream_arn,
        shard_id=row.shard_id,
        after_sequence_number=row.sequence_number,
        starts_at=start,
        ends_at=max(_latest_trimmed(start, at), start + timedelta(seconds=1)),
        reason="never_read" if never else "shard_vanished",
        explanation=f"The shard {'was never read' if never else 'was not read to its end'} before AWS removed it. "
        "Changes of the span may be missing; repair_changes can reconstruct them from an incremental export.",
    )


def replaced(old: Sequence[StreamShard], new_arn: str, created_at: datetime | None) -> Gap | None:
    """What nobody recorded between a stream's end and the beginning of the one that replaced it.

    `old` are the rows of the one that ended, all read to their end; None when nothing can be missing between.
    """
    ends = created_at or began_at(new_arn)
    last = [at for row in old for at in (row.read_until, row.newest_event_at) if at is not None]
    start = max(last) if last else began_at(old[0].stream_arn)
    if ends is None or start is None:
        raise SourceError(
            f"Cannot tell when the stream {new_arn} replaced {old[0].stream_arn}: neither says when it began. Is the "
            "endpoint AWS?"
        )
    start, ends = _second(start), _second(ends) + LAG  # a stream that is being enabled may not yet record
    if start >= ends:
        return None
    return Gap(
        source="streams",
        table_arn=old[0].table_arn,
        stream_arn=new_arn,
        shard_id=None,
        after_sequence_number=None,
        starts_at=start,
        ends_at=ends,
        reason="stream_replaced",
        explanation="The table's stream was switched off and on, or the table made anew. Changes between the last sign "
        "of the old stream and the beginning of the new one were recorded by nobody; repair_changes can "
        "reconstruct them from an incremental export.",
    )


def _hole(stream: Stream, shard: Shard, before: datetime, table_arn: str) -> Gap:
    start = _second(before)
    return Gap(
        source="streams",
        table_arn=table_arn,
        stream_arn=stream.arn,
        shard_id=shard.parent,
        after_sequence_number=None,
        starts_at=start,
        ends_at=max(_latest_trimmed(start, stream.at), start + timedelta(seconds=1)),
        reason="lineage_hole",
        explanation=f"{shard.shard_id} follows a shard that came and went unseen between two runs. Changes of the span "
        "may be missing; repair_changes can reconstruct them from an incremental export.",
    )


def _safe(row: StreamShard | None, parent: StreamShard | None, before: datetime | None) -> datetime | None:
    """Everything of a shard before this instant was read."""
    for one in (row, parent):
        if one is not None:
            points = [one.newest_event_at, one.read_until - LAG if one.read_until else None]
            if known := [point for point in points if point is not None]:
                return max(known)
    return before or (_unread_since(row) if row else None)


def _unread_since(row: StreamShard) -> datetime:
    """The earliest that a record of a shard may have been written which no run has read."""
    oldest = row.first_seen_at - RETENTION
    began = began_at(row.stream_arn)
    return max(oldest, began) if began else oldest


def _latest_trimmed(start: datetime, at: datetime) -> datetime:
    """The latest that something trimmed by `at` can have been written, given that it was after `start`."""
    oldest_kept = at - RETENTION + _SLACK
    return _second(oldest_kept if start < oldest_kept else at)


def _second(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)
