"""What must be looked at of counts: calls that CloudWatch counted and the trail lacks, and the other way round.

One finding a table and run of hours that follow one another. What another finding explains is left out: calls that the
trails' selectors left out, and hours whose log files or digests are known to be lost. A finding lies in the hour in
which its run began, so more hours than those asked for are written: the runs that they lie in or border on.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as pads

from dynatrail.arns import table_arn
from dynatrail.clock import HOUR, hour_of, iso
from dynatrail.integrity import findings, unexplained
from dynatrail.integrity.calibration import tolerances
from dynatrail.integrity.findings import HIGH, LOW, Finding, runs
from dynatrail.integrity.trail_history import SelectorHistory, relation
from dynatrail.integrity.words import Selection
from dynatrail.warehouse import engine
from dynatrail.warehouse.store import Warehouse

if TYPE_CHECKING:
    from dynatrail.settings import Settings

PRODUCER = "reconcile"
SHORTFALL, SURPLUS = "completeness.count_shortfall", "completeness.count_surplus"

LONGEST = timedelta(days=31)
"""How far before and after the asked hours one run is followed."""

_NAMED_HOURS = 100


@dataclass(frozen=True, slots=True)
class Run:
    """Hours of one table that follow one another and all lack calls, or all have too many.

    Attributes:
        rows: of `sql/reconcile/shortfalls.sql`, by hour and operation.
    """

    account_id: str
    region: str
    table_name: str
    rows: list[dict[str, Any]]

    @property
    def start(self) -> datetime:
        start: datetime = self.rows[0]["event_hour"]
        return start

    @property
    def end(self) -> datetime:
        end: datetime = self.rows[-1]["event_hour"]
        return end + HOUR

    @property
    def operations(self) -> list[str]:
        return sorted({row["operation"] for row in self.rows})

    def total(self, column: str) -> int:
        total: float = sum(row[column] or 0 for row in self.rows)  # NULL: that side counted nothing
        return round(total)


def find(settings: "Settings", hours: Collection[datetime], *, until: datetime | None = None) -> int:
    """Write the findings of these hours, from `reconciliation` as it is now.

    Args:
        settings: name the warehouse and the trails.
        hours: instants; the UTC hours that were reconciled.
        until: the instant up to which a run speaks. Hours that ended less than `settled_after_s` (see
            `include/reconcile/tolerances.yaml`) before it may still get events or datapoints, and have no finding yet,
            but where trail and metrics themselves have come further: looking at the past again takes no later finding
            away. None: all are settled.

    Returns:
        Findings that there are in the hours that were looked at.

    Raises:
        SettingsError: the configuration or the tolerances are wrong.
        WarehouseError: a table cannot be read or written.
    """
    if not hours:
        return 0
    warehouse = Warehouse.from_settings(settings)
    asked = {hour_of(hour) for hour in hours}
    rows = differing(settings, warehouse, asked, until)
    short = list(_runs(rows, lambda row: row["missing"] > 0))
    beyond = list(_runs(rows, lambda row: row["extra"] > 0))
    looked_at = _looked_at(asked, [*short, *beyond])
    found = [_shortfall(run) for run in short] + [_surplus(run) for run in beyond]
    found = [one for one in found if one.event_time in looked_at]
    places = {(one.account_id, one.region) for one in found} | _places(warehouse, looked_at)
    for account, region in sorted(places):
        own = [one for one in found if (one.account_id, one.region) == (account, region)]
        findings.write(warehouse, PRODUCER, account, region, looked_at, own)
    return len(found)


def differing(
    settings: "Settings", warehouse: Warehouse, hours: Collection[datetime], until: datetime | None
) -> list[dict[str, Any]]:
    """Rows of `sql/reconcile/shortfalls.sql` around `hours` that are settled and that no other finding explains."""
    start, end = min(hours) - LONGEST, max(hours) + HOUR + LONGEST
    with engine.connect(warehouse) as connection:
        settled = _settled(warehouse, min(hours), until)
        rows: list[dict[str, Any]] = engine.run_file(
            connection, "reconcile/shortfalls.sql", start=start, end=end
        ).to_pylist()
        rows = [row for row in rows if row["event_hour"] < settled(row)]
        if not rows:
            return []
        lost = engine.run_file(connection, "reconcile/lost_files.sql", start=start, end=end).to_pylist()
    gone = {(row["account_id"], row["region"], row["event_hour"]) for row in lost}
    chosen = _chosen(settings, rows)
    for row in rows:
        if (row["account_id"], row["region"], row["event_hour"]) in gone or _is_left_out(row, chosen):
            row["missing"] = 0.0
    return rows


def _settled(warehouse: Warehouse, since: datetime, until: datetime | None) -> Callable[[dict[str, Any]], datetime]:
    """The hour from which on a row's account and region may still get events or datapoints."""
    if until is None:
        return lambda _: datetime.max.replace(tzinfo=UTC)
    trail = unexplained.told_until(warehouse, since)
    wanted = (
        (pads.field("event_date") >= pa.scalar(since.date(), pa.date32()))
        & (pads.field("source") == "cloudwatch")
        & pads.field("table_name").is_null()
        & (pads.field("status") != "not_assessable")
    )
    said = warehouse.dataset("source_statement").to_table(columns=["account_id", "region", "event_hour"], filter=wanted)
    newest = said.group_by(["account_id", "region"]).aggregate([("event_hour", "max")]).to_pylist()
    told = {
        place: min(trail[place], row["event_hour_max"] + HOUR)
        for row in newest
        if (place := (row["account_id"], row["region"])) in trail
    }
    patience = timedelta(seconds=tolerances().settled_after_s)
    return lambda row: hour_of(max(until, told.get((row["account_id"], row["region"]), until)) - patience)


