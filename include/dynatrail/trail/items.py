"""Questions about items: the life of one, what it was at an instant, who read some, what a session could have seen.

Every function takes an engine over the warehouse (`engine.connect`) and returns pyarrow tables, so that the command
line and a page show the same. What is exact and what is only possible is never in one table: AWS records no list of the
items that Query and Scan return.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.clock import hour_of
from dynatrail.trail import items_found, items_readers, items_subject
from dynatrail.trail.items_images import differences
from dynatrail.trail.items_reach import Reach, reach
from dynatrail.trail.items_readers import Readers, bounds, readers
from dynatrail.trail.items_state import State, incomplete, state_at
from dynatrail.trail.items_subject import Item, KeySchema, Part, key_schema, of_key, of_token, table_arn
from dynatrail.trail.sessions import CHAIN
from dynatrail.warehouse import engine
from dynatrail.warehouse.schema import INSTANT

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = [
    "Item",
    "KeySchema",
    "Life",
    "Part",
    "Reach",
    "Readers",
    "State",
    "key_schema",
    "life",
    "most_telling",
    "of_key",
    "of_token",
    "reach",
    "readers",
    "state_at",
    "table_arn",
]

_DIFFERENCE = pa.list_(pa.struct([("path", pa.string()), ("before", pa.string()), ("after", pa.string())]))


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of an item's life in [start, end).

    Attributes:
        item: with what records told of its key.
        happenings: one row a change, a read that names the item, or a write request that changed nothing, in order:
            columns of `sql/items/life.sql`, and `differences` (of a change: path, before, after).
        possible: one row a caller, table, index, operation and bound, of reads that name no item and may have returned
            or copied it: columns of `sql/items/possible_by_reader.sql`. An upper bound.
        possible_reads: one row such a read: columns of `sql/items/possible.sql`.
        excluded: how many more such reads were bound to another key, so that they cannot have returned it.
        denied: denied calls on its table: AWS leaves out which item they were about.
        unbelieved: requests that name it in records of forged or altered files, which are left out everywhere.
        elsewhere: ARNs of tables of the same name in other regions of the account: replicas have the same items.
        unknown: what cannot be known, sentences for a person.
    """

    item: Item
    start: datetime
    end: datetime
    happenings: pa.Table
    possible: pa.Table
    possible_reads: pa.Table
    excluded: int
    denied: pa.Table
    unbelieved: int
    elsewhere: tuple[str, ...]
    unknown: tuple[str, ...]


def life(
    connection: "DuckDBPyConnection",
    item: Item,
    start: datetime,
    end: datetime,
    *,
    break_glass: Sequence[str] = (),
) -> Life:
    """The life of an item in [start, end).

    Args:
        connection: an engine over the warehouse.
        item: of `of_key` or `of_token`.
        start: inclusive, UTC.
        end: exclusive.
        break_glass: ARN patterns of roles and users for emergencies, as in the configuration file.

    Raises:
        WarehouseError: a table cannot be read.
    """
    with items_found.registered(connection, {"wanted_item": items_subject.wanted([item])["wanted_item"]}):
        named = items_found.named(connection, start, end)
        changed = items_found.changes(connection, named)
        caused = items_found.causes(connection, changed)
        asked = items_found.requests(connection, named)
        without = items_found.unmatched(connection, changed, asked, start, end)
        called = engine.run_file(connection, "items/table_events.sql", start=start, end=end)
    (item,) = items_subject.learnt(connection, [item], items_found.believed(asked), start, end)
    relations = {
        **items_subject.wanted([item]),
        "table_event": called,
        "found_change": changed,
        "found_cause": caused,
        "found_request": asked,
        "unmatched": without,
        "found_principal": items_found.principals(connection, [caused, asked, called], break_glass=break_glass),
    }
    with items_found.registered(connection, relations):
        read = engine.run_file(connection, "items/possible_reads.sql")
        with items_found.registered(connection, {"found_read": read}):
            happenings = engine.run_file(connection, "items/life.sql", start=start, end=end)
    who = relations["found_principal"]
    possible_reads, possible = bounds(connection, read, who, start, end)
    return Life(
        item=item,
        start=start,
        end=end,
        happenings=_with_differences(happenings),
        possible=possible,
        possible_reads=possible_reads,
        excluded=items_readers.excluded(read),
        denied=items_readers.denied(called, who),
        unbelieved=_unbelieved(asked, start, end),
        elsewhere=items_readers.elsewhere(connection, [item]),
        unknown=(*_incomplete(connection, item, start, end), *items_readers.unknown([item], possible_reads)),
    )


def most_telling(connection: "DuckDBPyConnection", start: datetime, end: datetime) -> Item | None:
    """The item of a window whose life shows most, the same one every time; None: nothing changed.

    It has several changes by several principals, a read, and a write with a role that a role's session took, as far as
    there is one that has.

    Raises:
        WarehouseError: a table cannot be read.
    """
    found = engine.run_file(
        connection, "items/most_telling.sql", start=start, end=end, sessions_from=hour_of(start) - CHAIN
    )
    return next((Item(row["table_arn"], row["item_key_token"]) for row in found.to_pylist()), None)


def _with_differences(happenings: pa.Table) -> pa.Table:
    """The happenings with what each change changed, where both images are there, or the item is new or gone."""
    columns = ["kind", "operation", "old_image", "new_image"]
    found = [_differences(**row) for row in happenings.select(columns).to_pylist()]
    return happenings.append_column("differences", pa.array(found, _DIFFERENCE))


def _differences(
    kind: str, operation: str, old_image: str | None, new_image: str | None
) -> list[dict[str, str | None]] | None:
    if kind != "change":
        return None
    known = {
        "INSERT": new_image is not None,
        "REMOVE": old_image is not None,
        "MODIFY": old_image is not None and new_image is not None,
    }
    if not known.get(operation, False):
        return None  # view_type says why
    return [difference._asdict() for difference in differences(old_image, new_image)]


def _unbelieved(asked: pa.Table, start: datetime, end: datetime) -> int:
    """Requests that name the item in records of forged or altered files."""
    times = asked["event_time"]
    inside = pc.and_(pc.greater_equal(times, pa.scalar(start, INSTANT)), pc.less(times, pa.scalar(end, INSTANT)))
    forged = pc.is_in(asked["attestation"], pa.array(["forged", "altered"]))
    return pc.sum(pc.and_(inside, forged)).as_py() or 0


def _incomplete(connection: "DuckDBPyConnection", item: Item, start: datetime, end: datetime) -> list[str]:
    return [one[:1].upper() + one[1:] for one in incomplete(connection, item, start, end)]
