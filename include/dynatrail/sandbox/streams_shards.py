"""The shards of one DynamoDB stream, and the position of every record in them.

A shard takes changes for about four hours; the next change after that closes it and goes into its child. A shard that
took many has two children, each with one half of the partition keys, and so they go on side by side. An item's changes
thus lie in one shard after the other, parent before child. All of it follows from the changes and their times, so that
a restarted sandbox finds the same shards.
"""

import hashlib
import json
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from dynatrail.sandbox.journal import Change

SHARD_HOURS = timedelta(hours=4)
SPLIT_ABOVE = 30
"""Records after which a shard has two children."""

# Sequence numbers grow in length here and there, as AWS's do: who compares them as text goes wrong.
_FIRST = 986 * 10**18
_STEP = 10**17


class StreamInfo(msgspec.Struct, kw_only=True):
    """One stream of one table, from its enabling to its end.

    Attributes:
        first: sequence of the account's last change before it was enabled.
        closed_at, last: when it was disabled or its table deleted, and the last sequence that it may hold.
    """

    arn: str
    account_id: str
    region: str
    table: str
    view_type: str
    key_schema: list[dict[str, str]]
    created_at: datetime
    first: int
    closed_at: datetime | None = None
    last: int | None = None

    @property
    def label(self) -> str:
        return self.arn.rsplit("/", 1)[-1]

    def number(self, sequence: int) -> int:
        """The stream's sequence number of a change of the journal."""
        digest = hashlib.blake2b(f"{self.arn}:{sequence}".encode(), digest_size=8).digest()
        return _FIRST + sequence * _STEP + int.from_bytes(digest, "big") % (_STEP - 10)


@dataclass
class Shard:
    """Records of one half or all of the partition keys over some hours.

    Attributes:
        lane: "" for all partition keys, "0" or "1" for one half.
        start, end: sequence numbers; `end` is None while it is open.
    """

    id: str
    parent: str | None
    lane: str
    opened_at: datetime
    start: int
    end: int | None = None
    closed_at: datetime | None = None
    changes: list[Change] = field(default_factory=list)

    def position(self, info: StreamInfo, number: int) -> int:
        """How many of its records have a smaller sequence number."""
        return bisect_left(self.changes, number, key=lambda change: info.number(change.sequence))


class Shards:
    """All shards that a stream ever had, oldest first; a parent comes before its children."""

    def __init__(self, info: StreamInfo) -> None:
        self.info = info
        self.all: list[Shard] = []
        self._open: dict[str, Shard] = {}
        self._start(None, "", info.created_at, info.number(info.first) + 1)

    def find(self, shard_id: str) -> Shard | None:
        return next((shard for shard in self.all if shard.id == shard_id), None)

    def add(self, change: Change) -> None:
        """Put a change of the table, the next in the journal's order, where it belongs."""
        lane = "" if "" in self._open else self._half(change)
        shard = self._open[lane]
        if change.at - shard.opened_at >= self._lifetime(shard):
            self._rotate(shard, change.at)
            shard = self._open[lane if lane in self._open else self._half(change)]
        shard.changes.append(change)

    def close(self, at: datetime) -> None:
        """End the stream."""
        for shard in self._open.values():
            self._end(shard, at)
        self._open.clear()

    def _rotate(self, shard: Shard, at: datetime) -> None:
        end = self._end(shard, at)
        del self._open[shard.lane]
        lanes = ("0", "1") if shard.lane == "" and len(shard.changes) > SPLIT_ABOVE else (shard.lane,)
        for number, lane in enumerate(lanes):
            self._start(shard.id, lane, at, end + 1 + number)

    def _start(self, parent: str | None, lane: str, at: datetime, start: int) -> None:
        name = hashlib.blake2b(f"{self.info.arn}:{parent}:{lane}:{start}".encode(), digest_size=4).hexdigest()
        shard_id = f"shardId-{int(at.timestamp() * 1000):020d}-{name}"
        self._open[lane] = Shard(shard_id, parent, lane, at, start)
        self.all.append(self._open[lane])

    def _end(self, shard: Shard, at: datetime) -> int:
        last = self.info.number(shard.changes[-1].sequence) if shard.changes else shard.start
        shard.end, shard.closed_at = last + 3, at
        return shard.end

    def _half(self, change: Change) -> str:
        partition = next(part["AttributeName"] for part in self.info.key_schema if part["KeyType"] == "HASH")
        text = json.dumps(change.key[partition], sort_keys=True)
        return str(hashlib.blake2b(text.encode(), digest_size=1).digest()[0] & 1)

    def _lifetime(self, shard: Shard) -> timedelta:
        return SHARD_HOURS + timedelta(minutes=sum(shard.id.encode()) % 20)
