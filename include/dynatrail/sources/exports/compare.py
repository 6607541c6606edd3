"""Prove what a stream gave: fold its rows over a window and hold them against an export of that window.

Both sides are masked under one key, so equal images have equal text and the comparison is exact. Differences are kept
as `<home>/quality/verify_changes/<run>/<export>.json`, with tokens and never a value, and the hours of the window get a
statement of the source `exports`: what DynamoDB itself says of them.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from dynatrail import clock
from dynatrail.errors import ExportError, QualityError
from dynatrail.settings import Settings
from dynatrail.sources.exports import calls, spool
from dynatrail.sources.exports.spool import Spool
from dynatrail.sources.exports.windows import Span, clipped
from dynatrail.state import exports as state
from dynatrail.state import streams
from dynatrail.state.models import PitrExport
from dynatrail.warehouse import engine
from dynatrail.warehouse.schema import SOURCE_STATEMENT
from dynatrail.warehouse.store import Warehouse

DAG = "verify_changes"
SOURCE = "exports"
DIFFER = "net_changes_differ"
NOT_COMPARABLE = "images_not_in_stream"
NOT_READABLE = "lines_not_readable"
"""Of an item whose line cannot be read nothing is proven."""

NAMED_ITEMS = 100
"""Items that a report names; it counts all."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison gave; small enough for XCom and free of values.

    Attributes:
        items: net changes in the export.
        differences: kind of difference -> items that differ so.
        report: where all of it is written.
    """

    export: str
    items: int
    differences: dict[str, int]
    report: str

    @property
    def differ(self) -> dict[str, int]:
        """The differences that rows show."""
        left = sorted(self.differences.keys() - {"not_comparable", NOT_READABLE})
        return {kind: self.differences[kind] for kind in left}

    @property
    def agrees(self) -> bool:
        return self.complaint is None

    @property
    def complaint(self) -> str | None:
        """In which way the rows and the export differ, as sentences; None when they agree."""
        if unread := self.differences.get(NOT_READABLE):
            return (
                f"{unread} lines of {self.export} cannot be read, so it proves nothing of their items. {self.report} "
                "counts what else differs. Is its format newer than this release? Load a later release, or ask anew."
            )
        if not self.differ:
            return None
        counted = ", ".join(f"{count} {kind}" for kind, count in self.differ.items())
        return (
            f"item_change does not hold what DynamoDB exported as {self.export}: {counted}. {self.report} names the "
            "items by their tokens. Trigger repair_changes with the window and this finding as its reason."
        )

    def must_agree(self) -> None:
        """Raises QualityError when the rows and the export differ."""
        if said := self.complaint:
            raise QualityError(said)


def compare(settings: Settings, export_arn: str, *, run_id: str) -> Comparison:
    """Hold the rows of an export's window against the export.

    Raises:
        ExportError: it is not what its manifests say, so it proves nothing; it is noted as refused.
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
        with kept.engine(warehouse) as connection:
            found = engine.run_file(connection, "verify/net_changes.sql", **kept.parameters())
        return _conclude(settings, row, kept, found, warehouse, run_id)


def _conclude(
    settings: Settings, row: PitrExport, kept: Spool, found: pa.Table, warehouse: Warehouse, run_id: str
) -> Comparison:
    window = kept.manifest.window
    counts = dict(sorted(Counter(found["difference"].to_pylist()).items()))
    if kept.rejected:
        counts[NOT_READABLE] = len(kept.rejected)
    path = _report_path(settings, run_id, row.export_arn)
    done = Comparison(row.export_arn, kept.manifest.items, counts, str(path))
    gaps = streams.gaps([row.table_arn], unrepaired=True)
    open_spans = clipped((Span.read(text) for gap in gaps for text in gap.remaining or ()), window)
    _write(
        path,
        {
            "export_arn": row.export_arn,
            "table_arn": row.table_arn,
            "window": str(window),
            "manifest_sha256": kept.manifest.sha256,
            "items": kept.manifest.items,
            "lines_not_readable": len(kept.rejected),
            "agrees": done.agrees,
            "differences": counts,
            "open_gaps": [str(span) for span in open_spans],
            # Rows that this very export had given agree with it by themselves.
            "rows_from_this_export": row.loaded_rows if row.purpose == "repair" else 0,
            "first": [
                {**one, "noticed_at": clock.iso(one["noticed_at"])} for one in found.slice(0, NAMED_ITEMS).to_pylist()
            ],
        },
    )
    _state(warehouse, kept, done)
    if row.purpose == "verify":
        state.loaded(state.LoadedExport(row.export_arn, kept.manifest.items, 0, kept.manifest.sha256, done.complaint))
    return done


def _state(warehouse: Warehouse, kept: Spool, done: Comparison) -> None:
    """Say of the hours that lie in the window as a whole what the export says of them."""
    window, table = kept.manifest.window, kept.table
    hours = [
        hour for hour in clock.hours_between(window.start, window.end) if window.covers(Span(hour, hour + clock.HOUR))
    ]
    reasons = [DIFFER] if done.differ else []
    if NOT_READABLE in done.differences:
        reasons.append(NOT_READABLE)
    if "not_comparable" in done.differences:
        reasons.append(NOT_COMPARABLE)
    if not hours:
        return
    came = pa.Table.from_pylist([_said(kept, hour, sorted(reasons)) for hour in hours], SOURCE_STATEMENT.schema)

    def merge(present: pa.Table) -> pa.Table:
        own = [name == table.name for name in present["table_name"].to_pylist()]
        return pa.concat_tables([present.filter(pa.array([not one for one in own], pa.bool_())), came])

    where = {"account_id": table.account_id, "region": table.region, "source": SOURCE}
    warehouse.replace("source_statement", merge, hours=hours, where=where)


def _said(kept: Spool, hour: datetime, reasons: list[str]) -> dict[str, Any]:
    return {
        "event_hour": hour,
        "event_date": hour.date(),
        "account_id": kept.table.account_id,
        "region": kept.table.region,
        "source": SOURCE,
        "table_name": kept.table.name,
        "status": "incomplete" if reasons else "complete",
        "reasons": reasons or None,
        "records": kept.hours.get(hour, 0),
    }


def _report_path(settings: Settings, run_id: str, export_arn: str) -> Path:
    run = "".join(char if char.isalnum() or char in "_.+:-" else "_" for char in run_id)
    return settings.home / "quality" / DAG / run / f"{calls.export_id(export_arn)}.json"


def _write(path: Path, report: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(report, sort_keys=True, indent=1) + "\n", encoding="utf-8")
    new.replace(path)
