"""What looks found, as rows of `sensitive_attribute`, against the look before; and what of it lies in clear.

A sample has not everything: a class that this one lacks is `gone` only where the sample should have had several of its
values, else it is `unseen` and counts on with what was known.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail import clock
from dynatrail.config import Target
from dynatrail.integrity import findings
from dynatrail.privacy import policy, protection
from dynatrail.privacy.discovery import Found
from dynatrail.privacy.policy import ANY, Policy
from dynatrail.sources.tables import WatchedTable
from dynatrail.warehouse.schema import FINDING, SENSITIVE_ATTRIBUTE
from dynatrail.warehouse.store import Warehouse

PRODUCER = "discovery"
RULE = "privacy.sensitive_in_clear"
_EXPECTED = 3.0
"""Values that a sample must be expected to have before their absence says that they are gone: e^-3 is 5 %."""

_LOG = logging.getLogger(__name__)

Row = dict[str, Any]


@dataclass(slots=True)
class Look:
    """The samples of one table, taken apart."""

    values: Mapping[str, pa.StringArray] = field(repr=False)
    images: int
    sampled_from: list[str]


def of(
    table: WatchedTable, taken: Look, found: Iterable[Found], known: list[Row], masked: Policy, captured_at: datetime
) -> Iterator[Row]:
    before = {(row["path"], row["detected_class"]): row for row in known if row["status"] != "gone"}
    hour = clock.hour_of(captured_at)
    common = {
        "captured_at": captured_at,
        "event_hour": hour,
        "event_date": hour.date(),
        "account_id": table.account_id,
        "region": table.region,
        "table_name": table.name,
        "table_arn": table.arn,
        "images": taken.images,
        "sampled_from": taken.sampled_from,
    }
    for one in found:
        was = before.pop((one.path, one.detected_class), None)
        row = common | {
            "path": one.path,
            "detected_class": one.detected_class,
            "in_names": _in_names(one.path, taken.values),
            "confidence": one.confidence,
            "sampled": one.sampled,
            "matched": one.matched,
            "distinct_values": one.distinct,
            "previous_confidence": was["confidence"] if was else None,
        }
        row["action"], row["protection"] = protected_by(masked, row)
        yield row | {"status": _status(row, was)}
    for was in before.values():
        now = len(taken.values.get(was["path"], ()))
        gone = was["sampled"] and now * was["matched"] / was["sampled"] >= _EXPECTED
        counts = {"sampled": now, "matched": 0, "distinct_values": 0, "confidence": None} if gone else {}
        row = was | common | counts | {"previous_confidence": was["confidence"]}
        row["action"], row["protection"] = protected_by(masked, was)
        yield row | {"status": "gone" if gone else "unseen"}


def _status(row: Row, was: Row | None) -> str:
    if was is None:
        return "new"
    same_side = (row["confidence"] < protection.SURE) == ((was["confidence"] or 0) < protection.SURE)
    return "known" if same_side and row["protection"] == was["protection"] else "changed"


def _in_names(path: str, values: Mapping[str, Any]) -> bool:
    """Whether names of members are among the values at a path, as `flatten` puts them there."""
    start = f"{path}.{ANY}"
    return path == ANY or any(other == start or other.startswith((f"{start}.", f"{start}[")) for other in values)


def write(warehouse: Warehouse, target: Target, captured_at: datetime, seen: list[str], rows: list[Row]) -> list[str]:
    """Replace what an earlier attempt of this run wrote of the same tables; returns the rows' statuses.

    A table that was looked at later already stays as it is.
    """
    place = {"account_id": target.account_id, "region": target.region}
    later = latest(warehouse, place)
    over = {arn for arn in seen if later.get(arn) and later[arn][0]["captured_at"] > captured_at}
    if over:
        _LOG.warning("%d tables were looked at after %s already; nothing was written of them.", len(over), captured_at)
    kept = [row for row in rows if row["table_arn"] not in over]
    came = pa.Table.from_pylist(kept, SENSITIVE_ATTRIBUTE.schema)

    def merge(present: pa.Table) -> pa.Table:
        same = pc.equal(present["captured_at"], pa.scalar(captured_at, present["captured_at"].type))
        again = pc.and_(same, pc.is_in(present["table_arn"], pa.array(seen, pa.string())))
        return pa.concat_tables([present.filter(pc.invert(again)), came])

    warehouse.replace(SENSITIVE_ATTRIBUTE.name, merge, hours=[clock.hour_of(captured_at)], where=place)
    return [row["status"] for row in kept]


def latest(
    warehouse: Warehouse, place: Mapping[str, str] | None = None, *, before: datetime | None = None
) -> dict[str, list[Row]]:
    """The rows of the last look at each table, by the table's ARN, those that were gone included.

    Args:
        warehouse: where they are.
        place: only tables of this `account_id` and `region`.
        before: only looks before that instant.
    """
    chosen = None
    for name, value in (place or {}).items():
        one = pc.field(name) == value
        chosen = one if chosen is None else chosen & one
    if before is not None:
        one = pc.field("captured_at") < pa.scalar(before, SENSITIVE_ATTRIBUTE.schema.field("captured_at").type)
        chosen = one if chosen is None else chosen & one
    found: dict[str, list[Row]] = {}
    read = warehouse.dataset(SENSITIVE_ATTRIBUTE.name).to_table(filter=chosen)
    for row in read.sort_by([("captured_at", "ascending")]).to_pylist():
        rows = found.setdefault(row["table_arn"], [])
        if rows and rows[0]["captured_at"] != row["captured_at"]:
            rows.clear()
        rows.append(row)
    return {arn: sorted(rows, key=lambda row: (row["path"], row["detected_class"])) for arn, rows in found.items()}


def protected_by(masked: Policy, row: Mapping[str, Any]) -> tuple[str, protection.Protection]:
    """What a policy does with the path of a row, and how well that hides it.

    A person who names another class for exactly this path has said that it is none of the detected one.
    """
    at = policy.steps(policy_path(row))
    entry = masked.entry(row["table_name"])
    rule = entry.deciding(at) if entry else None
    mask = masked.of(row["table_name"]).at(at)
    if rule and rule.is_ not in ("", row["detected_class"]) and len(policy.steps(rule.path)) == len(at):
        return mask.action, protection.HIDDEN
    of = protection.of(
        mask,
        row["detected_class"],
        in_names=row["in_names"],
        distinct=row["distinct_values"],
        matched=row["matched"],
    )
    return mask.action, of


def policy_path(row: Mapping[str, Any]) -> str:
    """The path that a policy must name to rule the values of a row: of names of a map's members, all its members."""
    path: str = row["path"]
    return f"{path}.{ANY}" if row["in_names"] and path != ANY else path


