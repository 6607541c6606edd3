"""What a Kinesis stream has lost: spans of a table's changes that were trimmed, never written, or went with the stream.

Bounds are as wide as they must be. Retention is the stream's own and may be changed at any time.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from dynatrail.sources.kinesis.client import Stream
from dynatrail.sources.streams.lineage import LAG
from dynatrail.state.models import StreamShard
from dynatrail.state.streams import Gap, read_point

SOURCE = "kinesis"
DISABLED = "destination_disabled"

_SECOND = timedelta(seconds=1)
_SLACK = timedelta(hours=1)
_REPAIR = "Changes of the span may be missing; repair_changes can reconstruct them from an incremental export."


def safe(row: StreamShard | None, known: Sequence[StreamShard]) -> datetime | None:
    """Everything of a shard before this instant was read, as of earlier runs; None where nothing of the stream was."""
    if row is not None:
        points = [row.newest_event_at, row.read_until - LAG if row.read_until else None]
        if told := [point for point in points if point is not None]:
            return max(told)
    point = read_point(known)
    return point - LAG if point else None


def trimmed(
    stream: Stream, table_arn: str, row: StreamShard | None, shard_id: str, before: datetime, first: datetime | None
) -> Gap | None:
    """What a shard lost by its age before it was read on; None when that cannot be.

    Asked when the checkpoint's record did not come first (or there is none). `before` is `safe`, `first` the arrival of
    the oldest record that is left. A record within retention is gone only where retention was shortened meanwhile.
    """
    newest = row.newest_event_at if row else None
    shortened = newest is not None and newest > stream.horizon + _SLACK
    if before >= stream.horizon and not shortened:
        return None
    end = first or (stream.at if shortened else stream.horizon)
    return _gap(
        stream.arn,
        table_arn,
        shard_id,
        row.sequence_number if row else None,
        (before, end),
        "trimmed",
        "The shard was not read for longer than the stream keeps its records.",
    )


def vanished(row: StreamShard, table_arn: str, at: datetime, known: Sequence[StreamShard]) -> Gap:
    """What is lost with a shard, or its stream, that AWS no longer has and that was not read to its end."""
    start = safe(row, known) or row.first_seen_at
    return _gap(
        row.stream_arn,
        table_arn,
        row.shard_id,
        row.sequence_number,
        (start, at),
        "shard_vanished",
        "The shard was not read to its end before it was gone.",
    )


def hole(stream: Stream, table_arn: str, shard_id: str, before: datetime) -> Gap:
    """A shard follows one that came and went unseen between two runs."""
    return _gap(
        stream.arn,
        table_arn,
        shard_id,
        None,
        (before, max(stream.horizon, before)),
        "lineage_hole",
        f"{shard_id} follows a shard that came and went unseen between two runs.",
    )


def replaced(arn: str, table_arn: str, old: Sequence[StreamShard], first: datetime) -> Gap | None:
    """Between what was read of another stream, or of an earlier one of the same name, and this one's oldest record."""
    point = read_point(old) or max((row.newest_event_at or row.first_seen_at for row in old), default=None)
    if point is None or point - LAG >= first:
        return None
    return _gap(
        arn,
        table_arn,
        None,
        None,
        (point - LAG, first),
        "stream_replaced",
        "The table's changes go to another stream than before, or to one that was made anew under its name.",
    )


def disabled(arn: str, table_arn: str, since: datetime, until: datetime) -> Gap:
    """The table's destination was not active; the span ends with the run that still, or again, saw it."""
    return _gap(
        arn,
        table_arn,
        None,
        None,
        (since, until),
        DISABLED,
        "The table's Kinesis destination was not active, so its changes were written nowhere.",
    )


def _gap(
    arn: str,
    table_arn: str,
    shard_id: str | None,
    after: str | None,
    span: tuple[datetime, datetime],
    reason: str,
    explanation: str,
) -> Gap:
    start = span[0].replace(microsecond=0)
    return Gap(
        source=SOURCE,
        table_arn=table_arn,
        stream_arn=arn,
        shard_id=shard_id,
        after_sequence_number=after,
        starts_at=start,
        ends_at=max(span[1].replace(microsecond=0) + _SECOND, start + _SECOND),
        reason=reason,
        explanation=f"{explanation} {_REPAIR}",
    )
