"""Who read the data of a set of items: exactly, where the reads name them, and at most, where they do not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.arns import place_of
from dynatrail.trail import items_found, items_subject
from dynatrail.warehouse import engine

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from dynatrail.trail.items_subject import Item

UNLISTED = (
    "AWS records no list of the items that Query, Scan and PartiQL return: those reads may have returned an item, or "
    "not."
)
FILTERED = "Filters are recorded without their values, so a read that may have returned an item may have dropped it."


@dataclass(frozen=True, slots=True)
class Readers:
    """Who read items in [start, end).

    Attributes:
        items: with what records told of their keys.
        exact: one row a caller, of reads that name the items: columns of `sql/items/readers.sql`.
        reads: one row such a read: columns of `sql/items/read_items.sql`.
        possible: one row a caller, table, index, operation and bound, of reads that may have returned items:
            columns of `sql/items/possible_by_reader.sql`. An upper bound.
        possible_reads: one row such a read: columns of `sql/items/possible.sql`.
        excluded: reads that were bound to other keys, so that they cannot have returned any of the items.
        denied: denied calls on the tables: AWS leaves out which items they were about.
        unknown: what cannot be known, sentences for a person.
    """

    items: tuple["Item", ...]
    start: datetime
    end: datetime
    exact: pa.Table
    reads: pa.Table
    possible: pa.Table
    possible_reads: pa.Table
    excluded: int
    denied: pa.Table
    unknown: tuple[str, ...]


def readers(
    connection: "DuckDBPyConnection",
    items: Sequence["Item"],
    start: datetime,
    end: datetime,
    *,
    break_glass: Sequence[str] = (),
) -> Readers:
    """Who read any of the items, of any tables, in [start, end).

    Args:
        connection: an engine over the warehouse.
        items: of `of_key` or `of_token`.
        start: inclusive, UTC.
        end: exclusive.
        break_glass: ARN patterns of roles and users for emergencies, as in the configuration file.

    Raises:
        WarehouseError: a table cannot be read.
    """
    with items_found.registered(connection, {"wanted_item": items_subject.wanted(items)["wanted_item"]}):
        named = items_found.named(connection, start, end)
        asked = items_found.requests(connection, named)
        called = engine.run_file(connection, "items/table_events.sql", start=start, end=end)
    known = items_subject.learnt(connection, items, items_found.believed(asked), start, end)
    who = items_found.principals(connection, [asked, called], break_glass=break_glass)
    relations = {
        **items_subject.wanted(known),
        "table_event": called,
        "found_request": asked,
        "found_principal": who,
    }
    with items_found.registered(connection, relations):
        read = engine.run_file(connection, "items/possible_reads.sql")
        with items_found.registered(connection, {"found_read": read}):
            reads = engine.run_file(connection, "items/read_items.sql", start=start, end=end)
    possible_reads, possible = bounds(connection, read, who, start, end)
    with items_found.registered(connection, {"item_read": reads}):
        exact = engine.run_file(connection, "items/readers.sql")
    return Readers(
        items=tuple(known),
        start=start,
        end=end,
        exact=exact,
        reads=reads,
        possible=possible,
        possible_reads=possible_reads,
        excluded=excluded(read),
        denied=denied(called, who),
        unknown=unknown(known, possible_reads),
    )


def excluded(read: pa.Table) -> int:
    """How many of the reads of `sql/items/possible_reads.sql` were bound to other keys."""
    return pc.sum(pc.equal(read["bound"], "excluded")).as_py() or 0


def denied(called: pa.Table, who: pa.Table) -> pa.Table:
    """The denied ones of the rows of `sql/items/table_events.sql`, with whom their callers begin with."""
    columns = ["caller_id", "first_principal_arn", "principal_class", "unresolved_reason"]
    rows = called.filter(pc.equal(called["kind"], "denied")).select(
        ["event_time", "event_id", "recipient_account_id", "region", "table_arn", "event_name", "denied_action"]
        + ["denied_by", "principal_arn", "access_key_id", "session_name", "source_ip_address", "user_agent"]
    )
    keyed = rows.append_column("caller_id", items_found.event_key(rows))
    joined = keyed.join(who.select(columns), "caller_id", join_type="left outer").drop_columns("caller_id")
    return joined.sort_by([("event_time", "ascending"), ("event_id", "ascending"), ("table_arn", "ascending")])


def bounds(
    connection: "DuckDBPyConnection", read: pa.Table, who: pa.Table, start: datetime, end: datetime
) -> tuple[pa.Table, pa.Table]:
    """Reads that may have returned items, and the same by caller, with what CloudWatch counted.

    Args:
        connection: an engine over the warehouse.
        read: columns of `sql/items/possible_reads.sql`.
        who: of `items_found.principals`.
        start: inclusive, UTC.
        end: exclusive.
    """
    open_ = read.filter(pc.is_in(read["bound"], pa.array(["likely", "possible"])))
    with items_found.registered(connection, {"found_read": open_, "found_principal": who}):
        possible = engine.run_file(connection, "items/possible.sql", start=start, end=end)
    with items_found.registered(connection, {"possible_read": possible}):
        return possible, engine.run_file(connection, "items/possible_by_reader.sql")


def unknown(items: Sequence["Item"], possible: pa.Table) -> tuple[str, ...]:
    """What reads of items cannot tell, as sentences."""
    said = []
    if possible.num_rows:
        said.append(UNLISTED)
        said.append(FILTERED)
    unpartitioned = sorted(
        {
            item.table_name
            for item in items
            if not item.parts or any(part.token is None and part.value_token is None for part in item.parts)
        }
    )
    if unpartitioned:
        said.append(
            f"Of {', '.join(unpartitioned)} only tokens were given, and no record tells their partition: Queries of "
            "other partitions are among the possible reads. Give the key itself to leave them out."
        )
    uncounted = possible.filter(
        pc.and_(pc.is_in(possible["event_name"], pa.array(["Query", "Scan"])), pc.is_null(possible["returned_items"]))
    )
    if uncounted.num_rows:
        said.append(
            f"CloudWatch has no ReturnedItemCount for {uncounted.num_rows:,} of the Queries and Scans, so how many "
            "items they returned is not known."
        )
    elif possible.num_rows:
        said.append("ReturnedItemCount counts all callers of an operation on a table in a period together.")
    return tuple(said)


def elsewhere(connection: "DuckDBPyConnection", items: Sequence["Item"]) -> tuple[str, ...]:
    """ARNs of tables of the items' names in other regions of their accounts, sorted: replicas hold the same items."""
    own = {item.table_arn for item in items}
    places = {(place.account_id, place.name) for place in map(place_of, own)}
    known = engine.run_file(connection, "items/tables.sql").to_pylist()
    return tuple(
        row["table_arn"]
        for row in known
        if (row["account_id"], row["table_name"]) in places and row["table_arn"] not in own
    )
