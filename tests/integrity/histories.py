"""Histories of a trail's bucket, made by seed: what CloudTrail does to one in a few hours or days when nobody meddles.

Everything is planned, written and signed by the sandbox's own classes, with real RSA keys, into a bucket in memory.
"""

import gzip
import hashlib
import json
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import msgspec

from dynatrail.clock import iso
from dynatrail.sandbox.deliverer import Deliverer, DeliveryState
from dynatrail.sandbox.delivery import Delivery, Plan, folder
from dynatrail.sandbox.digests import ALGORITHM, HOUR, Chain, LogFile, Signer, next_digest
from dynatrail.sandbox.objects import HeldObjects, Thing
from dynatrail.sandbox.tampering import chains, delivered, ended
from dynatrail.sandbox.trails import Trail, Trails

ACCOUNT, MEMBER = "123456789012", "210987654321"
ORGANIZATION = "o-exampleorgid"
BUCKET = "example-trail"
OPERATOR = f"arn:aws:iam::{ACCOUNT}:user/operator"
FIRST = datetime(2026, 10, 1, tzinfo=UTC)
"""No history begins before."""
_REGIONS = ("us-east-1", "eu-west-1", "ap-south-1")
_MINUTE = timedelta(minutes=1)
_AGAIN = {"logging": "", "validation": "UpdateTrail", "recreated": "CreateTrail"}


@dataclass(frozen=True, slots=True)
class Change:
    """A call that CloudTrail recorded: somebody changed how a trail logs."""

    at: datetime
    event_name: str
    trail_name: str
    account_id: str
    home_region: str
    parameters: dict[str, Any] = field(default_factory=dict)
    principal_arn: str = OPERATOR

    @property
    def event_id(self) -> str:
        return str(UUID(int=hash_of(f"{self.at} {self.event_name} {self.trail_name}"), version=4))


