"""The net changes of one export, verified and masked, kept on disk until all of it is known to be whole.

Nothing of an export may be visible before its last byte has agreed with its manifest, and an export may be larger than
memory. What is spooled is masked, so no value reaches the disk either.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.dataset as pads

from dynatrail import clock
from dynatrail.errors import ExportError
from dynatrail.privacy import policy, subjects
from dynatrail.privacy.tokens import Tokenizer, load_key
from dynatrail.settings import Settings
from dynatrail.sources.aws import client_for
from dynatrail.sources.changes.parse import Rejected
from dynatrail.sources.changes.rows import ChangedTable
from dynatrail.sources.changes.values import Values
from dynatrail.sources.exports import calls, folder, places
from dynatrail.sources.exports.calls import Described
from dynatrail.sources.exports.folder import Manifest
from dynatrail.sources.exports.lines import LineParser
from dynatrail.sources.exports.windows import Span
from dynatrail.state.models import PitrExport
from dynatrail.warehouse import engine
from dynatrail.warehouse.schema import INSTANT, ITEM_CHANGE
from dynatrail.warehouse.store import Warehouse

if TYPE_CHECKING:
    import duckdb

PORTION_ROWS = 50_000
"""Rows held at once while an export is read; with images of 1 KB some 100 MB."""

MARGIN = timedelta(minutes=1)
"""Within which a row's rounded time may place it on the wrong side of an end of the window."""


@dataclass(slots=True)
class Spool:
    """A temporary folder with the rows of an export; a context manager that removes it.

    Attributes:
        manifest: verified.
        rejected: lines that gave no row.
        hours: rows by hour of the last write, ascending.
    """

    table: ChangedTable
    manifest: Manifest
    rejected: list[Rejected]
    hours: dict[datetime, int]
    _folder: tempfile.TemporaryDirectory[str]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    @property
    def files(self) -> list[str]:
        """Addresses of everything that a row of this export may name as its source."""
        return [self.manifest_uri, *(self.manifest.uri(file) for file in self.manifest.files)]

    @property
    def manifest_uri(self) -> str:
        return f"s3://{self.manifest.bucket}/{self.manifest.key}"

    @contextmanager
    def engine(self, warehouse: Warehouse, gaps: Sequence[Span] = ()) -> "Iterator[duckdb.DuckDBPyConnection]":
        """An engine with the relations `export_change`, `export_file` and `gap` beside the warehouse's tables."""
        extra: dict[str, Any] = {
            "export_change": _dataset(Path(self._folder.name)),
            "export_file": pa.table({"source_uri": pa.array(self.files, pa.string())}),
            "gap": pa.table(
                {
                    "starts_at": pa.array([gap.start for gap in gaps], INSTANT),
                    "ends_at": pa.array([gap.end for gap in gaps], INSTANT),
                }
            ),
        }
        with engine.connect(warehouse, extra=extra) as connection:
            yield connection

    def parameters(self) -> dict[str, object]:
        """Those that the statements about an export share."""
        window = self.manifest.window
        return {
            "table_arn": self.table.arn,
            "start": window.start,
            "end": window.end,
            "near_start": window.start - MARGIN,
            "past_start": window.start + MARGIN,
            "near_end": window.end - MARGIN,
            "past_end": window.end + MARGIN,
        }

    def portions(self, rows: int) -> Iterator[tuple[datetime, datetime]]:
        """Runs of the window's hours with about `rows` rows each: first hour, and the end of the last."""
        first, total = None, 0
        window = self.manifest.window
        for hour in clock.hours_between(window.start, window.end):
            if first is not None and total + self.hours.get(hour, 0) > rows:
                yield first, hour
                first, total = None, 0
            first = first or hour
            total += self.hours.get(hour, 0)
        if first is not None:
            yield first, hour + clock.HOUR

    def keep(self, number: int, rows: pa.Table) -> "Kept":
        """Put rows that are to be written on disk beside the export's."""
        kept = Kept(Path(self._folder.name) / f"passed-{number:06d}.rows")
        with pa.ipc.new_file(kept.path, rows.schema) as file:
            file.write_table(rows)
        return kept


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows on disk."""

    path: Path

    def read(self) -> pa.Table:
        with pa.ipc.open_file(self.path) as file:
            return file.read_all()


def of(settings: Settings, row: PitrExport, warehouse: Warehouse) -> Spool:
    """Read, verify and mask a whole export that was noted.

    Raises:
        ExportError: it failed or is not what it says.
        SourceError: AWS or S3 cannot be read.
    """
    target = places.target_of(settings, row.table_arn)
    name = places.table_name(row.table_arn)
    masks = policy.load(settings).of(name)
    described = calls.describe(client_for("dynamodb", target, settings), row.export_arn)
    return fill(
        client_for("s3", target, settings),
        described,
        ChangedTable(target.account_id, target.region, name, row.table_arn, masks),
        Values(Tokenizer(load_key(settings)), masks, subjects.needed(settings, masks)),
        warehouse,
    )


def fill(s3: Any, export: Described, table: ChangedTable, values: Values, warehouse: Warehouse) -> Spool:
    """Read, verify and mask a whole export.

    Raises:
        ExportError: it is not what its manifests say, or names an item twice.
        SourceError: S3 cannot be read.
    """
    manifest = folder.read(s3, export)
    parser = LineParser(values, table, manifest.window)
    kept = tempfile.TemporaryDirectory(prefix="dynatrail-export-")
    spool = Spool(table, manifest, parser.rejected, {}, kept)
    try:
        count = 0
        for file in manifest.files:
            uri = manifest.uri(file)
            for number, line in enumerate(folder.lines(s3, export, file), 1):
                parser.add(line, uri, number)
                if len(parser.rows) >= PORTION_ROWS:
                    count = _write(Path(kept.name), parser, count)
        _write(Path(kept.name), parser, count)
        spool.hours = _counted(spool, warehouse, export)
    except BaseException:
        kept.cleanup()
        raise
    return spool


def _counted(spool: Spool, warehouse: Warehouse, export: Described) -> dict[datetime, int]:
    with spool.engine(warehouse) as connection:
        rows = engine.run_file(connection, "repair/export_hours.sql").to_pylist()
    if repeated := sum(row["repeated"] for row in rows):
        raise ExportError(
            f"The export {export.arn} is refused, and nothing of it was loaded. It names {repeated} items more than "
            "once, so it does not hold net changes."
        )
    return {row["event_hour"]: row["changes"] for row in rows}


def _write(kept: Path, parser: LineParser, count: int) -> int:
    rows = parser.taken().arrow()
    if not len(rows):
        return count
    with pa.ipc.new_file(kept / f"{count:06d}.arrow", rows.schema) as file:
        file.write_table(rows)
    return count + 1


def _dataset(kept: Path) -> Any:
    files = sorted(str(path) for path in kept.glob("*.arrow"))
    if not files:
        return ITEM_CHANGE.schema.empty_table()
    return pads.dataset(files, format="ipc", schema=ITEM_CHANGE.schema)
