"""Reads shards side by side: threads fetch, one thread takes what they bring, in order within each shard.

Where a shard was read before, its checkpoint's record is asked for again: when it comes first, nothing was trimmed.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from dynatrail.errors import SourceError
from dynatrail.sources.changes.parse import Place
from dynatrail.sources.kinesis.client import Answer, KinesisClient, Shard, Stream
from dynatrail.sources.streams.client import READS_PER_S, IteratorExpiredError, Pace
from dynatrail.state.models import StreamShard

READERS = 8
_AHEAD = 8  # answers fetched and not taken yet, of 10 MB at most each
_WAIT_S = 0.2
_ATTEMPTS = 5  # iterators that may expire one after the other before they were used once


@dataclass(slots=True)
class Job:
    """One shard to read.

    Attributes:
        row: its checkpoint before; None when it is met for the first time.
        place: how far it has been taken.
        checked: it is known whether something was trimmed before it was read.
        read_until, drained: what its end was.
        oldest, newest: times of its records, as far as they were taken.
    """

    stream: Stream
    shard: Shard
    row: StreamShard | None
    place: Place
    checked: bool = False
    read_until: datetime | None = None
    drained: bool = False
    oldest: datetime | None = None
    newest: datetime | None = None
    dirty: bool = False

    @property
    def checkpoint(self) -> str | None:
        return self.row.sequence_number if self.row else None


@dataclass(frozen=True, slots=True)
class Ended:
    """The shard has been read to its end, for good or for now; or could not be read on, because of `error`."""

    error: SourceError | None = None


Event = tuple[Job, Answer | Ended]


class _StoppedError(Exception):
    pass


class Reading:
    """What reading these shards brings, until each of them has ended: a context manager, to iterate over once."""

    def __init__(self, client: KinesisClient, jobs: Sequence[Job]) -> None:
        self._client = client
        self._jobs = jobs
        self._events: queue.Queue[Event | BaseException] = queue.Queue(_AHEAD)
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(READERS, "read-shard")

    def __enter__(self) -> Self:
        for job in self._jobs:
            self._pool.submit(self._read, job)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def __iter__(self) -> Iterator[Event]:
        left = len(self._jobs)
        while left:
            event = self._events.get()
            if isinstance(event, BaseException):
                raise event
            left -= isinstance(event[1], Ended)
            yield event

    def _read(self, job: Job) -> None:
        try:
            try:
                for answer in _answers(self._client, job):
                    self._put((job, answer))
                self._put((job, Ended()))
            except SourceError as error:
                self._put((job, Ended(error)))
        except _StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001  the other thread raises it
            self._put(error)

    def _put(self, event: Event | BaseException) -> None:
        while not self._stop.is_set():
            try:
                return self._events.put(event, timeout=_WAIT_S)
            except queue.Full:
                continue
        raise _StoppedError


def _answers(client: KinesisClient, job: Job) -> Iterator[Answer]:
    """All answers up to the tip of an open shard, or the end of a closed one."""
    arn, shard_id = job.stream.arn, job.shard.shard_id
    pace = Pace(READS_PER_S)
    after, inclusive = job.checkpoint, True
    iterator: str | None = None
    expired = 0
    while True:
        iterator = iterator or client.iterator(arn, shard_id, after, inclusive=inclusive)
        pace.wait()
        try:
            answer = client.records(iterator, arn, shard_id)
        except IteratorExpiredError:
            iterator, expired = None, expired + 1
            if expired > _ATTEMPTS:
                raise
            continue
        expired = 0
        yield answer
        iterator = answer.next_iterator
        if answer.records:
            after, inclusive = answer.records[-1].sequence_number, False
        if iterator is None or (answer.behind_ms == 0 and job.shard.ending is None):
            return
        if answer.records and answer.records[-1].arrived_at >= job.stream.at:
            return  # a busy shard would be read forever
