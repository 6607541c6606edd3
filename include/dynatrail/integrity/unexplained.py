"""Changes that no recorded write explains: somebody wrote, and the trail has no event of it.

`reconciliation` says in which spans a stream gave more changes than the trail recorded written items, and that nothing
known explains it (`sql/reconcile/measures/changes.sql`). Here three more things are asked: whether what is delivered
late has come, whether log files of the time were lost, and whether the trails were to record the table's writes at all.
Where files were lost or writes left out, the findings on those speak for the span.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from dynatrail.arns import table_arn
from dynatrail.clock import HOUR, iso
from dynatrail.integrity.calibration import tolerances
from dynatrail.integrity.findings import HIGH, Finding
from dynatrail.integrity.trail_history import SelectorHistory, relation
from dynatrail.integrity.words import Selection
from dynatrail.warehouse import engine
from dynatrail.warehouse.schema import INSTANT
from dynatrail.warehouse.store import Warehouse

if TYPE_CHECKING:
    from dynatrail.settings import Settings

RULE = "completeness.unexplained_changes"

WRITES = (
    "BatchExecuteStatement",
    "BatchWriteItem",
    "DeleteItem",
    "ExecuteStatement",
    "ExecuteTransaction",
    "PutItem",
    "TransactWriteItems",
    "UpdateItem",
)
"""Operations that change items, each with an event of its own."""

NAMED_CHANGES = 20

_MARGIN = timedelta(minutes=5)
_SPANS = pa.schema(
    [
        *((name, pa.string()) for name in ("account_id", "region", "table_name")),
        *((name, INSTANT) for name in ("starts_at", "ends_at")),
    ]
)

_Row = dict[str, Any]
_Place = tuple[str, str, str]
"""Account, region and table."""


def spans(settings: "Settings", warehouse: Warehouse, between: pads.Expression) -> list[_Row]:
    """The rows of `reconciliation` of these hours with changes that nothing explains.

    Raises:
        SettingsError: the configuration is wrong.
        WarehouseError: a table cannot be read.
    """
    wanted = (
        between
        & (pads.field("measure") == "changes")
        & (pads.field("verdict") == "missing")
        & (pads.field("witness_count") > pads.field("trail_count"))
    )
    rows: list[_Row] = warehouse.dataset("reconciliation").to_table(filter=wanted).to_pylist()
    if not rows:
        return []
    told = told_until(warehouse, min(row["event_hour"] for row in rows))
    patience = timedelta(seconds=tolerances().settled_after_s)
    settled = [
        row
        for row in rows
        if (until := told.get((row["account_id"], row["region"]))) and row["event_hour"] + HOUR + patience <= until
    ]
    lost = _lost(warehouse, settled)
    settled = [row for row in settled if (row["account_id"], row["region"], row["event_hour"]) not in lost]
    left_out = _left_out(settings, settled)
    return [row for row in settled if (*place(row), row["event_hour"]) not in left_out]


def place(row: _Row) -> _Place:
    """Where a row belongs."""
    return row["account_id"], row["region"], row["table_name"]


def of(warehouse: Warehouse, stretches: Sequence[list[_Row]]) -> list[Finding]:
    """One finding for each table and run of hours; each of `stretches` is the rows of one, in order.

    Raises:
        WarehouseError: the changes cannot be read.
    """
    if not stretches:
        return []
    shown = _shown(warehouse, [row for stretch in stretches for row in stretch])
    return [_of_table(stretch, shown) for stretch in stretches]


def _of_table(stretch: list[_Row], shown: dict[tuple[_Place, datetime], list[_Row]]) -> Finding:
    start = min(row["bin_start"] for row in stretch)
    end = max(row["bin_start"] + timedelta(seconds=row["bin_s"]) for row in stretch)
    account, region, name = place(stretch[0])
    changes = [change for row in stretch for change in shown.get((place(row), row["bin_start"]), ())]
    changes = sorted(changes, key=lambda row: (row["is_named"], row["event_time"], row["change_id"]))[:NAMED_CHANGES]
    unnamed = sum(not row["is_named"] for row in changes)
    written = sum(row["trail_count"] or 0 for row in stretch)
    changed = int(sum(row["witness_count"] or 0 for row in stretch))
    beyond = round(sum(row["difference"] for row in stretch))
    return Finding(
        rule_id=RULE,
        severity=HIGH,
        kind="completeness",
        subject=iso(start),
        event_time=start,
        ends_at=end,
        account_id=account,
        region=region,
        table_name=name,
        table_arn=changes[0]["table_arn"] if changes else None,
        title=f"{beyond} changes of {name} between {iso(start)} and {iso(end)} have no recorded write",
        explanation=f"In these spans of five minutes the stream of {name} gave {changed} changes where CloudTrail "
        f"recorded {written} written items; what a neighbouring span may lend them is taken off. A change without a "
        "recorded write means that events are missing: a selector leaves the writer out, log files are missing, or the "
        "writer's events go to another account only. "
        + (
            f"The items of {unnamed} of the {len(changes)} changes named here are in no recorded write of the time. "
            if changes
            else ""
        )
        + "Look up the selectors of the time, the findings on log files, and who holds dynamodb:PutItem, "
        "dynamodb:UpdateItem or dynamodb:DeleteItem on the table.",
        how_many=beyond,
        evidence_ids=tuple(row["change_id"] for row in changes),
    )


def _shown(warehouse: Warehouse, rows: Iterable[_Row]) -> dict[tuple[_Place, datetime], list[_Row]]:
    """Up to twenty changes of each span, those of items that no recorded write names first."""
    named = [
        {
            "account_id": row["account_id"],
            "region": row["region"],
            "table_name": row["table_name"],
            "starts_at": row["bin_start"],
            "ends_at": row["bin_start"] + timedelta(seconds=row["bin_s"]),
        }
        for row in rows
    ]
    extra = {"unexplained": pa.Table.from_pylist(named, _SPANS)}
    bounds = {
        "start": min(span["starts_at"] for span in named) - _MARGIN,
        "end": max(span["ends_at"] for span in named) + _MARGIN,
    }
    shown: dict[tuple[_Place, datetime], list[_Row]] = {}
    with engine.connect(warehouse, extra=extra) as connection:
        for change in engine.run_file(connection, "prove/unexplained_changes.sql", **bounds).to_pylist():
            shown.setdefault((place(change), change["starts_at"]), []).append(change)
    return shown


def told_until(warehouse: Warehouse, since: datetime) -> dict[tuple[str, str], datetime]:
    """Up to when the trail has delivered, by account and region: files come even later, but seldom.

    Deliveries before the day of `since` are left out.
    """
    told: dict[tuple[str, str], datetime] = {}
    for table, column in (("log_file", "delivered_at"), ("trail_digest", "digest_end_time")):
        found = warehouse.dataset(table).to_table(
            columns=["account_id", "region", column],
            filter=(pads.field("event_date") >= pa.scalar(since.date(), pa.date32()))
            & ~pads.field("status").isin(["missing", "pending", "invalid", "forged"]),
        )
        for row in found.group_by(["account_id", "region"]).aggregate([(column, "max")]).to_pylist():
            key = (row["account_id"], row["region"])
            told[key] = max(row[f"{column}_max"], told.get(key, row[f"{column}_max"]))
    return told


def _lost(warehouse: Warehouse, rows: Sequence[_Row]) -> set[tuple[str, str, datetime]]:
    """Accounts, regions and hours of which log files are missing or altered."""
    if not rows:
        return set()
    hours = [row["event_hour"] for row in rows]
    with engine.connect(warehouse) as connection:
        found = engine.run_file(connection, "reconcile/lost_files.sql", start=min(hours), end=max(hours) + HOUR)
    return {(row["account_id"], row["region"], row["event_hour"]) for row in found.to_pylist()}


def _left_out(settings: "Settings", rows: Sequence[_Row]) -> set[tuple[str, str, str, datetime]]:
    """Tables and hours of which the trails were not to record every write."""
    if not rows:
        return set()
    hours = sorted({row["event_hour"] for row in rows})
    arns = sorted({table_arn(*place(row)) for row in rows})
    chosen = relation(SelectorHistory.load(settings, hours[0], hours[-1] + HOUR), arns, WRITES, hours)
    narrow = pc.is_in(chosen["selection"].cast(pa.string()), pa.array([Selection.NONE, Selection.PARTIAL], pa.string()))
    return {(*place(row), row["event_hour"]) for row in chosen.filter(narrow).to_pylist()}
