"""Compare a look with what was known, write only what differs, then note it: data first, state after."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail import clock
from dynatrail.errors import SourceError
from dynatrail.quality import gate
from dynatrail.settings import Settings
from dynatrail.sources import summaries
from dynatrail.sources.snapshots import versions
from dynatrail.sources.snapshots.pieces import GONE, UNREADABLE, Capture, Key
from dynatrail.sources.snapshots.versions import Known, Place
from dynatrail.state import pending
from dynatrail.state.database import session
from dynatrail.warehouse.schema import QUARANTINE, SOURCE_STATEMENT, TABLES
from dynatrail.warehouse.store import Warehouse

_NO_LONGER = "It is no longer there."
_READABLE_AGAIN = "What could not be read or listed here can be again."


@dataclass(slots=True)
class Summary:
    """What one look at one account and region did; small enough for XCom and free of values."""

    seen: int = 0
    rows: int = 0
    gone: int = 0
    unreadable: int = 0
    quarantined: int = 0
    warnings: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)


def differing(
    capture: Capture, known: Mapping[Key, Known], place: Place, captured_at: datetime
) -> list[dict[str, Any]]:
    """The rows of a look: what is new, differs, may no longer be read (once), or is gone (once)."""
    rows, met = [], {*capture.unchanged, *capture.missed}
    for piece in capture.pieces:
        met.add(piece.key)
        was = known.get(piece.key)
        if was is not None and (was.status, was.sha256) == (piece.status, piece.sha256):
            continue
        rows.append(
            _row(place, captured_at, piece.key, piece.resource_type, piece.resource_name, piece.status)
            | {
                "document": piece.document,
                "sha256": piece.sha256,
                "previous_sha256": was.sha256 if was else None,
                "reason": piece.reason,
                "marks": piece.marks,
            }
        )
    for key, was in known.items():
        if (
            key in met
            or key[1] in capture.lacking
            or was.status == GONE
            or (was.resource_type, key[1]) not in capture.complete
        ):
            continue
        reason = _READABLE_AGAIN if was.status == UNREADABLE else _NO_LONGER
        rows.append(
            _row(place, captured_at, key, was.resource_type, was.resource_name, GONE)
            | {"document": None, "sha256": None, "previous_sha256": was.sha256, "reason": reason, "marks": None}
        )
    return sorted(rows, key=lambda row: (row["resource_type"], row["resource_arn"], row["aspect"]))


def keep(
    settings: Settings, capture: Capture, known: Mapping[Key, Known], place: Place, captured_at: datetime
) -> Summary:
    """Write what differs and note it.

    The rows of the same instant that an earlier attempt has written are replaced; all others stay.

    Raises:
        QualityError: an expectation stopped the rows before anything of them was visible.
    """
    table = TABLES[place.snapshot]
    rows = pa.Table.from_pylist(differing(capture, known, place, captured_at), table.schema)
    checked = gate.GateResult(rows, (), ())
    if rows.num_rows:
        checked = gate.check(rows, place.snapshot, record=_record(settings, place, captured_at))
    warehouse = Warehouse.from_settings(settings)
    hour, where = clock.hour_of(captured_at), {"account_id": place.account_id, "region": place.region}

    def merge(present: pa.Table) -> pa.Table:
        others = present.filter(
            pc.not_equal(present["captured_at"], pa.scalar(captured_at, present["captured_at"].type))
        )
        if len(others) < len(present) or checked.passed.num_rows:
            behind.add(hour)
            # Before the rows as well as after: a crash in between leaves no row that the timeline lacks.
            pending.make_due(pending.TIMELINE, behind)
        return pa.concat_tables([others, checked.passed])

    behind: set[datetime] = set()
    warehouse.replace(place.snapshot, merge, hours=[hour], where=where)
    with session() as opened:
        pending.mark(opened, pending.TIMELINE, behind)
    rejected = _rejected(rows, checked.rejected, place, hour)
    _quarantine(warehouse, rejected, place, hour)
    written = checked.passed.to_pylist()
    versions.note(place, captured_at, written, [hour] if written else [])
    statuses = [row["status"] for row in written]
    return Summary(
        seen=len(capture.pieces) + len(capture.unchanged),
        rows=len(written),
        gone=statuses.count(GONE),
        unreadable=sum(piece.status == UNREADABLE for piece in capture.pieces),
        quarantined=len(rejected),
        warnings=[*checked.warnings, *(f"The installed SDK does not know {name}." for name in sorted(capture.lacking))],
        missed=sorted(set(capture.missed.values())),
    )


def state_source(
    settings: Settings, source: str, place: Place, captured_at: datetime, captures: Sequence[Capture], records: int
) -> None:
    """Say in `source_statement` whether the look of that hour saw everything, and if not, what not and why."""
    reasons = sorted({reason for capture in captures for reason in capture.reasons()})
    hour = clock.hour_of(captured_at)
    row = {
        "event_hour": hour,
        "event_date": hour.date(),
        "account_id": place.account_id,
        "region": place.region,
        "source": source,
        "table_name": None,
        "status": "incomplete" if reasons else "complete",
        "reasons": reasons or None,
        "records": records,
    }
    Warehouse.from_settings(settings).replace(
        "source_statement",
        pa.Table.from_pylist([row], SOURCE_STATEMENT.schema),
        hours=[hour],
        where={"account_id": place.account_id, "region": place.region, "source": source},
    )


def complain(summary: Summary, what: str) -> None:
    """Be red when something could not be asked, after all else has landed: the next attempt asks again.

    Raises:
        SourceError: that.
    """
    if summary.missed:
        raise SourceError(
            f"Of {what}, {len(summary.missed)} APIs could not be asked; all else has landed. {summary.missed[0]}. What "
            "they had answered before counts as it was. Run the task again later."
        )


def total(done: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Several looks added up."""
    return summaries.total(Summary(), done, once=("warnings", "missed"))


