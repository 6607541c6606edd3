"""How far each shard has been read, and what no source has given: checkpoints and gaps, for streams and Kinesis alike.

Order matters: rows are written to the warehouse first, then `advance()` is told. A run that dies between the two reads
the same records again, and their rows replace themselves. A checkpoint never goes back, so two runs that read one shard
at the same time only repeat work. A gap is recorded before anything that follows it is, and under a name that the same
gap would get again.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dynatrail.clock import HOUR, hour_of, hours_between, iso, now
from dynatrail.state import pending
from dynatrail.state.database import session
from dynatrail.state.models import StreamGap, StreamShard

STATEMENTS = "source_statement"
"""Stage of `pending` whose hours are to be stated anew (`sources/streams/statements.py`)."""

LONGEST = timedelta(days=8)
"""What one checkpoint may ask to have stated: a stream keeps a day, Kinesis a week by default."""


@dataclass(frozen=True, slots=True)
class SeenShard:
    """A shard as its description shows it; fields as in `StreamShard`."""

    stream_arn: str
    shard_id: str
    source: str
    table_arn: str
    parent_shard_id: str | None
    starting_sequence_number: str | None
    ending_sequence_number: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a shard has been read now; None leaves what is known, so an empty answer moves only `read_until`.

    Attributes:
        drained: it was read to its end.
    """

    stream_arn: str
    shard_id: str
    sequence_number: str | None = None
    newest_event_at: datetime | None = None
    read_until: datetime | None = None
    drained: bool = False
    oldest_event_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A span of a table's changes that is missing; fields as in `StreamGap`."""

    source: str
    table_arn: str
    stream_arn: str
    shard_id: str | None
    after_sequence_number: str | None
    starts_at: datetime
    ends_at: datetime
    reason: str
    explanation: str

    @property
    def gap_id(self) -> str:
        # The start is that of the last checkpoint: the same as long as nothing more was read, another for a later gap.
        place = (self.table_arn, self.stream_arn, self.shard_id or "", self.after_sequence_number or "")
        parts = (*place, self.reason, iso(self.starts_at))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def shards(
    *, streams: Collection[str] = (), tables: Collection[str] = (), source: str | None = None, url: str | None = None
) -> list[StreamShard]:
    """The shards known of these streams or tables (ARNs), by stream and shard; without either, all."""
    query = sa.select(StreamShard).order_by(StreamShard.stream_arn, StreamShard.shard_id)
    if streams:
        query = query.where(StreamShard.stream_arn.in_(streams))
    if tables:
        query = query.where(StreamShard.table_arn.in_(tables))
    if source:
        query = query.where(StreamShard.source == source)
    with session(url) as opened:
        return list(opened.scalars(query))


def observe(seen: Iterable[SeenShard], at: datetime, *, url: str | None = None) -> None:
    """Note shards that a description shows, and which of them are closed by now; `at` is the source's time."""
    with session(url) as opened:
        for one in sorted(seen, key=lambda one: (one.stream_arn, one.shard_id)):
            row = opened.get(StreamShard, (one.stream_arn, one.shard_id))
            if row is None:
                row = StreamShard(
                    stream_arn=one.stream_arn,
                    shard_id=one.shard_id,
                    source=one.source,
                    table_arn=one.table_arn,
                    parent_shard_id=one.parent_shard_id,
                    starting_sequence_number=one.starting_sequence_number,
                    status="open",
                    first_seen_at=at,
                )
                opened.add(row)
            if one.ending_sequence_number is not None:
                row.ending_sequence_number = one.ending_sequence_number
                if row.status == "open":
                    row.status = "closed"


def advance(
    progress: Iterable[Progress], *, rebuild: Mapping[str, Collection[datetime]] | None = None, url: str | None = None
) -> None:
    """Move checkpoints on, and note which stages must rebuild which hours, in one transaction.

    Hours that a checkpoint has passed are noted for `STATEMENTS` by itself.
    """
    with session(url) as opened:
        stated: set[datetime] = set()
        for one in sorted(progress, key=lambda one: (one.stream_arn, one.shard_id)):
            row = opened.get(StreamShard, (one.stream_arn, one.shard_id), with_for_update=True)
            if row is not None and row.status != "lost":
                stated |= _moved(row, one)
        for stage, hours in sorted((rebuild or {}).items()):
            pending.mark(opened, stage, hours)
        pending.mark(opened, STATEMENTS, stated)


