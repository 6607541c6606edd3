"""Reads shards side by side: threads fetch, one thread takes what they bring, in order within each shard.

How far an open shard is read cannot be asked for: "it might take multiple calls to get to a portion of the shard that
contains stream records" (GetRecords, API reference), so one empty answer proves nothing. Several in a row count as the
end, as of the first of them; so does a record that is as young as the run, or a busy shard would be read forever.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Raw, Struct

from dynatrail.errors import SourceError
from dynatrail.sources.changes.parse import Place
from dynatrail.sources.changes.rows import ChangedTable
from dynatrail.sources.streams.client import (
    Answer,
    IteratorExpiredError,
    Pace,
    Stream,
    StreamsClient,
    TrimmedError,
)
from dynatrail.sources.streams.lineage import RETENTION

READERS = 8
EMPTY_ANSWERS = 5
"""In a row, after which an open shard counts as read to its end; a second's worth of calls."""

FUTURE = timedelta(hours=6)
"""How much later than the beginning of a run a record may be to be believed: a run may take that long."""

_AHEAD = 4  # answers fetched and not taken yet, of 1 MB at most each
_WAIT_S = 0.2
_HORIZONS = 10  # the oldest record can be trimmed between asking for it and reading it, but not for long


@dataclass(slots=True)
class Job:
    """One shard to read.

    Attributes:
        place: how far it has been taken.
        safe: everything before was read by earlier runs; None: it is met for the first time.
        drained, read_until: what its end was.
        seen: it gave records; `dirty`: something of it is not in its checkpoint yet.
    """

    stream: Stream
    table: ChangedTable
    place: Place
    safe: datetime | None
    drained: bool = False
    read_until: datetime | None = None
    seen: bool = False
    dirty: bool = False

    @property
    def name(self) -> str:
        return f"{self.place.shard_id} of the stream {self.stream.arn}"


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer with records."""

    job: Job
    answer: Answer


@dataclass(frozen=True, slots=True)
class Lost:
    """Records of the shard were trimmed before they were read.

    Attributes:
        after: last sequence number that was read; None before the first.
        safe: everything before was read.
        first: time of the first record that is left; None without any.
        at: time of the answer that told.
    """

    job: Job
    after: str | None
    safe: datetime
    first: datetime | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """The shard has been read to its end: for good, or for now as of `read_until`."""

    job: Job
    drained: bool
    read_until: datetime | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The shard could not be read on; what came of it before stays."""

    job: Job
    error: SourceError


Event = Fetched | Lost | Ended | Failed


class _Body(Struct):
    time: float = msgspec.field(name="ApproximateCreationDateTime", default=0.0)
    sequence_number: str | None = msgspec.field(name="SequenceNumber", default=None)


class _Head(Struct):
    dynamodb: _Body = msgspec.field(default_factory=_Body)


_head = msgspec.json.Decoder(_Head).decode


class _StoppedError(Exception):
    pass


@dataclass
class Readers:
    """Threads that read the jobs they are given; a context manager that ends them. Iterate over it for what they bring.

    The iteration ends when all jobs have ended; more may be given until then.
    """

    client: StreamsClient
    _left: int = 0
    _events: "queue.Queue[Event | BaseException]" = field(default_factory=lambda: queue.Queue(_AHEAD))
    _stop: threading.Event = field(default_factory=threading.Event)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(READERS, "read-shard"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def read(self, job: Job) -> None:
        """Read a shard, as soon as a thread is free."""
        self._left += 1
        self._pool.submit(self._read, job)

    def __iter__(self) -> Iterator[Event]:
        while self._left:
            event = self._events.get()
            if isinstance(event, BaseException):
                raise event
            if isinstance(event, Ended | Failed):
                self._left -= 1
            yield event

    def _put(self, event: Event | BaseException) -> None:
        while not self._stop.is_set():
            try:
                return self._events.put(event, timeout=_WAIT_S)
            except queue.Full:
                continue
        raise _StoppedError

    def _read(self, job: Job) -> None:
        try:
            try:
                self._put(self._to_the_end(job))
            except SourceError as error:
                self._put(Failed(job, error))
        except _StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001  the other thread raises it
            self._put(error)

    def _to_the_end(self, job: Job) -> Ended:
        reading = _Reading(self.client, job)
        pace = Pace(self.client.reads_per_s)
        empty, empty_since = 0, job.stream.at
        while True:
            pace.wait()
            answer = reading.next()
            if answer.records:
                if lost := reading.lost(answer):
                    self._put(lost)
                self._put(Fetched(job, answer))
                empty = 0
            else:
                empty_since = empty_since if empty else answer.at
                empty += 1
            if answer.next_iterator is None or empty >= EMPTY_ANSWERS:
                if lost := reading.lost(answer):
                    self._put(lost)
                drained = answer.next_iterator is None
                return Ended(job, drained, None if drained else empty_since)
            if reading.newest is not None and reading.newest > job.stream.at:
                return Ended(job, drained=False, read_until=job.stream.at)


class _Reading:
    """One shard's iterator, renewed when it expires or when what it points to was trimmed."""

    def __init__(self, client: StreamsClient, job: Job) -> None:
        self.newest: datetime | None = None
        self._client = client
        self._job = job
        self._after = job.place.last
        self._safe = job.safe
        self._trimmed = 0
        self._lost_after = self._after
        # Without a sequence number AWS cannot tell that the beginning is gone; its age does.
        self._aged = self._after is None and self._safe is not None and self._safe < job.stream.at - RETENTION
        self._iterator: str | None = None

    def next(self) -> Answer:
        """The next answer.

        Raises:
            SourceError: the shard cannot be read on.
        """
        while True:
            try:
                iterator = self._iterator or self._client.iterator(
                    self._job.stream.arn, self._job.place.shard_id, None if self._trimmed else self._after
                )
                answer = self._client.records(iterator, self._job.name)
            except IteratorExpiredError:
                self._iterator = None
                continue
            except TrimmedError:
                if not self._trimmed:
                    self._lost_after = self._after
                self._trimmed, self._iterator = self._trimmed + 1, None
                if self._trimmed > _HORIZONS:
                    raise
                continue
            self._iterator = answer.next_iterator
            if answer.records:
                self._learn(answer.records)
            return answer

    def lost(self, answer: Answer) -> Lost | None:
        """What the trimming that was met has cost, told once, when the first record that is left is known.

        Nothing younger than 24 hours is trimmed. So nothing is lost where everything before that had been read: in a
        shard in which nothing happens, the last record that was read is trimmed one day, and is only missing there.
        """
        told = self._trimmed or self._aged
        self._trimmed, self._aged = 0, False
        safe, self._safe = self._safe, self.newest or self._safe
        if not told or safe is None or safe >= answer.at - RETENTION:
            return None
        first = _time(answer.records[0]) if answer.records else None
        return Lost(self._job, self._lost_after, safe, first, answer.at)

    def _learn(self, records: Sequence[Raw]) -> None:
        for raw in reversed(records):
            body = _body(raw)
            if body.sequence_number:
                self._after = body.sequence_number
                time = _time(raw)
                if time is not None and time <= self._job.stream.at + FUTURE:
                    self.newest = time
                return


def _body(raw: Raw) -> _Body:
    try:
        return _head(raw).dynamodb
    except (msgspec.DecodeError, RecursionError):
        return _Body()


def _time(raw: Raw) -> datetime | None:
    """A record's time; None where it has none that makes sense: the parser rejects it, with a reason."""
    try:
        return datetime.fromtimestamp(_body(raw).time, UTC) if _body(raw).time else None
    except (OverflowError, OSError, ValueError):
        return None
