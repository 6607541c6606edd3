"""What a run brought, on one screen for a person."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dynatrail import clock
from dynatrail.cli import summary_proof, summary_who
from dynatrail.cli.screen import console, shown
from dynatrail.cli.text import escaped
from dynatrail.settings import settings
from dynatrail.state import pending
from dynatrail.warehouse import engine
from dynatrail.warehouse.store import Warehouse

_TOP = 12
_OPERATIONS = 6
_CONTROL = "control plane"
_WAITING = {pending.BUILD: "build_trail", pending.TIMELINE: "build_trail", pending.PROVE: "prove_trail"}
"""Stage -> the DAG that does it."""


def show(start: datetime, end: datetime, *, picture: Path | None = None) -> None:
    """Print events per table and operation, who did what and how that is known, what is proven, what next.

    `picture` is an SVG file that gets the same.
    """
    out, chosen = console(record=picture is not None), settings()
    window = {"start": start, "end": end}
    # The last events of a window are delivered shortly after it; nothing of them is left out.
    delivered = {"start": start, "end": end + clock.HOUR}
    with engine.connect(Warehouse.from_settings(chosen)) as connection:
        (totals,) = engine.run_file(connection, "report/totals.sql", **window).to_pylist()
        tables = engine.run_file(connection, "report/activity_by_table.sql", **window).to_pylist()
        actors = engine.run_file(connection, "report/activity_by_actor.sql", **window).to_pylist()
        # Snapshots show the account as it is now, which lies after the window.
        until = {"start": start, "end": max(end, clock.now() + clock.HOUR)}
        landed = engine.run_file(connection, "report/rows_by_table.sql", **until).to_pylist()
        changes = engine.run_file(connection, "report/changes_by_table.sql", **window).to_pylist()
        stated = engine.run_file(connection, "report/statements_by_source.sql", **until).to_pylist()
        rejected = engine.run_file(connection, "report/quarantine_by_reason.sql", **delivered).to_pylist()
        proof = summary_proof.load(connection, start, end)
        out.print()
        out.rule(f"[bold]Dynatrail[/] {clock.iso(start)} to {clock.iso(end)}")
        out.print(
            f"[bold]{totals['events']:,} CloudTrail events[/] of {totals['accounts']} accounts; {totals['copies']:,} "
            f"repeated deliveries set aside; {totals['addenda']:,} late or corrected by an addendum",
            highlight=False,
        )
        _tables(out, tables)
        _actors(out, actors)
        _changes(out, changes)
        summary_who.show(out, connection, start, end)
    out.rule("[bold]Is it all there[/]")
    _sources(out, landed, stated)
    _quarantine(out, rejected)
    summary_proof.show(out, proof)
    for stage, dag_id in _WAITING.items():
        if late := pending.hours(stage):
            out.print(f"[yellow]{len(late)} hours wait for {stage}[/]; run again, or trigger {dag_id}.")
    evidence, store = shown(chosen.evidence_root), shown(chosen.warehouse_root)
    out.print(f"[bold]Evidence[/] {evidence}/<day>/r1   [bold]warehouse[/] {store}", soft_wrap=True)
    _next(out, start, end)
    if picture:
        out.save_svg(str(picture), title="python -m dynatrail demo")


def _tables(out: Console, rows: list[dict[str, Any]]) -> None:
    """One row a table, one column an operation; the rarest operations share a column."""
    if not rows:
        out.print("No event touched a table in this window.")
        return
    counts: Counter[str] = Counter()
    cells: dict[str, Counter[str]] = {}
    for row in rows:
        counts[row["operation"]] += row["records"]
        cell = cells.setdefault(row["table_name"], Counter())
        cell[row["operation"]] += row["records"]
        cell["failed"] += row["failed"]
        cell["denied"] += row["denied"]
    common = [operation for operation, _ in counts.most_common(_OPERATIONS) if operation != _CONTROL]
    table = Table(title="Records per table and operation", title_justify="left", title_style="bold")
    table.add_column("table", no_wrap=True)
    for name in (*common, "other", "control plane", "failed", "denied"):
        table.add_column(escaped(name), justify="right", no_wrap=True)
    for name, cell in cells.items():
        named = sum(cell[column] for column in (*common, _CONTROL, "failed", "denied"))
        others = cell.total() - named
        numbers = [*(cell[column] for column in common), others, *(cell[c] for c in (_CONTROL, "failed", "denied"))]
        table.add_row(escaped(name), *(_number(number) for number in numbers))
    out.print(table)


def _actors(out: Console, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    table = Table(title="Who did what", title_justify="left", title_style="bold")
    table.add_column("actor", no_wrap=True, max_width=40)
    columns = {"records": "records", "item_reads": "reads", "item_writes": "writes", "other_calls": "other"}
    columns |= {"denied": "denied", "tables": "tables", "items": "items", "addresses": "addresses"}
    for heading in columns.values():
        table.add_column(heading, justify="right", no_wrap=True, min_width=len(heading))
    for row in rows[:_TOP]:
        table.add_row(escaped(_short(row["actor"])), *(_number(row[name]) for name in columns))
    if len(rows) > _TOP:
        table.caption = f"and {len(rows) - _TOP} more"
    out.print(table)


def _changes(out: Console, rows: list[dict[str, Any]]) -> None:
    """What changed in items; a table's changes come from one origin, but for those that an export reconstructed."""
    if not rows:
        out.print("[bold]Item changes[/] no source gave any in this window.")
        return
    table = Table(title="Item changes", title_justify="left", title_style="bold")
    table.add_column("table", no_wrap=True)
    table.add_column("from", no_wrap=True)
    columns = ("inserted", "modified", "removed", "expired", "reconstructed", "items")
    for name in columns:
        table.add_column("of these expired" if name == "expired" else name, justify="right")
    for row in rows:
        table.add_row(escaped(row["table_name"]), row["change_origin"], *(_number(row[name]) for name in columns))
    out.print(table)


