"""Kinesis data streams: shards with their lineage, records, retention, iterators.

ministack forgets a shard and its records when it is split or merged, and knows no time but the real one; so the sandbox
keeps streams itself. A parent shard stays readable until its records are past retention, and its children say whose
they are ("Strategies for resharding").
"""

import base64
import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec

Json = dict[str, Any]

_TOP = 2**128 - 1
_MOST_RECORDS, _MOST_BYTES = 10_000, 10 << 20
"""Of one GetRecords answer."""


class Record(msgspec.Struct, frozen=True):
    """One record in a shard; `at` is ApproximateArrivalTimestamp."""

    sequence_number: str
    at: datetime
    data: bytes
    partition_key: str


class Shard(msgspec.Struct):
    """One shard; it is closed once it has an ending sequence number. Hash keys are decimal text of 128-bit numbers."""

    shard_id: str
    first_hash: str
    last_hash: str
    starting: str
    parents: list[str] = []
    ending: str | None = None
    closed_at: datetime | None = None
    records: list[Record] = []

    def holds(self, hash_key: int) -> bool:
        return int(self.first_hash) <= hash_key <= int(self.last_hash)

    @property
    def described(self) -> Json:
        sequence = {"StartingSequenceNumber": self.starting}
        if self.ending:
            sequence["EndingSequenceNumber"] = self.ending
        return {
            "ShardId": self.shard_id,
            **dict(zip(("ParentShardId", "AdjacentParentShardId"), self.parents, strict=False)),
            "HashKeyRange": {"StartingHashKey": self.first_hash, "EndingHashKey": self.last_hash},
            "SequenceNumberRange": sequence,
        }


class Stream(msgspec.Struct):
    """One stream, in sandbox time."""

    name: str
    arn: str
    created_at: datetime
    retention_hours: int = 24
    shards: list[Shard] = []
    sequence: int = 0

    @classmethod
    def create(cls, name: str, arn: str, shards: int, now: datetime) -> "Stream":
        stream = cls(name, arn, now)
        bounds = [number * (_TOP + 1) // shards for number in range(shards)] + [_TOP + 1]
        for first, end in pairwise(bounds):
            stream.add(first, end - 1, [], now)
        return stream

    @property
    def open(self) -> list[Shard]:
        return [shard for shard in self.shards if shard.ending is None]

    def shard(self, shard_id: str) -> Shard | None:
        return next((shard for shard in self.shards if shard.shard_id == shard_id), None)

    def add(self, first: int, last: int, parents: list[str], now: datetime) -> Shard:
        number = int(self.shards[-1].shard_id.split("-")[1]) + 1 if self.shards else 0
        shard = Shard(f"shardId-{number:012d}", str(first), str(last), self._next(number, now), parents)
        self.shards.append(shard)
        return shard

    def put(self, partition_key: str, data: bytes, now: datetime, explicit_hash: str | None = None) -> tuple[str, str]:
        """Append a record; its shard and sequence number."""
        key = explicit_hash or hashlib.md5(partition_key.encode(), usedforsecurity=False).hexdigest()
        hash_key = int(explicit_hash) if explicit_hash else int(key, 16)
        shard = next(shard for shard in self.open if shard.holds(hash_key))
        sequence_number = self._next(int(shard.shard_id.split("-")[1]), now)
        shard.records.append(Record(sequence_number, now, data, partition_key))
        return shard.shard_id, sequence_number

    def split(self, shard: Shard, at: int, now: datetime) -> None:
        self._close(shard, now)
        self.add(int(shard.first_hash), at - 1, [shard.shard_id], now)
        self.add(at, int(shard.last_hash), [shard.shard_id], now)

    def merge(self, one: Shard, other: Shard, now: datetime) -> None:
        self._close(one, now)
        self._close(other, now)
        bounds = [int(text) for shard in (one, other) for text in (shard.first_hash, shard.last_hash)]
        self.add(min(bounds), max(bounds), [one.shard_id, other.shard_id], now)

    def rescale(self, count: int, now: datetime) -> None:
        """UpdateShardCount: what AWS does in several splits and merges, in one step."""
        before = self.open
        for shard in before:
            self._close(shard, now)
        bounds = [number * (_TOP + 1) // count for number in range(count)] + [_TOP + 1]
        for first, end in pairwise(bounds):
            over = [s.shard_id for s in before if int(s.first_hash) < end and first <= int(s.last_hash)]
            self.add(first, end - 1, [over[0], over[-1]] if len(over) > 1 else over, now)

    def trim(self, now: datetime) -> None:
        """Forget what is past retention: records, and closed shards once nothing in them can be read."""
        horizon = now - timedelta(hours=self.retention_hours)
        for shard in self.shards:
            shard.records = [record for record in shard.records if record.at >= horizon]
        self.shards = [shard for shard in self.shards if shard.closed_at is None or shard.closed_at >= horizon]

    def children(self, shard: Shard) -> list[Json]:
        return [
            {
                "ShardId": child.shard_id,
                "ParentShards": child.parents,
                "HashKeyRange": {"StartingHashKey": child.first_hash, "EndingHashKey": child.last_hash},
            }
            for child in self.shards
            if shard.shard_id in child.parents
        ]

    def _close(self, shard: Shard, now: datetime) -> None:
        shard.ending, shard.closed_at = self._next(int(shard.shard_id.split("-")[1]), now), now

    def _next(self, shard_number: int, now: datetime) -> str:
        """56 digits, ascending within a shard, as AWS's are."""
        self.sequence += 1
        return f"496{shard_number:09d}{int(now.timestamp() * 1000):014d}{self.sequence:030d}"


class Position(msgspec.Struct, frozen=True):
    """What a shard iterator stands for: the next record is the first one after `after`, and not before `since`."""

    stream_arn: str
    shard_id: str
    issued_at: datetime
    after: str = ""
    since: datetime | None = None

    @property
    def token(self) -> str:
        return base64.b64encode(msgspec.msgpack.encode(self)).decode()

    @classmethod
    def of(cls, token: str) -> "Position | None":
        try:
            return msgspec.msgpack.decode(base64.b64decode(token, validate=True), type=cls)
        except (ValueError, msgspec.DecodeError):
            return None

    def records(self, shard: Shard, limit: int) -> list[Record]:
        """What one GetRecords answer holds."""
        return list(self._some(shard, min(limit, _MOST_RECORDS)))

    def _some(self, shard: Shard, limit: int) -> Iterator[Record]:
        size = count = 0
        for record in shard.records:
            if record.sequence_number <= self.after or (self.since is not None and record.at < self.since):
                continue
            size, count = size + len(record.data), count + 1
            if count > limit or (size > _MOST_BYTES and count > 1):
                return
            yield record
