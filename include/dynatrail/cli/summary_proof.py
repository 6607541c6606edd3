"""The part of the summary that says whether the trail is genuine, whether it is all there, and what is wrong."""

from collections import Counter
from datetime import datetime
from typing import Any

from duckdb import DuckDBPyConnection
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from dynatrail.cli.text import escaped
from dynatrail.clock import HOUR
from dynatrail.warehouse import engine

COLOURS = {"Critical": "bold red", "High": "red", "Medium": "yellow", "Low": "cyan", "Informational": "dim"}
_WORDS = {
    "complete": "complete",
    "complete_provisional": "complete so far",
    "incomplete": "incomplete",
    "not_assessable": "not assessable",
}
_CODES = 4


def load(connection: DuckDBPyConnection, start: datetime, end: datetime) -> dict[str, list[dict[str, Any]]]:
    """Everything that `show` needs, of the window [start, end)."""
    window = {"start": start, "end": end}
    # The last files of a window, and the digests that name them, come shortly after it.
    delivered = {"start": start, "end": end + HOUR}
    parts = {
        "digests": ("report/digests_by_status.sql", delivered),
        "files": ("report/log_files_by_status.sql", delivered),
        "coverage": ("report/coverage_by_statement.sql", window),
        "findings": ("report/findings.sql", delivered),
    }
    return {name: engine.run_file(connection, path, **of).to_pylist() for name, (path, of) in parts.items()}


def show(out: Console, found: dict[str, list[dict[str, Any]]]) -> None:
    """Print digests, log files and statements on a line each, and then every finding on one."""
    out.print("[bold]Proof[/]")
    _digests(out, found["digests"])
    _files(out, found["files"])
    _statements(out, found["coverage"])
    _findings(out, found["findings"])


def _digests(out: Console, rows: list[dict[str, Any]]) -> None:
    if not rows:
        _line(out, "digests", "[yellow]none was read[/]: nothing vouches for the log files")
        return
    counts = {row["status"]: row["digests"] for row in rows}
    others = ", ".join(f"[yellow]{count:,} {status}[/]" for status, count in counts.items() if status != "valid")
    text = (
        f"{counts.get('valid', 0):,} of {sum(counts.values()):,} valid, of {max(row['chains'] for row in rows)} chains"
    )
    _line(out, "digests", f"{text}; {others}" if others else text)


def _files(out: Console, rows: list[dict[str, Any]]) -> None:
    bad = {"forged": "red", "altered": "red", "missing": "red", "unattested": "yellow"}
    told = [
        f"[{bad[status]}]{row['files']:,} {status}[/]"
        if (status := row["status"]) in bad
        # `not_yet_attested` of a digest that is still to come is nothing to worry about.
        else f"{row['files']:,} {status.replace('_', ' ')}"
        for row in rows
    ]
    _line(out, "log files", ", ".join(told) or "none was judged")


def _statements(out: Console, rows: list[dict[str, Any]]) -> None:
    hours = {row["statement"]: row for row in rows if row["code"] is None}
    if not hours:
        _line(out, "hours", "nothing is stated yet: run prove_trail")
        return
    counted = ", ".join(f"{hours[word]['hours']:,} {text}" for word, text in _WORDS.items() if word in hours)
    tables = max(row["tables"] for row in hours.values())
    _line(out, "hours", f"of {tables} table{'' if tables == 1 else 's'}: {counted}")
    for word in ("incomplete", "not_assessable", "complete_provisional"):
        codes: Counter[str] = Counter()
        for row in rows:
            if row["statement"] == word and row["code"]:
                codes[row["code"]] += row["hours"]
        if codes:
            named = ", ".join(f"{code} {count:,}" for code, count in codes.most_common(_CODES))
            more = f" and {len(codes) - _CODES} more reasons" if len(codes) > _CODES else ""
            _line(out, "", f"[dim]{_WORDS[word]} by: {escaped(named)}{more}[/]")


def _findings(out: Console, rows: list[dict[str, Any]]) -> None:
    if not rows:
        _line(out, "findings", "[green]no finding[/]")
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=8)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True, justify="right")
    for row in rows:
        colour = COLOURS.get(row["severity"], "")
        count = f"{row['how_many']:,}" if row["how_many"] and row["how_many"] > 1 else ""
        table.add_row(f"[{colour}]{row['severity']}[/]", _when(row), escaped(row["title"]), count)
    _line(out, "findings", f"{len(rows):,}; what to try next begins with what each means")
    out.print(Padding(table, (0, 0, 0, 4)))


def _when(row: dict[str, Any]) -> str:
    """`11-20 03:15`, and to when: the time alone on the same day."""
    start, end = row["event_time"], row["ends_at"]
    if end is None or end == start:
        return f"{start:%m-%d %H:%M}"
    return (
        f"{start:%m-%d %H:%M}-{end:%H:%M}" if end.date() == start.date() else f"{start:%m-%d %H:%M}-{end:%m-%d %H:%M}"
    )


def _line(out: Console, name: str, text: str) -> None:
    """A name, and beside it a text that wraps below itself."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(min_width=10)
    grid.add_column(overflow="fold")
    grid.add_row(name, text)
    out.print(Padding(grid, (0, 0, 0, 2)))
