"""A SQL test is a folder of files: `tests/sql/<stage>/<name>/<case>/` runs `sql/<stage>/<name>.sql`.

::

    <name>/base/<table>.yaml           optional: defaults for every row of that table, in all cases of the statement
    <name>/<case>/input/<table>.yaml   rows of one relation (or .json); columns that are left out are NULL
    <name>/<case>/params.yaml          the statement's parameters; instants as ISO 8601
    <name>/<case>/expect.yaml          its rows, in any order; only the columns that the first one names are compared

`event_hour` and `event_date` follow from `event_time` (or `event_hour`). A base that is a list is the relation of the
cases that give no rows for it.
"""

import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from dynatrail.clock import hour_of, parse_instant
from dynatrail.trail import items_subject, permissions, sessions_issuing
from dynatrail.trail.ocsf import activity_table
from dynatrail.warehouse import engine, sqlfiles
from dynatrail.warehouse.schema import INSTANT, TABLES
from dynatrail.warehouse.store import Warehouse

CASES = Path(__file__).parent
REFERENCES = {"ocsf_activity": activity_table}
"""Relations that come from `include/`, not from the warehouse."""

SCHEMAS = {
    "issuing": sessions_issuing.ISSUING,
    "key_use": sessions_issuing.KEY_USE,
    "caller": sessions_issuing.CALLER,
    "break_glass": sessions_issuing.patterns([]).schema,
    "chosen": permissions.CHOSEN,
    "caller_principal": sessions_issuing.CALLER_PRINCIPAL,
} | {name: table.schema for name, table in TABLES.items()}
"""Relations whose columns and types are known, whatever rows a case gives."""

STEPS = {
    "wanted_item": None,
    "wanted_part": None,
    "wanted_event": None,
    "item_caller": None,
    "item_caller_kind": None,
    "found_change": "items/changes.sql",
    "found_cause": "items/caused.sql",
    "found_request": "items/requests.sql",
    "table_event": "items/table_events.sql",
    "found_read": "items/possible_reads.sql",
    "item_principal": "trail/first_principal.sql",
    "found_principal": "items/principals.sql",
    "unmatched": "report/requests_without_change.sql",
    "possible_read": "items/possible.sql",
    "item_read": "items/read_items.sql",
    "reach_key": "items/reach_keys.sql",
    "reach_event": "items/reach_events.sql",
    "table_key": "items/table_keys.sql",
    "reach_item": "items/reach_items.sql",
    "reach_read": "items/reach_reads.sql",
}
"""Relations that one statement takes from another, each after those that it reads; None: what `items` makes."""


@cache
def schemas_of_steps() -> dict[str, pa.Schema]:
    """The columns of the relations of `STEPS`: those that the statements give over an empty warehouse."""
    caller = sessions_issuing.CALLER
    found = {"wanted_event": pa.schema([("event_id", pa.string())]), "item_caller": caller, "item_caller_kind": caller}
    found |= {name: rows.schema for name, rows in items_subject.wanted([]).items()}
    instant = datetime(2026, 11, 1, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder:
        for name, path in STEPS.items():
            if path is None:
                continue
            extra = {known: schema.empty_table() for known, schema in (SCHEMAS | found).items() if known not in TABLES}
            with engine.connect(Warehouse(folder), extra=extra) as connection:
                asked = sqlfiles.load(path).parameters
                values = {one: "" if one in ("who", "service_user") else instant for one in asked}
                found[name] = engine.run_file(connection, path, **values).schema
    return found


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def relation(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as a relation: with the contract's schema if it is one of its tables, else with types from the values."""
    if schema := SCHEMAS.get(name) or (schemas_of_steps()[name] if name in STEPS else None):
        for row in rows:
            if unknown := set(row) - set(schema.names):
                raise ValueError(f"{name} has no columns {sorted(unknown)}")
        filled = [dict.fromkeys(schema.names) | timed(row) for row in rows]
        return pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in filled], schema=schema)
    table = pa.Table.from_pylist([timed(row) for row in rows])
    for at, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(at, field.name, table.column(at).cast(INSTANT))
    return table


def timed(row: dict[str, Any]) -> dict[str, Any]:
    row = {name: instant(value) for name, value in row.items()}
    if "event_hour" not in row and "event_time" in row:
        row["event_hour"] = hour_of(row["event_time"])
    if "event_date" not in row and "event_hour" in row:
        row["event_date"] = row["event_hour"].date()
    return row


def instant(value: Any) -> Any:
    """YAML reads an instant without offset as naive; here all are UTC."""
    return parse_instant(value.isoformat()) if isinstance(value, datetime) else value


def inputs(case: Path) -> dict[str, pa.Table]:
    base = {path.stem: read(path) for path in (case.parent / "base").glob("*.yaml")}
    found = {name: relation(name, rows) for name, rows in base.items() if isinstance(rows, list)}
    for path in sorted((case / "input").iterdir()):
        defaults = base.get(path.stem, {})
        defaults = defaults if isinstance(defaults, dict) else {}
        found[path.stem] = relation(path.stem, [defaults | row for row in read(path) or []])
    return found | {name: build() for name, build in REFERENCES.items() if name not in found}


def comparable(rows: list[dict[str, Any]], columns: list[str]) -> list[str]:
    """Rows reduced to `columns`, in an order that depends on nothing but them."""
    return sorted(repr([shown(row[column]) for column in columns]) for row in rows)


def shown(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Decimal):  # what DuckDB's sum() of integers is
        return int(value) if value == int(value) else float(value)
    return value.isoformat() if isinstance(value, date) else value


@pytest.fixture
def run_case(tmp_path: Path) -> Any:
    """Runs one case folder; returns (expected, actual), both comparable."""

    def run(case: Path) -> tuple[list[str], list[str]]:
        statement = case.parent.relative_to(CASES).with_suffix(".sql")
        parameters = {name: instant(value) for name, value in (read(case / "params.yaml") or {}).items()}
        with engine.connect(Warehouse(str(tmp_path / "warehouse")), extra=inputs(case)) as connection:
            rows = engine.run_file(connection, statement, **parameters).to_pylist()
        expected = read(case / "expect.yaml") or []
        columns = list(expected[0]) if expected else []
        if not expected:
            return [], [repr(row) for row in rows]
        for row in expected:
            assert columns == list(row), f"{case}: every expected row names the same columns in the same order"
        return comparable([{n: instant(v) for n, v in row.items()} for row in expected], columns), comparable(
            rows, columns
        )

    return run
