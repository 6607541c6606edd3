"""What the warehouse holds of trails: snapshots, the events that changed them, and how far back it can be told."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from dynatrail import config
from dynatrail.arns import partition
from dynatrail.integrity.trail_timeline import CHANGES, Cause, Line, Told, done, looked, settle
from dynatrail.warehouse.store import Warehouse

if TYPE_CHECKING:
    from dynatrail.settings import Settings

_TRAIL = "AWS::CloudTrail::Trail"
_ASPECTS = ("DescribeTrails", "GetEventSelectors", "GetTrailStatus")
_SOURCE = "cloudtrail.amazonaws.com"
_EVENT = (
    ("event_id", "event_time", "recipient_account_id", "region", "event_name", "principal_arn", "principal_id")
    + ("request_parameters", "response_elements")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reading:
    """What Dynatrail reads, and the time that is asked about.

    Attributes:
        trails: buckets of the configuration; None: every bucket counts.
    """

    trails: tuple[config.Trail, ...] | None
    start: datetime | None = None
    end: datetime | None = None

    @classmethod
    def of(cls, source: "Settings | Warehouse", start: datetime | None, end: datetime | None) -> "Reading":
        trails = None if isinstance(source, Warehouse) else config.load(source).trails
        return cls(trails, start, end)

    def reads(self, bucket: str, prefix: str, account_id: str, region: str) -> bool:
        """Whether what a trail delivers there for an account and region is read."""
        if self.trails is None:
            return True
        return any(
            _is_place(one, bucket, prefix)
            and (not one.accounts or account_id in one.accounts)
            and (not one.regions or region in one.regions)
            for one in self.trails
        )

    def wants(self, start: datetime | None, end: datetime | None) -> bool:
        """Whether a stretch of time is asked about."""
        early = end is not None and self.start is not None and end <= self.start
        late = start is not None and self.end is not None and start >= self.end
        return not (early or late)


@dataclass(slots=True)
class Rows:
    """What is known of trails.

    Attributes:
        lines: by ARN.
        looked_at: accounts whose trails were listed, and when first.
        places: accounts and regions that were looked at.
    """

    warehouse: Warehouse
    lines: dict[str, Line]
    looked_at: dict[str, datetime]
    places: tuple[tuple[str, str], ...] = ()
    _members: dict[str, bool] = field(default_factory=dict)
    _first_days: dict[str, datetime | None] = field(default_factory=dict)

    @property
    def causes(self) -> list[Cause]:
        return sorted(
            (one for line in self.lines.values() for one in line.causes()), key=lambda one: (one.at, one.event_id)
        )

    def known_since(self, account_id: str) -> datetime | None:
        """From when on the configuration of an account's trails can be told.

        From the first look, or before it from the first day with events of the account: a change would be among them.
        An account that an organization's trail covers may have been idle: the owner's events then tell as much.
        """
        owners = {arn.split(":")[4] for arn in self.lines if self.is_member(account_id, arn)}
        told = [self._first_day(one) for one in sorted({account_id, *owners})]
        return min((one for one in (*told, self.looked_at.get(account_id)) if one is not None), default=None)

    def _first_day(self, account_id: str) -> datetime | None:
        if account_id not in self._first_days:
            self._first_days[account_id] = _first_day(self.warehouse, account_id)
        return self._first_days[account_id]

    def was_looked_at(self, account_id: str) -> bool:
        return account_id in self.looked_at

    def is_member(self, account_id: str, trail_arn: str) -> bool | None:
        """Whether an organization's trail covers an account; None: not known.

        It does where DescribeTrails showed it to the account, or log files of the account lie in an organization's
        folder.
        """
        if account_id in self.lines[trail_arn].seen_by:
            return True
        if account_id not in self._members:
            self._members[account_id] = self._in_organization(account_id)
        return self._members[account_id] or None

    def _in_organization(self, account_id: str) -> bool:
        """Whether some log file of the account came from an organization's folder."""
        scanner = self.warehouse.dataset("api_event").scanner(
            columns=["source_uri"],
            filter=(pads.field("recipient_account_id") == account_id)
            & pc.match_substring_regex(pads.field("source_uri"), rf"/AWSLogs/o-[a-z0-9]+/{account_id}/"),
        )
        return bool(scanner.head(1).num_rows)


def load(source: "Settings | Warehouse") -> Rows:
    """Read them.

    Raises:
        WarehouseError: the warehouse cannot be read.
    """
    warehouse = source if isinstance(source, Warehouse) else Warehouse.from_settings(source)
    lines: dict[str, Line] = {}
    looks, looked_at = _looks(warehouse)
    _add_snapshots(warehouse, lines, looks)
    _add_events(warehouse, lines)
    for line in lines.values():
        settle(line)
    return Rows(warehouse, lines, looked_at, tuple(sorted(looks)))


