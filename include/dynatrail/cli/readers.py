"""`readers`: who read the data of a set of items."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from dynatrail import clock, config, window
from dynatrail.cli import item_words as words
from dynatrail.cli.screen import console
from dynatrail.cli.text import escaped
from dynatrail.errors import SettingsError
from dynatrail.privacy.tokens import PREFIX
from dynatrail.settings import settings
from dynatrail.trail import items
from dynatrail.warehouse import engine
from dynatrail.warehouse.store import Warehouse

_SHOWN = 40


def run(named: Sequence[str], *, numbers: Iterable[str], first: str, last: str, as_json: bool) -> None:
    """Print who read any of the items that `named` names, in a window.

    Raises:
        SettingsError: a table, key, token or the window does not name one thing.
    """
    start, end = window.parse(first, last)
    chosen = settings()
    patterns = config.load(chosen).break_glass
    with engine.connect(Warehouse.from_settings(chosen)) as connection:
        wanted = [words.item_of(connection, one, start, end) for one in taken_apart(named, frozenset(numbers))]
        found = items.readers(connection, wanted, start, end, break_glass=patterns)
    if as_json:
        _print_json(found)
    else:
        show(console(), found)


def taken_apart(named: Sequence[str], numbers: frozenset[str] = frozenset()) -> Iterator[words.Named]:
    """The items of `TABLE NAME=VALUE … TABLE t1:… t1:…`: a table's name before each key, and once before its tokens.

    Raises:
        SettingsError: a key or token stands before any table, or a table has neither.
    """
    table: str | None = None
    key: list[str] = []
    tokens = 0
    for word in (*named, None):
        if word is not None and word.startswith(PREFIX):
            if table is None or key:
                raise SettingsError(f"Name the table before the token {word}: TABLE {word}.")
            tokens += 1
            yield words.Named(table, (), word, frozenset())
        elif word is not None and "=" in word:
            if table is None or tokens:
                raise SettingsError("Name the table before each key: TABLE NAME=VALUE.")
            key.append(word)
        else:
            if table is not None and key:
                names = {part.partition("=")[0] for part in key}
                yield words.Named(table, tuple(key), None, numbers & names)
            elif table is not None and not tokens:
                raise SettingsError(f"Name an item of {table}: {table} NAME=VALUE of each key attribute, or its token.")
            table, key, tokens = word, [], 0


def show(out: Console, found: items.Readers) -> None:
    """Print the readers: those whose reads name the items, those that may have read them, and what cannot be known."""
    tables = sorted({item.table_name for item in found.items})
    count = len({(item.table_arn, item.item_key_token) for item in found.items})
    out.rule(
        f"[bold]Readers of {count:,} item{'' if count == 1 else 's'}[/] of {escaped(', '.join(tables))}, "
        f"{clock.iso(found.start)} to {clock.iso(found.end)}"
    )
    if found.exact.num_rows:
        _exact(out, found.exact.slice(0, _SHOWN).to_pylist())
        if found.exact.num_rows > _SHOWN:
            out.print(f"  and {found.exact.num_rows - _SHOWN:,} more; --json gives all")
    else:
        out.print("No read in this window names any of them.")
    if found.possible.num_rows:
        calls = sum(found.possible["calls"].to_pylist())
        out.print(f"[bold]May have read or copied some[/] {calls:,} calls that list no items: an upper bound")
        words.possible(out, found.possible)
    else:
        out.print("No other read or copy of these tables can have returned one of them.")
    words.listed(out, "To know", _to_know(found))


def _exact(out: Console, rows: Iterable[dict[str, Any]]) -> None:
    table = Table(title="Read by their keys", title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    table.header_style = "dim"
    table.add_column("who", overflow="fold", ratio=5)
    columns = {
        "reads": "reads", "returned_by_writes": "by writes", "checks": "checks", "failed": "failed", "items": "items",
    }  # fmt: skip
    for heading in columns.values():
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("when", no_wrap=True)
    for row in rows:
        table.add_row(
            words.who(row),
            *(words.number(row[name]) for name in columns),
            words.days(row["first_time"], row["last_time"]),
        )
    out.print(Padding(table, (0, 0, 0, 2)))


def _to_know(found: items.Readers) -> Iterator[str]:
    if any(found.exact["returned_by_writes"].to_pylist()):
        yield "By writes: the answer to a write that asked for it held the item (ReturnValues)."
    if any(found.exact["checks"].to_pylist()):
        yield "A check in a transaction tells only whether a condition holds."
    if found.excluded:
        yield f"{found.excluded:,} further reads were bound to other keys and cannot have returned any of them."
    if found.denied.num_rows:
        yield f"{found.denied.num_rows:,} calls on the tables were denied; AWS leaves out which items they were about."
    yield from found.unknown


def _print_json(found: items.Readers) -> None:
    words.print_json(
        "readers",
        [
            {
                "items": [{"table_arn": item.table_arn, "item_key_token": item.item_key_token} for item in found.items],
                "start": found.start,
                "end": found.end,
                "excluded": found.excluded,
                "unknown": found.unknown,
            }
        ],
    )
    words.print_json("reader", found.exact)
    words.print_json("read", found.reads)
    words.print_json("possible_reader", found.possible)
    words.print_json("denied", found.denied)
