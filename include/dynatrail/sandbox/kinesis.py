"""Kinesis data streams, and the changes that DynamoDB writes into them for tables with a streaming destination.

ministack has checked signature and policy, and keeps each table's destinations; what it answers for streams is thrown
away (`kinesis_streams`). As on AWS, a record may come twice and late, so that others of its item come first.
"""

import random
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from dynatrail.sandbox import kinesis_records
from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.journal import Change, Journal
from dynatrail.sandbox.kinesis_answers import Answers, Asked
from dynatrail.sandbox.kinesis_streams import Stream
from dynatrail.sandbox.parameters import bare_table
from dynatrail.sandbox.parts import Seen
from dynatrail.sandbox.streams_answers import Faults, StreamError, json_answer

Json = dict[str, Any]

_DESTINATIONS = frozenset(f"{verb}KinesisStreamingDestination" for verb in ("Enable", "Disable", "Update", "Describe"))


@dataclass
class KinesisBehaviour:
    """How DynamoDB replicates into Kinesis; may be changed at any time. Which records are hit depends on the seed.

    Attributes:
        duplicates: share of the changes whose record comes a second time, with the same eventID.
        late: share of the records that come up to `late_s` later than the others, behind younger ones.
        seed: another one hits other records.
    """

    duplicates: float = 0.08
    late: float = 0.15
    late_s: float = 8.0
    seed: int = 7


class Destination(msgspec.Struct):
    """A table's stream, and up to where in the journal its changes were replicated."""

    account_id: str
    region: str
    table: str
    stream_arn: str
    precision: str
    enabled_at: datetime
    sequence: int = 0
    active: bool = True


class Arriving(msgspec.Struct, frozen=True, order=True):
    """A record on its way."""

    at: datetime
    number: int
    stream_arn: str
    partition_key: str
    data: bytes


class _State(msgspec.Struct):
    streams: dict[str, Stream] = {}
    destinations: list[Destination] = []
    arriving: list[Arriving] = []
    number: int = 0
    journal: int = 0


class Kinesis:
    """Answers for `kinesis`, and learns destinations from `dynamodb`.

    Attributes:
        faults: what goes wrong on purpose; None for nothing.
    """

    name = "kinesis"

    def __init__(self, journal: Journal) -> None:
        self.behaviour = KinesisBehaviour()
        self.faults: Faults | None = None
        self._journal = journal
        self._state = _State()

    def saw(self, seen: Seen) -> None:
        call = seen.call
        self._replicate(seen.now)  # with the precision that holds before this call
        if not seen.ok:
            return
        if call.service == "kinesis":
            self._learn(seen)
        elif call.service == "dynamodb" and call.operation in _DESTINATIONS:
            self._learn_destination(seen)
        elif call.service == "dynamodb" and call.operation == "DeleteTable":
            for destination in self._of_table(seen):
                destination.active = False

    def answer(self, seen: Seen) -> Response | None:
        if seen.call.service != "kinesis":
            return None
        try:
            if self.faults is not None:
                self.faults.strike(seen.call.operation)
            answer = Answers(self._state.streams).answer(seen.call.operation, _asked(seen))
        except StreamError as wrong:
            return wrong.response
        return None if answer is None else json_answer(answer)

    def tick(self, now: datetime) -> None:
        self._replicate(now)

    def save(self) -> bytes:
        return msgspec.msgpack.encode(self._state)

    def load(self, saved: bytes) -> None:
        self._state = msgspec.msgpack.decode(saved, type=_State)

    def _learn(self, seen: Seen) -> None:
        sent = seen.call.parameters
        match seen.call.operation:
            case "CreateStream":
                name = str(sent["StreamName"])
                arn = f"arn:aws:kinesis:{seen.call.region}:{seen.account_id}:stream/{name}"
                self._state.streams[arn] = Stream.create(name, arn, int(sent.get("ShardCount") or 1), seen.now)
            case "DeleteStream":
                self._state.streams.pop(Answers(self._state.streams).stream(_asked(seen)).arn)
            case "IncreaseStreamRetentionPeriod" | "DecreaseStreamRetentionPeriod":
                stream = Answers(self._state.streams).stream(_asked(seen))
                stream.retention_hours = int(sent["RetentionPeriodHours"])
                stream.trim(seen.now)

    def _learn_destination(self, seen: Seen) -> None:
        sent, arn = seen.call.parameters, seen.call.parameters.get("StreamArn", "")
        known = next((one for one in self._of_table(seen) if one.stream_arn == arn), None)
        match seen.call.operation:
            case "EnableKinesisStreamingDestination":
                wanted = sent.get("EnableKinesisStreamingConfiguration") or {}
                if known:
                    self._state.destinations.remove(known)
                self._state.destinations.append(
                    Destination(
                        seen.account_id,
                        seen.call.region,
                        bare_table(sent["TableName"]),
                        arn,
                        wanted.get("ApproximateCreationDateTimePrecision") or "MILLISECOND",
                        seen.now,
                        len(self._journal),
                    )
                )
            case "UpdateKinesisStreamingDestination" if known:
                wanted = sent.get("UpdateKinesisStreamingConfiguration") or {}
                known.precision = wanted.get("ApproximateCreationDateTimePrecision") or known.precision
            case "DisableKinesisStreamingDestination" if known:
                known.active = False

    def _of_table(self, seen: Seen) -> list[Destination]:
        place = (seen.account_id, seen.call.region, bare_table(seen.call.parameters.get("TableName", "")))
        return [one for one in self._state.destinations if (one.account_id, one.region, one.table) == place]

    def _replicate(self, now: datetime) -> None:
        """Send off what changed since the last time, and let arrive what is due."""
        state = self._state
        if len(self._journal) > state.journal:
            state.journal = len(self._journal)
            for destination in state.destinations:
                if destination.active:
                    state.arriving += self._sent(destination)
            state.arriving.sort()
        while state.arriving and state.arriving[0].at <= now:
            record = state.arriving.pop(0)
            if stream := state.streams.get(record.stream_arn):
                stream.put(record.partition_key, record.data, record.at)

    def _sent(self, to: Destination) -> Iterator[Arriving]:
        behaviour = self.behaviour
        changes = self._journal.changes(to.account_id, to.region, to.table, since=to.enabled_at)
        begin = bisect_right(changes, to.sequence, key=lambda change: change.sequence)
        for change in changes[begin:]:
            to.sequence = change.sequence
            chance = random.Random(f"{behaviour.seed} {to.stream_arn} {change.sequence}")
            copies = 2 if chance.random() < behaviour.duplicates else 1
            for _ in range(copies):
                late = chance.uniform(1, behaviour.late_s) if chance.random() < behaviour.late else 0
                yield self._arriving(change, to, timedelta(seconds=chance.uniform(0.2, 0.9) + late))

    def _arriving(self, change: Change, to: Destination, latency: timedelta) -> Arriving:
        self._state.number += 1
        at = (change.at + latency).replace(microsecond=(change.at + latency).microsecond // 1000 * 1000)
        key, data = kinesis_records.partition_key(change), kinesis_records.record(change, to.precision)
        return Arriving(at, self._state.number, to.stream_arn, key, data)


def _asked(seen: Seen) -> Asked:
    return Asked(seen.call.parameters, seen.account_id, seen.call.region, seen.now)
