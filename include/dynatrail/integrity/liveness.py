"""Does everything that should arrive still arrive? Findings of what is behind now, and of nothing that has come since.

How long a pause may be is told by an account's and region's own history. "Now" is what the other sources have spoken
of, and no later than the end of what a run was for: a trail read up to last night is not behind because it is noon.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.dataset as pads

from dynatrail.clock import DAY, HOUR, hour_of, iso
from dynatrail.integrity import findings
from dynatrail.integrity.findings import CRITICAL, MEDIUM, Finding
from dynatrail.warehouse import engine
from dynatrail.warehouse.schema import INSTANT
from dynatrail.warehouse.store import Warehouse

if TYPE_CHECKING:
    from dynatrail.settings import Settings

PRODUCER = "liveness"
LAG, STOPPED = "completeness.delivery_lag", "completeness.audit_stopped"

HISTORY = 14 * DAY
SHORTEST = timedelta(hours=1)
"""A pause of up to this is never remarkable: an idle region's digests come once an hour."""

ON_THE_WAY = timedelta(hours=1)
"""What was delivered may take this long until it is seen: digests come after the hour that they are of."""

STOPPED_AFTER = timedelta(hours=2)
"""So long beyond what is usual, nothing at all from a trail that is logging is no delay any more."""

SOURCE_SILENT = timedelta(hours=6)
"""A source that speaks every hour and has not for so long does not run, or cannot read."""

KNOWN_BY = 3
"""Days of history from which a pause without digests can be called unusual: nights and weekends are pauses too."""

_READS = {"cloudwatch": "extract_cloudwatch", "streams": "extract_streams", "kinesis": "extract_kinesis"}


@dataclass(frozen=True, slots=True)
class Place:
    """One account and region of the trail, and how it delivers.

    Attributes:
        newest_at: its newest delivery.
        pause: the longest pause that is usual; None: there is none to tell it by.
        days: days with a pause.
    """

    account_id: str
    region: str
    newest_at: datetime
    pause: timedelta | None
    days: int

    @property
    def allowed(self) -> timedelta:
        return max(SHORTEST, self.pause or SHORTEST) + ON_THE_WAY


def find(settings: "Settings", until: datetime) -> int:
    """Write the findings of what is behind at `until`; what is no longer behind is gone.

    Args:
        settings: name the warehouse.
        until: end of what the run was for.

    Returns:
        How many there are.

    Raises:
        WarehouseError: a table cannot be read or written.
    """
    warehouse = Warehouse.from_settings(settings)
    found: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for one in look(warehouse, until):
        found[one.account_id, one.region].append(one)
    hours = _stated(warehouse, until)
    for place, own in found.items():
        hours[place] |= {hour_of(one.event_time) for one in own}
    for (account, region), of in sorted(hours.items()):
        findings.write(warehouse, PRODUCER, account, region, of, found[account, region])
    return sum(map(len, found.values()))


def look(warehouse: Warehouse, until: datetime) -> Iterator[Finding]:
    """What is behind at `until`; nothing is written."""
    since = hour_of(until) - HISTORY
    with engine.connect(warehouse) as connection:
        places = [
            _place(row) for row in engine.run_file(connection, "coverage/deliveries.sql", since=since).to_pylist()
        ]
        told: dict[tuple[str, str], dict[str, datetime]] = defaultdict(dict)
        for row in engine.run_file(connection, "coverage/told_until.sql", since=since).to_pylist():
            told[row["account_id"], row["region"]][row["source"]] = row["told_until"]
        behind = [
            (place, present)
            for place in places
            if (present := min(until, max(told[place.account_id, place.region].values(), default=until)))
            and present - place.newest_at > place.allowed
            and _has_history(place, warehouse, since)
        ]
        counted = _counted(connection, [place for place, _ in behind], until)
    logging = _logging(warehouse, until)
    explained = _explained(warehouse, since)
    for place, present in behind:
        key = (place.account_id, place.region)
        if logging.get(place.account_id) is not False and key not in explained:
            yield _silent(place, present, logging.get(place.account_id), counted.get(key))
    newest = {(place.account_id, place.region): place.newest_at for place in places}
    for key, sources in sorted(told.items()):
        present = min(until, max([*sources.values(), newest.get(key, since)]))
        for source, spoke in sorted(sources.items()):
            if present - spoke > SOURCE_SILENT:
                yield _source_silent(key, source, spoke, present)


