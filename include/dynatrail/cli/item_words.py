"""How the commands about items take keys, and how they say who, when and what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from dynatrail.cli import token
from dynatrail.cli.text import escaped
from dynatrail.errors import SettingsError
from dynatrail.privacy.tokens import PREFIX, Tokenizer, load_key
from dynatrail.settings import settings
from dynatrail.trail import items

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_encode = msgspec.json.Encoder(order="sorted").encode
_SHOWN_TOKEN = len(PREFIX) + 8
_KEPT = 12
POSSIBLE = 10
"""Callers shown of reads that list no items."""

_TEXT = 40

_METHODS = {
    "expiry": "DynamoDB, as the item expired",
    "replication": "replication from another region",
    "bulk": "no recorded request; a bulk load may have put it",
    "reconstructed": "nobody named: a net change from an export",
    "no_request": "no recorded request",
    "not_attributed": "not attributed yet: build_trail has not come to it",
}


@dataclass(frozen=True, slots=True)
class Named:
    """An item as a command line names it.

    Attributes:
        table: name or ARN.
        key: NAME=VALUE of each key attribute; a value of `-` is asked for.
        token: its token, in the key's place.
        numbers: key attributes that are numbers, beside those that the table's description says.
    """

    table: str
    key: tuple[str, ...]
    token: str | None
    numbers: frozenset[str]


def item_of(connection: "DuckDBPyConnection", named: Named, start: datetime, end: datetime) -> items.Item:
    """The item that a command line names.

    Args:
        connection: an engine over the warehouse.
        named: as it names it.
        start: window in which the table's key is looked up where nothing describes it.
        end: its end.

    Raises:
        SettingsError: there is no such table, or neither or both of key and token, or the key is not one of the table.
    """
    arn = items.table_arn(connection, named.table)
    if bool(named.key) == bool(named.token):
        raise SettingsError(
            f"Name one item of {named.table}: by NAME=VALUE of each attribute of its key (NAME=- asks for the value, "
            "unseen), or by --token."
        )
    if named.token:
        return items.of_token(arn, named.token)
    schema = items.key_schema(connection, arn, start, end)
    key = token.pairs(named.key, named.numbers)
    return items.of_key(arn, key, schema, Tokenizer(load_key(settings())), named.numbers)


def print_json(kind: str, rows: pa.Table | Iterable[Mapping[str, Any]]) -> None:
    """One canonical JSON object a line, with `record` saying what it is."""
    listed = rows.to_pylist() if isinstance(rows, pa.Table) else rows
    for row in listed:
        print(_encode({"record": kind, **row}).decode())


def principal(arn: str | None) -> str:
    """An ARN without what all of them begin with: `user/marta.dba`, `lambda function:booking-api`."""
    if arn is None:
        return ""
    parts = arn.split(":", 5)
    if parts[0] != "arn" or len(parts) <= 5:  # noqa: PLR2004  six parts make an ARN
        return arn
    service, resource = parts[2], parts[5]
    if service in ("iam", "sts"):
        return resource.removeprefix("assumed-role/")
    return f"Identity Center {resource}" if service == "identitystore" else f"{service} {resource}"


def who(row: Mapping[str, Any]) -> str:
    """Whom a row is of: the first principal and its class, and as whom it acted."""
    first, acting = row.get("first_principal_arn"), row.get("principal_arn")
    if first is None and acting is None:
        return _METHODS.get(row.get("method") or "", "nobody named")
    if first is None:
        reason = f": {row['unresolved_reason']}" if row.get("unresolved_reason") else ""
        return f"[bold]{escaped(principal(acting))}[/] [dim](unresolved{escaped(reason)})[/]"
    kind = f" [dim]({escaped(row['principal_class'])})[/]" if row.get("principal_class") else ""
    acts = f" as {escaped(principal(acting))}" if acting and acting != first else ""
    return f"[bold]{escaped(principal(first))}[/]{kind}{acts}"


def moment(instant: datetime | None) -> str:
    """`2026-11-01 03:00:00`, UTC, with as many more digits as there are."""
    if instant is None:
        return ""
    text = f"{instant:%Y-%m-%d %H:%M:%S}"
    return f"{text}.{instant.microsecond:06d}".rstrip("0") if instant.microsecond else text


def span(first: datetime, last: datetime) -> str:
    """Two moments; one where they are the same, and the date once."""
    if first == last:
        return moment(first)
    return f"{moment(first)} - {last:%H:%M:%S}" if first.date() == last.date() else f"{moment(first)} - {moment(last)}"


def days(first: datetime, last: datetime) -> str:
    """`11-20 03:15` to when, to the minute: the time alone on the same day."""
    if first == last:
        return f"{first:%m-%d %H:%M}"
    until = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%m-%d %H:%M}"
    return f"{first:%m-%d %H:%M} - {until}"


def value(typed: str | None) -> str:
    """A typed value, its tokens cut: `S t1:0123abcd…`."""
    if typed is None:
        return "nothing"
    held = msgspec.json.decode(typed)
    ((kind, inner),) = held.items() if isinstance(held, dict) and len(held) == 1 else (("", held),)
    text = inner if isinstance(inner, str) else _encode(inner).decode()
    return f"{kind} {cut(text)}".strip()


def cut(text: str) -> str:
    """A token's beginning, which tells it apart; of other text what fits."""
    if text.startswith(PREFIX) and len(text) > _SHOWN_TOKEN:
        return f"{text[:_SHOWN_TOKEN]}…"
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}…"


