"""What a run brought, on one screen for a person."""

from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dynatrail import clock
from dynatrail.settings import settings
from dynatrail.state import pending
from dynatrail.warehouse import engine
from dynatrail.warehouse.store import Warehouse

WIDTH = 118
_TOP = 12


def console() -> Console:
    """The console of all commands: as wide as the terminal, or as a page where there is none."""
    made = Console()
    return made if made.is_terminal else Console(width=WIDTH)


def show(start: datetime, end: datetime) -> None:
    """Print events per table and operation, who did what, what was quarantined, where the evidence lies, what next."""
    out, chosen = console(), settings()
    warehouse = Warehouse.from_settings(chosen)
    window = {"start": start, "end": end}
    # The last events of a window are delivered shortly after it; nothing of them is left out.
    margin = {"start": start - timedelta(days=1), "end": end + timedelta(hours=1)}
    with engine.connect(warehouse) as connection:
        tables = engine.run_file(connection, "report/activity_by_table.sql", **window).to_pylist()
        actors = engine.run_file(connection, "report/activity_by_actor.sql", **window).to_pylist()
        rejected = engine.run_file(connection, "report/quarantine_by_reason.sql", **margin).to_pylist()
    out.print()
    out.rule(f"[bold]Dynatrail[/] {clock.iso(start)} to {clock.iso(end)}")
    _tables(out, tables)
    _actors(out, actors)
    _quarantine(out, rejected)
    late = pending.hours("build_trail")
    if late:
        out.print(f"[yellow]{len(late)} hours wait for build_trail[/]; run again, or trigger the DAG.")
    out.print(f"[bold]Warehouse[/] {chosen.warehouse_root}   [bold]Evidence[/] {chosen.evidence_root}", soft_wrap=True)
    _next(out, actors)


def _tables(out: Console, rows: list[dict[str, Any]]) -> None:
    table = Table(title="Events per table and operation", title_justify="left", title_style="bold")
    table.add_column("table")
    table.add_column("operation")
    for name in ("records", "succeeded", "failed", "denied", "actors"):
        table.add_column(name, justify="right")
    previous = None
    for row in rows:
        if previous is not None and row["table_name"] != previous:
            table.add_section()
        first = escape(row["table_name"]) if row["table_name"] != previous else ""
        table.add_row(
            first, escape(row["operation"]), *_numbers(row, "records", "succeeded", "failed", "denied", "actors")
        )
        previous = row["table_name"]
    out.print(table if rows else "No event touched a table in this window.")


def _actors(out: Console, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    table = Table(title="Who did what", title_justify="left", title_style="bold")
    table.add_column("actor", overflow="fold")
    columns = ("records", "item_reads", "item_writes", "other_calls", "denied", "tables", "items", "addresses")
    for name in columns:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows[:_TOP]:
        table.add_row(escape(row["actor"].removeprefix("arn:aws:iam::")), *_numbers(row, *columns))
    if len(rows) > _TOP:
        table.caption = f"and {len(rows) - _TOP} more"
    out.print(table)


def _quarantine(out: Console, rows: list[dict[str, Any]]) -> None:
    if not rows:
        out.print("[bold]Quarantine[/] nothing was kept out.")
        return
    table = Table(title="Quarantine", title_justify="left", title_style="bold")
    for name in ("reason code", "pieces", "what to do"):
        table.add_column(name, justify="right" if name == "pieces" else "left")
    for row in rows:
        table.add_row(escape(row["reason_code"]), f"{row['pieces']:,}", escape(row["reason"]))
    out.print(table)


def _next(out: Console, actors: list[dict[str, Any]]) -> None:
    denied = next((row["actor"] for row in actors if row["denied"]), None)
    out.print("[bold]What to try next[/]")
    hints = [
        "python -m dynatrail query \"SELECT event_time, actor, detail FROM audit_record WHERE outcome = 'denied'\"",
        'python -m dynatrail query "SELECT table_name, item_key_token, count(*) FROM audit_record GROUP BY ALL"',
        "python -m dynatrail export ocsf --from … --to … --out trail.ocsf.jsonl",
        "python -m dynatrail doctor      make ui      docs/cookbooks/",
    ]
    if denied:
        asked = f"SELECT detail, outcome FROM audit_record WHERE actor = '{denied}'"  # noqa: S608  shown, not run
        hints.insert(0, f'python -m dynatrail query "{asked}"')
    for hint in hints:
        out.print(f"  {hint}", soft_wrap=True, highlight=False, markup=False)


def _numbers(row: dict[str, Any], *names: str) -> list[str]:
    return [f"{int(row[name]):,}" if row[name] else "·" for name in names]
