"""Hold the trail's counts against independent ones, hour by hour: writes `reconciliation`.

SQL counts and lays the two sides beside each other (`sql/reconcile/`); what differs is settled here, one hour of one
series at a time with an hour before and after, so that an hour's rows do not depend on which others are done with it.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail import config
from dynatrail.arns import table_arn
from dynatrail.clock import HOUR, by_date, hours_between
from dynatrail.config import Account, Target
from dynatrail.integrity.calibration import Span, Tolerances, settle, tolerances
from dynatrail.integrity.trail_history import SelectorHistory, relation
from dynatrail.sources.cloudwatch import catalogue
from dynatrail.warehouse import engine, sqlfiles
from dynatrail.warehouse.schema import INSTANT, RECONCILIATION
from dynatrail.warehouse.store import Warehouse

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from dynatrail.settings import Settings

MARGIN = 3 * HOUR
"""What is read on both sides of an hour: as far as spans make up for each other."""

COUNTED = pa.schema(
    [
        ("bin_start", INSTANT),
        ("bin_s", pa.int32()),
        ("account_id", pa.string()),
        ("region", pa.string()),
        ("table_name", pa.string()),
        ("operation", pa.string()),
        ("measure", pa.string()),
        ("trail_count", pa.int64()),
        ("witness_count", pa.float64()),
        ("reason_code", pa.string()),
        ("uncertain_count", pa.int64()),
    ]
)
"""What the files of `sql/reconcile/measures/` give; the last column may be left out."""

_SERIES = ("account_id", "region", "table_name", "operation", "measure")
_CHOSEN = pa.schema(
    [*((name, pa.string()) for name in _SERIES[:4]), ("event_hour", INSTANT), ("selection", pa.string())]
)
_NOTHING = 1e-6


def run(settings: "Settings", hours: Iterable[datetime]) -> int:
    """Replace the rows of `reconciliation` of exactly these hours by what the tables say now.

    Hours of one day share a commit; days are done in order, as the history of a day is the days before it.

    Args:
        settings: name the warehouse, and through the configuration the tables that are watched.
        hours: instants; the UTC hour of each is done. Any order, gaps and repetitions allowed.

    Returns:
        Rows written; 0 if every hour already held exactly these rows.

    Raises:
        SettingsError: `include/reconcile/tolerances.yaml` or the configuration is wrong.
        WarehouseError: a table cannot be read or written. Days before the failing one are done; run again.
    """
    warehouse = Warehouse.from_settings(settings)
    written = 0
    for day in by_date(hours):
        # As a function, not as rows: when another run commits these hours first, everything is read again.
        def derived(_present: pa.Table, day: list[datetime] = day) -> pa.Table:
            return derive(settings, warehouse, day)

        written += warehouse.replace(RECONCILIATION.name, derived, hours=day)
    return written


def derive(settings: "Settings", warehouse: Warehouse, hours: Collection[datetime]) -> pa.Table:
    """The rows of `reconciliation` for these hours of one UTC day, computed and not written."""
    allowed = tolerances()
    start, end = min(hours) - MARGIN, max(hours) + HOUR + MARGIN
    midnight = min(hours).replace(hour=0)
    with engine.connect(warehouse, extra={"counted_operation": counted_operations()}) as connection:
        counted = count(connection, start, end)
        expected = engine.run_file(
            connection,
            "reconcile/expected.sql",
            since=midnight - timedelta(days=allowed.history_days),
            until=midnight,
        )
        read = engine.run_file(connection, "reconcile/metrics_read.sql", start=start, end=end)
    relations = {
        "counted": counted,
        "metrics_read": read,
        "expected": expected,
        "measure": _measures(allowed),
        "selection": selections(settings, counted, start, end),
        "accepted": _accepted(allowed),
        "unwatched": _unwatched(settings, counted),
        "tells_only": pa.table({"reason_code": pa.array(allowed.tells_only, pa.string())}),
    }
    with engine.connect(warehouse, extra=relations) as connection:
        spans = engine.run_file(connection, "reconcile/spans.sql", least=allowed.least_samples)
    return _judged(spans, sorted(hours), allowed, _Unread(read, list(hours_between(start, end))))


def count(connection: "DuckDBPyConnection", start: datetime, end: datetime) -> pa.Table:
    """What every file of `sql/reconcile/measures/` counts in [start, end), full hours."""
    found = []
    for path in sorted((sqlfiles.SQL / "reconcile" / "measures").glob("*.sql")):
        rows = engine.run_file(connection, path.relative_to(sqlfiles.SQL), start=start, end=end)
        columns = [
            rows[field.name].cast(field.type) if field.name in rows.column_names else pa.nulls(len(rows), field.type)
            for field in COUNTED
        ]
        found.append(pa.table(columns, schema=COUNTED))
    return pa.concat_tables(found)


def counted_operations() -> pa.Table:
    """The operations of which CloudWatch counts calls, as `include/metrics/dynamodb.yaml` asks for them."""
    named: set[str] = set()
    for entry in catalogue.load().metrics:
        operation = entry.dimensions.get("Operation")
        if entry.metric == "SuccessfulRequestLatency" and operation is not None:
            named |= {operation} if isinstance(operation, str) else set(operation)
    return pa.table({"operation": pa.array(sorted(named), pa.string())})


def selections(settings: "Settings", counted: pa.Table, start: datetime, end: datetime) -> pa.Table:
    """What the trails select of what was counted, by table, operation and hour."""
    of_tables = counted.filter(pc.and_(pc.is_valid(counted["table_name"]), pc.is_valid(counted["operation"])))
    places = of_tables.select(["account_id", "region", "table_name"]).group_by(["account_id", "region", "table_name"])
    arns = sorted(table_arn(**row) for row in places.aggregate([]).to_pylist())
    if not arns:
        return _CHOSEN.empty_table()
    history = SelectorHistory.load(settings, start, end)
    operations = sorted(pc.unique(of_tables["operation"]).to_pylist())
    chosen = relation(history, arns, operations, list(hours_between(start, end)))
    return pa.table([chosen[field.name].cast(field.type) for field in _CHOSEN], schema=_CHOSEN)


def _measures(allowed: Tolerances) -> pa.Table:
    return pa.table(
        {
            "measure": list(allowed.measures),
            "from_cloudwatch": [measure.witness == "cloudwatch" for measure in allowed.measures.values()],
            "calibrated": [measure.calibrated for measure in allowed.measures.values()],
            "one_sided": [measure.one_sided for measure in allowed.measures.values()],
        }
    )


def _accepted(allowed: Tolerances) -> pa.Table:
    texts = {
        name: pa.array([getattr(one, name) for one in allowed.accepted], pa.string())
        for name in ("account_id", "region", "table_name", "operation")
    }
    return pa.table(
        texts
        | {
            "starts_at": pa.array([one.since for one in allowed.accepted], INSTANT),
            "ends_at": pa.array([one.until for one in allowed.accepted], INSTANT),
            "ratio": pa.array([one.ratio for one in allowed.accepted], pa.float64()),
        }
    )


def _unwatched(settings: "Settings", counted: pa.Table) -> pa.Table:
    """Tables about which CloudWatch was not asked: the configuration leaves them out by name, or by tags it may."""
    accounts = {account.id: account for account in config.load(settings).accounts}
    places = ["account_id", "region", "table_name"]
    witnessed = counted.filter(pc.is_valid(counted["witness_count"])).select(places)
    known = {tuple(row.values()) for row in witnessed.group_by(places).aggregate([]).to_pylist()}
    rows = [
        row
        for row in counted.select(places).group_by(places).aggregate([]).to_pylist()
        if row["table_name"] is not None and not _is_watched(accounts, row, known)
    ]
    return pa.Table.from_pylist(rows, pa.schema([COUNTED.field(name) for name in places]))


def _is_watched(accounts: dict[str, Account], row: dict[str, str], known: set[tuple[str, ...]]) -> bool:
    account = accounts.get(row["account_id"])
    if account is None:  # without a configuration every table is; another account has no statement anyway
        return True
    if not Target(account, row["region"]).wants(row["table_name"]):
        return False
    return not account.tags or tuple(row.values()) in known


class _Unread:
    """Which of some hours extract_cloudwatch did not read, by account and region."""

    def __init__(self, read: pa.Table, hours: list[datetime]) -> None:
        self._hours = frozenset(hours)
        self._read: dict[tuple[str, str], set[datetime]] = {}
        for row in read.to_pylist():
            self._read.setdefault((row["account_id"], row["region"]), set()).add(row["event_hour"])

    def of(self, account_id: str, region: str) -> frozenset[datetime]:
        return self._hours - self._read.get((account_id, region), set())


def _judged(spans: pa.Table, hours: list[datetime], allowed: Tolerances, unread: _Unread) -> pa.Table:
    wanted = pc.is_in(spans["event_hour"], value_set=pa.array(hours, INSTANT))
    quiet = spans.filter(pc.and_(wanted, pc.invert(spans["differs"])))
    rows = [_row(row, 0.0, 0) for row in quiet.to_pylist()]
    loud = spans.filter(spans["differs"]).to_pylist()
    for _, series in groupby(loud, key=lambda row: tuple(row[name] for name in _SERIES)):
        rows += _of_series(list(series), hours, allowed, unread)
    return pa.Table.from_pylist(rows, RECONCILIATION.schema)


def _of_series(
    series: list[dict[str, Any]], hours: list[datetime], allowed: Tolerances, unread: _Unread
) -> Iterator[dict[str, Any]]:
    dark = unread.of(series[0]["account_id"], series[0]["region"]) if series[0]["from_cloudwatch"] else frozenset()
    for hour in hours:
        around = [row for row in series if hour - MARGIN <= row["event_hour"] <= hour + MARGIN]
        left = settle([_span(row) for row in around], allowed.reach_spans, dark)
        own = [(row, rest) for row, rest in zip(around, left, strict=True) if row["event_hour"] == hour]
        whole = (
            _side([rest for _, rest in own], sum(row["expected_count"] for row, _ in own), own[0][0]["spread"], allowed)
            if own
            else 0
        )
        for row, rest in own:
            side = _side([rest], row["expected_count"], row["spread"], allowed)
            # Many little differences of one direction are a great one of the hour.
            if not side and whole * rest > 0:
                side = whole
            yield _row(row, rest, side)


def _side(differences: list[float], expected: float, spread: float | None, allowed: Tolerances) -> int:
    """1 if more is missing than is tolerated, -1 if too much is there, else 0."""
    tolerated = allowed.of(expected, spread) + _NOTHING
    if sum(rest for rest in differences if rest > 0) > tolerated:
        return 1
    return -1 if -sum(rest for rest in differences if rest < 0) > tolerated else 0


def _span(row: dict[str, Any]) -> Span:
    return Span(
        starts_at=row["bin_start"],
        ends_at=row["bin_start"] + timedelta(seconds=row["bin_s"]),
        difference=row["difference"],
        trail_count=row["trail_count"] or 0,
        is_known=row["is_comparable"] and row["is_read"],
    )


def _row(row: dict[str, Any], rest: float, side: int) -> dict[str, Any]:
    verdict, reason_code = _verdict(row, side)
    trail, witness = row["trail_count"], row["witness_count"]
    return {
        "bin_start": row["bin_start"],
        "bin_s": row["bin_s"],
        "event_hour": row["event_hour"],
        "event_date": row["event_hour"].date(),
        **{name: row[name] for name in _SERIES},
        "trail_count": trail,
        "witness_count": witness,
        "ratio": trail / witness if witness and trail is not None else None,
        "expected_ratio": row["expected_ratio"],
        "spread": row["spread"],
        "samples": row["samples"],
        "verdict": verdict,
        "difference": {"not_comparable": None, "agrees": 0.0}.get(verdict, rest),
        "reason_code": reason_code,
    }


def _verdict(row: dict[str, Any], side: int) -> tuple[str, str | None]:
    code = row["reason_code"]
    if not row["is_comparable"]:
        return "not_comparable", code or "metrics_incomplete"
    if side and row["is_blocked"]:
        return "not_comparable", code
    # What a witness counted at least is more than the trail holds, whatever else it counted.
    if side > 0:
        return "missing", code or row["known_cause"]
    if not row["is_read"]:
        return "not_comparable", "metrics_incomplete"
    return ("extra" if side else "agrees"), code