def _chosen(settings: "Settings", rows: list[dict[str, Any]]) -> dict[tuple[str, ...], str]:
    short = [row for row in rows if row["missing"] > 0]
    if not short:
        return {}
    hours = sorted({row["event_hour"] for row in short})
    arns = sorted({_arn(row) for row in short})
    history = SelectorHistory.load(settings, hours[0], hours[-1] + HOUR)
    found: pa.Table = relation(history, arns, sorted({row["operation"] for row in short}), hours)
    return {_place(row): row["selection"] for row in found.to_pylist()}


def _is_left_out(row: dict[str, Any], chosen: dict[tuple[str, ...], str]) -> bool:
    selection = chosen.get(_place(row), Selection.UNKNOWN)
    if selection == Selection.UNKNOWN:
        # Whoever may not be asked what a trail selects does not get away with it: what was recorded before is selected.
        return (row["samples"] or 0) < tolerances().least_samples
    return selection != Selection.FULL


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("account_id", "region", "table_name", "operation", "event_hour"))


def _arn(row: dict[str, Any]) -> str:
    return table_arn(row["account_id"], row["region"], row["table_name"])


def _runs(rows: Iterable[dict[str, Any]], differs: Callable[[dict[str, Any]], bool]) -> Iterator[Run]:
    kept = (row for row in rows if differs(row))
    for place, of_table in groupby(kept, key=lambda row: (row["account_id"], row["region"], row["table_name"])):
        for run in runs(of_table, lambda before, row: row["event_hour"] <= before["event_hour"] + HOUR):
            yield Run(*place, run)


def _looked_at(asked: set[datetime], found: Iterable[Run]) -> set[datetime]:
    """The asked hours, and those in which a finding about them lies now or may have lain before."""
    looked_at = set(asked)
    for run in found:
        own = {row["event_hour"] for row in run.rows}
        if any(hour in own or hour - HOUR in own or hour + HOUR in own for hour in asked):
            looked_at |= own | {run.start, run.end}
    return looked_at