def _silent(place: Place, present: datetime, logging: bool | None, counted: dict[str, Any] | None) -> Finding:
    behind = present - place.newest_at
    stopped = behind > place.allowed + STOPPED_AFTER and (logging or counted is not None)
    usual = f"its longest usual pause is {_long(place.pause)}" if place.pause else "a digest is due every hour"
    newest = f"{place.region} in account {place.account_id} is of {iso(place.newest_at)}"
    why = [f"The newest delivery of {newest}, {_long(behind)} before {iso(present)}; {usual}."]
    if logging:
        why.append("The trail says that it is logging.")
    if counted is not None:
        why.append(f"CloudWatch counted {counted['requests']:,} requests since then, none of which is in the trail.")
    why.append(
        "Look at GetTrailStatus (LatestDeliveryError), at the bucket's policy and key, and whether extract_cloudtrail "
        "runs; the finding goes once the next file or digest has come."
    )
    return Finding(
        rule_id=STOPPED if stopped else LAG,
        severity=CRITICAL if stopped else MEDIUM,
        kind="completeness",
        event_time=place.newest_at,
        account_id=place.account_id,
        region=place.region,
        title=f"The trail of {place.region} has gone silent" if stopped else f"The trail of {place.region} is behind",
        explanation=" ".join(why),
        how_many=behind // HOUR,
    )


def _source_silent(key: tuple[str, str], source: str, spoke: datetime, present: datetime) -> Finding:
    account, region = key
    return Finding(
        rule_id=LAG,
        severity=MEDIUM,
        kind="completeness",
        event_time=spoke,
        account_id=account,
        region=region,
        subject=source,
        title=f"{source} of {region} is behind",
        explanation=(
            f"{source} last said something of {region} in account {account} of the hour before {iso(spoke)}, "
            f"{_long(present - spoke)} before {iso(present)}. Does {_READS[source]} run, and may it still read? Its "
            "log names what failed."
        ),
        how_many=(present - spoke) // HOUR,
    )


def _place(row: dict[str, Any]) -> Place:
    pause = row["pause_to"] - row["pause_from"] if row["pause_from"] else None
    return Place(row["account_id"], row["region"], row["newest_at"], pause, row["days"])


def _has_history(place: Place, warehouse: Warehouse, since: datetime) -> bool:
    """Whether a pause can be told from a quiet night: by digests, which come all the time, or by some days' habit."""
    if place.days >= KNOWN_BY:
        return True
    wanted = (
        (pads.field("event_hour") >= pa.scalar(since, INSTANT))
        & (pads.field("account_id") == place.account_id)
        & (pads.field("region") == place.region)
        & (pads.field("status") == "valid")
    )
    return bool(warehouse.dataset("trail_digest").count_rows(filter=wanted))


def _counted(connection: Any, silent: list[Place], until: datetime) -> dict[tuple[str, str], dict[str, Any]]:
    if not silent:
        return {}
    names = ("account_id", "region", "newest_at")
    rows = [{name: getattr(place, name) for name in names} for place in silent]
    schema = pa.schema([("account_id", pa.string()), ("region", pa.string()), ("newest_at", INSTANT)])
    connection.register("silent", pa.Table.from_pylist(rows, schema))
    since = hour_of(min(place.newest_at for place in silent))
    counted = engine.run_file(connection, "coverage/counted_since.sql", since=since, until=until)
    return {(row["account_id"], row["region"]): row for row in counted.to_pylist()}


def _logging(warehouse: Warehouse, until: datetime) -> dict[str, bool]:
    """Account -> whether a trail of it logs, by the newest snapshots; accounts without one are left out."""
    wanted = (pads.field("aspect") == "GetTrailStatus") & (pads.field("status") == "present")
    rows = warehouse.dataset("trail_config").to_table(
        columns=["account_id", "resource_arn", "captured_at", "document"], filter=wanted
    )
    newest: dict[str, dict[str, Any]] = {}
    for row in rows.sort_by("captured_at").to_pylist():
        if row["captured_at"] <= until or row["resource_arn"] not in newest:
            newest[row["resource_arn"]] = row
    found: dict[str, bool] = {}
    for row in newest.values():
        says = msgspec.json.decode(row["document"] or "{}").get("IsLogging")
        if isinstance(says, bool):
            found[row["account_id"]] = found.get(row["account_id"], False) or says
    return found


def _explained(warehouse: Warehouse, since: datetime) -> set[tuple[str, str]]:
    """Accounts and regions whose digests are found to end: that finding names the cause of the silence."""
    wanted = (pads.field("event_hour") >= pa.scalar(since, INSTANT)) & (
        pads.field("rule_id") == "integrity.chain_truncated_tail"
    )
    rows = warehouse.dataset("finding").to_table(columns=["account_id", "region"], filter=wanted)
    return set(zip(rows["account_id"].to_pylist(), rows["region"].to_pylist(), strict=True))


def _stated(warehouse: Warehouse, until: datetime) -> dict[tuple[str, str], set[datetime]]:
    """Hours in which earlier runs found something, by place."""
    wanted = (pads.field("producer") == PRODUCER) & (pads.field("event_hour") < pa.scalar(until, INSTANT))
    rows = warehouse.dataset("finding").to_table(columns=["account_id", "region", "event_hour"], filter=wanted)
    hours: dict[tuple[str, str], set[datetime]] = defaultdict(set)
    for row in rows.to_pylist():
        hours[row["account_id"], row["region"]].add(row["event_hour"])
    return hours


def _long(span: timedelta) -> str:
    hours, rest = divmod(span, HOUR)
    return f"{hours} h {rest // timedelta(minutes=1)} min" if hours else f"{rest // timedelta(minutes=1)} min"
