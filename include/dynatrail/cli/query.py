"""`query`: rows of one reading statement, as a table, CSV or JSON lines."""

import sys
from typing import Any

import msgspec
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from dynatrail.cli.screen import console
from dynatrail.cli.text import escaped
from dynatrail.errors import SettingsError
from dynatrail.settings import settings
from dynatrail.warehouse import engine
from dynatrail.warehouse.store import Warehouse

_NARROWEST = 9
"""Characters that a column needs, its border included; in fewer, text stands a letter a line."""


def run(sql: str, *, as_format: str, limit: int) -> None:
    """Print the rows; raises WarehouseError for a statement that does not read or does not run."""
    formats = {"table": _table, "csv": _csv, "json": _json}
    if as_format not in formats:
        raise SettingsError(f"--format takes {', '.join(formats)}, not {as_format!r}.")
    with engine.connect(Warehouse.from_settings(settings())) as connection:
        rows = engine.query(connection, sql)
    formats[as_format](rows.rename_columns(_distinct(rows.column_names)), limit)


def _distinct(names: list[str]) -> list[str]:
    """Column names without repetition: a join has some twice, and rows are dictionaries further on."""
    told: list[str] = []
    for name in names:
        number, free = 1, name
        while free in told or (free != name and free in names):
            free, number = f"{name}_{number}", number + 1
        told.append(free)
    return told


def _table(rows: pa.Table, limit: int) -> None:
    """A table; one below the other where there are more columns than the terminal has room for."""
    out = console()
    if rows.num_columns * _NARROWEST > out.width:
        _records(out, rows.slice(0, limit))
    else:
        _grid(out, rows.slice(0, limit))
    shown = min(limit, len(rows))
    more = "" if shown == len(rows) else f"; {shown} shown, --limit or --format csv give more"
    out.print(f"{len(rows):,} row{'' if len(rows) == 1 else 's'}{more}", highlight=False)


def _records(out: Console, rows: pa.Table) -> None:
    if not len(rows):
        for name in rows.column_names:
            out.print(f"[bold]{escaped(name)}[/]", highlight=False, soft_wrap=True)
    for number, row in enumerate(rows.to_pylist(), 1):
        out.rule(f"row {number}", align="left")
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in row.items():
            table.add_row(escaped(name), _cell(value))
        out.print(table)


def _grid(out: Console, rows: pa.Table) -> None:
    table = Table(show_lines=False)
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        numeric = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
        table.add_column(escaped(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows.to_pylist():
        table.add_row(*(_cell(value) for value in row.values()))
    out.print(table)


def _cell(value: Any) -> str:
    return "[dim]NULL[/]" if value is None else escaped(_plain(value))


def _csv(rows: pa.Table, _limit: int) -> None:
    import csv

    # RFC 4180.
    writer = csv.writer(sys.stdout)
    writer.writerow(rows.column_names)
    for row in rows.to_pylist():
        writer.writerow([None if value is None else _plain(value) for value in row.values()])


def _json(rows: pa.Table, _limit: int) -> None:
    for row in rows.to_pylist():
        print(msgspec.json.encode(row).decode())


def _plain(value: Any) -> str:
    """A value that is not NULL, as JSON has it: instants in ISO 8601, in UTC with `Z`; text without quotes."""
    if isinstance(value, list | dict | bool):
        return msgspec.json.encode(value).decode()
    return str(msgspec.to_builtins(value))
