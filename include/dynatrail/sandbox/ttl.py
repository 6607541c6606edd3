"""Time to Live: DynamoDB deletes expired items by itself, some minutes to hours after they expired.

The delete is a real one in ministack, past the recorder: CloudTrail has no event of it, the stream has a REMOVE that
names DynamoDB. Nothing is searched for: what a table holds, and when it expires, follows from the journal.
"""

import hashlib
import heapq
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.journal import Change, Journal
from dynatrail.sandbox.journal_values import for_boto3
from dynatrail.sandbox.parts import Seen

TableKey = tuple[str, str, str]
"""Account, region, table."""

Direct = Callable[[str, str, str], Any]
"""(service, account, region) → a boto3 client of the account's root at ministack itself, past the recorder."""

_LEAST_MINUTES = 2
_MOST_MINUTES = 150
_OLDEST = timedelta(days=5 * 365)  # what expired longer ago is taken for a mistake and kept
_LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


class _Enabled(msgspec.Struct, frozen=True):
    attribute: str
    at: datetime


class TimeToLive:
    """Deletes what has expired, whenever sandbox time moves on.

    Attributes:
        listener: told (account, region, table, key, sandbox time) before each delete, for ground truth.
    """

    name = "ttl"

    def __init__(self, journal: Journal, direct: Direct) -> None:
        self.listener: Callable[[str, str, str, dict[str, Any], datetime], None] | None = None
        self._journal = journal
        self._direct = direct
        self._enabled: dict[TableKey, _Enabled] = {}
        self._expiries: dict[tuple[TableKey, str], str] = {}
        self._due: list[tuple[datetime, TableKey, str, str]] = []
        journal.listen(self._note)

    def saw(self, seen: Seen) -> None:
        if seen.call.service != "dynamodb" or not seen.ok:
            return
        sent, table = seen.call.parameters, _table(seen)
        if seen.call.operation == "UpdateTimeToLive":
            wanted = sent["TimeToLiveSpecification"]
            self._forget(table)
            if wanted.get("Enabled"):
                self._enabled[table] = _Enabled(wanted["AttributeName"], seen.now)
                self._look_through(table)
        elif seen.call.operation == "DeleteTable":
            self._forget(table)

    def answer(self, seen: Seen) -> Response | None:  # noqa: ARG002  ministack's answers are right
        return None

    def tick(self, now: datetime) -> None:
        while self._due and self._due[0][0] <= now:
            due, table, key, expiry = heapq.heappop(self._due)
            if self._expiries.get((table, key)) == expiry:  # else it was written or deleted since
                self._delete(table, key, expiry, due)

    def save(self) -> bytes:
        return msgspec.json.encode([[*table, enabled] for table, enabled in self._enabled.items()])

    def load(self, saved: bytes) -> None:
        for account, region, table, enabled in msgspec.json.decode(saved, type=list[tuple[str, str, str, _Enabled]]):
            self._enabled[account, region, table] = enabled
            self._look_through((account, region, table))

    def _forget(self, table: TableKey) -> None:
        self._enabled.pop(table, None)
        self._expiries = {place: expiry for place, expiry in self._expiries.items() if place[0] != table}

    def _look_through(self, table: TableKey) -> None:
        """Find what the table holds already."""
        for change in self._journal.changes(*table):
            self._note(change)

    def _note(self, change: Change) -> None:
        table = (change.account_id, change.region, change.table)
        enabled = self._enabled.get(table)
        if enabled is None:
            return
        key = json.dumps(change.key, sort_keys=True)
        self._expiries.pop((table, key), None)
        expiry = (change.new or {}).get(enabled.attribute, {}).get("N")
        expires = _instant(expiry)
        since = max(change.at, enabled.at)
        if expires is None or expires < since - _OLDEST:
            return
        self._expiries[table, key] = expiry
        heapq.heappush(self._due, (max(expires, since) + _delay(key, expiry), table, key, expiry))

    def _delete(self, table: TableKey, key: str, expiry: str, due: datetime) -> None:
        account, region, name = table
        if self.listener:
            self.listener(account, region, name, json.loads(key), due)
        client = self._direct("dynamodb", account, region)
        try:
            answer = client.delete_item(
                TableName=name,
                Key=for_boto3(json.loads(key)),
                ConditionExpression="#e = :e",
                ExpressionAttributeNames={"#e": self._enabled[table].attribute},
                ExpressionAttributeValues={":e": {"N": expiry}},
            )
        except ClientError:  # a call that is on its way changed the item, or deleted its table
            return
        self._journal.take(answer["ResponseMetadata"]["HTTPHeaders"], due, cause="ttl")


def _table(seen: Seen) -> TableKey:
    return seen.account_id, seen.call.region, seen.call.parameters.get("TableName", "").rsplit("/", 1)[-1]


def _instant(text: str | None) -> datetime | None:
    """Of a number of epoch seconds; None for no number, and for one that is no instant."""
    try:
        seconds = float(text) if text is not None else -1
    except ValueError:
        return None
    return datetime.fromtimestamp(int(seconds), UTC) if 0 <= seconds < _LATEST else None


def _delay(key: str, expiry: str) -> timedelta:
    number = int.from_bytes(hashlib.blake2b(f"{key}:{expiry}".encode(), digest_size=4).digest(), "big")
    return timedelta(minutes=_LEAST_MINUTES, seconds=number % ((_MOST_MINUTES - _LEAST_MINUTES) * 60))
