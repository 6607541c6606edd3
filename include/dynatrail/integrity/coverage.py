"""The hour's statement: for each account, region, table and operation, whether the trail holds all of it, and why not.

Everything comes from tables that earlier steps wrote: counts held against counts (`reconciliation`), digests and log
files, sequence proofs, what the trails select, what the sources vouch for. Nothing is asked of AWS, no clock is read:
whether late data may still come is told by how far the data itself has come. The same tables give the same rows; a row
whose statement or reasons change keeps what was stated before.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import sqlalchemy as sa

from dynatrail.arns import place_of, table_arn
from dynatrail.clock import DAY, HOUR, hour_of, hours_between, parse_instant
from dynatrail.integrity import trail_doubts
from dynatrail.integrity.operations import STREAM, TABLE, operations
from dynatrail.integrity.reconcile import counted_operations
from dynatrail.integrity.trail_history import SelectorHistory, relation
from dynatrail.integrity.words import Statement
from dynatrail.sources.streams.lineage import began_at
from dynatrail.state import streams
from dynatrail.state.database import session
from dynatrail.state.models import TableKey
from dynatrail.warehouse import engine
from dynatrail.warehouse.portions import portions
from dynatrail.warehouse.schema import API_EVENT, COVERAGE, INSTANT
from dynatrail.warehouse.store import Warehouse

if TYPE_CHECKING:
    from dynatrail.settings import Settings

DELIVERED = timedelta(minutes=15)
"""What happens in an hour is delivered by this long after its end; what comes later is told by the file it is in."""

LATEST_DIGEST = timedelta(hours=4)
"""The digests of what was delivered by then end by then."""

PROVISIONAL_FOR = 7 * DAY
OPEN_FOR = 3 * DAY
"""For how long hours are stated again by themselves; later, they are when something names them."""

LEAST_HOURS, MOST_HOURS = 24, 7 * 24
TABLE_HOURS_AT_ONCE = 24_000
"""Hours are stated together as long as they and the known tables are few, which bounds memory."""

EVENTS_AT_ONCE = 200_000

_INFERRED = frozenset({"SearchVectors"})
"""No public source names these among the values of the dimension Operation: an hour without them lacks no count."""

_KNOWN_TABLE = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("account_id", "region", "table_name", "table_arn")),
        pa.field("since", INSTANT),
        pa.field("until", INSTANT),
    ]
)
_READ_STREAM = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("account_id", "region", "table_name")),
        pa.field("since", INSTANT),
    ]
)
_OPEN_GAP = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("account_id", "region", "table_name")),
        pa.field("starts_at", INSTANT),
        pa.field("ends_at", INSTANT),
    ]
)


def build(settings: "Settings", hours: Iterable[datetime]) -> int:
    """Replace the rows of `coverage` of exactly these hours by what the tables say now.

    Args:
        settings: name warehouse and state database, and after how long an hour is settled.
        hours: instants; the UTC hour of each is stated. Any order, gaps and repetitions allowed.

    Returns:
        Rows written; 0 if every hour was stated so already.

    Raises:
        WarehouseError, StateError: a table cannot be read or written. Hours before the failing ones are done.
    """
    warehouse = Warehouse.from_settings(settings)
    wanted = sorted({hour_of(hour) for hour in hours})
    if not wanted:
        return 0
    few = TABLE_HOURS_AT_ONCE // max(1, len(known_tables(warehouse)))
    step = max(LEAST_HOURS, min(MOST_HOURS, few))
    return sum(
        _build_together(settings, warehouse, portion[at : at + step])
        for portion in portions(warehouse, API_EVENT.name, wanted, rows=EVENTS_AT_ONCE)
        for at in range(0, len(portion), step)
    )


def _build_together(settings: "Settings", warehouse: Warehouse, hours: list[datetime]) -> int:
    # As a function, not as rows: where another run states these hours first, what it stated is history.
    rows, again = trail_doubts.marked(lambda present: derive(settings, warehouse, hours, present))
    written = warehouse.replace(COVERAGE.name, rows, hours=hours)
    again()
    return written


def due(warehouse: Warehouse, until: datetime) -> list[datetime]:
    """Hours before `until` that may be stated otherwise by now although nothing named them, in order.

    These are the provisional ones of the last week, and of the last days all that are not complete, and those that
    nothing was stated of, such as idle ones.
    """
    end = hour_of(until)
    wanted = (
        (pads.field("event_date") >= pa.scalar((end - PROVISIONAL_FOR).date(), pa.date32()))
        & (pads.field("event_hour") >= pa.scalar(end - PROVISIONAL_FOR, INSTANT))
        & (pads.field("event_hour") < pa.scalar(end, INSTANT))
    )
    found = warehouse.dataset(COVERAGE.name).to_table(columns=["event_hour", "statement"], filter=wanted)
    pairs = found.group_by(["event_hour", "statement"]).aggregate([]).to_pylist()
    stated = {pair["event_hour"] for pair in pairs}
    again = {
        pair["event_hour"]
        for pair in pairs
        if pair["statement"] == Statement.PROVISIONAL
        or (pair["statement"] != Statement.COMPLETE and pair["event_hour"] >= end - OPEN_FOR)
    }
    return sorted(again | {hour for hour in hours_between(end - OPEN_FOR, end) if hour not in stated})


def derive(settings: "Settings", warehouse: Warehouse, hours: Collection[datetime], present: pa.Table) -> pa.Table:
    """What is stated of these UTC hours, as rows of `coverage`; nothing is written.

    Args:
        settings: name the configuration and the state database.
        warehouse: read.
        hours: starts of UTC hours.
        present: the rows of `coverage` of these hours as they are; what they state and is no longer stated is kept.
    """
    ordered = sorted(hours)
    window = {"start": ordered[0], "end": ordered[-1] + HOUR}
    relations = {
        "touched_hour": _hours(ordered, timedelta(hours=settings.settle_hours)),
        "known_table": known_tables(warehouse),
        "counted_operation": _counted_operations(),
        "stream_operation": pa.table({"operation": pa.array(_on(STREAM), pa.string())}),
        "open_gap": _open_gaps(),
        "read_stream": _read_streams(),
        "present": present,
    }
    with engine.connect(warehouse, extra=relations) as connection:

        def step(name: str, path: str, **parameters: object) -> pa.Table:
            rows = engine.run_file(connection, path, **parameters)
            connection.register(name, rows)
            return rows

        step("watermark", "coverage/watermarks.sql")
        step("call", "coverage/calls.sql", **window)
        rows = step("row_to_state", "coverage/rows_to_state.sql", **window)
        connection.register("place", rows.group_by(["account_id", "region"]).aggregate([]))
        connection.register("selection", _selection(settings, rows, ordered))
        step("place_hour", "coverage/places.sql", **window, until=ordered[-1] + HOUR + LATEST_DIGEST)
        step("fact", "coverage/facts.sql", **window)
        step("stated", "coverage/statements.sql")
        return engine.run_file(connection, "coverage/with_history.sql")


def known_tables(warehouse: Warehouse) -> pa.Table:
    """Tables that snapshots of the configuration or calls showed, and between which instants they were there.

    Columns: account_id, region, table_name, table_arn, since, until (UTC; NULL: not known, or it is still there).
    """
    rows: dict[str, dict[str, Any]] = {}
    seen = warehouse.dataset("table_config").to_table(
        columns=["resource_arn", "captured_at", "status", "document"],
        filter=(pads.field("aspect") == "DescribeTable"),
    )
    for one in seen.sort_by([("resource_arn", "ascending"), ("captured_at", "ascending")]).to_pylist():
        row = rows.setdefault(one["resource_arn"], _place(one["resource_arn"]) | {"since": None, "until": None})
        if one["status"] == "gone":
            row["until"] = one["captured_at"]
        elif one["document"] is not None:
            row["until"] = None
            created = _created(one["document"])
            # A table that was made anew under its name: it was there since the first one.
            row["since"] = min(row["since"], created) if row["since"] and created else row["since"] or created
    with session() as opened:
        for arn in opened.scalars(sa.select(TableKey.table_arn).distinct().order_by(TableKey.table_arn)):
            rows.setdefault(arn, _place(arn) | {"since": None, "until": None})
    return pa.Table.from_pylist([rows[arn] for arn in sorted(rows)], _KNOWN_TABLE)


def _selection(settings: "Settings", rows: pa.Table, hours: list[datetime]) -> pa.Table:
    """What the trails select of every operation on tables, and of the active ones, of each table to be stated."""
    place = rows.group_by(["account_id", "region", "table_name"]).aggregate([("table_arn", "max")]).to_pylist()
    arns = [one["table_arn_max"] or table_arn(one["account_id"], one["region"], one["table_name"]) for one in place]
    active = set(pc.unique(rows["operation"]).to_pylist()) - {"*"}
    history = SelectorHistory.load(settings, hours[0], hours[-1] + HOUR)
    return relation(history, sorted(arns), sorted(active.union(_on(TABLE))), hours)


def _counted_operations() -> pa.Table:
    """Operations on a table whose calls CloudWatch is known to count."""
    counted = counted_operations()
    uncounted = pa.array(sorted(_INFERRED.union(_on(STREAM))), pa.string())
    return counted.filter(pc.invert(pc.is_in(counted["operation"], uncounted)))


def _on(resource: str) -> list[str]:
    """Names of the data operations on tables, or on their streams."""
    return sorted(name for name, one in operations().items() if any(call.resource == resource for call in one.calls))


def _created(document: str) -> datetime | None:
    said = msgspec.json.decode(document)
    created = (said.get("Table") or said).get("CreationDateTime")
    return parse_instant(created) if isinstance(created, str) else None


def _place(arn: str) -> dict[str, Any]:
    account, region, name = place_of(arn)
    return {"account_id": account, "region": region, "table_name": name, "table_arn": arn}


def _open_gaps() -> pa.Table:
    rows = [
        {**_place(gap.table_arn), "starts_at": start, "ends_at": end}
        for gap in streams.gaps(unrepaired=True)
        for start, end in _spans(gap.remaining, (gap.starts_at, gap.ends_at))
    ]
    return pa.Table.from_pylist(rows, _OPEN_GAP)


def _read_streams() -> pa.Table:
    """Tables of which a stream is read, and since when the oldest such stream has been there; NULL: not known."""
    since: dict[str, datetime | None] = {}
    for arn, stream in sorted({(row.table_arn, row.stream_arn) for row in streams.shards()}):
        began = began_at(stream)
        known = since.get(arn, began)
        since[arn] = min(known, began) if known and began else None
    return pa.Table.from_pylist([{**_place(arn), "since": began} for arn, began in since.items()], _READ_STREAM)


def _spans(remaining: list[str] | None, whole: tuple[datetime, datetime]) -> Iterator[tuple[datetime, datetime]]:
    if not remaining:
        yield whole
    for span in remaining or ():
        start, _, end = span.partition("/")
        yield parse_instant(start), parse_instant(end)


def _hours(hours: list[datetime], settle: timedelta) -> pa.Table:
    ends = [hour + HOUR for hour in hours]
    columns = {
        "event_hour": hours,
        "hour_end": ends,
        "delivered_until": [end + DELIVERED for end in ends],
        "settled_at": [end + settle for end in ends],
    }
    return pa.table({name: pa.array(values, INSTANT) for name, values in columns.items()})
