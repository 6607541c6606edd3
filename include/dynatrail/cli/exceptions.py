"""`exceptions`: item changes that no request explains, and requests that no item change shows."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from dynatrail import window
from dynatrail.cli.screen import WIDTH, console
from dynatrail.cli.text import escaped
from dynatrail.settings import settings
from dynatrail.trail import attribution
from dynatrail.warehouse import engine
from dynatrail.warehouse.store import Warehouse

EXAMPLES = 4
_TABLES = 3
_TOKEN = 14

Row = dict[str, Any]


def run(first: str, last: str, *, as_json: bool, limit: int | None) -> None:
    """Print both lists of the window [first, last).

    `limit`: rows of each that are shown; None: a few, or all as JSON.
    """
    start, end = window.parse(first, last)
    with engine.connect(Warehouse.from_settings(settings())) as connection:
        found = attribution.exceptions(connection, start, end)
    if as_json:
        _json(found, limit)
    else:
        show(console(), found.changes, found.requests, examples=EXAMPLES if limit is None else limit)


def show(out: Console, changes: pa.Table, requests: pa.Table, *, examples: int = EXAMPLES) -> None:
    """Print both lists: how many for which reason, and of each the first few rows.

    Args:
        out: at least 80 characters wide.
        changes: as `attribution.exceptions` gives them.
        requests: the same.
        examples: rows of each list that are shown, spread over its reasons.
    """
    _list(
        out,
        ("Changes without a request", "every item change has a request, or a reason to have none"),
        changes,
        by=("table_name", "change_type"),
        told=_change,
        examples=examples,
    )
    _list(
        out,
        ("Requests without a change", "every item that a request was to write shows a change"),
        requests,
        by=("table_name", "event_name"),
        told=_request,
        examples=examples,
    )


def _list(
    out: Console,
    titles: tuple[str, str],
    rows: pa.Table,
    *,
    by: tuple[str, str],
    told: Callable[[Row], tuple[str, str]],
    examples: int,
) -> None:
    title, none = titles
    if not len(rows):
        out.print(f"[bold]{title}[/] none: {none}.")
        return
    table = Table(
        title=f"{title}: {len(rows):,}", title_justify="left", title_style="bold", width=min(out.width, WIDTH)
    )
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("why", ratio=1, overflow="fold")
    table.add_column("where", ratio=1, overflow="fold")
    for reason, count in _counted(rows["reason"]):
        table.add_row(f"{count:,}", escaped(reason), _where(rows.filter(pc.equal(rows["reason"], reason)), by))
    out.print(table)
    shown = _examples(rows, examples)
    for reason in dict.fromkeys(row["reason"] for row in shown):
        out.print(Padding(f"[dim]{escaped(reason)}[/]", (0, 0, 0, 2)))
        for row in shown:
            if row["reason"] == reason:
                for depth, line in enumerate(told(row)):
                    out.print(Padding(f"[dim]{escaped(line)}[/]" if depth else escaped(line), (0, 0, 0, 4 + 2 * depth)))
    if shown and len(rows) > len(shown):
        more = len(rows) - len(shown)
        out.print(Padding(f"[dim]and {more:,} more: --limit N or --json of exceptions shows them[/]", (0, 0, 0, 2)))


def _counted(column: pa.ChunkedArray) -> list[tuple[str, int]]:
    """Values and how many rows have each, the most common first."""
    counts = {each["values"]: each["counts"] for each in pc.value_counts(column).to_pylist()}
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0] or ""))


def _where(rows: pa.Table, by: tuple[str, str]) -> str:
    counts = rows.group_by(list(by)).aggregate([([], "count_all")]).to_pylist()
    tables: Counter[str] = Counter()
    what: dict[str, Counter[str]] = {}
    for row in counts:
        name = row[by[0]] or "?"
        tables[name] += row["count_all"]
        what.setdefault(name, Counter())[row[by[1]] or "?"] += row["count_all"]
    shown = [
        f"{name} ({', '.join(sorted(what[name]))})"
        for name, _ in sorted(tables.items(), key=lambda pair: (-pair[1], pair[0]))[:_TABLES]
    ]
    more = len(tables) - len(shown)
    return escaped(", ".join(shown)) + (f" and {more} more" if more > 0 else "")


def _examples(rows: pa.Table, limit: int) -> list[Row]:
    """The first rows, of each reason one before of any two; the most common reasons first."""
    of_reason = [
        pc.indices_nonzero(pc.equal(rows["reason"], reason)).slice(0, max(limit, 0)).to_pylist()
        for reason, _ in _counted(rows["reason"])
    ]
    picked = [places[depth] for depth in range(limit) for places in of_reason if depth < len(places)][: max(limit, 0)]
    order = {place: rank for rank, place in enumerate(place for places in of_reason for place in places)}
    found: list[Row] = rows.take(pa.array(sorted(picked, key=order.__getitem__), pa.int64())).to_pylist()
    return found


def _change(row: Row) -> tuple[str, str]:
    causes = dict.fromkeys(cause.partition(": ")[0] for cause in row["ruled_out"] or ())
    doubts = "; ".join(row["not_ruled_out"] or ())
    return (
        f"{_at(row)}  {row['change_type']} {_item(row)}",
        f"ruled out: {', '.join(causes) or 'nothing'}" + (f"; not ruled out: {doubts}" if doubts else ""),
    )


def _request(row: Row) -> tuple[str, str]:
    failed = f"  {row['error_code']}" if row["error_code"] else ""
    return (
        f"{_at(row)}  {row['event_name']} {_item(row)}{failed}",
        f"{row['event_id']} of {row['principal_arn'] or 'nobody named'}",
    )


def _at(row: Row) -> str:
    return f"{row['event_time']:%Y-%m-%d %H:%M:%S}"


def _item(row: Row) -> str:
    token = row["item_key_token"] or "without key"
    return (
        f"{row['table_name'] or '?'} {token[:_TOKEN]}…"
        if len(token) > _TOKEN
        else f"{row['table_name'] or '?'} {token}"
    )


def _json(found: attribution.Exceptions, limit: int | None) -> None:
    lists: dict[str, Sequence[Row]] = {
        "changes_without_request": found.changes.slice(0, limit).to_pylist(),
        "requests_without_change": found.requests.slice(0, limit).to_pylist(),
    }
    counts = {"changes": len(found.changes), "requests": len(found.requests)}
    document = msgspec.json.format(msgspec.json.encode({"counts": counts, **lists}, order="sorted"), indent=2)
    sys.stdout.write(document.decode() + "\n")