def beginning(identifier: str) -> str:
    """The first characters of a long id."""
    return f"{identifier[:_KEPT]}…" if len(identifier) > _KEPT else identifier


def number(count: float | None) -> str:
    return f"{int(count):,}" if count else "·"


def listed(out: Console, title: str, sentences: Iterable[str]) -> None:
    """Sentences below a title, a dash before each."""
    told = list(sentences)
    if not told:
        return
    out.print(f"[bold]{title}[/]")
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column()
    grid.add_column(overflow="fold")
    for sentence in told:
        grid.add_row("-", escaped(sentence))
    out.print(Padding(grid, (0, 0, 0, 2)))


def possible(out: Console, rows: pa.Table, limit: int = POSSIBLE) -> None:
    """Reads that list no items, by caller: columns of `sql/items/possible_by_reader.sql`."""
    if not rows.num_rows:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("who", overflow="fold", ratio=6)
    table.add_column("how", overflow="fold", ratio=5)
    table.add_column("calls", justify="right", no_wrap=True)
    table.add_column("returned", justify="right", no_wrap=True)
    table.add_column("when", no_wrap=True)
    several = len(set(rows["table_arn"].to_pylist())) > 1
    for row in rows.slice(0, limit).to_pylist():
        of = f" of {escaped(table_name(row['table_arn']))}" if several else ""
        through = f" through {escaped(row['index_name'])}" if row["index_name"] else ""
        bound = "[yellow]likely[/], " if row["bound"] == "likely" else ""
        counted = ", counted only" if row["only_counted"] else ""
        copied = f" to {escaped(row['copied_to'])}" if row["copied_to"] else ""
        how = f"{row['event_name']}{of}{through}: {bound}{escaped(row['why'])}{copied}{counted}"
        returned = row["returned_items"]
        # Of a copy or a statement CloudWatch counts nothing; of others it may have nothing.
        at_most = "?" if returned is None else f"≤ {int(returned):,}"
        table.add_row(who(row), how, f"{row['calls']:,}", at_most, days(row["first_time"], row["last_time"]))
    out.print(Padding(table, (0, 0, 0, 2)))
    if rows.num_rows > limit:
        out.print(f"  and {rows.num_rows - limit:,} more; --json gives all")


def table_name(arn: str) -> str:
    return arn.rpartition("/")[2]
