"""When and in which S3 object each record is delivered: CloudTrail's usual delay, and its irregularities on purpose.

Which record is late, doubled or corrected depends on the seed and the record's own id only, never on how the scenario
was interrupted. Layout and delays: aws-facts b1.
"""

import gzip
import hashlib
import math
import random
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from dynatrail.clock import parse_instant
from dynatrail.errors import SandboxError
from dynatrail.sandbox.digests import LogFile
from dynatrail.sandbox.trails import Trail

Json = dict[str, Any]

MOST_RECORDS = 5000
_MINUTE = timedelta(minutes=1)
_MEDIAN_SECONDS, _SPREAD, _LEAST_SECONDS, _MOST_SECONDS = 200, 0.45, 45, 610
_ALPHANUMERIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, kw_only=True)
class Outage:
    """A region whose records cannot be delivered for a while: `after_hours` from the scenario's start, for `hours`."""

    region: str
    after_hours: float
    hours: float


@dataclass(frozen=True, kw_only=True)
class LateDigests:
    """Digests of a region that come late: of `hours` from `after_hours` after the scenario's start.

    Attributes:
        delay_hours: how long after that span they come.
        backfill: False: the digests that fall due in the span are missing until then, and come youngest first, as after
            a delivery problem. True: these digests list no log files; those delivered in the span are listed by a chain
            of their own, of `_backfill` digests.
    """

    region: str
    after_hours: float
    hours: float
    delay_hours: float = 2
    backfill: bool = False


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How CloudTrail delivers; shares are of 1.

    Attributes:
        organization: one organization trail (`AWSLogs/o-…/ACCOUNT/…`); else one trail of each account.
        prefix: key prefix before `AWSLogs/`.
        seed: decides which records the shares hit.
        grid: delivery times fall on multiples of it.
        late, late_hours: share of records that come hours after the event, and how many hours at least and at most;
            half of them say so in an `addendum` (DELIVERY_DELAY).
        duplicates: share of records that a second file holds again, unchanged.
        corrections: share of records that are followed by a corrected copy with an `addendum` (UPDATED_DATA).
        out_of_order: share of files that reach the bucket after younger ones.
        shuffled: records of one file lie in no order, as in AWS.
        most_records: records of one file at most; CloudTrail's files hold 1 to a few thousand.
        outages: times in which nothing of a region arrives; everything comes at once afterwards.
        late_digests: times whose digests come later, out of order or as a backfill.
        immediate: deliver at the next occasion, in a file named by the event's minute; for live traffic that somebody
            watches.
    """

    organization: bool = True
    prefix: str = ""
    seed: int = 7
    grid: timedelta = 5 * _MINUTE
    late: float = 0.01
    late_hours: tuple[float, float] = (1, 30)
    duplicates: float = 0.01
    corrections: float = 0.005
    out_of_order: float = 0.03
    shuffled: bool = True
    most_records: int = MOST_RECORDS
    outages: tuple[Outage, ...] = ()
    late_digests: tuple[LateDigests, ...] = ()
    immediate: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.most_records <= MOST_RECORDS:
            raise SandboxError(
                f"Delivery.most_records is {self.most_records}; give 1 to {MOST_RECORDS}, as CloudTrail's files hold."
            )

    @classmethod
    def regular(cls, **changes: Any) -> "Delivery":
        """Nothing late, doubled, corrected or out of order."""
        return cls(**{"late": 0, "duplicates": 0, "corrections": 0, "out_of_order": 0, "shuffled": False, **changes})


class Pending(msgspec.Struct, frozen=True):
    """A record on its way: `slot` is the delivery time that will name its file."""

    trail_arn: str
    account_id: str
    region: str
    slot: datetime
    record: Json

    @property
    def chain(self) -> str:
        return chain_name(self.trail_arn, self.account_id, self.region)


class File(msgspec.Struct, frozen=True):
    """One log file: its place, its compressed body, and what a digest says of it."""

    chain: str
    log: LogFile
    body: bytes
    records: int


def chain_name(trail_arn: str, account_id: str, region: str) -> str:
    return f"{trail_arn}|{account_id}|{region}"


def folder(trail: Trail, account_id: str, kind: str, region: str, at: datetime, organization_id: str) -> str:
    """`[prefix/]AWSLogs/[o-…/]ACCOUNT/KIND/REGION/YYYY/MM/DD`."""
    parts = [trail.prefix, "AWSLogs", organization_id if trail.organization else "", account_id, kind, region]
    return "/".join(part for part in parts if part) + f"/{at:%Y/%m/%d}"


class Plan:
    """Decides the delivery of each record.

    Args:
        delivery: how.
        start: the scenario's start, from which outages count.
        last: no record is delivered later than this; None for no bound.
    """

    def __init__(self, delivery: Delivery, start: datetime, last: datetime | None = None) -> None:
        self.delivery = delivery
        self._start = start
        self._last = last

    def of(self, record: Json, trail: Trail) -> list[Pending]:
        """All copies of `record` that this trail delivers."""
        how = self.delivery
        chance = random.Random(f"{how.seed}:{record['eventID']}:{record['recipientAccountId']}:{trail.name}")
        time = parse_instant(record["eventTime"])
        due = time + timedelta(seconds=_usual_delay(chance))
        late, doubled, corrected = (chance.random() < share for share in (how.late, how.duplicates, how.corrections))
        if late:
            due = time + timedelta(hours=chance.uniform(*how.late_hours))
            if chance.random() < 0.5:  # noqa: PLR2004  half of them, as the attribute's text says
                record = {**record, "addendum": {"reason": "DELIVERY_DELAY"}}
        for outage in how.outages:
            begin = self._start + timedelta(hours=outage.after_hours)
            if record["awsRegion"] == outage.region and begin <= due < (end := begin + timedelta(hours=outage.hours)):
                due = end
        if corrected:
            later = due + timedelta(minutes=chance.uniform(10, 360))
            return [
                self._pending(_before_correction(record), trail, due),
                self._pending(_correction(record), trail, later),
            ]
        copies = [self._pending(record, trail, due)]
        if doubled:
            copies.append(self._pending(record, trail, due + how.grid + timedelta(minutes=chance.uniform(0, 60))))
        return copies

    def written_at(self, chain: str, slot: datetime) -> datetime:
        """When the file of that slot reaches the bucket: at once, or after younger files."""
        chance = random.Random(f"{self.delivery.seed}:{chain}:{slot.isoformat()}")
        if self.delivery.immediate or chance.random() >= self.delivery.out_of_order:
            return slot
        held = slot + timedelta(minutes=chance.uniform(10, 50))
        return min(held, self._last) if self._last and slot <= self._last else held

    def late_digests(self, region: str, at: datetime, *, backfill: bool) -> tuple[datetime, datetime] | None:
        """When the span of late digests ends that `at` lies in, and when its digests come; None in no such span."""
        for late in self.delivery.late_digests:
            begin = self._start + timedelta(hours=late.after_hours)
            end = begin + timedelta(hours=late.hours)
            if late.region == region and late.backfill == backfill and begin <= at < end:
                return end, end + timedelta(hours=late.delay_hours)
        return None

    def files(
        self, pending: list[Pending], until: datetime, trails: dict[str, Trail], organization_id: str
    ) -> tuple[list[File], list[Pending]]:
        """The files due by `until`, in the order in which they reach the bucket, and what stays pending."""
        groups: dict[tuple[datetime, datetime, str], list[Pending]] = defaultdict(list)
        waiting = []
        for item in pending:
            written = self.written_at(item.chain, item.slot)
            if written <= until and item.trail_arn in trails:
                groups[written, item.slot, item.chain].append(item)
            else:
                waiting.append(item)
        made = [
            file
            for (written, slot, _), items in sorted(groups.items(), key=lambda group: group[0])
            for file in self._cut(items, slot, written, trails[items[0].trail_arn], organization_id)
        ]
        return made, waiting

    def _cut(
        self, items: list[Pending], slot: datetime, written: datetime, trail: Trail, organization_id: str
    ) -> Iterator[File]:
        first = items[0]
        records = [item.record for item in items]
        if self.delivery.shuffled:
            random.Random(f"{self.delivery.seed}:{first.chain}:{slot.isoformat()}:order").shuffle(records)
        # Two copies of one event never share a file (aws-facts b1, measured).
        parts: list[list[Json]] = [[]]
        seen: list[set[str]] = [set()]
        for record in records:
            place = next(
                (
                    i
                    for i, ids in enumerate(seen)
                    if record["eventID"] not in ids and len(ids) < self.delivery.most_records
                ),
                None,
            )
            if place is None:
                parts.append([])
                seen.append(set())
                place = len(parts) - 1
            parts[place].append(record)
            seen[place].add(record["eventID"])
        where = folder(trail, first.account_id, "CloudTrail", first.region, slot, organization_id)
        for part in parts:
            raw = msgspec.json.encode({"Records": part})
            # Two trails that deliver into one folder never write one object.
            unique = _unique(f"{first.trail_arn}:{where}:{slot.isoformat()}:", raw)
            key = f"{where}/{first.account_id}_CloudTrail_{first.region}_{slot:%Y%m%dT%H%MZ}_{unique}.json.gz"
            times = [record["eventTime"] for record in part]
            log = LogFile(trail.bucket, key, hashlib.sha256(raw).hexdigest(), max(times), min(times), written)
            yield File(first.chain, log, gzip.compress(raw, compresslevel=6, mtime=0), len(part))

    def _pending(self, record: Json, trail: Trail, due: datetime) -> Pending:
        if self.delivery.immediate:
            minute = parse_instant(record["eventTime"]).replace(second=0)
            return Pending(trail.arn, record["recipientAccountId"], record["awsRegion"], minute, record)
        grid = self.delivery.grid
        slot = _ceiling(due, grid)
        if self._last is not None and slot > self._last:
            slot = max(_ceiling(self._last, grid) - grid, _ceiling(parse_instant(record["eventTime"]), grid))
        return Pending(trail.arn, record["recipientAccountId"], record["awsRegion"], slot, record)


def _usual_delay(chance: random.Random) -> float:
    return min(max(chance.lognormvariate(math.log(_MEDIAN_SECONDS), _SPREAD), _LEAST_SECONDS), _MOST_SECONDS)


def _ceiling(instant: datetime, grid: timedelta) -> datetime:
    seconds = grid.total_seconds()
    return datetime.fromtimestamp(math.ceil(instant.timestamp() / seconds) * seconds, instant.tzinfo)


def _before_correction(record: Json) -> Json:
    return {**record, "sourceIPAddress": "AWS Internal", "userAgent": "AWS Internal"}


def _correction(record: Json) -> Json:
    addendum = {
        "reason": "UPDATED_DATA",
        "updatedFields": "sourceIPAddress,userAgent",
        "originalRequestID": record.get("requestID", ""),
        "originalEventID": record["eventID"],
    }
    own = hashlib.blake2b(f"correction of {record['eventID']}".encode(), digest_size=16).digest()
    return {**record, "eventID": str(uuid.UUID(bytes=own, version=4)), "addendum": addendum}


def _unique(place: str, raw: bytes) -> str:
    number = int.from_bytes(hashlib.sha256(place.encode() + raw).digest(), "big")
    letters = []
    for _ in range(16):
        number, rest = divmod(number, len(_ALPHANUMERIC))
        letters.append(_ALPHANUMERIC[rest])
    return "".join(letters)
