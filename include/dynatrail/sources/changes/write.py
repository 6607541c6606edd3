"""Changes on their last steps: through the gate, into the warehouse, and what is kept out into quarantine."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail import clock
from dynatrail.quality import gate
from dynatrail.sources.changes.merge import Settle, merge_changes
from dynatrail.sources.changes.parse import Rejected
from dynatrail.sources.changes.rows import ChangedTable
from dynatrail.warehouse.schema import QUARANTINE
from dynatrail.warehouse.store import Warehouse


@dataclass(frozen=True, slots=True)
class Written:
    """What a portion gave: rows, pieces in quarantine, the gate's warnings.

    Attributes:
        hours: whose rows may have changed.
        kept_out: hours of the pieces in quarantine.
    """

    hours: frozenset[datetime]
    kept_out: frozenset[datetime]
    rows: int
    quarantined: int
    warnings: tuple[str, ...]


def land(
    warehouse: Warehouse,
    portions: Sequence[tuple[ChangedTable, pa.Table, Sequence[Rejected]]],
    *,
    source: str,
    record: Path | None,
    latest: datetime,
    settle: Settle | None = None,
) -> Written:
    """Check, write and quarantine what was parsed; a checkpoint may be moved on when it returns.

    Args:
        warehouse: what is written to.
        portions: per table, at least one, its rows of `item_change` and what gave none.
        source: `streams` or `kinesis`, as `quarantine` names it.
        record: file that gets the gate's result.
        latest: no change may be later.
        settle: as for `write`.

    Raises:
        QualityError: the portion was stopped before anything of it became visible.
        WarehouseError: something could not be written; what was, is written again by the next attempt.
    """
    rows = pa.concat_tables([rows for _, rows, _ in portions])
    expected = len(rows)
    checked = gate.check(
        rows, "item_change", record=record, parameters={"latest_event_time": latest, "expected_rows": expected}
    )
    refused: dict[str, list[dict[str, Any]]] = {}
    for rejection in checked.rejected:
        row = rows.slice(rejection.row, 1).to_pylist()[0]
        refused.setdefault(row["table_arn"], []).append(_refused(row, rejection, source))
    hours: set[datetime] = set()
    kept_out: list[dict[str, Any]] = []
    for table, _, rejected in portions:
        own = checked.passed.filter(pc.equal(checked.passed["table_arn"], table.arn))
        hours |= write(warehouse, own, table, settle=settle)
        own_rejected = refused.pop(table.arn, []) + [_unusable(one, table, source) for one in rejected]
        quarantine(warehouse, own_rejected)
        kept_out += own_rejected
    of_them = frozenset(row["event_hour"] for row in kept_out)
    return Written(frozenset(hours), of_them, len(checked.passed), len(kept_out), checked.warnings)


def write(warehouse: Warehouse, rows: pa.Table, table: ChangedTable, *, settle: Settle | None = None) -> set[datetime]:
    """Merge rows of `item_change` of one table, by `change_id`, into the hours that they lie in; returns those hours.

    `merge_changes` says what `settle` is for.

    Raises:
        WarehouseError: the rows do not fit the contract, or the table cannot be written.
    """
    hours = set(pc.unique(rows["event_hour"]).to_pylist())
    if hours:

        def merge(present: pa.Table) -> pa.Table:
            return merge_changes(present, rows, settle)

        if settle is None:
            # New changes leave the hour's files alone; what a busy hour holds is not read again for each portion.
            place = ("source_uri", "source_position")
            warehouse.add("item_change", merge, key=("change_id",), hours=hours, where=table.slice, apart=place)
        else:
            warehouse.replace("item_change", merge, hours=hours, where=table.slice)
    return hours


def quarantine(warehouse: Warehouse, rows: Iterable[dict[str, Any]]) -> None:
    """Merge rows of `quarantine` into the hours that they lie in; a piece that is there already is replaced."""
    places: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        places.setdefault((row["account_id"], row["region"]), []).append(row)
    for (account, region), own in sorted(places.items()):
        came = pa.Table.from_pylist(list({row["quarantine_id"]: row for row in own}.values()), QUARANTINE.schema)

        def merge(present: pa.Table, came: pa.Table = came) -> pa.Table:
            again = pc.is_in(present["quarantine_id"], value_set=came["quarantine_id"].combine_chunks())
            return pa.concat_tables([present.filter(pc.invert(again)), came])

        hours = set(pc.unique(came["event_hour"]).to_pylist())
        warehouse.replace("quarantine", merge, hours=hours, where={"account_id": account, "region": region})


def quarantine_row(table: ChangedTable, source: str, at: datetime, piece: Rejected) -> dict[str, Any]:
    """One row of `quarantine`; `at` is the nearest known time of the piece."""
    hour = clock.hour_of(at)
    return {
        "quarantine_id": hashlib.sha256(f"{piece.source_uri}\n{piece.position}\n{piece.code}".encode()).hexdigest(),
        "event_hour": hour,
        "event_date": hour.date(),
        "account_id": table.account_id,
        "region": table.region,
        "source": source,
        "source_uri": piece.source_uri,
        "position": piece.position,
        "reason_code": piece.code,
        "reason": piece.reason,
        "payload": piece.payload,
        "payload_bytes": piece.size,
        "payload_sha256": piece.sha256,
    }


def _unusable(piece: Rejected, table: ChangedTable, source: str) -> dict[str, Any]:
    return quarantine_row(table, source, datetime.fromtimestamp(piece.event_us / 1e6, UTC), piece)


def _refused(row: dict[str, Any], rejection: gate.Rejection, source: str) -> dict[str, Any]:
    """A parsed row that the gate does not let through; its payload is masked by then."""
    payload = row["new_image"] or row["old_image"]
    hour = row["event_hour"]
    position = f"sequence {row['source_position']}"
    return {
        "quarantine_id": hashlib.sha256(
            f"{row['source_uri']}\n{position}\n{rejection.reason_code}".encode()
        ).hexdigest(),
        "event_hour": hour,
        "event_date": hour.date(),
        "account_id": row["account_id"],
        "region": row["region"],
        "source": source,
        "source_uri": row["source_uri"],
        "position": position,
        "reason_code": rejection.reason_code,
        "reason": rejection.reason,
        "payload": payload,
        "payload_bytes": len((payload or "").encode()),
        "payload_sha256": None,
    }