def _row(
    place: Place, captured_at: datetime, key: Key, resource_type: str, resource_name: str | None, status: str
) -> dict[str, Any]:
    hour = clock.hour_of(captured_at)
    return {
        "captured_at": captured_at,
        "event_hour": hour,
        "event_date": hour.date(),
        "account_id": place.account_id,
        "region": place.region,
        "resource_type": resource_type,
        "resource_arn": key[0],
        "aspect": key[1],
        "resource_name": resource_name,
        "status": status,
    }


def _rejected(
    rows: pa.Table, rejections: Iterable[gate.Rejection], place: Place, hour: datetime
) -> list[dict[str, Any]]:
    found = []
    for rejection in rejections:
        row = rows.slice(rejection.row, 1).to_pylist()[0]
        uri = f"aws:{place.account_id}:{place.region}:{row['resource_arn']}"
        position = f"{row['aspect']} at {clock.iso(row['captured_at'])}"
        document = row["document"]
        found.append(
            {
                "quarantine_id": hashlib.sha256(f"{uri}\n{position}\n{rejection.reason_code}".encode()).hexdigest(),
                "event_hour": hour,
                "event_date": hour.date(),
                "account_id": place.account_id,
                "region": place.region,
                "source": place.snapshot,
                "source_uri": uri,
                "position": position,
                "reason_code": rejection.reason_code,
                "reason": rejection.reason,
                "payload": document,
                "payload_bytes": len((document or "").encode()),
                "payload_sha256": row["sha256"],
            }
        )
    return found


def _quarantine(warehouse: Warehouse, rejected: list[dict[str, Any]], place: Place, hour: datetime) -> None:
    """Replace what earlier looks of this hour have rejected; other sources' pieces stay."""
    came = pa.Table.from_pylist(rejected, QUARANTINE.schema)

    def merge(present: pa.Table) -> pa.Table:
        return pa.concat_tables([present.filter(pc.not_equal(present["source"], place.snapshot)), came])

    warehouse.replace("quarantine", merge, hours=[hour], where={"account_id": place.account_id, "region": place.region})


def _record(settings: Settings, place: Place, captured_at: datetime) -> Path:
    name = re.sub(r"[^\w.+:-]", "_", f"{clock.iso(captured_at)}-{place.account_id}-{place.region}")
    return settings.home / "quality" / place.snapshot / f"{name}.json"
