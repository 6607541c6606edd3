"""Every change of every item of the account, with both images: what streams, exports and ground truth are made of.

ministack appends each write to a file as it happens (`ministack_server.py`) and says in its answer how far the file
reached. Under the recorder's lock the journal then takes in everything up to there, in the file's order, which is the
order of the writes, and gives it the sandbox time of that moment. A second file keeps how far was taken in when and
why, so that a restarted sandbox has the same journal. Whatever a crash left between the two is taken in at the start.
"""

import os
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.journal_values import same

Json = dict[str, Any]
Cause = Literal["call", "ttl", "replication", "import"]
"""`call`: an API request; `ttl`: DynamoDB deleted an expired item; `replication`: another replica's write came in;
`import`: ImportTable."""

CHANGES_HEADER = "x-dynatrail-changes"
"""`BEGIN-END`: the bytes of the file of images that the request wrote. Never passed on to the caller."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one item. A write that changes nothing is none.

    Attributes:
        sequence: place in the account's history, from 1 on, without gaps.
        at: sandbox time, microseconds; never earlier than that of the table's change before.
        key, old, new: typed DynamoDB JSON; numbers are decimal text, binary is base64; `old` is None for an insert,
            `new` for a removal.
    """

    sequence: int
    at: datetime
    account_id: str
    region: str
    table: str
    key: Json
    old: Json | None
    new: Json | None
    cause: Cause

    @property
    def change_type(self) -> Literal["INSERT", "MODIFY", "REMOVE"]:
        if self.old is None:
            return "INSERT"
        return "REMOVE" if self.new is None else "MODIFY"

    @property
    def table_arn(self) -> str:
        return f"arn:aws:dynamodb:{self.region}:{self.account_id}:table/{self.table}"


class _Taken(msgspec.Struct, frozen=True):
    """One line of the second file: everything up to the byte `end` happened at `at`, because of `cause`."""

    end: int
    at: datetime
    cause: Cause


class _Write(msgspec.Struct, frozen=True):
    table: str
    key: Json
    old: Json | None
    new: Json | None
    cause: Cause | None = None


class Journal:
    """The account's item changes; thread-safe.

    Args:
        folder: of the sandbox; holds `changes.images` (ministack's) and `changes.taken`.
        now: sandbox time of what a crash left behind.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        images, taken = folder / "changes.images", folder / "changes.taken"
        for path in (images, taken):
            _cut_torn_line(path)
        self._lock = threading.RLock()
        self._end = 0
        self._changes: list[Change] = []
        self._by_table: dict[tuple[str, str, str], list[Change]] = {}
        self._listeners: list[Callable[[Change], None]] = []
        self._log = taken.open("ab")
        self._images = images.open("rb")
        decode = msgspec.json.Decoder(_Taken).decode
        for line in taken.read_bytes().splitlines():
            self._read(decode(line))
        self._take(images.stat().st_size, now(), "call")

    def take(self, response: Response | Mapping[str, str], at: datetime, cause: Cause = "call") -> list[Change]:
        """Take in what a request wrote, and whatever was written before it; the changes that the request itself made.

        Args:
            response: ministack's answer, which loses the journal's header here, or a boto3 answer's headers.
            at: sandbox time; where a table has a later change already, it counts as that one's.
            cause: of the request; what was written before it counts as `call`.
        """
        reach = _reach(response)
        if reach is None:
            return []
        begin, end = reach
        with self._lock:
            self._take(begin, at, "call")
            first = len(self._changes)
            self._take(end, at, cause)
            return self._changes[first:]

    def changes(
        self,
        account_id: str,
        region: str,
        table: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Change]:
        """Changes of one table in the half-open window [since, until) of sandbox time, in order."""
        with self._lock:
            found = self._by_table.get((account_id, region, table), [])
            begin = 0 if since is None else bisect_left(found, since, key=lambda change: change.at)
            end = len(found) if until is None else bisect_left(found, until, key=lambda change: change.at)
            return found[begin:end]

    def tables(self) -> list[tuple[str, str, str]]:
        """(account, region, table) of every table that an item of ever changed."""
        with self._lock:
            return sorted(self._by_table)

    def ttl_deletes(
        self,
        account_id: str,
        region: str,
        table: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Change]:
        """Expired items that DynamoDB itself deleted in the window: what TimeToLiveDeletedItemCount counts."""
        found = self.changes(account_id, region, table, since=since, until=until)
        return [change for change in found if change.cause == "ttl"]

    def __iter__(self) -> Iterator[Change]:
        """All changes of all tables so far, in order."""
        with self._lock:
            return iter(self._changes[:])

    def __len__(self) -> int:
        """How many changes there are, which is also the last one's sequence."""
        return len(self._changes)

    def listen(self, callback: Callable[[Change], None]) -> None:
        """Call `callback` with every change from now on, in order, under the recorder's lock."""
        self._listeners.append(callback)

    def close(self) -> None:
        self._log.close()
        self._images.close()

    def _take(self, end: int, at: datetime, cause: Cause) -> None:
        if end <= self._end:
            return
        taken = _Taken(end, at, cause)
        self._log.write(msgspec.json.encode(taken) + b"\n")
        self._log.flush()
        first = len(self._changes)
        self._read(taken)
        for change in self._changes[first:]:
            for listener in self._listeners:
                listener(change)

    def _read(self, taken: _Taken) -> None:
        self._images.seek(self._end)
        lines = self._images.read(taken.end - self._end).splitlines()
        self._end = taken.end
        for line in lines:
            write = _decode_write(line)
            if same(write.old, write.new):
                continue
            _, _, _, region, account, path = write.table.split(":", 5)
            table = path.split("/")[1]
            earlier = self._by_table.setdefault((account, region, table), [])
            change = Change(
                sequence=len(self._changes) + 1,
                at=max(taken.at, earlier[-1].at) if earlier else taken.at,
                account_id=account,
                region=region,
                table=table,
                key=write.key,
                old=write.old,
                new=write.new,
                cause=write.cause or taken.cause,
            )
            self._changes.append(change)
            earlier.append(change)


_decode_write = msgspec.json.Decoder(_Write).decode


def _cut_torn_line(path: Path) -> None:
    """A kill may have left half a line at the end; the write that it told of was never answered."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


def _reach(response: Response | Mapping[str, str]) -> tuple[int, int] | None:
    if isinstance(response, Response):
        text = response.header(CHANGES_HEADER)
        if text is not None:
            response.headers = [(name, value) for name, value in response.headers if name.lower() != CHANGES_HEADER]
    else:
        text = response.get(CHANGES_HEADER)
    if text is None:
        return None
    begin, _, end = text.partition("-")
    return int(begin), int(end)
