"""DuckDB in memory over the warehouse's tables: one connection a task, nothing shared, nothing to lock.

A connection reads the versions that it was opened with, reaches no file and no network, and cannot be reconfigured.
"""

import difflib
import re
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from dynatrail.errors import WarehouseError
from dynatrail.settings import settings
from dynatrail.warehouse import sqlfiles
from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Warehouse

_READS = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}


def connect(
    warehouse: Warehouse,
    *,
    versions: Mapping[str, int] | None = None,
    extra: Mapping[str, pa.Table] | None = None,
    threads: int | None = None,
    memory: str | None = None,
) -> duckdb.DuckDBPyConnection:
    """Open an engine in which every table of the contract is a relation, with its columns even if it has no rows yet.

    Args:
        warehouse: where the tables are.
        versions: read these versions, as evidence pins them; a table that is not named has no rows, as it had none
            when they were pinned. None: the latest versions.
        extra: further relations by name; one with the name of a table stands in for it.
        threads: default `engine_threads` of the settings.
        memory: default `engine_memory` of the settings; beyond it, DuckDB spills to the system's temporary folder.

    Raises:
        WarehouseError: a version does not exist.
    """
    configured = settings()
    relations: dict[str, Any] = dict(extra or {})
    for name, table in TABLES.items():
        if name in relations:
            continue
        if versions is None:
            relations[name] = warehouse.dataset(name)
        elif name in versions:
            relations[name] = warehouse.dataset(name, versions[name])
        else:
            relations[name] = table.schema.empty_table()
    connection = duckdb.connect(":memory:")
    # DuckDB makes this folder when it first spills and removes it at the end; two connections must not share one.
    spill = Path(tempfile.gettempdir()) / f"dynatrail-spill-{uuid.uuid4().hex}"
    connection.execute(f"SET threads = {threads or configured.engine_threads}")
    connection.execute("SET memory_limit = " + _quoted(memory or configured.engine_memory))
    connection.execute("SET temp_directory = " + _quoted(str(spill)))
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")  # it would be drawn into task logs
    for name, relation in relations.items():
        connection.register(name, relation)
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def run_file(connection: duckdb.DuckDBPyConnection, path: str | Path, **parameters: object) -> pa.Table:
    """The rows of the statement in `sql/<path>`, bound to `parameters`.

    Raises:
        WarehouseError: the file is missing or wrong, a parameter is missing or unknown, or the statement fails.
    """
    return _rows(connection, _bound(path, parameters), parameters, f"sql/{path}")


def batches(
    connection: duckdb.DuckDBPyConnection, path: str | Path, *, rows: int = 131_072, **parameters: object
) -> Iterator[pa.RecordBatch]:
    """The same in batches of about `rows` rows, at least one, without ever holding all.

    Use up one result before the next query of this connection.

    Raises:
        WarehouseError: as for `run_file`, also in the midst of the rows.
    """
    text = _bound(path, parameters)
    try:
        reader = connection.sql(text, params=dict(parameters)).to_arrow_reader(rows)
        yield pa.RecordBatch.from_pylist([], schema=reader.schema)
        yield from reader
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise WarehouseError(f"sql/{path} failed: {_reason(connection, error)}") from error


def _bound(path: str | Path, parameters: Mapping[str, object]) -> str:
    """The statement's text, if it takes exactly these parameters."""
    file = sqlfiles.load(path)
    if missing := file.parameters - set(parameters):
        raise WarehouseError(f"sql/{path} needs the parameters {', '.join(sorted(missing))}, which were not given.")
    if unknown := set(parameters) - file.parameters:
        takes = ", ".join(sorted(file.parameters)) or "none"
        raise WarehouseError(f"sql/{path} has no parameter {', '.join(sorted(unknown))}; it takes {takes}.")
    return file.text


def query(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    """The rows of one reading statement that a person wrote.

    Raises:
        WarehouseError: it is not exactly one SELECT, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN, or it fails; a misspelled
            table or column comes with what was probably meant.
    """
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise WarehouseError(f"The query does not parse: {_reason(connection, error)}") from error
    if len(statements) != 1:
        raise WarehouseError(f"Give exactly one statement; got {len(statements)}.")
    if statements[0].type not in _READS:
        raise WarehouseError(
            f"The query may only read: SELECT, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN, not {statements[0].type.name}. "
            "The warehouse is written by the DAGs alone."
        )
    if names := sorted(statements[0].named_parameters):
        raise WarehouseError(f"Put values in place of the parameters {', '.join('$' + name for name in names)}.")
    return _rows(connection, sql, {}, "The query")


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object], what: str) -> pa.Table:
    try:
        relation = connection.sql(sql, params=dict(parameters)) if parameters else connection.sql(sql)
        return relation.to_arrow_table()
    except duckdb.Error as error:
        raise WarehouseError(f"{what} failed: {_reason(connection, error)}") from error


def _reason(connection: duckdb.DuckDBPyConnection, error: Exception) -> str:
    """DuckDB's message; for an unknown table, the tables that there are rather than DuckDB's own catalog."""
    message = str(error)
    if unknown := re.search(r"Table with name (\S+) does not exist", message):
        tables = [
            row[0] for row in connection.sql("select view_name from duckdb_views() where not internal").fetchall()
        ]
        near = difflib.get_close_matches(unknown[1], tables, n=1)
        meant = f"; did you mean {near[0]}?" if near else "."
        return f"there is no table {unknown[1]}{meant} Tables: {', '.join(sorted(tables))}."
    return message.strip()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
