"""The warehouse: Delta tables that many processes read and write at once, on a folder or on S3.

A write replaces whole hours of a table (of one account and region, where the table is cut so) in one commit. Readers
see the old hours or the new ones, never a mixture. Two writers of the same hours do not overwrite each other: delta-rs
refuses the second commit, and the second writer reads, merges and writes again.

Only processes that will not fork afterwards may use this module: delta-rs keeps threads that a forked child lacks.
Airflow forks a task's process before the task runs, so tasks are fine; DAG files, listeners and plugins that are loaded
by the forking parent are not. Start further processes with `spawn`.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.fs
from deltalake import ColumnProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from dynatrail.clock import HOUR
from dynatrail.errors import SliceConflictError, WarehouseError
from dynatrail.warehouse.apart import Apart
from dynatrail.warehouse.digest import digest_batches
from dynatrail.warehouse.schema import TABLES, Table
from dynatrail.warehouse.slices import BATCH_ROWS, Ordered, Slice, conform
from dynatrail.warehouse.storage import ConnectionOptions, reason

if TYPE_CHECKING:
    from dynatrail.settings import Settings

KEPT = "interval 3650 days"
"""How long old versions stay: evidence names versions years later, and other engines' VACUUM must leave their files."""

CONFLICT_PATIENCE_S = 300.0
"""How long one write tries again while others keep committing to its slice."""

VACUUM_AFTER = timedelta(days=7)
"""Files younger than this are never vacuumed: a reader or an uncommitted write may still need them."""

_COMPACTED_BYTES = 2 * 1024**3
_STATISTICS = ("event_hour", "event_time", "recipient_account_id", "account_id", "region", "table_arn")
_WRITTEN_BYTES = 2 * 1024**2
"""Size of the files that a write makes. Rows lie by hour, so a later write to one hour rewrites few of them; `compact`
brings the files of a closed day together."""

_ALL_DIFFERENT = ("event_id", "request_id")
"""Columns whose values hardly repeat: a dictionary of them is made for nothing, and given up late."""

_WRITER = WriterProperties(
    compression="ZSTD",
    compression_level=1,
    max_row_group_size=131_072,
    column_properties={name: ColumnProperties(dictionary_enabled=False) for name in _ALL_DIFFERENT},
)


@dataclass(frozen=True, slots=True)
class Maintained:
    """What compaction or vacuum did to one table: files taken away and files written in their place."""

    table: str
    files_removed: int
    files_added: int = 0


_Done = TypeVar("_Done")


class _Fork:
    """Whether this process used delta-rs, and whether it is a child forked after that."""

    used = False
    broken = False

    @classmethod
    def after_in_child(cls) -> None:
        cls.broken = cls.used


os.register_at_fork(after_in_child=_Fork.after_in_child)


