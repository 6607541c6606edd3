"""Load the net changes of a verified export for what no source has given, and close the gap.

What is missing is decided item by item (`sql/repair/missing_changes.sql`): the images of an item's rows form a chain
from its image before the window to its image at the end, and a row is added exactly where the chain is broken. So what
the stream did deliver is never doubled, an item that was written again after the gap keeps its missing change, and an
export taken again gives the same rows. An added row sums up all writes between its neighbours; its `event_time` is the
last of them where the export tells it (`time_precision` MICROSECOND), else the latest time that it can have had
(`time_precision` NULL), as an export keeps only the last write of an item in its window.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail import clock
from dynatrail.errors import ExportError
from dynatrail.quality import gate
from dynatrail.settings import Settings
from dynatrail.sources.changes.parse import Rejected
from dynatrail.sources.changes.write import quarantine_row
from dynatrail.sources.exports import calls, spool, windows
from dynatrail.sources.exports.lines import changed_attributes
from dynatrail.sources.exports.spool import Spool
from dynatrail.sources.exports.windows import Span
from dynatrail.sources.streams import statements
from dynatrail.state import exports as state
from dynatrail.state import pending, streams
from dynatrail.state.models import PitrExport, StreamGap
from dynatrail.warehouse import engine
from dynatrail.warehouse.schema import ITEM_CHANGE, QUARANTINE
from dynatrail.warehouse.store import Warehouse

SOURCE = "exports"
DAG = "repair_changes"
PORTION_ROWS = 100_000


@dataclass(slots=True)
class Summary:
    """What one export gave; small enough for XCom and free of values.

    Attributes:
        items: net changes in the export; `rows`: changes that nothing else had given.
        unexplained: those of them that lie in no recorded gap.
        closed, narrowed: gaps.
    """

    items: int = 0
    rows: int = 0
    unexplained: int = 0
    quarantined: int = 0
    hours: int = 0
    closed: int = 0
    narrowed: int = 0
    warnings: list[str] = field(default_factory=list)


def load(settings: Settings, export_arn: str, *, run_id: str) -> Summary:
    """Verify a completed export, load what is missing, and close or narrow the gaps that its window covers.

    Raises:
        ExportError: it failed or is not what it says; nothing was loaded, it is noted as refused, gaps stay open.
        QualityError: the gate stopped its rows; nothing was loaded.
        SourceError: AWS or S3 cannot be read.
    """
    row = state.get(export_arn)
    warehouse = Warehouse.from_settings(settings)
    try:
        filled = spool.of(settings, row, warehouse)
    except ExportError as error:
        state.refused(export_arn, str(error))
        raise
    with filled as kept:
        return _load(settings, row, kept, warehouse, run_id)


def total(exports: Sequence[str]) -> dict[str, Any]:
    """What became of the exports of a run; those that AWS is not done with are gone on with by the next run."""
    rows = [state.get(arn) for arn in exports]
    loaded = [row for row in rows if row.status == "loaded"]
    return {
        "loaded": len(loaded),
        "items": sum(row.item_count or 0 for row in loaded),
        "rows": sum(row.loaded_rows or 0 for row in loaded),
        "in_quarantine": [row.export_arn for row in loaded if row.error],
        "refused": [row.export_arn for row in rows if row.status == "refused"],
        "waiting": [row.export_arn for row in rows if row.status in state.UNFINISHED],
    }


def _load(settings: Settings, row: PitrExport, kept: Spool, warehouse: Warehouse, run_id: str) -> Summary:
    window = kept.manifest.window
    gaps = [gap for gap in streams.gaps([row.table_arn]) if _span(gap).meets(window)]
    # Whole gaps, also closed ones: an export that is loaded again decides as it did before it closed them.
    spans = [*map(Span.read, row.asked_for), *map(_span, gaps)]
    summary = Summary(items=kept.manifest.items)
    rejected: list[dict[str, Any]] = [_rejected(kept, piece) for piece in kept.rejected]
    portions = []
    with kept.engine(warehouse, windows.clipped(spans, window)) as connection:
        for number, (first, end) in enumerate(kept.portions(PORTION_ROWS)):
            found = engine.run_file(
                connection, "repair/missing_changes.sql", **kept.parameters(), **{"from": first, "to": end}
            )
            rows = _rows(found, kept)
            checked = gate.check(
                rows,
                "item_change",
                record=_record(settings, run_id, calls.export_id(row.export_arn), number),
                parameters={"latest_event_time": window.end, "expected_rows": len(rows)},
            )
            summary.unexplained += pc.sum(pc.invert(found["is_in_gap"])).as_py() or 0
            summary.warnings += checked.warnings
            rejected += [_refused(rows, one, kept) for one in checked.rejected]
            portions.append((first, end, kept.keep(number, checked.passed)))
    for first, end, rows in portions:
        passed = rows.read()
        summary.rows += len(passed)
        _write(warehouse, passed, kept, list(clock.hours_between(first, end)))
    _quarantine(warehouse, rejected, kept)
    summary.quarantined = len(rejected)
    _conclude(row, kept, summary, gaps)
    statements.rebuild(settings, kept.table, list(clock.hours_between(window.start, window.end)))
    return summary


def _conclude(row: PitrExport, kept: Spool, summary: Summary, gaps: Sequence[StreamGap]) -> None:
    window = kept.manifest.window
    closes: dict[str, Callable[[Sequence[str]], list[str]]] = {}
    error = None
    if summary.quarantined:
        error = (
            f"{summary.quarantined} of {summary.items} items of the export are in quarantine, so its gaps stay open. "
            "See there what is wrong with them, then trigger repair_changes with this export's ARN."
        )
        summary.warnings.append(error)
    else:
        for gap in gaps:
            if gap.status == "closed":
                continue
            filled = windows.clipped(map(Span.read, gap.remaining or ()), window)
            closes[gap.gap_id] = partial(_without, filled)
            summary.closed += windows.without(map(Span.read, gap.remaining or ()), filled) == []
    if summary.unexplained:
        summary.warnings.append(
            f"{summary.unexplained} changes of {row.table_arn} within {window} are missing and lie in no recorded gap. "
            "They are loaded all the same; verify_changes of the hours around tells whether more is missing."
        )
    hours = set(clock.hours_between(window.start, window.end))
    summary.hours = len(hours)
    summary.narrowed = len(closes) - summary.closed
    state.loaded(
        state.LoadedExport(row.export_arn, summary.items, summary.rows, kept.manifest.sha256, error),
        closes=closes,
        rebuild={**pending.touched(hours), streams.STATEMENTS: hours},
    )


def _without(filled: Sequence[Span], remaining: Sequence[str]) -> list[str]:
    return [str(span) for span in windows.without(map(Span.read, remaining), filled)]


def _rows(found: pa.Table, kept: Spool) -> pa.Table:
    """What is missing as rows of `item_change`."""
    count, table = len(found), kept.table
    tokens, before = found["item_key_token"].to_pylist(), found["before_position"].to_pylist()
    start = f"export\n{table.arn}\n{kept.manifest.window}\n"
    ids = [
        hashlib.sha256(f"{start}{token}\n{position or ''}".encode()).hexdigest()
        for token, position in zip(tokens, before, strict=True)
    ]
    hides = kept.table.masks.hides
    images = zip(found["old_image"].to_pylist(), found["new_image"].to_pylist(), strict=True)
    hours = pc.floor_temporal(found["event_time"], unit="hour")
    fixed: dict[str, Any] = {
        "account_id": table.account_id,
        "region": table.region,
        "table_name": table.name,
        "table_arn": table.arn,
        "view_type": calls.VIEW,
        "change_origin": "export",
        "reconstructed": True,
    }
    made: dict[str, Any] = {
        "change_id": pa.array(ids, pa.string()),
        "event_hour": hours,
        "event_date": hours.cast(pa.date32()),
        "changed_attributes": pa.array(
            [None if hides else changed_attributes(old, new) for old, new in images], pa.list_(pa.string())
        ),
        "source_uri": pc.fill_null(found["source_uri"].cast(pa.string()), kept.manifest_uri),
        "source_position": pc.fill_null(found["source_position"].cast(pa.string()), "no line"),
    }
    columns = []
    for column in ITEM_CHANGE.schema:
        if column.name in fixed:
            columns.append(pa.repeat(pa.scalar(fixed[column.name], column.type), count))
        elif column.name in made:
            columns.append(made[column.name].cast(column.type))
        elif column.name in found.column_names:
            columns.append(found[column.name].cast(column.type))
        else:
            columns.append(pa.nulls(count, column.type))
    return pa.table(columns, names=ITEM_CHANGE.schema.names)


def _write(warehouse: Warehouse, rows: pa.Table, kept: Spool, hours: Sequence[datetime]) -> None:
    """Put the rows in the place of those that this export gave before, in hours of its window."""
    own = pa.array(kept.files, pa.string())

    def merge(present: pa.Table) -> pa.Table:
        stale = pc.and_(pc.is_in(present["source_uri"], value_set=own), pc.equal(present["change_origin"], "export"))
        return pa.concat_tables([present.filter(pc.invert(stale)), rows.cast(present.schema)])

    warehouse.replace("item_change", merge, hours=hours, where=kept.table.slice)


def _quarantine(warehouse: Warehouse, rows: Sequence[dict[str, Any]], kept: Spool) -> None:
    own = pa.array(kept.files, pa.string())
    came = pa.Table.from_pylist(list({row["quarantine_id"]: row for row in rows}.values()), QUARANTINE.schema)

    def merge(present: pa.Table) -> pa.Table:
        return pa.concat_tables([present.filter(pc.invert(pc.is_in(present["source_uri"], value_set=own))), came])

    where = {"account_id": kept.table.account_id, "region": kept.table.region}
    warehouse.replace("quarantine", merge, hours=[clock.hour_of(kept.manifest.window.start)], where=where)


def _rejected(kept: Spool, piece: Rejected) -> dict[str, Any]:
    return quarantine_row(kept.table, SOURCE, kept.manifest.window.start, piece)


def _refused(rows: pa.Table, rejection: gate.Rejection, kept: Spool) -> dict[str, Any]:
    """A row that the gate does not let through; masked by then, so of its bytes before nothing is known."""
    row = rows.slice(rejection.row, 1).to_pylist()[0]
    payload = row["new_image"] or row["old_image"] or ""
    position, code = f"{row['source_position']} {row['change_id']}", rejection.reason_code
    piece = Rejected(row["source_uri"], position, 0, code, rejection.reason, payload, len(payload.encode()), "")
    return _rejected(kept, piece) | {"payload_sha256": None}


def _record(settings: Settings, run_id: str, name: str, number: int) -> Path:
    run = "".join(char if char.isalnum() or char in "_.+:-" else "_" for char in run_id)
    return settings.home / "quality" / DAG / run / f"{name}-{number}.json"


def _span(gap: StreamGap) -> Span:
    return Span(gap.starts_at, gap.ends_at)
