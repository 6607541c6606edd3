"""Rebuilds the unified timeline, `audit_record`, for the hours that someone touched."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from dynatrail.clock import HOUR, by_date
from dynatrail.trail.ocsf import activity_table
from dynatrail.warehouse import engine
from dynatrail.warehouse.portions import portions
from dynatrail.warehouse.schema import API_EVENT, AUDIT_RECORD, INSTANT

if TYPE_CHECKING:
    from dynatrail.warehouse.store import Warehouse

QUERY = "trail/audit_record.sql"

EVENTS_AT_ONCE = 200_000
"""Hours of one date are rebuilt together up to about this many events, which bounds memory; an hour is never cut."""


def build(warehouse: "Warehouse", hours: Iterable[datetime]) -> int:
    """Replace the rows of `audit_record` of exactly these hours by what `api_event` and `api_event_item` say now.

    Hours of one date share a commit while their events are few; hours that come out as they were are not committed.

    Args:
        warehouse: read and written.
        hours: instants; the UTC hour of each is rebuilt. Any order, gaps and repetitions allowed.

    Returns:
        Rows written; 0 if every hour already held exactly these rows.

    Raises:
        WarehouseError: a table cannot be read or written. Hours before the failing ones are done; run again.
    """
    return sum(
        _build_together(warehouse, together)
        for of_date in by_date(hours)
        for together in portions(warehouse, API_EVENT.name, of_date, rows=EVENTS_AT_ONCE)
    )


def derive(warehouse: "Warehouse", hours: Collection[datetime]) -> pa.Table:
    """The rows of `audit_record` for these UTC hours, computed and not written; sorted by time and record id."""
    relations = {
        "touched_hour": pa.table({"event_hour": pa.array(sorted(hours), INSTANT)}),
        "ocsf_activity": activity_table(),
    }
    with engine.connect(warehouse, extra=relations) as connection:
        rows = engine.run_file(connection, QUERY, start=min(hours), end=max(hours) + HOUR)
    return rows.cast(AUDIT_RECORD.schema)


def _build_together(warehouse: "Warehouse", hours: list[datetime]) -> int:
    # As a function, not as rows: when another build commits these hours first, the events are read again, so that the
    # last commit is never the one that saw the fewest events.
    return warehouse.replace(AUDIT_RECORD.name, lambda _present: derive(warehouse, hours), hours=hours)
