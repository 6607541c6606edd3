"""What a session or a principal reached: items it read or changed, and at most what it could have seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.clock import hour_of
from dynatrail.trail import items_found
from dynatrail.trail.items_readers import FILTERED, UNLISTED, bounds
from dynatrail.trail.sessions import CHAIN
from dynatrail.warehouse import engine

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class Reach:
    """What a session or principal did in [start, end), with the sessions that were issued with its keys.

    Attributes:
        who: access key, or ARN of a first principal, role, user or session.
        sessions: one row an access key, those it issued included: columns of `sql/items/reach_sessions.sql`.
        tables: one row a table: columns of `sql/items/reach_tables.sql`.
        items: one row an item that was named or changed: columns of `sql/items/reach_items.sql`.
        possible: reads that list no items, by caller, as `Readers.possible`. An upper bound.
        calls: one row an operation and outcome: columns of `sql/items/reach_calls.sql`.
        events: how many there are.
        first, last: of the events; None: there are none.
        addresses: source addresses, sorted.
        unknown: what cannot be known, sentences for a person.
    """

    who: str
    start: datetime
    end: datetime
    sessions: pa.Table
    tables: pa.Table
    items: pa.Table
    possible: pa.Table
    calls: pa.Table
    events: int
    first: datetime | None
    last: datetime | None
    addresses: tuple[str, ...]
    unknown: tuple[str, ...]


def reach(
    connection: "DuckDBPyConnection",
    who: str,
    start: datetime,
    end: datetime,
    *,
    break_glass: Sequence[str] = (),
) -> Reach:
    """What an access key or a principal did in [start, end), and the sessions that it issued, and so on.

    Args:
        connection: an engine over the warehouse.
        who: access key, or ARN of a first principal, role, user or assumed-role session.
        start: inclusive, UTC.
        end: exclusive.
        break_glass: ARN patterns of roles and users for emergencies, as in the configuration file.

    Raises:
        WarehouseError: a table cannot be read.
    """
    hours = {"start": hour_of(start), "end": items_found.hour_after(end)}
    of_sessions = {"sessions_from": hour_of(start) - CHAIN, "end": hours["end"]}
    keys = engine.run_file(connection, "items/reach_keys.sql", who=who, start=hours["start"], **of_sessions)
    with items_found.registered(connection, {"reach_key": keys}):
        events = engine.run_file(connection, "items/reach_events.sql", who=who, start=start, end=end)
        with items_found.registered(connection, {"reach_event": events}):
            sessions = engine.run_file(connection, "items/reach_sessions.sql", **of_sessions)
            calls = engine.run_file(connection, "items/reach_calls.sql")
            table_keys = engine.run_file(connection, "items/table_keys.sql", **hours)
            with items_found.registered(connection, {"table_key": table_keys}):
                items = engine.run_file(connection, "items/reach_items.sql", start=start, end=end)
                read = engine.run_file(connection, "items/reach_reads.sql")
            with items_found.registered(connection, {"reach_item": items, "reach_read": read}):
                tables = engine.run_file(connection, "items/reach_tables.sql")
    principals = items_found.principals(connection, [read], break_glass=break_glass)
    _, possible = bounds(connection, read, principals, start, end)
    times = pc.min_max(events["event_time"])
    addresses = pc.unique(events["source_ip_address"]).drop_null().to_pylist()
    return Reach(
        who, start, end, sessions, tables, items, possible, calls, events.num_rows, times["min"].as_py(),
        times["max"].as_py(), tuple(sorted(addresses)), _unknown(items, possible, sessions),
    )  # fmt: skip


def _unknown(items: pa.Table, possible: pa.Table, sessions: pa.Table) -> tuple[str, ...]:
    said = []
    if items.num_rows:
        said.append(
            "Nothing tells which items are of one person, so people are not counted: distinct items of each table "
            "stand in their place."
        )
    if possible.num_rows:
        said += [UNLISTED, FILTERED]
    if pc.sum(items["changes_unsure"]).as_py() or pc.sum(items["changes_of_others"]).as_py():
        said.append(
            "Changes that are probable or ambiguous may be another's; those attributed to others may be its own "
            "(docs/reference/attribution.md)."
        )
    if pc.any(pc.and_(sessions["is_own"], pc.is_null(sessions["issued_event_id"]))).as_py():
        said.append("No event was seen that issued some of its own keys: what their beginning was is not known.")
    return tuple(said)
