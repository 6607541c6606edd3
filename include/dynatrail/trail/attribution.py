"""Which request made each item change, and how sure that is: the table `attribution`.

No field joins a change to its request: a stream record names no caller, and a CloudTrail record no change. So the two
sequences are aligned, hour by hour with a margin on both sides, as `alignment` says.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.clock import HOUR, by_date, hour_of
from dynatrail.trail import alignment, attribution_rows, attribution_sides, sessions
from dynatrail.warehouse import engine
from dynatrail.warehouse.portions import portions
from dynatrail.warehouse.schema import ATTRIBUTION, INSTANT, ITEM_CHANGE

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from dynatrail.warehouse.store import Warehouse

CHANGES_AT_ONCE = 500_000
"""Hours of one date are done together up to about this many changes, which bounds memory; an hour is one write."""

MARGIN = timedelta(minutes=10)
"""Read around the hours: five minutes of changes, the requests that they may have, and what was before elsewhere."""


def around(hours: Iterable[datetime]) -> set[datetime]:
    """The hours whose attribution may change when what happened in `hours` does: they and their neighbours."""
    return {hour_of(hour) + n * HOUR for hour in hours for n in (-1, 0, 1)}


@dataclass(frozen=True, slots=True)
class Built:
    """What a build wrote.

    Attributes:
        rows: how many rows were written.
        hours: UTC hours of which rows came, went or became others: what is derived from `attribution` is to be rebuilt
            for exactly these. Hours that came out as they were are not named, also where others were written with them.
    """

    rows: int = 0
    hours: frozenset[datetime] = frozenset()


def build(warehouse: "Warehouse", hours: Iterable[datetime], *, break_glass: Sequence[str] = ()) -> Built:
    """Replace the rows of `attribution` of exactly these hours by what changes, requests and sessions say now.

    What an hour's rows are does not depend on which other hours are built with it.

    Args:
        warehouse: read and written.
        hours: instants; the UTC hour of each is rebuilt. Any order, gaps and repetitions allowed.
        break_glass: ARN patterns of roles and users for emergencies, as for `sessions.build`.

    Returns:
        Rows written and the hours that became others; nothing if every hour already held exactly these rows.

    Raises:
        WarehouseError: a table cannot be read or written. Hours before the failing ones are done; run again.
    """
    parts = [
        _build_together(warehouse, together, break_glass)
        for of_date in by_date(hours)
        for together in portions(warehouse, ITEM_CHANGE.name, of_date, rows=CHANGES_AT_ONCE)
    ]
    return Built(sum(part.rows for part in parts), frozenset().union(*(part.hours for part in parts)))


def derive(
    warehouse: "Warehouse",
    hours: Collection[datetime],
    *,
    break_glass: Sequence[str] = (),
    rows_at_once: int = alignment.ROWS_AT_ONCE,
) -> pa.Table:
    """The rows of `attribution` for these UTC hours, computed and not written.

    They do not depend on `rows_at_once`: how many changes and requests are aligned at once, about.
    """
    start, end = min(hours) - MARGIN, max(hours) + HOUR + MARGIN
    touched = {"touched_hour": pa.table({"event_hour": pa.array(sorted(hours), INSTANT)})}
    with engine.connect(warehouse, extra=touched) as connection:
        changes = attribution_sides.changes(connection, start, end)
        if not pc.any(changes["is_own"]).as_py():
            return ATTRIBUTION.schema.empty_table()
        connection.register("caller_principal", sessions.caller_principals(connection, hours, break_glass=break_glass))
        requests = attribution_sides.requests(connection, start, end, of=changes)
    return attribution_rows.rows(changes, requests, rows_at_once=rows_at_once)


class Exceptions(NamedTuple):
    """What attribution leaves over.

    Attributes:
        changes: item changes that no recorded request explains: `sql/report/changes_without_request.sql`.
        requests: items of requests that no change shows: `sql/report/requests_without_change.sql`.
    """

    changes: pa.Table
    requests: pa.Table


def exceptions(connection: "DuckDBPyConnection", start: datetime, end: datetime) -> Exceptions:
    """Both lists of what attribution leaves over in [start, end), one row per item, each with its reason, by time.

    Args:
        connection: an engine over the warehouse.
        start: of the events and changes.
        end: the same; not included.

    Raises:
        WarehouseError: a table cannot be read.
    """
    window = {"start": start, "end": end}
    changes = engine.run_file(connection, "report/changes_without_request.sql", **window)
    requests = engine.run_file(connection, "report/requests_without_change.sql", **window)
    order = ("event_time", "event_id", "ordinal", "recipient_account_id", "region")
    return Exceptions(changes, requests.sort_by([(name, "ascending") for name in order]))


def _build_together(warehouse: "Warehouse", hours: list[datetime], break_glass: Sequence[str]) -> Built:
    changed: set[datetime] = set()

    def current(present: pa.Table) -> pa.Table:
        rows = derive(warehouse, hours, break_glass=break_glass)
        # Called again when another build commits these hours first.
        changed.clear()
        changed.update(hour for hour in hours if _differ(present, rows, hour))
        return rows

    return Built(warehouse.replace(ATTRIBUTION.name, current, hours=hours), frozenset(changed))


def _differ(present: pa.Table, rows: pa.Table, hour: datetime) -> bool:
    before, after = (table.filter(pc.field("event_hour") == pa.scalar(hour, INSTANT)) for table in (present, rows))
    if len(before) != len(after):
        return True
    # No two rows have one natural key, so that this order is total.
    order = [(name, "ascending") for name in ATTRIBUTION.natural_key]
    mine, theirs = (pc.sort_indices(table, sort_keys=order) for table in (before, after))
    return any(not before[name].take(mine).equals(after[name].take(theirs)) for name in ATTRIBUTION.schema.names)
