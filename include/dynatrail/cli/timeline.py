"""`timeline`: all that happened in a window, page by page, as a table or JSON."""

import re
from typing import Any

import msgspec
import pyarrow as pa
from rich.table import Table

from dynatrail import window
from dynatrail.cli.screen import console
from dynatrail.cli.text import escaped
from dynatrail.clock import iso, parse_instant
from dynatrail.errors import SettingsError
from dynatrail.settings import settings
from dynatrail.trail import timeline
from dynatrail.warehouse import engine
from dynatrail.warehouse.store import Warehouse

_CURSOR = re.compile(r"(\d{4}-\d\d-\d\dT[\d:.]{8,15}Z)~([0-9a-f]{64})")


def run(first: str, last: str, *, wanted: timeline.Wanted, after: str, limit: int, as_format: str) -> None:
    """Print a page, and the cursor of the next one where there are more records.

    Raises:
        SettingsError: window, kind, format or cursor is none.
        WarehouseError: the timeline cannot be read.
    """
    formats = {"table": _table, "json": _json}
    if as_format not in formats:
        raise SettingsError(f"--format takes {', '.join(formats)}, not {as_format!r}.")
    kinds = [path.rpartition("/")[2].removesuffix(".sql") for path in timeline.kinds()]
    if wanted.kind and wanted.kind not in kinds:
        raise SettingsError(f"--kind takes {', '.join(kinds)}, not {wanted.kind!r}.")
    start, end = window.parse(first, last)
    place = _place(after) if after else None
    with engine.connect(Warehouse.from_settings(settings())) as connection:
        rows, ends = timeline.page(connection, start, end, after=place, limit=limit, wanted=wanted)
    formats[as_format](rows, f"{iso(ends[0])}~{ends[1]}" if ends else None)


def _place(cursor: str) -> timeline.Place:
    try:
        if found := _CURSOR.fullmatch(cursor):
            return parse_instant(found[1]), found[2]
    except ValueError:
        pass
    raise SettingsError(f"--after takes what the page before has printed as its cursor, not {cursor!r}.")


def _table(rows: pa.Table, cursor: str | None) -> None:
    out = console()
    table = Table(show_lines=False)
    for heading in ("time", "kind", "outcome", "what happened"):
        table.add_column(heading, no_wrap=heading != "what happened", overflow="fold")
    for row in rows.to_pylist():
        table.add_row(*(escaped(text) for text in (iso(row["event_time"]), row["kind"], _outcome(row), _told(row))))
    out.print(table)
    out.print(f"{len(rows):,} record{'' if len(rows) == 1 else 's'}", highlight=False)
    if cursor:
        out.print(f"There are more: --after {cursor}", soft_wrap=True, highlight=False, markup=False)


def _outcome(row: dict[str, Any]) -> str:
    return str(row["severity"] or row["confidence"] or row["outcome"])


def _told(row: dict[str, Any]) -> str:
    address = row["source_ip_address"]
    return f"{row['detail']} [{address}]" if address else str(row["detail"])


def _json(rows: pa.Table, cursor: str | None) -> None:
    print(msgspec.json.encode({"records": rows.to_pylist(), "next": cursor}).decode())