def _shortfall(run: Run) -> Finding:
    missing, witness, trail = run.total("missing"), run.total("witness_count"), run.total("trail_count")
    return _finding(
        run,
        SHORTFALL,
        HIGH,
        how_many=missing,
        title=f"{_number(missing)} of {_calls(witness, run)} not in the trail",
        explanation=(
            f"From {iso(run.start)} to {iso(run.end)} CloudWatch counted {_number(witness)} successful calls "
            f"({_by_operation(run, 'missing', 'missing')}); the trail of {run.account_id} in {run.region} holds "
            f"{_number(trail)}. The trail selects these calls, and no log file or digest of these hours is known to be "
            "lost, so either files of these hours were not delivered or not read, or events were left out of them. Run "
            f"`python -m dynatrail verify-logs --from {iso(run.start)} --to {iso(run.end + 2 * HOUR)}`, trigger "
            "extract_cloudtrail for the window, and ask AWS Support where it stays so. The rows of the table "
            "reconciliation with the verdict `missing` tell the spans of five minutes."
        ),
    )


def _surplus(run: Run) -> Finding:
    extra, witness, trail = run.total("extra"), run.total("witness_count"), run.total("trail_count")
    return _finding(
        run,
        SURPLUS,
        LOW,
        how_many=extra,
        title=(
            f"The trail holds {_number(extra)} more {_one_operation(run)}call{'s' * (extra != 1)} on {run.table_name} "
            "than CloudWatch counted"
        ),
        explanation=(
            f"From {iso(run.start)} to {iso(run.end)} the trail of {run.account_id} in {run.region} holds "
            f"{_number(trail)} successful calls ({_by_operation(run, 'extra', 'too many')}), and CloudWatch counted "
            f"{_number(witness)}. Most often CloudWatch gave its datapoints late: backfill extract_cloudwatch for the "
            "window. If it stays so, look at where the events come from: log_file and api_event.copies tell."
        ),
    )


def _finding(run: Run, rule_id: str, severity: str, *, how_many: int, title: str, explanation: str) -> Finding:
    return Finding(
        rule_id=rule_id,
        severity=severity,
        kind="completeness",
        event_time=run.start,
        ends_at=run.end,
        account_id=run.account_id,
        region=run.region,
        subject=iso(run.start),
        table_name=run.table_name,
        table_arn=table_arn(run.account_id, run.region, run.table_name),
        title=title,
        explanation=explanation,
        how_many=how_many,
        evidence_ids=_evidence(run),
    )


def _calls(count: int, run: Run) -> str:
    plural = count != 1
    called = f"{_number(count)} {_one_operation(run)}call{'s' * plural} on {run.table_name}"
    if len(run.operations) > 1:
        called += f" ({', '.join(run.operations)})"
    return f"{called} {'are' if plural else 'is'}"


def _one_operation(run: Run) -> str:
    return f"{run.operations[0]} " if len(run.operations) == 1 else ""


def _by_operation(run: Run, column: str, word: str) -> str:
    counts = {name: sum(row[column] for row in run.rows if row["operation"] == name) for name in run.operations}
    return ", ".join(f"{name}: {_number(round(count))} {word}" for name, count in counts.items())


def _number(count: int) -> str:
    return f"{count:,}"


def _evidence(run: Run) -> tuple[str, ...]:
    return tuple(f"{run.table_name}/{row['operation']}@{iso(row['event_hour'])}" for row in run.rows[:_NAMED_HOURS])


def _places(warehouse: Warehouse, hours: Collection[datetime]) -> set[tuple[str, str]]:
    """Accounts and regions of what was found in these hours before."""
    wanted = (pads.field("producer") == PRODUCER) & pads.field("event_hour").isin(sorted(hours))
    found = warehouse.dataset("finding").to_table(columns=["account_id", "region"], filter=wanted)
    return set(zip(found["account_id"].to_pylist(), found["region"].to_pylist(), strict=True))