def _looks(warehouse: Warehouse) -> tuple[dict[tuple[str, str], list[datetime]], dict[str, datetime]]:
    """When each account and region was looked at, and each account first."""
    found: dict[tuple[str, str], set[datetime]] = {}
    stated = warehouse.dataset("source_statement").to_table(
        columns=["account_id", "region", "event_hour"],
        filter=(pads.field("source") == "configuration") & (pads.field("status") == "complete"),
    )
    for row in stated.to_pylist():
        found.setdefault((row["account_id"], row["region"]), set()).add(row["event_hour"])
    listed = warehouse.dataset("trail_config").to_table(
        columns=["account_id", "captured_at"],
        filter=(pads.field("aspect") == "DescribeTrails") & (pads.field("status") != "unreadable"),
    )
    first: dict[str, datetime] = {}
    for (account, _), times in found.items():
        first[account] = min([*times, *([first[account]] if account in first else [])])
    for row in listed.to_pylist():
        first[row["account_id"]] = min(first.get(row["account_id"], row["captured_at"]), row["captured_at"])
    return {place: sorted(times) for place, times in found.items()}, first


def _add_snapshots(warehouse: Warehouse, lines: dict[str, Line], looks: dict[tuple[str, str], list[datetime]]) -> None:
    rows = warehouse.dataset("trail_config").to_table(
        columns=["captured_at", "account_id", "region", "resource_arn", "aspect", "document", "status"],
        filter=(pads.field("resource_type") == _TRAIL) & pads.field("aspect").isin(_ASPECTS),
    )
    for row in sorted(rows.to_pylist(), key=lambda row: (row["captured_at"], row["account_id"], row["aspect"])):
        arn, at = row["resource_arn"], row["captured_at"]
        if ":trail/" not in arn:
            continue
        line = lines.get(arn)
        if line is None:
            line = lines[arn] = Line(arn)
        line.looks = sorted({*line.looks, *looks.get((row["account_id"], row["region"]), ())})
        if row["aspect"] == "DescribeTrails" and row["status"] == "present" and row["account_id"] not in line.seen_by:
            line.seen_by.add(row["account_id"])
            earlier = [one for one in line.looks if one < at.replace(minute=0, second=0, microsecond=0)]
            if len(line.seen_by) == 1 and earlier:
                # That account was looked at before, and the trail was not there.
                line.told.append(Told(earlier[-1], {"exists": False}))
        line.told += looked(row["aspect"], at, row["status"], row["document"])


def _add_events(warehouse: Warehouse, lines: dict[str, Line]) -> None:
    dataset = warehouse.dataset("api_event")
    changes = (
        (pads.field("event_source") == _SOURCE)
        & pads.field("event_name").isin(sorted(CHANGES))
        & pads.field("error_code").is_null()
    )
    # Parameters are long and changes rare: first the hours that have one, by three narrow columns.
    hours = dataset.to_table(columns=["event_hour"], filter=changes)["event_hour"].unique()
    if not len(hours):
        return
    days = pads.field("event_date").isin(hours.cast(pa.date32()).unique())
    rows = dataset.to_table(columns=list(_EVENT), filter=days & pads.field("event_hour").isin(hours) & changes)
    for row in sorted(rows.to_pylist(), key=lambda row: (row["event_time"], row["event_id"])):
        arn = _trail_of(row, lines)
        if arn is None:
            continue
        actor = row["principal_arn"] or row["principal_id"]
        cause = Cause(row["event_time"], arn, row["event_name"], row["event_id"], actor)
        if told := done(cause, row["request_parameters"]):
            lines.setdefault(arn, Line(arn)).told.append(told)


def _trail_of(row: dict[str, Any], lines: Iterable[str]) -> str | None:
    """ARN of the trail that an event is about: what the answer says, else what was asked for."""
    for document, names in (("response_elements", ("trailarn",)), ("request_parameters", ("name", "trailname"))):
        said = msgspec.json.decode(row[document]) if row[document] else None
        lowered = {name.lower(): value for name, value in said.items()} if isinstance(said, dict) else {}
        for name in names:
            value = lowered.get(name)
            if isinstance(value, str) and value:
                return value if value.startswith("arn:") else _arn(value, row, lines)
    return None


def _arn(name: str, row: dict[str, Any], lines: Iterable[str]) -> str:
    tail = f":cloudtrail:{row['region']}:{row['recipient_account_id']}:trail/{name}"
    return next((arn for arn in lines if arn.endswith(tail)), f"arn:{partition(row['region'])}{tail}")


def _first_day(warehouse: Warehouse, account_id: str) -> datetime | None:
    """The start of the first day with events of an account; days are looked at one by one, as the first ends it."""
    dataset = warehouse.dataset("api_event")
    days = {pads.get_partition_keys(one.partition_expression).get("event_date") for one in dataset.get_fragments()}
    for day in sorted(one for one in days if one is not None):
        of_day = pads.field("event_date") == pa.scalar(day, pa.date32())
        rows = dataset.scanner(
            columns=["event_hour"], filter=of_day & (pads.field("recipient_account_id") == account_id)
        ).head(1)
        if rows.num_rows:
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
    return None


def _is_place(trail: config.Trail, bucket: str, prefix: str) -> bool:
    """Whether a configured bucket is a trail's. A copy or an access point has another name, and is believed."""
    if trail.is_copy or trail.bucket.startswith("arn:"):
        return True
    return (trail.bucket, trail.prefix) == (bucket, prefix)
