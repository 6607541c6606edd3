"""Finds the rows about items: first where they are named, then the wide rows of those days alone.

A warehouse has millions of rows, an item a few. Images and request parameters are most of its bytes, so they are read
only of the days that the narrow columns point to: the store skips the files of all others.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from duckdb import ColumnExpression, ConstantExpression

from dynatrail.clock import DAY, HOUR, hour_of
from dynatrail.trail import sessions
from dynatrail.warehouse import engine, sqlfiles
from dynatrail.warehouse.schema import TABLES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_REQUEST_MARGIN = timedelta(seconds=5)
"""A change lies up to a second after its request and three before it, both cut to the second."""

UNBELIEVED = ["forged", "altered"]
"""Attestations of files whose records are not taken for what happened."""

_UNMATCHED = "report/requests_without_change.sql"


@contextmanager
def registered(connection: "DuckDBPyConnection", relations: Mapping[str, pa.Table]) -> Iterator[None]:
    """Relations that statements read, for as long as they run."""
    for name, rows in relations.items():
        connection.register(name, rows)
    try:
        yield
    finally:
        for name in relations:
            connection.unregister(name)


def named(connection: "DuckDBPyConnection", start: datetime, end: datetime) -> pa.Table:
    """`sql/items/named.sql` for the wanted items, of a window and what may belong to its ends."""
    return engine.run_file(
        connection, "items/named.sql", start=hour_of(start - _REQUEST_MARGIN), end=hour_after(end + _REQUEST_MARGIN)
    )


def changes(connection: "DuckDBPyConnection", found: pa.Table) -> pa.Table:
    """`sql/items/changes.sql` of the wanted items, of the days on which `found` has changes."""
    of_changes = found.filter(pc.equal(found["named_by"], "change"))
    return _by_days(connection, "items/changes.sql", of_changes["event_hour"].to_pylist())


def requests(connection: "DuckDBPyConnection", found: pa.Table) -> pa.Table:
    """`sql/items/requests.sql` of the wanted items, of the days on which `found` has requests."""
    asked = found.filter(pc.equal(found["named_by"], "request"))
    return _by_days(connection, "items/requests.sql", asked["event_hour"].to_pylist())


def causes(connection: "DuckDBPyConnection", made: pa.Table) -> pa.Table:
    """`sql/items/caused.sql` of the requests that changes are attributed to."""
    attributed = made.filter(pc.is_valid(made["event_id"]))
    times = attributed["event_time"].to_pylist()
    hours = {hour_of(time + margin) for time in times for margin in (-_REQUEST_MARGIN, _REQUEST_MARGIN)}
    wanted = pa.table({"event_id": pc.unique(attributed["event_id"])})
    with registered(connection, {"wanted_event": wanted}):
        return _by_days(connection, "items/caused.sql", hours)


def principals(
    connection: "DuckDBPyConnection", rows: Iterable[pa.Table], *, break_glass: Sequence[str] = ()
) -> pa.Table:
    """Whom the callers of events begin with: `caller_id` is the event's account, region and id, a space between.

    An id alone is no name: a forged record may have a real one's. Events of forged or altered files are left out.
    """
    callers = [
        table.append_column("caller_id", event_key(table)).select(sessions.CALLER.names)
        for table in map(believed, rows)
    ]
    together = pa.concat_tables(callers).cast(sessions.CALLER)
    # One event may name many items, and the statement gives a row for each caller that it is asked about.
    once = together.group_by(sessions.CALLER.names, use_threads=False).aggregate([])
    kinds = once.group_by(sessions.CALLER.names[1:], use_threads=False).aggregate([("caller_id", "min")])
    asked = kinds.rename_columns([*sessions.CALLER.names[1:], "caller_id"]).select(sessions.CALLER.names)
    told = sessions.first_principals(connection, asked.cast(sessions.CALLER), break_glass=break_glass)
    with registered(connection, {"item_caller": once, "item_caller_kind": asked, "item_principal": told}):
        return engine.run_file(connection, "items/principals.sql")


def believed(rows: pa.Table) -> pa.Table:
    """Rows without those of forged or altered files."""
    return rows.filter(pc.invert(pc.is_in(rows["attestation"], pa.array(UNBELIEVED))))


def event_key(events: pa.Table) -> pa.ChunkedArray:
    """What names each event: its account, region and id."""
    return pc.binary_join_element_wise(events["recipient_account_id"], events["region"], events["event_id"], " ")


def unmatched(
    connection: "DuckDBPyConnection", made: pa.Table, asked: pa.Table, start: datetime, end: datetime
) -> pa.Table:
    """The rows of `sql/report/requests_without_change.sql` that are about the wanted items.

    That statement is run as it is, over the few rows that can matter to these items in the place of whole tables.
    """
    items = asked.filter(pc.is_valid(asked["item_key_token"]))
    # Any change is a sign that changes of the table were read at all.
    sign = engine.run_file(connection, "items/change_of_table.sql", start=start, end=end)
    given = {
        "api_event_item": _as("api_event_item", items),
        "api_event": _once(_as("api_event", items)),
        "attribution": _as("attribution", made.filter(pc.is_valid(made["method"]))),
        "item_change": _as("item_change", sign),
    }
    arns = pc.unique(items["table_arn"]).to_pylist()
    # A cursor sees none of the relations of its connection, so the whole tables stay what they are there.
    with connection.cursor() as apart:
        for name in sorted(_read_by(_UNMATCHED)):
            rows = given[name] if name in given else _of_tables(connection, name, arns, start, end)
            apart.register(name, rows)
        return engine.run_file(apart, _UNMATCHED, start=start, end=end)


def _read_by(statement: str) -> set[str]:
    """The warehouse's tables that a statement reads, as its header says."""
    (line,) = (line for line in sqlfiles.load(statement).header if line.startswith("Reads "))
    return {name for name in re.findall(r"\w+", line) if name in TABLES}