def record(gap: Gap, *, lost_shard: bool = False, url: str | None = None) -> bool:
    """Record a gap, once; whether it is new.

    While what follows a gap cannot be landed, more of it is lost: the end of a gap that is recorded already moves on.
    What a repair has closed of it stays closed: only what came since is missing.

    Args:
        gap: what is missing.
        lost_shard: its shard will never be read to its end, so it is called lost in the same transaction.
        url: of the state database.
    """
    with session(url) as opened:
        if lost_shard and gap.shard_id is not None:
            shard = opened.get(StreamShard, (gap.stream_arn, gap.shard_id), with_for_update=True)
            if shard is not None and shard.status != "drained":
                shard.status = "lost"
        if (row := opened.get(StreamGap, gap.gap_id, with_for_update=True)) is not None:
            _extend(opened, row, gap)
            return False
        opened.add(
            StreamGap(
                gap_id=gap.gap_id,
                source=gap.source,
                table_arn=gap.table_arn,
                stream_arn=gap.stream_arn,
                shard_id=gap.shard_id,
                after_sequence_number=gap.after_sequence_number,
                starts_at=gap.starts_at,
                ends_at=gap.ends_at,
                reason=gap.reason,
                explanation=gap.explanation,
                status="open",
                remaining=[f"{iso(gap.starts_at)}/{iso(gap.ends_at)}"],
                noticed_at=now(),
            )
        )
        pending.mark(opened, STATEMENTS, set(hours_between(gap.starts_at, gap.ends_at)))
        return True


def extend(gap: Gap, *, url: str | None = None) -> bool:
    """Record a gap that still grows, or move the end of the one recorded under its name on; whether it is new."""
    return record(gap, url=url)


def forget(stream_arn: str, *, url: str | None = None) -> None:
    """Drop the checkpoints of a stream that was deleted and made anew under the same name."""
    with session(url) as opened:
        opened.execute(sa.delete(StreamShard).where(StreamShard.stream_arn == stream_arn))


def gaps(tables: Collection[str] = (), *, unrepaired: bool = False, url: str | None = None) -> list[StreamGap]:
    """The gaps of these tables (ARNs; empty: all), by table and start."""
    query = sa.select(StreamGap).order_by(StreamGap.table_arn, StreamGap.starts_at, StreamGap.gap_id)
    if tables:
        query = query.where(StreamGap.table_arn.in_(tables))
    if unrepaired:
        query = query.where(StreamGap.status != "closed")
    with session(url) as opened:
        return list(opened.scalars(query))


def read_point(own: Sequence[StreamShard]) -> datetime | None:
    """Up to when one stream has been read without anything missing before; None when nothing is known of it.

    A shard that is not read to its end counts by its own reading, one that is drained by its children. A drained shard
    without children is the end of a stream, as far as is known: what followed it is not known to have been read. A lost
    shard leaves a gap, which speaks for itself, and its children go on. Where they came and went unseen, a later shard
    without a known parent goes on for all that had ended before it was met; what lies between is a gap too.
    """
    children: set[str] = set()
    by_id = {row.shard_id: row for row in own}
    orphaned_at: datetime | None = None
    for row in own:
        parents = row.parents
        children.update(parents)
        if parents and not by_id.keys() & set(parents):
            orphaned_at = max(orphaned_at or row.first_seen_at, row.first_seen_at)
    points: list[datetime | None] = []
    for row in own:
        if row.status in ("open", "closed"):
            before = [_latest(by_id[parent]) for parent in row.parents if parent in by_id]
            known_before = [at for at in before if at is not None]
            points.append(_latest(row) or (min(known_before) if len(known_before) == len(before) > 0 else None))
        elif row.shard_id not in children and (orphaned_at is None or row.first_seen_at >= orphaned_at):
            points.append(_latest(row))
    known = [point for point in points if point is not None]
    return min(known) if known and len(known) == len(points) else None


def _extend(opened: Session, row: StreamGap, gap: Gap) -> None:
    if row.ends_at >= gap.ends_at:
        return
    row.remaining = [*(row.remaining or ()), f"{iso(row.ends_at)}/{iso(gap.ends_at)}"]
    if len(row.remaining) > 1 and row.remaining[-2].endswith(f"/{iso(row.ends_at)}"):
        start = row.remaining[-2].partition("/")[0]
        row.remaining = [*row.remaining[:-2], f"{start}/{iso(gap.ends_at)}"]
    if row.status == "closed":
        row.status, row.closed_at = "narrowed", None
    pending.mark(opened, STATEMENTS, set(hours_between(row.ends_at, gap.ends_at)))
    row.ends_at = gap.ends_at


def _latest(row: StreamShard) -> datetime | None:
    return max((at for at in (row.read_until, row.newest_event_at) if at is not None), default=None)


def _moved(row: StreamShard, one: Progress) -> set[datetime]:
    before = _latest(row)
    if one.sequence_number is not None and int(one.sequence_number) > int(row.sequence_number or -1):
        row.sequence_number = one.sequence_number
    for name in ("newest_event_at", "read_until"):
        value = getattr(one, name)
        if value is not None and value > (getattr(row, name) or value - timedelta(seconds=1)):
            setattr(row, name, value)
    if one.oldest_event_at is not None and one.oldest_event_at < (
        row.oldest_event_at or datetime.max.replace(tzinfo=UTC)
    ):
        row.oldest_event_at = one.oldest_event_at
    if one.drained:
        row.status = "drained"
    after = _latest(row)
    if after is None:
        return set()
    # An hour is not stated as soon as it is over, so the one before the last checkpoint may still be due.
    start = max(before - HOUR if before else row.first_seen_at - timedelta(days=1), after - LONGEST)
    return set(hours_between(min(hour_of(start), hour_of(after)), after))
