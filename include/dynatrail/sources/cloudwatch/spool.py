"""Rows on their way, by hour, on disk: a task holds one request's rows in memory, not those of its whole window."""

import shutil
import tempfile
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.warehouse.schema import INSTANT, Table

TOGETHER = 250_000
"""Rows of several hours that are written in one commit."""


class Spool:
    """Masked rows of some tables, kept until their hours are written; a context manager."""

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="dynatrail-cloudwatch-"))
        self._counts: dict[tuple[str, datetime], int] = {}
        self._files: dict[tuple[str, datetime], list[Path]] = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, table: Table, rows: pa.Table) -> None:
        """Keep these rows of one table."""
        for hour in sorted(pc.unique(rows["event_hour"]).to_pylist()):
            those = rows.filter(pc.equal(rows["event_hour"], pa.scalar(hour, INSTANT)))
            files = self._files.setdefault((table.name, hour), [])
            path = self._folder / f"{table.name}-{hour:%Y%m%dT%H}-{len(files)}.arrow"
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(those.cast(table.schema))
            files.append(path)
            self._counts[table.name, hour] = self._counts.get((table.name, hour), 0) + len(those)

    def hours(self, table: Table) -> set[datetime]:
        """The hours that rows were kept of."""
        return {hour for name, hour in self._files if name == table.name}

    def read(self, table: Table, hours: Collection[datetime]) -> pa.Table:
        """The rows of some hours, in the order in which they came."""
        parts = [table.schema.empty_table()]
        for hour in sorted(hours):
            for path in self._files.get((table.name, hour), ()):
                with pa.memory_map(str(path)) as source:
                    parts.append(pa.ipc.open_file(source).read_all())
        return pa.concat_tables(parts)

    def portions(self, table: Table, hours: Collection[datetime]) -> Iterator[list[datetime]]:
        """`hours` in runs that are few enough rows to be written at once; a single hour may be more."""
        portion: list[datetime] = []
        size = 0
        for hour in sorted(hours):
            count = self._counts.get((table.name, hour), 0)
            if portion and size + count > TOGETHER:
                yield portion
                portion, size = [], 0
            portion.append(hour)
            size += count
        if portion:
            yield portion
