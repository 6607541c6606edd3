"""Write what a window's spool holds, hour by hour, and then state what CloudWatch can say of each hour."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.sources.cloudwatch.merge import merge_alarms, merge_metrics, union
from dynatrail.sources.cloudwatch.reading import PIECE_OF, SOURCE, Reading, source_uri
from dynatrail.state import pending
from dynatrail.state.database import session
from dynatrail.warehouse.schema import ALARM_EVENT, LOG_EVENT, METRIC, QUARANTINE, SOURCE_STATEMENT, TABLES, Table
from dynatrail.warehouse.store import Warehouse

ANNOUNCE = "announce_metric"
"""Stage of `state.pending` under which hours wait for the event of the asset `metric`."""

_Merge = Callable[[pa.Table, pa.Table, list[datetime]], pa.Table]


def write(warehouse: Warehouse, read: Reading) -> None:
    """Write rows, then quarantine, then statements: whoever finds a statement finds what it speaks of.

    Raises:
        WarehouseError: a table cannot be written; the next run writes all of it again.
    """
    held: Counter[datetime] = Counter()
    # Before the rows: a crash in between announces hours that did not change, never the other way round.
    _mark(read)

    def merge(present: pa.Table, came: pa.Table, hours: list[datetime]) -> pa.Table:
        return merge_metrics(present, came, {rule for rule in read.reported if rule[2] in hours})

    _write(warehouse, read, METRIC, held, merge)
    _write(warehouse, read, ALARM_EVENT, held, lambda present, came, _: merge_alarms(present, came))
    _write(warehouse, read, LOG_EVENT, held, lambda present, came, _: union(present, came, LOG_EVENT))
    _quarantine(warehouse, read)
    _state(warehouse, read, held)
    # And after them: a stage that ran in between took hours for done whose rows it had not seen.
    _mark(read)


def _mark(read: Reading) -> None:
    of_metrics = read.spool.hours(METRIC)
    with session() as opened:
        for stage in (ANNOUNCE, pending.PROVE):
            pending.mark(opened, stage, of_metrics)
        pending.mark(opened, pending.TIMELINE, {*_throttled(read), *read.spool.hours(ALARM_EVENT)})


def _throttled(read: Reading) -> set[datetime]:
    """The hours that got counts of throttled requests: of all metrics those alone are in the timeline."""
    found: set[datetime] = set()
    for hours in read.spool.portions(METRIC, read.spool.hours(METRIC)):
        came = read.spool.read(METRIC, hours)
        found.update(came.filter(pc.match_substring(came["metric_name"], "Throttle"))["event_hour"].to_pylist())
    return found


def _write(warehouse: Warehouse, read: Reading, table: Table, held: Counter[datetime], merge: _Merge) -> None:
    where = {"account_id": read.target.account_id, "region": read.target.region}
    for hours in read.spool.portions(table, read.hours):
        came = read.spool.read(table, hours)
        counted: Counter[datetime] = Counter()

        def merged(present: pa.Table) -> pa.Table:
            rows = merge(present, came, hours)  # noqa: B023  called before the loop goes on
            counted.clear()  # noqa: B023
            for entry in pc.value_counts(rows["event_hour"]).to_pylist():
                counted[entry["values"]] = entry["counts"]  # noqa: B023
            return rows

        warehouse.replace(table.name, merged, hours=hours, where=where)
        held.update(counted)


def _quarantine(warehouse: Warehouse, read: Reading) -> None:
    rejected = pa.Table.from_pylist(read.rejected, QUARANTINE.schema)
    whole = [source_uri(read.target, TABLES[name]) for name, piece in PIECE_OF.items() if read.report.whole(piece)]
    gone = pa.array(whole, pa.string())

    def merge(present: pa.Table) -> pa.Table:
        kept = present.filter(pc.invert(pc.is_in(present["source_uri"], value_set=gone)))
        return union(kept, rejected, QUARANTINE)

    where = {"account_id": read.target.account_id, "region": read.target.region}
    warehouse.replace("quarantine", merge, hours=read.hours, where=where)


def _state(warehouse: Warehouse, read: Reading, held: Counter[datetime]) -> None:
    where = {"account_id": read.target.account_id, "region": read.target.region, "source": SOURCE}

    def states(present: pa.Table) -> pa.Table:
        before = {row["event_hour"]: (row["status"], row["reasons"] or []) for row in present.to_pylist()}
        rows: list[dict[str, Any]] = []
        for hour in read.hours:
            status, reasons = read.report.statement(hour, before.get(hour))
            rows.append(
                {
                    **where,
                    "event_hour": hour,
                    "event_date": hour.date(),
                    "table_name": None,
                    "status": status,
                    "reasons": reasons,
                    "records": held[hour],
                }
            )
        return pa.Table.from_pylist(rows, SOURCE_STATEMENT.schema)

    warehouse.replace("source_statement", states, hours=read.hours, where=where)
