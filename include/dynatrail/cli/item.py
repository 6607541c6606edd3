"""`item`: the life of one item, and what it was at an instant."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
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

SHOWN = 60
_DIFFERENCES = 12


def run(named: words.Named, *, first: str, last: str, at: str | None, as_json: bool) -> None:
    """Print the life of an item in a window; with `at`, also what it was at that instant.

    Raises:
        SettingsError: table, key, token, window or instant does not name one thing.
    """
    start, end = window.parse(first, last)
    instant = _instant(at) if at else None
    chosen = settings()
    patterns = config.load(chosen).break_glass
    with engine.connect(Warehouse.from_settings(chosen)) as connection:
        item = words.item_of(connection, named, start, end)
        life = items.life(connection, item, start, end, break_glass=patterns)
        state = items.state_at(connection, item, instant) if instant else None
    if as_json:
        _print_json(life, state)
        return
    out = console()
    show(out, life)
    if state:
        show_state(out, state)


def show(out: Console, life: items.Life, *, limit: int = SHOWN, possible: int = words.POSSIBLE) -> None:
    """Print a life: what happened to the item in order, what else may have read it, and what cannot be known.

    Args:
        out: where to.
        life: of `items.life`.
        limit: happenings shown at most.
        possible: callers shown at most, of reads that list no items.
    """
    item = life.item
    out.rule(f"[bold]An item of {escaped(item.table_name)}[/] {clock.iso(life.start)} to {clock.iso(life.end)}")
    key = f"  [dim]key {escaped(', '.join(item.parts[-1].attributes))}[/]" if item.parts else ""
    out.print(f"{escaped(item.table_arn)}  {escaped(item.item_key_token)}{key}", soft_wrap=True)
    rows = life.happenings
    if rows.num_rows:
        _happenings(out, rows.slice(0, limit).to_pylist())
        if rows.num_rows > limit:
            out.print(f"  and {rows.num_rows - limit:,} more; --json gives all")
    else:
        out.print(
            f"Nothing in this window names it: no change, no read by its key, no write. {_what_to_check(life)}",
        )
    if life.possible.num_rows:
        calls = sum(life.possible["calls"].to_pylist())
        out.print(f"[bold]May have read or copied it[/] {calls:,} calls that list no items: an upper bound")
        words.possible(out, life.possible, possible)
    words.listed(out, "To know", _to_know(life))


def show_state(out: Console, state: items.State) -> None:
    """Print what an item was at an instant, and how that is known."""
    out.print(f"[bold]At {clock.iso(state.at)}[/] {_existence(state)}")
    if state.image is not None:
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in sorted(msgspec.json.decode(state.image).items()):
            grid.add_row(escaped(name), escaped(msgspec.json.encode(value, order="sorted").decode()))
        out.print(Padding(grid, (0, 0, 0, 2)))
    words.listed(out, "Why not certain" if state.existed is not None else "Why", state.reasons)


def _existence(state: items.State) -> str:
    if state.existed is None:
        return "not known"
    said = "it existed" if state.existed else "it did not exist"
    side = "after the change of" if state.basis == "change_before" else "before the change of"
    return f"{said}: as {side} {words.moment(state.changed_at)}{'' if state.certain else ', as far as was seen'}"


def _happenings(out: Console, rows: Iterable[Mapping[str, Any]]) -> None:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(words.moment(row["event_time"]), _what(row), "\n".join(_lines(row)))
    out.print(Padding(table, (0, 0, 0, 2)))


def _what(row: Mapping[str, Any]) -> str:
    if row["kind"] == "change":
        return f"[bold green]{row['operation']}[/]"
    if row["kind"] == "read":
        said = {"Get": "read", "Select": "read", "ConditionCheck": "checked"}[row["operation"]]
        return f"[cyan]{said}[/]" if row["outcome"] == "success" else f"[yellow]{said}: failed[/]"
    return f"[yellow]{row['operation']}[/]"


def _lines(row: Mapping[str, Any]) -> Iterable[str]:
    address = f"  from {escaped(row['source_ip_address'])}" if row["source_ip_address"] else ""
    yield f"{words.who(row)}{_how_sure(row)}{address}"
    if row["chain"] and len(row["chain"]) > 1:
        yield f"[dim]chain, proven by {row['chain_proof']}: {escaped(' > '.join(map(_link, row['chain'])))}[/]"
    if row["kind"] == "change":
        yield from _changed(row)
    elif row["kind"] == "no_change":
        yield f"no change: {escaped(row['reason'] or '')}"
    elif row["attribute_names"]:
        yield f"[dim]attributes {escaped(', '.join(row['attribute_names']))}[/]"
    if row["kind"] == "read" and row["reason"]:
        yield escaped(row["reason"])
    if row["returned_image"]:
        yield f"the answer held the item: {escaped(row['returned_image'])}"
    ids = []
    if row["event_id"]:
        ids.append(f"{row['event_name'] or 'event'} {row['event_id']}")
    if row["change_id"]:
        ids.append(f"change {words.beginning(row['change_id'])}")
    yield f"[dim]{escaped('  '.join(ids))}[/]"


def _how_sure(row: Mapping[str, Any]) -> str:
    if row["kind"] != "change" or row["confidence"] == "none":
        return ""
    colour = {"certain": "green", "identity_certain": "green", "probable": "yellow", "ambiguous": "red"}
    rivals = f", {row['rivals']:,} rival{'' if row['rivals'] == 1 else 's'}" if row["rivals"] else ""
    return f"  [{colour.get(row['confidence'], 'yellow')}]{row['confidence'].replace('_', ' ')}[/]{rivals}"


def _changed(row: Mapping[str, Any]) -> Iterable[str]:
    found = row["differences"]
    if found is None:
        yield f"[dim]no images of before and after: the {row['change_origin']} gives {row['view_type']}[/]"
    elif row["operation"] == "MODIFY":
        for difference in found[:_DIFFERENCES]:
            before, after = (escaped(words.value(difference[side])) for side in ("before", "after"))
            yield f"{escaped(difference['path'])}: {before} → {after}"
        if len(found) > _DIFFERENCES:
            yield f"and {len(found) - _DIFFERENCES:,} more places"
        if not found:
            yield "nothing that the images show"
    else:
        said = "with" if row["operation"] == "INSERT" else "it had"
        yield f"{said} {escaped(', '.join(difference['path'] for difference in found))}"
    if row["reconstructed"]:
        since, until = row["reconstructed_from"], row["reconstructed_to"]
        yield f"[dim]net of all changes from {words.moment(since)} to {words.moment(until)}, from an export[/]"


def _link(link: str) -> str:
    """`AssumeRole by user/tomas` of a link of `session.chain`."""
    proven, _, caller = link.partition(": ")
    name = proven.split(" ")[1] if " " in proven else proven
    return f"{name} by {words.principal(caller)}"


def _to_know(life: items.Life) -> Iterable[str]:
    if life.excluded:
        yield f"{life.excluded:,} further reads of the table were bound to other keys and cannot have returned it."
    if life.denied.num_rows:
        callers = {row["first_principal_arn"] or row["principal_arn"] for row in life.denied.to_pylist()}
        yield (
            f"{life.denied.num_rows:,} calls on the table by {len(callers):,} principals were denied; AWS leaves out "
            "which item they were about."
        )
    if life.unbelieved:
        yield (
            f"{life.unbelieved:,} records of forged or altered log files name it and are left out: see the findings."
        )
    if life.elsewhere:
        yield f"Its table is also there as {', '.join(life.elsewhere)}: what was done to a replica is asked for there."
    yield from life.unknown


def _what_to_check(life: items.Life) -> str:
    if life.item.parts:
        return (
            "Is the value written as DynamoDB has it? A number's attribute needs --number where no snapshot tells it."
        )
    return "A token is of one masking key: was it made with this one?"


def _print_json(life: items.Life, state: items.State | None) -> None:
    told = {
        "table_arn": life.item.table_arn,
        "item_key_token": life.item.item_key_token,
        "start": life.start,
        "end": life.end,
        "excluded": life.excluded,
        "unbelieved": life.unbelieved,
        "elsewhere": life.elsewhere,
        "unknown": life.unknown,
    }
    words.print_json("item", [told])
    words.print_json("happening", life.happenings)
    words.print_json("possible_read", life.possible_reads)
    words.print_json("denied", life.denied)
    if state:
        words.print_json("state", [_state(state)])


def _state(state: items.State) -> dict[str, Any]:
    image = None if state.image is None else msgspec.Raw(state.image.encode())
    return {
        "at": state.at,
        "existed": state.existed,
        "image": image,
        "basis": state.basis,
        "change_id": state.change_id,
        "changed_at": state.changed_at,
        "certain": state.certain,
        "reasons": state.reasons,
    }


def _instant(text: str) -> datetime:
    try:
        return clock.parse_instant(text)
    except (ValueError, OverflowError):
        raise SettingsError(f"--at is {text!r}, which is no instant. Write 2026-11-01T03:00:00Z.") from None