def state_findings(
    warehouse: Warehouse,
    target: Target,
    watched: Iterable[str],
    masked: Policy,
    captured_at: datetime,
) -> int:
    """A finding for each sensitive attribute that the policy leaves in clear; those of others are taken away.

    Returns how many there are. One that goes on keeps the time at which it was first seen.
    """
    place = {"account_id": target.account_id, "region": target.region}
    chosen = pc.field("producer") == PRODUCER
    for name, value in place.items():
        chosen &= pc.field(name) == value
    present = warehouse.dataset(FINDING.name).to_table(columns=["finding_id", "event_time"], filter=chosen).to_pylist()
    began = {row["finding_id"]: row["event_time"] for row in present}
    there = set(watched)
    rows = [row for arn, those in latest(warehouse, place).items() if arn in there for row in those]
    stated = []
    for row in rows:
        if row["status"] == "gone" or (row["confidence"] or 0) < protection.SURE:
            continue
        if protected_by(masked, row)[1] == protection.CLEAR:
            one = _finding(row, captured_at)
            stated.append(_finding(row, began.get(one.finding_id, captured_at)))
    hours = {clock.hour_of(one) for one in began.values()} | {clock.hour_of(one.event_time) for one in stated}
    findings.write(warehouse, PRODUCER, target.account_id, target.region, hours, stated)
    return len(stated)


def _finding(row: Row, since: datetime) -> findings.Finding:
    where = "names of members of" if row["in_names"] else "values of"
    what = f"{row['detected_class']} in {row['path']} of {row['table_name']}"
    return findings.Finding(
        rule_id=RULE,
        severity=findings.MEDIUM,
        event_time=since,
        account_id=row["account_id"],
        region=row["region"],
        kind="rule",
        subject=hashlib.sha256(f"{row['path']}\n{row['detected_class']}".encode()).hexdigest(),
        table_name=row["table_name"],
        table_arn=row["table_arn"],
        how_many=row["matched"],
        title=f"The masking policy keeps {what} in clear",
        explanation=f"{row['matched']} of {row['sampled']} sampled {where} {row['path']} are {row['detected_class']} "
        f"(confidence {row['confidence']:.2f}), and the policy's action there is {row['action']}, so item_change holds "
        "them readable. Approve the proposal of discover_sensitive_data, or change include/masking; a class that is "
        "wrong is corrected by naming the right one in the policy. Rows that are stored already stay as they are.",
    )
