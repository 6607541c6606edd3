"""Global tables: a write to one replica reaches the others some seconds later, several writes of an item as one.

ministack keeps the replicas' tables, but copies at once; here the newest image goes over when it is due, as a real
write past the recorder: the replica's stream has an ordinary record, CloudTrail has nothing (aws-facts c1).
"""

import hashlib
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.journal import Change, Journal
from dynatrail.sandbox.journal_values import for_boto3, same
from dynatrail.sandbox.parts import Seen
from dynatrail.sandbox.ttl import Direct

if TYPE_CHECKING:
    from collections.abc import Callable

Place = tuple[str, str, str, str]
"""Account, region, table, and the item's key as JSON."""


class _Due(msgspec.Struct, frozen=True):
    at: datetime
    source: str


class _State(msgspec.Struct):
    """Regions by account and table; what is on its way, as (target, due)."""

    groups: list[tuple[str, str, list[str]]] = []
    due: list[tuple[Place, _Due]] = []


class Replicas:
    """Replicates between the regions of each global table.

    Attributes:
        listener: told (account, region, table, key, sandbox time) before each write to a replica,
            for ground truth.
    """

    name = "replicas"

    def __init__(self, journal: Journal, direct: Direct) -> None:
        self.listener: Callable[[str, str, str, dict[str, Any], datetime], None] | None = None
        self._journal = journal
        self._direct = direct
        self._groups: dict[tuple[str, str], set[str]] = {}
        self._newest: dict[Place, Change] = {}
        self._written: dict[Place, datetime] = {}
        self._due: dict[Place, _Due] = {}
        journal.listen(self._note)

    def saw(self, seen: Seen) -> None:
        if seen.call.service != "dynamodb" or not seen.ok:
            return
        account, region, sent = seen.account_id, seen.call.region, seen.call.parameters
        table = sent.get("TableName", "").rsplit("/", 1)[-1]
        if seen.call.operation == "UpdateTable" and sent.get("ReplicaUpdates"):
            group = self._groups.get((account, table)) or {region}
            for update in sent["ReplicaUpdates"]:
                for action, wanted in update.items():
                    group = group | {wanted["RegionName"]} if action != "Delete" else group - {wanted["RegionName"]}
            self._groups[account, table] = group
            for member in group:
                self._remember(account, member, table)
        elif seen.call.operation == "DeleteTable" and (account, table) in self._groups:
            self._groups[account, table].discard(region)
            gone = (account, region, table)
            self._due = {place: due for place, due in self._due.items() if place[:3] != gone}
            self._newest = {place: change for place, change in self._newest.items() if place[:3] != gone}
            self._written = {place: at for place, at in self._written.items() if place[:3] != gone}

    def answer(self, seen: Seen) -> Response | None:  # noqa: ARG002  ministack's answers are right
        return None

    def tick(self, now: datetime) -> None:
        for target, due in sorted(self._due.items(), key=lambda item: (item[1].at, item[0])):
            if due.at <= now:
                del self._due[target]
                self._replicate(target, due)

    def save(self) -> bytes:
        groups = [(account, table, sorted(regions)) for (account, table), regions in self._groups.items()]
        return msgspec.json.encode(_State(groups, list(self._due.items())))

    def load(self, saved: bytes) -> None:
        state = msgspec.json.decode(saved, type=_State)
        for account, table, regions in state.groups:
            self._groups[account, table] = set(regions)
            for region in regions:
                self._remember(account, region, table)
        self._due = dict(state.due)

    def _remember(self, account: str, region: str, table: str) -> None:
        for change in self._journal.changes(account, region, table):
            self._keep(change)

    def _keep(self, change: Change) -> Place:
        place = (change.account_id, change.region, change.table, json.dumps(change.key, sort_keys=True))
        self._newest[place] = change
        if change.cause != "replication":
            self._written[place] = change.at
        return place

    def _note(self, change: Change) -> None:
        group = self._groups.get((change.account_id, change.table), set())
        if change.region not in group:
            return
        account, region, table, key = self._keep(change)
        if change.cause == "replication":
            return
        for target in group - {region}:
            # A write of an item that is on its way already goes over together with it.
            place = (account, target, table, key)
            self._due[place] = _Due(self._due[place].at if place in self._due else change.at + _latency(change), region)

    def _replicate(self, target: Place, due: _Due) -> None:
        account, region, table, key = target
        source = (account, due.source, table, key)
        written = self._written.get(target)
        if written is not None and written > self._written[source]:
            return  # the last writer wins, and that one is on its way to the source
        image, there = self._newest[source].new, self._newest.get(target)
        if same(image, there.new if there else None):
            return
        if self.listener:
            self.listener(account, region, table, json.loads(key), due.at)
        client = self._direct("dynamodb", account, region)
        try:
            if image is None:
                answer = client.delete_item(TableName=table, Key=for_boto3(json.loads(key)))
            else:
                answer = client.put_item(TableName=table, Item=for_boto3(image))
        except ClientError:  # the replica was deleted by a call that is on its way
            return
        self._journal.take(answer["ResponseMetadata"]["HTTPHeaders"], due.at, cause="replication")


def _latency(change: Change) -> timedelta:
    """One to five seconds, other for each change: longer than usual at AWS, as calls here are seconds apart."""
    number = int.from_bytes(hashlib.blake2b(f"{change.sequence}".encode(), digest_size=4).digest(), "big")
    return timedelta(seconds=1, milliseconds=number % 4000)