class Warehouse:
    """The tables of `schema.TABLES` under one root. Holds no connection; cheap to make, safe to share by threads."""

    def __init__(
        self,
        root: str,
        storage_options: dict[str, str] | None = None,
        *,
        credentials: Callable[[], dict[str, str]] | None = None,
    ) -> None:
        """Name a warehouse; nothing is opened or made before it is used.

        Args:
            root: a folder or `s3://bucket/prefix`.
            storage_options: delta-rs object store options (`AWS_REGION`, `AWS_ENDPOINT_URL`, …).
            credentials: called at each use for further options, so that rotating credentials stay fresh.
        """
        self.root = root.rstrip("/")
        self._options = dict(storage_options or {})
        self._credentials = credentials

    @classmethod
    def from_settings(cls, settings: "Settings") -> "Warehouse":
        """The warehouse that the settings name; S3 credentials and endpoint come from its Airflow connection."""
        root = settings.warehouse_root
        if not root.startswith("s3://"):
            return cls(root)
        return cls(root, credentials=ConnectionOptions(settings.warehouse_conn_id or settings.aws_conn_id))

    def versions(self, tables: Iterable[str] | None = None) -> dict[str, int]:
        """The present version of each of `tables` (default: all) that exists; what evidence pins."""
        found = {}
        for name in TABLES if tables is None else tables:
            if delta := self._open(_definition(name)):
                found[name] = delta.version()
        return found

    def dataset(self, table: str, version: int | None = None) -> pads.Dataset:
        """One table as a pyarrow dataset with the contract's schema; without rows if it was never written.

        Raises:
            WarehouseError: there is no such table in the contract, or no such version.
        """
        definition = _definition(table)
        delta = self._open(definition, version)
        if delta is None:
            if version is not None:
                raise WarehouseError(f"{self.root}/{table} does not exist, so it has no version {version}.")
            return pads.dataset(definition.schema.empty_table())
        return self._dataset(definition, delta)

    def replace(
        self,
        table: str,
        rows: pa.Table | Callable[[pa.Table], pa.Table],
        *,
        hours: Collection[datetime],
        where: Mapping[str, str] = MappingProxyType({}),
    ) -> int:
        """Replace all rows of `hours` whose slice columns equal `where`, in one commit.

        Args:
            table: name of the table.
            rows: the new rows, or a function from the present rows (in no certain order) to the new ones, without
                effects: it is called again, with fresh rows, when another writer committed to the slice meanwhile.
            hours: starts of UTC hours; any number, with or without gaps.
            where: leading columns of the table's `slice_by`; empty: whatever account and region.

        Returns:
            Rows written; 0 if the slice already held exactly these rows, in which case nothing is committed.

        Raises:
            WarehouseError: the rows do not fit the contract or lie outside of the slice; nothing was written.
            SliceConflictError: other writers kept winning for five minutes; nothing was written.
        """
        definition = _definition(table)
        if not hours:
            if callable(rows) or rows.num_rows:
                raise WarehouseError(f"{table}: name at least one hour to replace.")
            return 0
        target = Slice.of(definition, hours, where)
        given = rows if callable(rows) else self._checked(rows, target)
        return self._retried(str(target), lambda: self._replace_once(target, given))

    def add(
        self,
        table: str,
        merge: Callable[[pa.Table], pa.Table],
        *,
        key: tuple[str, ...],
        hours: Collection[datetime],
        where: Mapping[str, str] = MappingProxyType({}),
        apart: tuple[str, ...] = ("source_uri",),
    ) -> int:
        """Put rows that were never there before into a slice, in one commit.

        Where no present row has the key of a new one, what is there stays untouched on disk: the new rows are what
        `merge` makes of no rows. Otherwise this is `replace`. A reader sees the same rows either way.

        Args:
            table: name of the table.
            merge: from the present rows to all that shall be there, as `replace` takes it.
            key: columns of which any value in common makes two rows concern each other.
            hours: as for `replace`; those of the new rows.
            where: as for `replace`.
            apart: one or two text columns, position at the source: new rows concern a present one also where that lies
                between the least and the greatest of them (in the last column, for equal values of the one before).

        Returns:
            Rows written.
        """
        target = Slice.of(_definition(table), hours, where)
        new = self._checked(merge(target.table.schema.empty_table()), target)
        if len(new):
            written = self._retried(str(target), lambda: self._add_once(target, new, key, apart))
            if written is not None:
                return written
        return self.replace(table, merge, hours=hours, where=where)

    def digest(
        self, table: str, hour: datetime | None = None, *, day: date | None = None, version: int | None = None
    ) -> str:
        """Content digest (SHA-256, hex) of one hour, one day or the whole table; see `dynatrail.warehouse.digest`."""
        definition = _definition(table)
        expression = None
        if hour is not None:
            expression = Slice.of(definition, [hour], {}).expression
        elif day is not None:
            expression = pads.field("event_date") == pa.scalar(day, pa.date32())
        with self._speaking(f"read {table}"):
            batches = self.dataset(table, version).scanner(filter=expression, batch_size=BATCH_ROWS).to_batches()
            return digest_batches(table, batches)

    def compact(self, day: date) -> list[Maintained]:
        """Put each table's rows of a closed day into one file (of up to 2 GiB); the rows and their digest stay.

        An open day is better left alone: compaction and a write to that day make each other try again.
        """
        return [self._compact(table, day) for table in TABLES.values() if self._open(table)]

    def vacuum(self, pins: Mapping[str, Collection[int]], *, older_than: timedelta = VACUUM_AFTER) -> list[Maintained]:
        """Remove the files that neither the latest version nor a pinned one needs, and what killed writers left.

        Args:
            pins: per table, the versions that evidence names; they stay readable.
            older_than: files superseded or written since then stay: running readers and writers may need them.

        Raises:
            WarehouseError: a pinned version does not exist; nothing was removed from that table.
        """
        if unknown := set(pins) - set(TABLES):
            raise WarehouseError(f"Pins name tables that do not exist: {', '.join(sorted(unknown))}.")
        return [
            self._vacuum(delta, table, sorted(set(pins.get(table.name, ()))), older_than)
            for table in TABLES.values()
            if (delta := self._open(table))
        ]

    def _replace_once(self, target: Slice, rows: Ordered | Callable[[pa.Table], pa.Table]) -> int:
        # One handle reads the present rows and commits the new ones: delta-rs checks the commit against every version
        # after the one that was read. So the table is made first; its empty version is what a first fill conflicts on.
        delta = self._open(target.table) or self._create(target.table)
        self._bring_to_contract(target.table, delta)
        with self._speaking(f"read {target}"):
            present = self._dataset(target.table, delta, target.predicate).to_table(filter=target.expression)
        new = rows if isinstance(rows, Ordered) else self._checked(rows(present), target)
        if new.same_as(Ordered(target.table, present)):
            return 0
        del present
        with self._speaking(f"write {target}"):
            write_deltalake(
                delta,
                pa.RecordBatchReader.from_batches(target.table.schema, new.batches()),
                mode="overwrite",
                predicate=target.predicate,
                writer_properties=_WRITER,
                target_file_size=_WRITTEN_BYTES,
            )
        return len(new)

    def _add_once(self, target: Slice, new: Ordered, key: tuple[str, ...], columns: tuple[str, ...]) -> int | None:
        """None where the rows that are there have a say in it."""
        delta = self._open(target.table) or self._create(target.table)
        self._bring_to_contract(target.table, delta)
        with self._speaking(f"read {target}"):
            dataset = self._dataset(target.table, delta, target.predicate)
            present = dataset.to_table(columns=list(dict.fromkeys([*key, *columns])), filter=target.expression)
        apart = Apart.of(new.rows, columns)
        if apart is None or apart.meets(present) or _in_common(new.rows, present, key):
            return None
        with self._speaking(f"write {target}"):
            write_deltalake(
                delta,
                pa.RecordBatchReader.from_batches(target.table.schema, new.batches()),
                mode="overwrite",
                # Nothing matches it, so nothing is removed; with it, delta-rs still refuses the commit if others have
                # written to the slice meanwhile: it keeps no statistics of these columns that could rule them out.
                predicate=f"{target.predicate} AND {apart.predicate}",
                writer_properties=_WRITER,
                target_file_size=_WRITTEN_BYTES,
            )
        return len(new)

    @staticmethod
    def _checked(rows: pa.Table, target: Slice) -> Ordered:
        conformed = conform(rows, target.table)
        target.check(conformed)
        return Ordered(target.table, conformed)

    def _compact(self, table: Table, day: date) -> Maintained:
        def once() -> Maintained:
            delta = self._open(table)
            assert delta is not None
            with self._speaking(f"compact {table.name} of {day}"):
                done = delta.optimize.compact(
                    partition_filters=[("event_date", "=", str(day))],
                    target_size=_COMPACTED_BYTES,
                    max_concurrent_tasks=1,
                    writer_properties=_WRITER,
                )
            return Maintained(table.name, done["numFilesRemoved"], done["numFilesAdded"])

        return self._retried(f"{table.name} of {day}", once)

    def _vacuum(self, delta: DeltaTable, table: Table, pinned: list[int], older_than: timedelta) -> Maintained:
        if pinned and not 0 <= pinned[0] <= pinned[-1] <= delta.version():
            raise WarehouseError(
                f"{table.name} has versions 0 to {delta.version()}, but evidence pins {pinned[0]} to {pinned[-1]}: "
                "this is another warehouse than the one that the evidence was made from."
            )
        hours = max(0, older_than // HOUR)

        def vacuum(*, dry_run: bool) -> list[str]:
            # Retention is Dynatrail's to decide here (pins), so the table's own long one is not enforced.
            return delta.vacuum(
                retention_hours=hours,
                dry_run=dry_run,
                enforce_retention_duration=False,
                full=True,
                keep_versions=pinned,
            )

        with self._speaking(f"vacuum {table.name}"):
            # A vacuum commits two log entries; when there is nothing to remove, it should not.
            removed = vacuum(dry_run=False) if vacuum(dry_run=True) else []
        return Maintained(table.name, len(removed))

    def _open(self, table: Table, version: int | None = None) -> DeltaTable | None:
        uri = f"{self.root}/{table.name}"
        if _Fork.broken:
            raise WarehouseError(
                f"This process was forked from one that had used the warehouse, so it cannot use {uri}. Open the "
                "warehouse only in the child, or start the child with multiprocessing's `spawn`."
            )
        _Fork.used = True
        with self._speaking(f"open {table.name}" + ("" if version is None else f" at version {version}")):
            try:
                return DeltaTable(uri, version=version, storage_options=self._storage_options())
            except TableNotFoundError:
                if self._is_local:
                    Path(uri).exists()  # delta-rs calls a folder without permission not found; this raises
                return None

    def _create(self, table: Table) -> DeltaTable:
        try:
            return DeltaTable.create(
                f"{self.root}/{table.name}",
                schema=DeltaSchema.from_arrow(table.schema),
                mode="error",
                partition_by=["event_date"],
                name=table.name,
                description=table.grain,
                configuration={
                    "delta.logRetentionDuration": KEPT,
                    "delta.deletedFileRetentionDuration": KEPT,
                    "delta.checkpointInterval": "20",
                    "delta.targetFileSize": str(128 * 1024**2),
                    "delta.dataSkippingStatsColumns": ",".join(
                        name for name in _STATISTICS if name in table.schema.names
                    ),
                },
                storage_options=self._storage_options(),
            )
        except (DeltaError, OSError) as error:
            # Another process was first, or it cannot be written at all; opening tells which.
            if created := self._open(table):
                return created
            raise self._error(f"create {table.name}", error) from error

    def _bring_to_contract(self, table: Table, delta: DeltaTable) -> None:
        """Give a table that an earlier release wrote the columns and comments that its contract has gained since.

        delta-rs refuses rows whose columns are documented otherwise than the table's.
        """
        stored = {field.name: field.metadata for field in delta.schema().fields}
        if gained := [field for field in table.schema if field.name not in stored]:
            if required := [field.name for field in gained if not field.nullable]:
                raise WarehouseError(
                    f"{self.root}/{table.name} was written by another release and lacks {', '.join(required)}, which "
                    "may not be NULL. Move the folder away and backfill the table."
                )
            with self._speaking(f"add columns to {table.name}"):
                delta.alter.add_columns(DeltaSchema.from_arrow(pa.schema(gained)).fields)
        for field in DeltaSchema.from_arrow(table.schema).fields:
            if field.name in stored and stored[field.name] != field.metadata:
                with self._speaking(f"document {table.name}"):
                    delta.alter.set_column_metadata(field.name, field.metadata)

    def _dataset(self, table: Table, delta: DeltaTable, predicate: str | None = None) -> pads.Dataset:
        local = None
        if self._is_local:
            # Arrow's own reader: no Python between the engine's threads and the files.
            local = pyarrow.fs.SubTreeFileSystem(f"{self.root}/{table.name}", pyarrow.fs.LocalFileSystem())
        with self._speaking(f"read {table.name}"):
            return delta.to_pyarrow_dataset(filesystem=local, schema=table.schema, file_pruning_predicate=predicate)

    def _storage_options(self) -> dict[str, str]:
        return self._options | (self._credentials() if self._credentials else {})

    def _retried(self, what: str, once: Callable[[], _Done]) -> _Done:
        try:
            return Retrying(
                retry=retry_if_exception_type(CommitFailedError),
                wait=wait_random_exponential(multiplier=0.05, max=2),
                stop=stop_after_delay(CONFLICT_PATIENCE_S),
            )(once)
        except RetryError as error:
            raise SliceConflictError(
                f"Other writers kept committing to {what} in {self.root} for {CONFLICT_PATIENCE_S:.0f} s; nothing was "
                "written. Run fewer runs of this window at once, then retry the task."
            ) from error

    @contextmanager
    def _speaking(self, what: str) -> Iterator[None]:
        """Turns errors of delta-rs and of files into one that says what; conflicts pass, they are tried again."""
        try:
            yield
        except CommitFailedError:
            raise
        except (DeltaError, OSError) as error:
            raise self._error(what, error) from error

    def _error(self, what: str, error: Exception) -> WarehouseError:
        return WarehouseError(
            f"Cannot {what} in {self.root}: {reason(error)} `python -m dynatrail doctor` checks its settings."
        )

    @property
    def _is_local(self) -> bool:
        return "://" not in self.root


def _definition(name: str) -> Table:
    try:
        return TABLES[name]
    except KeyError:
        raise WarehouseError(f"There is no table {name}; there are {', '.join(TABLES)}.") from None


def _in_common(rows: pa.Table, present: pa.Table, key: tuple[str, ...]) -> bool:
    """Whether a value of one of the key's columns in one occurs in any of them in the other."""

    def values(table: pa.Table) -> pa.ChunkedArray:
        texts = [chunk for name in key for chunk in table[name].chunks]
        return pa.chunked_array(texts, pa.string()).drop_null()

    return bool(pc.any(pc.is_in(values(rows), value_set=values(present))).as_py())