@dataclass
class History:
    """A bucket as it is at `until`, and what else is known of it.

    Attributes:
        changes: how the trails' configuration came about, oldest first.
        waiting: digests that CloudTrail has not brought yet, and will: they are younger than a day.
        unvouched: keys of log files that were delivered while there was no validation.
        pause: the time without logging, or without validation, if there was one.
        how: what that time was: `logging` stopped, `validation` off, or the trail deleted and `recreated`.
    """

    seed: int
    bucket: HeldObjects
    start: datetime
    until: datetime
    trails: list[Trail]
    changes: list[Change]
    waiting: dict[str, Thing] = field(default_factory=dict)
    unvouched: set[str] = field(default_factory=set)
    pause: tuple[datetime, datetime] | None = None
    how: str = ""

    @property
    def places(self) -> list[tuple[str, str]]:
        """Accounts and regions that files lie in, sorted."""
        return sorted({(parts[-7], parts[-5]) for key in self.bucket.listing() if (parts := _parts(key))})

    def at(self, moment: datetime) -> "History":
        """The same history as far as it had come by then."""
        held = HeldObjects(self.bucket.name)
        held.things = {key: thing for key, thing in self.bucket.things.items() if _time_of(key) <= moment}
        newest: dict[str, datetime] = {}
        for chain, keys in chains(held).items():
            newest[chain.trail_name] = max(newest.get(chain.trail_name, self.start), ended(keys[-1]))
        trails = [msgspec.structs.replace(trail, digest_at=newest.get(trail.name)) for trail in self.trails]
        for trail in trails:
            trail.logging = not (self.pause and self.how != "validation" and self.pause[0] <= moment < self.pause[1])
        return replace(
            self,
            bucket=held,
            until=moment,
            trails=trails,
            changes=[change for change in self.changes if change.at <= moment],
            unvouched={key for key in self.unvouched if key in held.things},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a history is like; `random_shape` draws one."""

    hours: int = 30
    regions: tuple[str, ...] = _REGIONS[:1]
    accounts: tuple[str, ...] = (ACCOUNT,)
    trails: int = 1
    prefix: str = ""
    quiet: float = 0.3
    delivery: Delivery = field(default_factory=Delivery)
    pause: str = ""
    backfill: bool = False
    waiting: int = 0
    open_minutes: int = 25


def random_shape(random: Random) -> Shape:
    """Anything that happens to a bucket without fault."""
    organization = random.random() < 0.5
    return Shape(
        hours=random.choice((5, 9, 16, 26, 31, 40, 54)),
        regions=_REGIONS[: random.choice((1, 1, 2, 3))],
        accounts=(ACCOUNT, MEMBER) if organization else (ACCOUNT,),
        trails=random.choice((1, 1, 2)),
        prefix=random.choice(("", "audit", "logs/security")),
        quiet=random.choice((0, 0.3, 0.8)),
        delivery=Delivery(
            late=random.choice((0, 0.1)),
            late_hours=(1, 20),
            duplicates=random.choice((0, 0.2)),
            corrections=random.choice((0, 0.1)),
            out_of_order=random.choice((0, 0.4)),
            most_records=random.choice((3, 5000)),
        ),
        pause=random.choice(("", "", "", "logging", "validation", "recreated")),
        backfill=random.random() < 0.25,
        waiting=random.choice((0, 0, 0, 1, 3)),
        open_minutes=random.randrange(60),
    )


def clean(seed: int) -> History:
    """A history in which nothing is wrong, whatever may look so at first."""
    return _copy(_clean(seed))


@cache
def _clean(seed: int) -> History:
    return make(seed, clean_shape(seed))


def clean_shape(seed: int) -> Shape:
    return random_shape(Random(f"clean {seed}"))


def _copy(kept: History) -> History:
    bucket = HeldObjects(kept.bucket.name)
    bucket.things.update(kept.bucket.things)
    return replace(kept, bucket=bucket)


def steady(seed: int) -> History:
    """A history long enough to be struck in the middle: files in every hour, nothing waiting, no pause."""
    return _copy(_steady(seed))


@cache
def _steady(seed: int) -> History:
    random = Random(f"steady {seed}")
    hours = random.choice((50, 61))
    return make(seed, replace(random_shape(random), hours=hours, quiet=0, pause="", backfill=False, waiting=0))


def make(seed: int, shape: Shape, *, bucket: str = BUCKET, signer: Signer | None = None) -> History:
    """Let the hours of `shape` pass over an empty bucket."""
    random = Random(f"history {seed}")
    start = FIRST + timedelta(minutes=random.randrange(30 * 24 * 60))
    until = start + shape.hours * HOUR + shape.open_minutes * _MINUTE
    held = HeldObjects(bucket)
    trails = [_trail(number, shape, bucket) for number in range(shape.trails)]
    history = History(seed, held, start, until, trails, [])
    state = DeliveryState()
    known = Trails({trail.arn: trail for trail in trails})
    regions = dict.fromkeys(shape.accounts, shape.regions)
    deliverer = Deliverer(state, known, signer or signer_named("cloudtrail"), lambda: _Put(held), ORGANIZATION, regions)
    deliverer.plan = Plan(replace(shape.delivery, seed=seed), start)
    for trail in trails:
        _begin(history, deliverer, trail, start, "CreateTrail")
    records = _records(random, shape, start, until)
    if shape.pause:
        begin, end = history.pause = _pause(shape, random, start)
        history.how = shape.pause
        _take(deliverer, records, start, begin)
        _stop(history, deliverer, shape.pause, begin)
        if shape.pause == "validation":
            _take(deliverer, records, begin, end)
        before = set(held.things)
        deliverer.deliver(end)
        history.unvouched = _in_no_digest(held, set(held.things) - before)
        for trail in trails:
            _begin(history, deliverer, trail, end, _AGAIN[shape.pause])
        start = end
    _take(deliverer, records, start, until)
    deliverer.deliver(until)
    if shape.backfill:
        _backfill(history, random, shape)
    _hold_back(history, random, shape.waiting)
    return history


@cache
def signer_named(name: str) -> Signer:
    """A key pair for the whole session."""
    return Signer(Path(tempfile.mkdtemp(prefix="dynatrail-keys-")) / f"{name}.pem")


class _Put:
    """As much of a boto3 client as the deliverer asks for."""

    def __init__(self, objects: HeldObjects) -> None:
        self._objects = objects

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, Metadata: dict[str, str], **_: Any) -> None:  # noqa: N803
        assert Bucket == self._objects.name
        self._objects.put(Key, Thing(Body, Metadata))


def _trail(number: int, shape: Shape, bucket: str) -> Trail:
    """The first trail sees everything; the second one its home region, in its own account only."""
    name = ("main_trail", "second-trail")[number]
    home = shape.regions[-1 if number else 0]
    return Trail(
        arn=f"arn:aws:cloudtrail:{home}:{ACCOUNT}:trail/{name}",
        name=name,
        account_id=ACCOUNT,
        home_region=home,
        bucket=bucket,
        prefix=shape.prefix,
        multi_region=number == 0,
        organization=len(shape.accounts) > 1,
        validation=True,
    )


def _change(history: History, trail: Trail, at: datetime, event_name: str, **parameters: Any) -> None:
    at = at.replace(microsecond=0)
    named = {"name": trail.name if event_name == "CreateTrail" else trail.arn, **parameters}
    history.changes.append(Change(at, event_name, trail.name, trail.account_id, trail.home_region, named))


def _in_no_digest(objects: HeldObjects, keys: set[str]) -> set[str]:
    listed = set()
    for key in keys:
        if "/CloudTrail-Digest/" in key:
            listed |= {file["s3Object"] for file in json.loads(gzip.decompress(objects.read(key).body))["logFiles"]}
    return {key for key in keys if "/CloudTrail/" in key} - listed


def _begin(history: History, deliverer: Deliverer, trail: Trail, at: datetime, how: str = "") -> None:
    if how:
        _change(history, trail, at - timedelta(seconds=2), how, enableLogFileValidation=True)
    if how != "UpdateTrail":
        _change(history, trail, at, "StartLogging")
    trail.validation, trail.logging, trail.started_at = True, True, at
    deliverer.begin(trail, at)


def _pause(shape: Shape, random: Random, start: datetime) -> tuple[datetime, datetime]:
    """A time in which a trail did not log, or was not validated; it lies well inside of the history."""
    begin = start + random.uniform(0.3, 0.5) * shape.hours * HOUR
    end = begin + random.uniform(0.1, 0.4) * shape.hours * HOUR
    return begin.replace(microsecond=0), end.replace(microsecond=0)


def _take(deliverer: Deliverer, records: list[dict[str, Any]], start: datetime, end: datetime) -> None:
    for record in records:
        if start <= datetime.fromisoformat(record["eventTime"]) < end:
            deliverer.take(record)


def _stop(history: History, deliverer: Deliverer, how: str, at: datetime) -> None:
    deliverer.deliver(at)
    for trail in history.trails:
        deliverer.end(trail, at, at_once=how != "logging")
        if how == "validation":
            trail.validation = False
            _change(history, trail, at, "UpdateTrail", enableLogFileValidation=False)
            continue
        trail.logging, trail.stopped_at = False, at
        _change(history, trail, at, "StopLogging")
        if how == "recreated":
            _change(history, trail, at + _MINUTE, "DeleteTrail")


def _records(random: Random, shape: Shape, start: datetime, until: datetime) -> list[dict[str, Any]]:
    made = []
    for hour in range(shape.hours + 1):
        for account in shape.accounts:
            for region in shape.regions:
                if random.random() < shape.quiet:
                    continue
                for _ in range(random.choice((1, 2, 5))):
                    at = start + hour * HOUR + timedelta(seconds=random.randrange(3600))
                    if at < until:
                        made.append(_record(random, account, region, at))
    return sorted(made, key=lambda record: record["eventTime"])


def _record(random: Random, account: str, region: str, at: datetime) -> dict[str, Any]:
    table = f"arn:aws:dynamodb:{region}:{account}:table/Patients"
    return {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": "AIDAEXAMPLE",
            "arn": f"arn:aws:iam::{account}:user/app",
            "accountId": account,
            "userName": "app",
        },
        "eventTime": iso(at.replace(microsecond=0)),
        "eventSource": "dynamodb.amazonaws.com",
        "eventName": "DescribeTable",
        "awsRegion": region,
        "sourceIPAddress": f"192.0.2.{random.randrange(250)}",
        "userAgent": "Boto3/1.44.5",
        "requestParameters": {"tableName": "Patients"},
        "responseElements": None,
        "requestID": f"{random.getrandbits(200):052X}"[:52],
        "eventID": str(UUID(int=random.getrandbits(128), version=4)),
        "readOnly": True,
        "resources": [{"accountId": account, "type": "AWS::DynamoDB::Table", "ARN": table}],
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": account,
        "eventCategory": "Management",
    }


def _backfill(history: History, random: Random, shape: Shape) -> None:
    """A chain of its own, over files that came long after what they tell."""
    trail, account, region = history.trails[0], shape.accounts[0], shape.regions[0]
    signer = signer_named("cloudtrail-backfill")
    begin = history.start + random.uniform(0.2, 0.4) * shape.hours * HOUR
    begin = begin.replace(second=0, microsecond=0)
    chain = Chain(begin, begin + HOUR)
    for number in range(min(3, shape.hours // 3)):
        at = chain.start + timedelta(minutes=random.randrange(55))
        raw = json.dumps({"Records": [_record(random, account, region, at - timedelta(days=9))]}).encode()
        where = folder(trail, account, "CloudTrail", region, at, ORGANIZATION)
        name = f"{account}_CloudTrail_{region}_{at:%Y%m%dT%H%MZ}_BACKFILLED{number:06}.json.gz"
        key = f"{where}/{name}"
        event = iso(at - timedelta(days=9))
        history.bucket.put(key, Thing(gzip.compress(raw, mtime=0)))
        chain.files.append(LogFile(trail.bucket, key, _sha256(raw), event, event, at))
        where = folder(trail, account, "CloudTrail-Digest", region, chain.end, ORGANIZATION)
        end = chain.end
        name = f"{account}_CloudTrail-Digest_{region}_{trail.name}_{trail.home_region}_{end:%Y%m%dT%H%M%SZ}"
        digest = next_digest(
            chain, bucket=trail.bucket, key=f"{where}/{name}_backfill.json.gz", account_id=account, signer=signer
        )
        own = {"backfill-generation-timestamp": iso(end + 3 * _MINUTE)}
        signed = {"signature": digest.signature, "signature-algorithm": ALGORITHM, **own}
        history.bucket.put(digest.key, Thing(gzip.compress(digest.body, mtime=0), signed))


def _hold_back(history: History, random: Random, count: int) -> None:
    """Digests of the last day that have not come yet, as after a trouble of delivery; the newest one is there."""
    found = chains(history.bucket)
    standard = [chain for chain in found if not chain.backfill]
    for _ in range(count):
        keys = found[random.choice(standard)][2:-2]
        young = [key for key in keys if history.until - ended(key) < timedelta(hours=20) and key not in history.waiting]
        young = [key for key in young if not history.pause or abs(ended(key) - history.pause[0]) > HOUR]
        if young:
            key = random.choice(young)
            history.waiting[key] = history.bucket.read(key)
            history.bucket.delete(key)


def hash_of(text: str) -> int:
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(), 16)


def _time_of(key: str) -> datetime:
    return ended(key) if "/CloudTrail-Digest/" in key else delivered(key)


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _parts(key: str) -> list[str]:
    parts = key.split("/")
    return parts if len(parts) > 7 else []
