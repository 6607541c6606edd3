"""One reading of a batch of tables: from the checkpoints, in portions, to the end of every shard."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from dynatrail import clock
from dynatrail.errors import SourceError
from dynatrail.privacy.tokens import Tokenizer
from dynatrail.sources.changes.parse import ChangeParser, Place
from dynatrail.sources.changes.rows import ChangedTable
from dynatrail.sources.changes.write import land
from dynatrail.sources.streams import lineage
from dynatrail.sources.streams.client import GoneError, Shard, Stream, StreamsClient
from dynatrail.sources.streams.reader import FUTURE, Ended, Event, Failed, Fetched, Job, Lost, Readers
from dynatrail.state import pending
from dynatrail.state import streams as state
from dynatrail.state.models import StreamShard
from dynatrail.warehouse.store import Warehouse

SOURCE = "streams"
PORTION = 5_000
"""Rows after which what was read is written and checkpoints move on; bounds memory and what a kill repeats."""

_LOG = logging.getLogger(__name__)
_LATEST = timedelta(days=1)


@dataclass(slots=True)
class Summary:
    """What one batch did; small enough for XCom and free of values."""

    tables: int = 0
    streams: int = 0
    shards: int = 0
    records: int = 0
    changes: int = 0
    quarantined: int = 0
    hours: int = 0
    gaps: int = 0
    warnings: list[str] = field(default_factory=list)


class Run:
    """Reads the streams of some tables of one account and region.

    Args:
        records: beginning of the names of the files that get the gate's results.
        alarm_after: age of a checkpoint above which people must be told.

    Attributes:
        unread: table -> why it, or a part of it, could not be read.
    """

    def __init__(
        self, warehouse: Warehouse, client: StreamsClient, tokens: Tokenizer, records: Path, alarm_after: timedelta
    ) -> None:
        self.summary = Summary()
        self.unread: dict[str, str] = {}
        self._warehouse = warehouse
        self._client = client
        self._tokens = tokens
        self._records = records
        self._alarm_after = alarm_after
        self._behind: dict[str, timedelta] = {}
        self._parsers: dict[str, ChangeParser] = {}
        self._plans: dict[str, lineage.Plan] = {}
        self._streams: dict[str, Stream] = {}
        self._jobs: dict[tuple[str, str], Job] = {}
        self._touched: set[datetime] = set()
        self._portions = 0
        self._at = clock.now()

    def read(self, tables: Sequence[ChangedTable]) -> None:
        """Read everything that there is.

        Raises:
            QualityError: a portion was stopped; what came before it has landed.
        """
        with Readers(self._client) as readers:
            for table in tables:
                self.summary.tables += 1
                try:
                    self._begin(table, readers)
                except SourceError as error:
                    self._failed(table, error)
            for event in readers:
                self._take(event, readers)
                if sum(parser.pending for parser in self._parsers.values()) >= PORTION:
                    self._land()
        self._land()
        for table in tables:
            self._finish(table)
        self.summary.hours = len(self._touched)
        self.summary.warnings = sorted(set(self.summary.warnings))

    def complaint(self) -> str | None:
        """Why the task must be red although everything that could be read has landed."""
        parts = []
        if self.unread:
            names = sorted(self.unread)
            parts.append(
                f"{len(names)} of {self.summary.tables} tables could not be read to their end; the others landed. "
                + " ".join(f"{name}: {self.unread[name]}" for name in names[:3])
            )
        if self._behind:
            name, age = max(self._behind.items(), key=lambda item: item[1])
            hours = age / timedelta(hours=1)
            parts.append(
                f"{len(self._behind)} tables lie behind by more than {self._alarm_after / timedelta(hours=1):g} h, "
                f"{name} by {hours:.1f} h. A stream keeps 24 h: what is older than that is lost. Find out what keeps "
                "extract_streams from reading them."
            )
        return " ".join(parts) or None

    def _begin(self, table: ChangedTable, readers: Readers) -> None:
        listed = list(self._client.streams(table.name))
        rows: dict[str, list[StreamShard]] = {}
        for row in state.shards(tables=[table.arn], source=SOURCE):
            rows.setdefault(row.stream_arn, []).append(row)
        unfinished = {arn for arn, own in rows.items() if any(row.status in ("open", "closed") for row in own)}
        newest = max(listed, default="")
        watched_before = bool(rows)
        for arn in sorted({*listed, *unfinished}):
            known = rows.get(arn, [])
            if known and arn not in unfinished and arn != newest:
                continue
            since = lineage.began_at(arn) if watched_before and not known else None
            try:
                stream = self._client.describe(arn)
            except GoneError:
                # It ended more than a day ago. What was not read of it is lost.
                for row in known:
                    if row.status in ("open", "closed"):
                        self._gap(lineage.vanished(row, self._at), lost_shard=True)
                continue
            self._at = stream.at
            self._warn_of_age(table, known, stream)
            self._plan(table, stream, known, since, readers)

    def _plan(
        self,
        table: ChangedTable,
        stream: Stream,
        known: Sequence[StreamShard],
        since: datetime | None,
        readers: Readers,
    ) -> None:
        if stream.arn not in self._streams:
            self.summary.streams += 1
        plan = lineage.plan(stream, known, table.arn, since)
        for gap in plan.gaps:
            self._gap(gap, lost_shard=True)
        state.observe(
            (
                state.SeenShard(
                    stream.arn, shard.shard_id, SOURCE, table.arn, shard.parent, shard.starting, shard.ending
                )
                for shard in stream.shards
            ),
            stream.at,
        )
        self._plans[stream.arn], self._streams[stream.arn] = plan, stream
        by_id = {row.shard_id: row for row in known}
        for shard in plan.ready:
            self._start(table, stream, shard, by_id.get(shard.shard_id), plan.safe[shard.shard_id], readers)

    def _start(
        self,
        table: ChangedTable,
        stream: Stream,
        shard: Shard,
        row: StreamShard | None,
        safe: datetime | None,
        readers: Readers,
    ) -> None:
        if (stream.arn, shard.shard_id) in self._jobs:
            return
        place = Place(stream.arn, shard.shard_id, stream.view_type)
        began = row.newest_event_at if row and row.newest_event_at else lineage.began_at(stream.arn)
        place.time_us = _microseconds(began or stream.created_at or stream.at)
        place.last = row.sequence_number if row else None
        job = Job(stream, table, place, safe)
        self._jobs[stream.arn, shard.shard_id] = job
        self.summary.shards += 1
        readers.read(job)

    def _take(self, event: Event, readers: Readers) -> None:
        job = event.job
        match event:
            case Fetched(answer=answer):
                self._at = max(self._at, answer.at)
                self._parser(job.table).add(answer.records, job.place)
                job.dirty = job.seen = True
                self.summary.records += len(answer.records)
            case Lost(after=after, safe=safe, first=first, at=at):
                self._gap(lineage.trimmed(job.stream, job.place.shard_id, after, safe, first, at))
            case Failed(error=error):
                self._failed(job.table, error)
            case Ended(drained=drained, read_until=read_until):
                job.drained, job.read_until, job.dirty = drained, read_until, True
                if drained:
                    self._go_on_with_children(job, readers)

    def _go_on_with_children(self, job: Job, readers: Readers) -> None:
        plan = self._plans[job.stream.arn]
        waiting = plan.waiting.pop(job.place.shard_id, [])
        if not waiting and job.stream.enabled:
            # Its children came after the stream had been described.
            try:
                stream = self._client.describe(job.stream.arn)
            except SourceError as error:
                self._failed(job.table, error)
                return
            known = {shard.shard_id for shard in self._streams[stream.arn].shards}
            came = [shard for shard in stream.shards if shard.shard_id not in known]
            self._streams[stream.arn] = stream
            state.observe(
                (
                    state.SeenShard(
                        stream.arn, shard.shard_id, SOURCE, job.table.arn, shard.parent, shard.starting, shard.ending
                    )
                    for shard in stream.shards
                ),
                stream.at,
            )
            for shard in came:
                plan.waiting.setdefault(shard.parent or "", []).append(shard)
                plan.safe[shard.shard_id] = None
            waiting = plan.waiting.pop(job.place.shard_id, [])
        for shard in waiting:
            safe = plan.safe.get(shard.shard_id)
            if safe is not None or job.safe is not None:
                # What a child holds was written after what its parent did.
                safe = max(at for at in (safe, job.safe, _instant(job.place.time_us)) if at is not None)
            row = next((r for r in state.shards(streams=[job.stream.arn]) if r.shard_id == shard.shard_id), None)
            self._start(job.table, self._streams[job.stream.arn], shard, row, safe, readers)

    def _parser(self, table: ChangedTable) -> ChangeParser:
        if table.arn not in self._parsers:
            self._parsers[table.arn] = ChangeParser(self._tokens, table)
        return self._parsers[table.arn]

    def _land(self) -> None:
        """Write what was parsed, then move the checkpoints on."""
        portions = [(parser.rows.table, *parser.take()) for parser in self._parsers.values() if parser.pending]
        hours: frozenset[datetime] = frozenset()
        stated: frozenset[datetime] = frozenset()
        if portions:
            self._portions += 1
            record = self._records.with_name(f"{self._records.name}-{self._portions}.json")
            latest = self._at + _LATEST
            written = land(self._warehouse, portions, source=SOURCE, record=record, latest=latest)
            hours, stated = written.hours, written.hours | written.kept_out
            self.summary.changes += written.rows
            self.summary.quarantined += written.quarantined
            self.summary.warnings += written.warnings
            self._touched |= hours
        state.advance(
            (_progress(job) for job in self._jobs.values() if job.dirty),
            rebuild={**pending.touched(hours), state.STATEMENTS: stated},
        )
        for job in self._jobs.values():
            job.dirty = False

    def _finish(self, table: ChangedTable) -> None:
        """What can only be said when a table's streams have been read: what lies between them, and how far behind."""
        streams: dict[str, list[StreamShard]] = {}
        for row in state.shards(tables=[table.arn], source=SOURCE):
            streams.setdefault(row.stream_arn, []).append(row)
        arns = sorted(streams)
        for old, new in pairwise(arns):
            if all(row.status in ("drained", "lost") for row in streams[old]):
                created = self._streams[new].created_at if new in self._streams else None
                if gap := lineage.replaced(streams[old], new, lineage.began_at(new) or created):
                    self._gap(gap)
        for own in streams.values():
            if any(row.status in ("open", "closed") for row in own):
                age = self._at - (state.read_point(own) or min(row.first_seen_at for row in own))
                if age > self._alarm_after:
                    self._behind[table.name] = max(age, self._behind.get(table.name, age))

    def _warn_of_age(self, table: ChangedTable, known: Sequence[StreamShard], stream: Stream) -> None:
        point = state.read_point(known)
        if (
            point is not None
            and stream.at - point > self._alarm_after
            and any(row.status in ("open", "closed") for row in known)
        ):
            hours = (stream.at - point) / timedelta(hours=1)
            self._warn(
                f"{table.name}: when this run began, its stream had not been read for {hours:.1f} h, of the 24 h it "
                "keeps. Did extract_streams stand still?"
            )

    def _gap(self, gap: state.Gap, *, lost_shard: bool = False) -> None:
        if state.record(gap, lost_shard=lost_shard):
            self.summary.gaps += 1
            name = gap.table_arn.rpartition("/")[2]
            self._warn(
                f"{name}: changes between {clock.iso(gap.starts_at)} and {clock.iso(gap.ends_at)} may be missing "
                f"({gap.reason}). {gap.explanation}"
            )

    def _failed(self, table: ChangedTable, error: SourceError) -> None:
        self.unread.setdefault(table.name, str(error))
        _LOG.error("%s: %s", table.name, error)

    def _warn(self, text: str) -> None:
        self.summary.warnings.append(text)
        _LOG.warning("%s", text)


def _progress(job: Job) -> state.Progress:
    return state.Progress(
        stream_arn=job.stream.arn,
        shard_id=job.place.shard_id,
        sequence_number=job.place.last,
        newest_event_at=_newest(job),
        read_until=job.read_until,
        drained=job.drained,
    )


def _newest(job: Job) -> datetime | None:
    """Time of the last record; a record from the future, which is quarantined, says nothing of how far was read."""
    newest = _instant(job.place.time_us)
    return newest if job.seen and newest <= job.stream.at + FUTURE else None


def _instant(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC) + timedelta(microseconds=time_us % 1_000_000)


def _microseconds(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
