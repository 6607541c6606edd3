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
import pyarrow.dataset as pads
import sqlalchemy as sa

from dynatrail.clock import DAY, HOUR, hour_of, parse_instant
from dynatrail.integrity.words import Statement
from dynatrail.state import streams
from dynatrail.state.database import session
from dynatrail.state.models import TableKey
from dynatrail.warehouse import engine
from dynatrail.warehouse.portions import portions
from dynatrail.warehouse.schema import API_EVENT, COVERAGE, INSTANT, NAMES
from dynatrail.warehouse.store import Warehouse

if TYPE_CHECKING:
    import duckdb

    from dynatrail.settings import Settings

DELIVERED = timedelta(minutes=15)
"""What happens in an hour is delivered by this long after its end; what comes later is told by the file it is in."""

LATEST_DIGEST = timedelta(hours=4)
"""The digests of what was delivered by then end by then."""

HOURS_AT_ONCE = 24
EVENTS_AT_ONCE = 200_000

COUNTED = (
    "BatchExecuteStatement",
    "BatchGetItem",
    "BatchWriteItem",
    "DeleteItem",
    "ExecuteStatement",
    "ExecuteTransaction",
    "GetItem",
    "PutItem",
    "Query",
    "Scan",
    "TransactGetItems",
    "TransactWriteItems",
    "UpdateItem",
)
"""Operations that CloudWatch counts for a table (SuccessfulRequestLatency; "DynamoDB Metrics and dimensions")."""

SELECTION = pa.schema(
    [
        pa.field("account_id", pa.string()),
        pa.field("region", pa.string()),
        pa.field("table_name", pa.string()),
        pa.field("operation", pa.string()),
        pa.field("event_hour", INSTANT),
        pa.field("selection", pa.string()),
        pa.field("excluded", NAMES),
    ]
)
_KNOWN_TABLE = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("account_id", "region", "table_name", "table_arn")),
        pa.field("since", INSTANT),
        pa.field("until", INSTANT),
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
    written = 0
    for portion in portions(warehouse, API_EVENT.name, wanted, rows=EVENTS_AT_ONCE):
        for at in range(0, len(portion), HOURS_AT_ONCE):
            written += _build_together(settings, warehouse, portion[at : at + HOURS_AT_ONCE])
    return written


def _build_together(settings: "Settings", warehouse: Warehouse, hours: list[datetime]) -> int:
    # As a function, not as rows: where another run states these hours first, what it stated is history.
    return warehouse.replace(
        COVERAGE.name, lambda present: with_history(present, derive(settings, warehouse, hours)), hours=hours
    )


def unsettled(warehouse: Warehouse, until: datetime, *, days: int = 7) -> list[datetime]:
    """Hours of the last days that are stated as provisional, in order: more data may settle them."""
    wanted = (
        (pads.field("event_date") >= pa.scalar((until - days * DAY).date(), pa.date32()))
        & (pads.field("event_hour") >= pa.scalar(until - days * DAY, INSTANT))
        & (pads.field("event_hour") < pa.scalar(until, INSTANT))
        & (pads.field("statement") == Statement.PROVISIONAL.value)
    )
    found = warehouse.dataset(COVERAGE.name).to_table(columns=["event_hour"], filter=wanted)
    return sorted(set(found["event_hour"].to_pylist()))


def derive(settings: "Settings", warehouse: Warehouse, hours: Collection[datetime]) -> pa.Table:
    """What is stated of these UTC hours, as rows of `coverage` without what was stated before; nothing is written."""
    ordered = sorted(hours)
    window = {"start": ordered[0], "end": ordered[-1] + HOUR}
    relations = {
        "touched_hour": _hours(ordered, timedelta(hours=settings.settle_hours)),
        "known_table": known_tables(warehouse),
        "counted_operation": pa.table({"operation": pa.array(COUNTED, pa.string())}),
        "open_gap": _open_gaps(),
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
        connection.register("selection", _selection(settings, connection, rows, ordered))
        step("place_hour", "coverage/places.sql", **window, until=ordered[-1] + HOUR + LATEST_DIGEST)
        step("fact", "coverage/facts.sql", **window)
        stated = engine.run_file(connection, "coverage/statements.sql")
    history = pa.nulls(len(stated), COVERAGE.schema.field("earlier_statements").type)
    return stated.append_column("earlier_statements", history)


def with_history(present: pa.Table, stated: pa.Table) -> pa.Table:
    """`stated` with what `present` rows stated before: one entry more where statement or reasons differ now."""
    if not len(present):
        return stated
    key = ["account_id", "region", "table_name", "operation", "event_hour"]
    said = ["statement", "reasons"]
    before = {
        tuple(row[name] for name in key): row for row in present.select([*key, *said, "earlier_statements"]).to_pylist()
    }
    history: list[list[str] | None] = []
    for row in stated.select([*key, *said]).to_pylist():
        old = before.get(tuple(row[name] for name in key))
        earlier = old["earlier_statements"] if old else None
        if old and any(old[name] != row[name] for name in said):
            earlier = [*(earlier or ()), _told(old)]
        history.append(earlier)
    at = stated.schema.get_field_index("earlier_statements")
    return stated.set_column(at, "earlier_statements", pa.array(history, NAMES))


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


def _selection(
    settings: "Settings", connection: "duckdb.DuckDBPyConnection", rows: pa.Table, hours: list[datetime]
) -> pa.Table:
    """What the trails select of every operation that is counted or active, of every table that is to be stated."""
    return SELECTION.empty_table()


def _created(document: str) -> datetime | None:
    said = msgspec.json.decode(document)
    created = (said.get("Table") or said).get("CreationDateTime")
    return parse_instant(created) if isinstance(created, str) else None


def _place(arn: str) -> dict[str, Any]:
    _, _, _, region, account, resource = arn.split(":", 5)
    return {"account_id": account, "region": region, "table_name": resource.partition("/")[2], "table_arn": arn}


def _open_gaps() -> pa.Table:
    rows = [
        {**_place(gap.table_arn), "starts_at": start, "ends_at": end}
        for gap in streams.gaps(unrepaired=True)
        for start, end in _spans(gap.remaining, (gap.starts_at, gap.ends_at))
    ]
    return pa.Table.from_pylist(rows, _OPEN_GAP)


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


def _told(row: dict[str, Any]) -> str:
    return f"{row['statement']}: {'; '.join(row['reasons'])}" if row["reasons"] else str(row["statement"])
