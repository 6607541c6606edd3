"""One reading of a Kinesis stream: from the checkpoints, in portions, to the tip of every shard."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from dynatrail import clock
from dynatrail.errors import SourceError
from dynatrail.privacy.tokens import Tokenizer
from dynatrail.sources.changes.parse import ChangeParser, Place
from dynatrail.sources.changes.rows import ChangedTable
from dynatrail.sources.changes.write import land
from dynatrail.sources.kinesis import gaps
from dynatrail.sources.kinesis.client import Answer, KinesisClient, Record, Shard, Stream
from dynatrail.sources.kinesis.gaps import SOURCE
from dynatrail.sources.kinesis.once import once
from dynatrail.sources.kinesis.reader import Ended, Job, Reading
from dynatrail.sources.streams.client import GoneError
from dynatrail.sources.streams.lineage import LAG
from dynatrail.state import pending
from dynatrail.state import streams as state
from dynatrail.state.models import StreamShard
from dynatrail.warehouse.store import Warehouse

PORTION = 25_000
"""Rows after which what was read is written and checkpoints move on; bounds memory and what a kill repeats."""

_LOG = logging.getLogger(__name__)
_LATEST = timedelta(days=1)
_VIEW = "NEW_AND_OLD_IMAGES"  # a destination always writes both
_UNIT = "MILLISECOND"  # the default, where a record does not say
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Named(msgspec.Struct):
    table_name: str = msgspec.field(name="tableName", default="")


_named = msgspec.json.Decoder(_Named).decode


@dataclass(slots=True)
class Summary:
    """What one stream gave; small enough for XCom and free of values.

    Attributes:
        foreign: records of tables that are not read from here.
    """

    streams: int = 0
    shards: int = 0
    records: int = 0
    foreign: int = 0
    changes: int = 0
    quarantined: int = 0
    hours: int = 0
    gaps: int = 0
    warnings: list[str] = field(default_factory=list)


class Run:
    """Reads one stream for the tables whose changes are to be taken from it.

    Args:
        tables: at least one; each with whether its destination is active now.
        records: beginning of the names of the files that get the gate's results.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        client: KinesisClient,
        tokens: Tokenizer,
        records: Path,
        arn: str,
        tables: Sequence[tuple[ChangedTable, bool]],
    ) -> None:
        self.summary = Summary()
        self.unread: list[str] = []
        self._warehouse = warehouse
        self._client = client
        self._records = records
        self._arn = arn
        self._tables = list(tables)
        self._parsers = {
            table.name: ChangeParser(tokens, table, origin=SOURCE, double_base64=True) for table, _ in tables
        }
        self._owner = tables[0][0].arn
        self._jobs: list[Job] = []
        self._done: set[str] = set()
        self._hours: set[datetime] = set()
        self._portions = 0

    def read(self) -> None:
        """Read everything that there is.

        Raises:
            SourceError: the stream cannot be described, or is gone.
            QualityError: a portion was stopped; what came before it has landed.
        """
        try:
            stream = self._client.describe(self._arn)
        except GoneError as error:
            self._gone()
            raise SourceError(
                f"{error} A destination without its stream writes nothing: enable it again on a stream that exists."
            ) from None
        known = self._known(stream)
        self.summary.streams = 1
        if not known:
            self._replaced(stream)
        self._vanished(stream, known)
        self._disabled(stream, known)
        while todo := self._ready(stream):
            self._read(stream, todo, known)
            stream = self._client.describe(self._arn)  # it may have been split meanwhile
        self.summary.hours = len(self._hours)
        self.summary.warnings = sorted(set(self.summary.warnings))

    def _known(self, stream: Stream) -> list[StreamShard]:
        """The checkpoints before; none where the stream was made anew under the name of one that is gone."""
        known = state.shards(streams=[stream.arn])
        starts = {shard.shard_id: shard.starting for shard in stream.shards}
        if not any(
            starts.get(row.shard_id, row.starting_sequence_number) != row.starting_sequence_number for row in known
        ):
            return known
        for table, _ in self._tables:
            self._gap(gaps.replaced(stream.arn, table.arn, known, stream.created_at))
        state.forget(stream.arn)
        return []

    def _gone(self) -> None:
        known = state.shards(streams=[self._arn])
        for row in known:
            if row.status in ("open", "closed"):
                for table, _ in self._tables:
                    self._gap(gaps.vanished(row, table.arn, clock.now(), known), lost_shard=True)

    def _vanished(self, stream: Stream, known: Sequence[StreamShard]) -> None:
        """Shards that were not read to their end before AWS removed them, and ones of which only children are left."""
        shown = {shard.shard_id for shard in stream.shards}
        rows = {row.shard_id: row for row in known}
        for row in known:
            if row.status in ("open", "closed") and row.shard_id not in shown:
                for table, _ in self._tables:
                    self._gap(gaps.vanished(row, table.arn, stream.horizon, known), lost_shard=True)
        before = gaps.safe(None, known) or min((row.first_seen_at for row in known), default=None)
        for shard in stream.shards:
            if before and shard.parents and shard.shard_id not in rows and not {*shown, *rows} & {*shard.parents}:
                for table, _ in self._tables:
                    self._gap(gaps.hole(stream, table.arn, shard.shard_id, before))

    def _disabled(self, stream: Stream, known: Sequence[StreamShard]) -> None:
        """A gap that grows with each run that finds the destination switched off, and ends with the next one.

        While it grows it ends a little after what was read, which tells the next run that it does.
        """
        point = state.read_point(known)
        if point is None:
            return
        for table, active in self._tables:
            until = stream.at if active else stream.at + LAG
            earlier = [
                gap
                for gap in state.gaps([table.arn])
                if (gap.stream_arn, gap.reason) == (stream.arn, gaps.DISABLED) and gap.ends_at > point + LAG / 2
            ]
            if earlier:
                state.extend(gaps.disabled(stream.arn, table.arn, earlier[-1].starts_at, until))
            elif not active:
                self._gap(gaps.disabled(stream.arn, table.arn, point - LAG, until))
            if not active:
                self._warn(f"{table.name}: its Kinesis destination is not active, so its changes go nowhere.")

    def _ready(self, stream: Stream) -> list[Job]:
        """Shards to read now: those whose parents, as far as they are left, were read to their end."""
        state.observe(
            (
                state.SeenShard(
                    stream.arn,
                    shard.shard_id,
                    SOURCE,
                    self._owner,
                    " ".join(shard.parents) or None,
                    shard.starting,
                    shard.ending,
                )
                for shard in stream.shards
            ),
            stream.at,
        )
        rows = {row.shard_id: row for row in state.shards(streams=[stream.arn])}
        over = {shard_id for shard_id, row in rows.items() if row.status in ("drained", "lost")}
        waiting = {shard.shard_id for shard in stream.shards} - over
        return [
            self._job(stream, shard, rows.get(shard.shard_id))
            for shard in stream.shards
            if shard.shard_id in waiting - self._done and not waiting & {*shard.parents}
        ]

    def _job(self, stream: Stream, shard: Shard, row: StreamShard | None) -> Job:
        place = Place(stream.arn, shard.shard_id, _VIEW, _UNIT)
        began = row.newest_event_at if row and row.newest_event_at else stream.created_at
        place.time_us = (began - _EPOCH) // timedelta(microseconds=1)
        place.last = row.sequence_number if row else None
        return Job(stream, shard, row, place)

    def _read(self, stream: Stream, jobs: list[Job], known: Sequence[StreamShard]) -> None:
        self._jobs = jobs
        self.summary.shards += len(jobs)
        self._done |= {job.shard.shard_id for job in jobs}
        with Reading(self._client, jobs) as events:
            for job, event in events:
                if isinstance(event, Ended):
                    self._ended(event)
                else:
                    self._take(job, event, known)
                if sum(parser.pending for parser in self._parsers.values()) >= PORTION:
                    self._land(stream)
        self._land(stream)

    def _take(self, job: Job, answer: Answer, known: Sequence[StreamShard]) -> None:
        records = answer.records
        if not job.checked and (records or answer.behind_ms == 0 or answer.next_iterator is None):
            job.checked = True
            if records and records[0].sequence_number == job.checkpoint:
                records = records[1:]
            else:
                self._trimmed(job, records[0].arrived_at if records else None, known)
        self._parse(job, records)
        if answer.next_iterator is None:
            job.drained, job.dirty = True, True
        elif answer.behind_ms == 0:
            job.read_until, job.dirty = answer.at, True
        elif answer.records and answer.records[-1].arrived_at >= job.stream.at:
            job.read_until, job.dirty = job.stream.at, True

    def _trimmed(self, job: Job, first: datetime | None, known: Sequence[StreamShard]) -> None:
        own = next((row for row in known if row.shard_id == job.shard.shard_id), None)
        before = gaps.safe(own, known) or (own.first_seen_at - job.stream.retention if own else None)
        if before is None:
            return
        for table, _ in self._tables:
            self._gap(gaps.trimmed(job.stream, table.arn, own, job.shard.shard_id, before, first))

    def _parse(self, job: Job, records: Sequence[Record]) -> None:
        for record in records:
            parser = self._parser_of(record.data)
            if parser is None:
                self.summary.foreign += 1
                job.place.last = record.sequence_number
            else:
                before = job.place.time_us
                job.place.time_us = (record.arrived_at - _EPOCH) // timedelta(microseconds=1)
                parser.add([record.data], job.place, [record.sequence_number])
                self._note(job, record.arrived_at, before)
        if records:
            self.summary.records += len(records)
            job.dirty = True

    @staticmethod
    def _note(job: Job, arrived_at: datetime, before_us: int) -> None:
        """Times of the shard's records; one whose time makes no sense says nothing of how far was read."""
        at = _EPOCH + timedelta(microseconds=job.place.time_us)
        if at > arrived_at + _LATEST:
            job.place.time_us = before_us
            return
        # How far was read, and since when, is when records arrived: a late one says nothing of the time that it names.
        job.oldest = min(job.oldest or arrived_at, arrived_at)
        job.newest = max(job.newest or job.oldest, min(at, arrived_at))

    def _parser_of(self, data: bytes) -> ChangeParser | None:
        """The parser of the record's table; what names none goes to the first one, which rejects it with a reason."""
        try:
            name = _named(data).table_name
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            name = ""
        return self._parsers.get(name) if name else next(iter(self._parsers.values()))

    def _ended(self, ended: Ended) -> None:
        if ended.error is not None:
            self.unread.append(str(ended.error))
            _LOG.error("%s", ended.error)

    def _land(self, stream: Stream) -> None:
        """Write what was parsed, then move the checkpoints on."""
        portions = [(parser.rows.table, *parser.take()) for parser in self._parsers.values() if parser.pending]
        hours: frozenset[datetime] = frozenset()
        stated: frozenset[datetime] = frozenset()
        if portions:
            self._portions += 1
            record = self._records.with_name(f"{self._records.name}-{self._portions}.json")
            latest = stream.at + _LATEST
            written = land(self._warehouse, portions, source=SOURCE, record=record, latest=latest, settle=once)
            hours, stated = written.hours, written.hours | written.kept_out
            self.summary.changes += written.rows
            self.summary.quarantined += written.quarantined
            self.summary.warnings += written.warnings
            self._hours |= hours
        dirty = [job for job in self._jobs if job.dirty]
        passed = {hour for job in dirty if job.oldest for hour in clock.hours_between(job.oldest, stream.at)}
        state.advance(map(_progress, dirty), rebuild={**pending.touched(hours), state.STATEMENTS: passed | stated})
        for job in dirty:
            job.dirty = False

    def _replaced(self, stream: Stream) -> None:
        """Where a table's changes went to another stream before: what lies between the two.

        Recorded before anything of this one is noted, for whoever dies after that does not meet it for the first time
        again. So the gap ends now, although the stream may hold some of it.
        """
        for table, _ in self._tables:
            old = [row for row in state.shards(tables=[table.arn], source=SOURCE) if row.stream_arn != stream.arn]
            if old:
                self._gap(gaps.replaced(stream.arn, table.arn, old, stream.at))

    def _gap(self, gap: state.Gap | None, *, lost_shard: bool = False) -> None:
        if gap is not None and state.record(gap, lost_shard=lost_shard):
            self.summary.gaps += 1
            name = gap.table_arn.rpartition("/")[2]
            self._warn(
                f"{name}: changes between {clock.iso(gap.starts_at)} and {clock.iso(gap.ends_at)} may be missing "
                f"({gap.reason}). {gap.explanation}"
            )

    def _warn(self, text: str) -> None:
        self.summary.warnings.append(text)
        _LOG.warning("%s", text)


def _progress(job: Job) -> state.Progress:
    return state.Progress(
        stream_arn=job.stream.arn,
        shard_id=job.shard.shard_id,
        sequence_number=job.place.last,
        newest_event_at=job.newest,
        read_until=job.read_until,
        drained=job.drained,
        oldest_event_at=job.oldest,
    )