def _of_tables(
    connection: "DuckDBPyConnection", name: str, table_arns: Sequence[str], start: datetime, end: datetime
) -> pa.Table:
    """The rows of a warehouse table that are about these DynamoDB tables and the hours of a window."""
    hour = ColumnExpression("event_hour")
    chosen = (hour >= ConstantExpression(hour_of(start))) & (hour < ConstantExpression(end))
    if not table_arns:
        return TABLES[name].schema.empty_table()
    chosen &= ColumnExpression("table_arn").isin(*map(ConstantExpression, table_arns))
    return connection.table(name).filter(chosen).to_arrow_table()


def _as(name: str, rows: pa.Table) -> pa.Table:
    """Rows in the form of a warehouse table; columns that they lack are NULL."""
    schema = TABLES[name].schema
    columns = [
        rows[column.name].cast(column.type) if column.name in rows.column_names else pa.nulls(len(rows), column.type)
        for column in schema
    ]
    return pa.table(columns, schema=pa.schema([column.with_nullable(True) for column in schema]))


def _once(events: pa.Table) -> pa.Table:
    """One row an event, though it names several items."""
    encoded = event_key(events).combine_chunks().dictionary_encode()
    return events.take(pa.array(np.unique(encoded.indices.to_numpy(), return_index=True)[1]))


def _by_days(connection: "DuckDBPyConnection", statement: str, hours: Iterable[datetime]) -> pa.Table:
    """The rows of a statement for these hours, a run of days at a time."""
    parts = [engine.run_file(connection, statement, start=start, end=end) for start, end in _spans(hours)]
    if not parts:
        now = datetime.fromisoformat("2000-01-01T00:00:00Z")
        return engine.run_file(connection, statement, start=now, end=now)
    return pa.concat_tables(parts)


def _spans(hours: Iterable[datetime]) -> Iterator[tuple[datetime, datetime]]:
    """From the first to after the last of the hours, of each run of days that follow each other."""
    ordered = sorted(set(hours))
    if not ordered:
        return
    first = ordered[0]
    for one, following in pairwise(ordered):
        if _day(following) - _day(one) > DAY:
            yield first, one + HOUR
            first = following
    yield first, ordered[-1] + HOUR


def _day(instant: datetime) -> date:
    return instant.date()


def hour_after(end: datetime) -> datetime:
    """The start of the first hour that holds no instant before `end`."""
    hour = hour_of(end)
    return hour if hour == end else hour + HOUR