def _sources(out: Console, landed: list[dict[str, Any]], stated: list[dict[str, Any]]) -> None:
    counts = ", ".join(f"{row['table_name']} {row['row_count']:,}" for row in landed)
    out.print(f"[bold]Rows landed[/] {counts or 'none'}", highlight=False)
    if not stated:
        return
    table = Table(title="What the sources vouch for", title_justify="left", title_style="bold")
    columns = ("stated", "complete", "reconstructed", "incomplete", "not_assessable")
    table.add_column("source", no_wrap=True)
    for name in columns:
        table.add_column("hours stated" if name == "stated" else name.replace("_", " "), justify="right")
    for row in stated:
        table.add_row(row["source"], *(_number(row[name]) for name in columns))
    out.print(table)


def _quarantine(out: Console, rows: list[dict[str, Any]]) -> None:
    if not rows:
        out.print("[bold]Quarantine[/] nothing was kept out.")
        return
    table = Table(title="Quarantine", title_justify="left", title_style="bold")
    for name in ("reason code", "pieces", "what to do"):
        table.add_column(name, justify="right" if name == "pieces" else "left")
    for row in rows:
        table.add_row(escaped(row["reason_code"]), f"{row['pieces']:,}", escaped(row["reason"]))
    out.print(table)


def _next(out: Console, start: datetime, end: datetime) -> None:
    out.print("[bold]What to try next[/]")
    findings = "SELECT severity, title, explanation, evidence_ids FROM finding ORDER BY event_time"
    denied = "SELECT event_time, actor, detail FROM audit_record WHERE outcome = 'denied' ORDER BY 1"
    window = f"--from {start:%Y-%m-%d} --to {end:%Y-%m-%d}"
    for hint in (
        f'python -m dynatrail query "{findings}" --format json     (docs/cookbooks/is-it-all-there.md)',
        f'python -m dynatrail query "{denied}"',
        f"python -m dynatrail timeline {window}     (everything that happened, page by page)",
        f"python -m dynatrail item Patients patient_id=- {window}     (docs/cookbooks/who-touched-this-item.md)",
        f"python -m dynatrail export ocsf {window} --out trail.ocsf.jsonl",
        "make ui     (the same in Airflow's page)     docs/index.md     (where to read on)",
    ):
        out.print(f"  {hint}", soft_wrap=True, highlight=False, markup=False)


def _short(actor: str) -> str:
    """`role/NightlyExportRole` of an ARN; whatever is no ARN of IAM stays as it is."""
    kind, slash, name = actor.partition(":iam::")[2].partition(":")[2].partition("/")
    return f"{kind}/{name.rpartition('/')[2]}" if slash else actor


def _number(value: int | None) -> str:
    return f"{int(value):,}" if value else "·"
