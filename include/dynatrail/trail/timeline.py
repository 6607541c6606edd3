"""Rebuilds the unified timeline, `audit_record`, for the hours that someone touched, and reads it page by page.

Each file of `sql/trail/audit_record/` makes the records of one kind; whoever adds a kind adds a file. All of them see
the relations `touched_hour`, `ocsf_activity` and `caller_principal`, and give exactly the columns of `audit_record`.
How far they read around an hour follows from that hour or its date alone, so that its records are the same whichever
hours are rebuilt with it.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from dynatrail.clock import DAY, HOUR, by_date, hour_of
from dynatrail.trail import sessions
from dynatrail.trail.ocsf import activity_table
from dynatrail.warehouse import engine, sqlfiles
from dynatrail.warehouse.portions import portions
from dynatrail.warehouse.schema import API_EVENT, AUDIT_RECORD, INSTANT, ITEM_CHANGE

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from dynatrail.warehouse.store import Warehouse

KINDS = "trail/audit_record"

ROWS_AT_ONCE = 200_000
"""Hours of one date are rebuilt together up to about this many events and changes, which bounds memory; an hour is
never cut."""

BETWEEN = timedelta(minutes=5)
"""Throttling that stops for less than this is one episode: `sql/trail/audit_record/throttling.sql`."""


def kinds() -> list[str]:
    """The statements that make the records, one a kind, as `engine.run_file` takes them."""
    return [f"{KINDS}/{file.name}" for file in sorted((sqlfiles.SQL / KINDS).glob("*.sql"))]


def around(hours: Iterable[datetime]) -> set[datetime]:
    """The hours whose records may change when events, changes or sessions of `hours` do.

    The request behind a change, and so what its record says, may lie in the hour before or after.
    """
    return {hour_of(hour) + n * HOUR for hour in hours for n in (-1, 0, 1)}


def build(warehouse: "Warehouse", hours: Iterable[datetime], *, break_glass: Sequence[str] = ()) -> int:
    """Replace the rows of `audit_record` of exactly these hours by what the other tables say now.

    Hours of one date share a commit while their events and changes are few; hours that come out as they were are not
    committed.

    Args:
        warehouse: read and written.
        hours: instants; the UTC hour of each is rebuilt. Any order, gaps and repetitions allowed.
        break_glass: ARN patterns of roles and users for emergencies, with `*` and `?`.

    Returns:
        Rows written; 0 if every hour already held exactly these rows.

    Raises:
        WarehouseError: a table cannot be read or written. Hours before the failing ones are done; run again.
    """
    return sum(
        _build_together(warehouse, together, break_glass)
        for of_date in by_date(hours)
        for together in portions(warehouse, (API_EVENT.name, ITEM_CHANGE.name), of_date, rows=ROWS_AT_ONCE)
    )


def derive(warehouse: "Warehouse", hours: Collection[datetime], *, break_glass: Sequence[str] = ()) -> pa.Table:
    """The rows of `audit_record` for these UTC hours, computed and not written; sorted by time and record id."""
    start, end = min(hours), max(hours) + HOUR
    with engine.connect(warehouse, extra=_relations(hours)) as connection:
        connection.register("caller_principal", sessions.caller_principals(connection, hours, break_glass=break_glass))
        parts = [engine.run_file(connection, path, start=start, end=end) for path in kinds()]
    rows = pa.concat_tables([part.select(AUDIT_RECORD.schema.names).cast(AUDIT_RECORD.schema) for part in parts])
    return rows.sort_by([(name, "ascending") for name in AUDIT_RECORD.order_by])


def reach(warehouse: "Warehouse", hours: Iterable[datetime]) -> set[datetime]:
    """These hours, and those whose records may change when metrics of these do: an episode is told where it began.

    Raises:
        WarehouseError: a table cannot be read.
    """
    reached = set()
    for of_date in by_date(hours):
        reached.update(of_date)
        midnight = of_date[0].replace(hour=0)
        whole = [midnight + n * HOUR for n in range(24)]
        with engine.connect(warehouse, extra=_relations(whole)) as connection:
            episodes = engine.run_file(connection, f"{KINDS}/throttling.sql", start=midnight, end=midnight + DAY)
        for episode in episodes.select(["event_hour", "ends_at"]).to_pylist():
            last = hour_of(episode["ends_at"] + BETWEEN)
            for hour in of_date:
                if episode["event_hour"] <= hour <= last:
                    # What came may have put two episodes together, of which the second began in the next hour.
                    reached |= {episode["event_hour"], hour + HOUR} if hour < last else {episode["event_hour"]}
    return reached


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records a page is of; empty: all.

    Attributes:
        kind: of these.
        table: those of the table with this name or ARN.
        actor: those of the actor with this ARN, or whose ARN ends in this.
    """

    kind: str = ""
    table: str = ""
    actor: str = ""


Place = tuple[datetime, str]
"""Where a record lies in the timeline: its time and its id."""


def page(
    connection: "DuckDBPyConnection",
    start: datetime,
    end: datetime,
    *,
    after: Place | None = None,
    limit: int = 100,
    wanted: Wanted | None = None,
) -> tuple[pa.Table, Place | None]:
    """The next records of the half-open window [start, end), by time and record id.

    Going on from each page's end gives every record of the window once, also where many are of one second, and whatever
    is rebuilt in between: a record's place is its own.

    Args:
        connection: an engine over the warehouse.
        start: of the window.
        end: of the window.
        after: where the page before ended; None: the window's start.
        limit: records of a page.
        wanted: which records alone.

    Returns:
        The rows of `sql/trail/page.sql`, and where the page ends if there are more.

    Raises:
        WarehouseError: the table cannot be read.
    """
    after = max(after, (start, "")) if after else (start, "")
    of = asdict(wanted or Wanted())
    rows: list[pa.Table] = []
    missing, span = limit + 1, HOUR
    until = after[0]
    # A page of a busy trail is found in an hour of it, that of a quiet one in ever longer spans.
    while missing and until < end:
        until = min(end, until + span)
        place = {"after_time": after[0], "after_id": after[1]}
        rows.append(engine.run_file(connection, "trail/page.sql", **place, end=until, rows=missing, **of))
        missing -= len(rows[-1])
        after, span = (until, ""), 2 * span
    found = (
        pa.concat_tables(rows)
        if rows
        else engine.run_file(connection, "trail/page.sql", after_time=start, after_id="", end=start, rows=0, **of)
    )
    if len(found) <= limit:
        return found, None
    last = found.slice(limit - 1, 1).to_pylist()[0]
    return found.slice(0, limit), (last["event_time"], last["record_id"])


def _relations(hours: Collection[datetime]) -> dict[str, pa.Table]:
    return {
        "touched_hour": pa.table({"event_hour": pa.array(sorted(hours), INSTANT)}),
        "ocsf_activity": activity_table(),
    }


def _build_together(warehouse: "Warehouse", hours: list[datetime], break_glass: Sequence[str]) -> int:
    # As a function, not as rows: when another build commits these hours first, the tables are read again, so that the
    # last commit is never the one that saw the fewest events.
    return warehouse.replace(
        AUDIT_RECORD.name, lambda _present: derive(warehouse, hours, break_glass=break_glass), hours=hours
    )
