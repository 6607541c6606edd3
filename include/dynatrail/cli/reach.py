"""`reach`: what a session or a principal read, changed, and could have seen."""

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from dynatrail import clock, config, window
from dynatrail.cli import item_words as words
from dynatrail.cli.screen import console
from dynatrail.cli.text import escaped
from dynatrail.errors import SettingsError
from dynatrail.settings import settings
from dynatrail.trail import items
from dynatrail.warehouse import engine
from dynatrail.warehouse.store import Warehouse

_KEY = re.compile(r"(A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{8,}")
_SHOWN = 30


def run(who: str, *, first: str, last: str, as_json: bool) -> None:
    """Print what an access key or principal reached in a window, with the sessions that it issued.

    Raises:
        SettingsError: `who` is neither an access key nor an ARN, or the window is none.
    """
    start, end = window.parse(first, last)
    if not _KEY.fullmatch(who) and not who.startswith("arn:"):
        raise SettingsError(
            f"{who[:60]!r} is neither an access key (ASIA…, AKIA…) nor an ARN. A name alone is a claim; the table "
            "session has keys and ARNs of all sessions (docs/reference/sessions.md)."
        )
    chosen = settings()
    patterns = config.load(chosen).break_glass
    with engine.connect(Warehouse.from_settings(chosen)) as connection:
        found = items.reach(connection, who, start, end, break_glass=patterns)
    if as_json:
        _print_json(found)
    else:
        show(console(), found)


def show(out: Console, found: items.Reach) -> None:
    """Print a reach: sessions, tables, reads that list no items, denied attempts, and what cannot be known."""
    out.rule(f"[bold]Reach of[/] {escaped(found.who)} {clock.iso(found.start)} to {clock.iso(found.end)}")
    if not found.events:
        known = f"; {found.sessions.num_rows:,} keys are known" if found.sessions.num_rows else ""
        out.print(f"No event of it is in this window{known}. Is the window right, and the key or ARN written in full?")
        return
    assert found.first is not None
    assert found.last is not None
    places = ", ".join(found.addresses[:_SHOWN])
    out.print(f"[bold]{found.events:,} events[/] {words.span(found.first, found.last)}, from {escaped(places)}")
    _sessions(out, found)
    _tables(out, found.tables.to_pylist())
    if found.possible.num_rows:
        out.print("[bold]Reads and copies that list no items[/] an upper bound of what it saw")
        words.possible(out, found.possible)
    _denied(out, found.calls.to_pylist())
    words.listed(out, "To know", found.unknown)


def _sessions(out: Console, found: items.Reach) -> None:
    table = Table(title="Keys", title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    table.header_style = "dim"
    for name in ("key", "issued with", "who"):
        table.add_column(name, overflow="fold")
    for name in ("calls", "denied"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("used", overflow="fold")
    rows = found.sessions.to_pylist()
    for row in rows[:_SHOWN]:
        used = "" if row["first_time"] is None else words.days(row["first_time"], row["last_time"])
        parent = "" if row["is_own"] and not row["parent_access_key_id"] else row["parent_access_key_id"] or ""
        table.add_row(
            escaped(row["access_key_id"]), escaped(parent), words.who(row), words.number(row["calls"]),
            words.number(row["denied"]), used,
        )  # fmt: skip
    out.print(Padding(table, (0, 0, 0, 2)))
    if len(rows) > _SHOWN:
        out.print(f"  and {len(rows) - _SHOWN:,} more; --json gives all")


def _tables(out: Console, rows: list[dict[str, Any]]) -> None:
    if not rows:
        out.print("It called nothing on a table.")
        return
    table = Table(title="Tables", title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    table.header_style = "dim"
    table.add_column("table", overflow="fold")
    columns = {
        "items": "items", "items_read": "read", "items_changed": "changed", "items_probably_changed": "probably",
        "items_possibly_changed": "possibly", "scans": "scans", "queries": "queries", "partitions": "partitions",
        "copies": "copies", "denied": "denied",
    }  # fmt: skip
    for heading in columns.values():
        table.add_column(heading, justify="right", no_wrap=True)
    twice = {name for name in map(_name, rows) if sum(_name(row) == name for row in rows) > 1}
    for row in rows:
        name = row["table_arn"] if _name(row) in twice else _name(row)
        table.add_row(escaped(name), *(words.number(row[column]) for column in columns))
    out.print(Padding(table, (0, 0, 0, 2)))
    for line in (
        "items: distinct ones that it named or changed; changed: certain, or the principal is; probably: probable or",
        "ambiguous; possibly: attributed to another's request; partitions: distinct key values that queries asked for",
    ):
        out.print(f"  [dim]{line}[/]")


def _denied(out: Console, rows: Iterable[dict[str, Any]]) -> None:
    denied = [row for row in rows if row["outcome"] == "denied"]
    if not denied:
        return
    out.print("[bold]Denied[/]")
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for row in denied[:_SHOWN]:
        service = row["event_source"].partition(".")[0]
        what = f"{service}:{row['event_name']}"
        grid.add_row(f"{row['calls']:,}", escaped(what), escaped(row["denied_resource_arn"] or ""))
    out.print(Padding(grid, (0, 0, 0, 2)))


def _name(row: dict[str, Any]) -> str:
    return words.table_name(row["table_arn"])


def _print_json(found: items.Reach) -> None:
    told = {
        "who": found.who,
        "start": found.start,
        "end": found.end,
        "events": found.events,
        "first": found.first,
        "last": found.last,
        "addresses": found.addresses,
        "unknown": found.unknown,
    }
    words.print_json("reach", [told])
    words.print_json("session", found.sessions)
    words.print_json("table", found.tables)
    words.print_json("item", found.items)
    words.print_json("possible_reader", found.possible)
    words.print_json("call", found.calls)
