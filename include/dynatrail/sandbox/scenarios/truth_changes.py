"""Ground truth of item changes: what every item was before and after, read at ministack itself, never from the journal.

The truth keeps its own picture of each item. It is told of every call that names items, and of every expiry and
replication, and reads those items past the recorder; where one differs from the picture, that is a change. Reads are
put off until many can be made at once, or until an item that is still unread is about to change again: no change hides
behind another. At the end all tables are read once more: an item that differs then has changed without anybody's
telling, and the play fails.
"""

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from dynatrail.clock import iso
from dynatrail.errors import SandboxError
from dynatrail.sandbox.scenarios.truth import Item

Json = dict[str, Any]
TableKey = tuple[str, str, str]

_WRITES = frozenset({"Put", "Update", "Delete"})
_MOST_KEYS = 100
_MOST_UNREAD = 100


@dataclass(frozen=True)
class _Told:
    """What was told about an item that may change; `number` is the order of the telling."""

    number: int
    at: datetime
    cause: str
    call: int | None
    event_ids: list[str]


class ChangeTruth:
    """Writes `NAME.changes.jsonl`, one line a change.

    Args:
        folder: where to.
        name: of the scenario.
        direct: (service, account, region) → a client at ministack itself.
    """

    def __init__(self, folder: Path, name: str, direct: Callable[[str, str, str], Any]) -> None:
        folder.mkdir(exist_ok=True)
        self.path = folder / f"{name}.changes.jsonl"
        self._direct = direct
        self._keys: dict[TableKey, tuple[str, ...]] = {}
        self._known: dict[TableKey, dict[bytes, Json]] = {}
        self._unread: dict[tuple[TableKey, bytes], _Told] = {}
        self._lines: list[tuple[datetime, int, Json]] = []
        self._told = 0

    def know_table(self, table: TableKey, keys: tuple[str, ...]) -> None:
        """A table that may hold items from now on."""
        self._keys[table] = keys
        self._known[table] = {}

    def read_all(self, at: datetime) -> None:
        """Take what is in the tables before the history begins; each item is a change without a recorded call."""
        for table in self._keys:
            for key, image in sorted(self._scan(table).items()):
                self._compare(table, key, image, self._tell(at, "unrecorded"))

    def about_to_call(self, account_id: str, region: str, items: Iterable[Item], tables: Iterable[str]) -> None:
        """A call is to come that names items, and may end tables."""
        places = self._places(account_id, region, items)
        ending = {(account_id, region, table) for table in tables}
        if any(place in self._unread for place in places) or any(table in ending for table, _ in self._unread):
            self.read()

    def called(
        self, account_id: str, region: str, items: Iterable[Item], at: datetime, *, call: int, event_ids: list[str]
    ) -> None:
        """The call was made, whatever came of it."""
        told = self._tell(at, "call", call, event_ids)
        for table, key in self._places(account_id, region, items):
            self._unread[table, key] = told
        if len(self._unread) >= _MOST_UNREAD:
            self.read()

    def expires(self, account_id: str, region: str, table: str, key: Json, at: datetime) -> None:
        """DynamoDB is about to delete an item; `key` has binary as base64 text."""
        self._about_to_happen((account_id, region, table), key, self._tell(at, "ttl"))

    def replicates(self, account_id: str, region: str, table: str, key: Json, at: datetime) -> None:
        """A write is about to come over from another replica; `key` has binary as base64 text."""
        self._about_to_happen((account_id, region, table), key, self._tell(at, "replication"))

    def dropped(self, account_id: str, region: str, table: str) -> None:
        """A table was deleted: its items end without a change, as in AWS."""
        self._keys.pop((account_id, region, table), None)
        self._known.pop((account_id, region, table), None)

    def read(self) -> None:
        """Read every item that is unread, and note what has changed."""
        by_table: dict[TableKey, list[bytes]] = {}
        for table, key in self._unread:
            by_table.setdefault(table, []).append(key)
        for table, keys in by_table.items():
            found = self._read(table, keys)
            for key in keys:
                self._compare(table, key, found.get(key), self._unread[table, key])
        self._unread.clear()

    def count(self, table_arn: str, start: datetime, end: datetime) -> int:
        """How many changes of a table there were in [start, end)."""
        self.read()
        return sum(line["table_arn"] == table_arn for at, _, line in self._lines if start <= at < end)

    def close(self) -> int:
        """Write the file; how many changes there were.

        Raises:
            SandboxError: an item has changed of which nobody told.
        """
        self.read()
        for table in self._keys:
            if self._scan(table) != self._known[table]:
                raise SandboxError(
                    f"The ground truth of the table {table[2]} in {table[1]} is wrong: an item changed that no call, "
                    "expiry or replication named. Name the items of every statement that the scenario makes."
                )
        with self.path.open("wb") as file:
            for _, _, line in sorted(self._lines, key=lambda entry: entry[:2]):
                file.write(msgspec.json.encode(line) + b"\n")
        return len(self._lines)

    def _tell(self, at: datetime, cause: str, call: int | None = None, event_ids: Iterable[str] = ()) -> _Told:
        self._told += 1
        return _Told(self._told, at, cause, call, list(event_ids))

    def _places(self, account_id: str, region: str, items: Iterable[Item]) -> list[tuple[TableKey, bytes]]:
        places = []
        for item in items:
            if item.operation in _WRITES:
                table = (account_id, region, item.table)
                if table not in self._keys:
                    self.know_table(table, tuple(item.key))
                places.append((table, _packed(item.key)))
        return places

    def _about_to_happen(self, table: TableKey, key: Json, told: _Told) -> None:
        place = (table, _packed(key))
        if place in self._unread:
            self.read()
        if table in self._keys:
            self._unread[place] = told

    def _compare(self, table: TableKey, key: bytes, image: Json | None, told: _Told) -> None:
        known = self._known[table]
        before = known.get(key)
        if before == image:
            return
        if image is None:
            del known[key]
        else:
            known[key] = image
        line = {
            "event_time": iso(told.at),
            "account_id": table[0],
            "region": table[1],
            "table_arn": f"arn:aws:dynamodb:{table[1]}:{table[0]}:table/{table[2]}",
            "key": msgspec.Raw(key),
            "change_type": "INSERT" if before is None else "REMOVE" if image is None else "MODIFY",
            "old_image": before,
            "new_image": image,
            "cause": told.cause,
            "call": told.call,
            "event_ids": told.event_ids,
        }
        self._lines.append((told.at, told.number, line))

    def _read(self, table: TableKey, keys: list[bytes]) -> dict[bytes, Json]:
        """The items of those keys that exist."""
        found: list[Json] = []
        for begin in range(0, len(keys), _MOST_KEYS):
            asked = [_for_request(msgspec.json.decode(key)) for key in keys[begin : begin + _MOST_KEYS]]
            wanted: Json = {table[2]: {"Keys": asked, "ConsistentRead": True}}
            while wanted:
                answer = self._client(table).batch_get_item(RequestItems=wanted)
                found += answer["Responses"].get(table[2], [])
                wanted = answer["UnprocessedKeys"]
        return {self._key_of(table, item): item for item in found}

    def _scan(self, table: TableKey) -> dict[bytes, Json]:
        pages = self._client(table).get_paginator("scan").paginate(TableName=table[2], ConsistentRead=True)
        return {self._key_of(table, item): item for page in pages for item in page["Items"]}

    def _key_of(self, table: TableKey, item: Json) -> bytes:
        return _packed({name: item[name] for name in self._keys[table]})

    def _client(self, table: TableKey) -> Any:
        return self._direct("dynamodb", table[0], table[1])


def _packed(key: Json) -> bytes:
    """A key as canonical JSON, binary as base64, so that it can be looked up."""
    return msgspec.json.encode(key, order="sorted")


def _for_request(key: Json) -> Json:
    """The same key as boto3 takes it: key attributes are text, number or binary only."""
    return {
        name: {kind: base64.b64decode(value) if kind == "B" else value for kind, value in typed.items()}
        for name, typed in key.items()
    }
