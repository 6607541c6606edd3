"""`permission`: which permission decided one call."""

from rich.table import Table

from dynatrail.cli.screen import console
from dynatrail.cli.text import escaped
from dynatrail.settings import settings
from dynatrail.trail import permissions
from dynatrail.trail.permissions.explaining import Candidate, Explanation
from dynatrail.warehouse import engine
from dynatrail.warehouse.store import Warehouse

_STANDING = {
    "in_force": "in force",
    "may_have_differed": "may have differed",
    "seen_later": "seen only later",
}
_CONDITION = {"none": "none", "holds": "holds", "cannot_be_told": "cannot be told"}


def run(event_id: str, *, as_json: bool) -> None:
    """Print the explanation of an event; raises WarehouseError if there is none of that id."""
    with engine.connect(Warehouse.from_settings(settings())) as connection:
        explanation = permissions.explain_event(connection, event_id)
    if as_json:
        print(explanation.json())
    else:
        _show(explanation)


def _show(explanation: Explanation) -> None:
    out = console()
    out.print(f"[bold]{escaped(explanation.verdict)}[/]: {escaped(explanation.sentence)}", soft_wrap=True)
    if explanation.statements:
        out.print(_table(explanation.statements))
    if explanation.against:
        out.print("[bold]speaking against it[/]")
        out.print(_table(explanation.against))
    for title, lines in (
        ("contradictions", explanation.contradictions),
        ("policies that cannot be read", explanation.unreadable),
        ("limits", explanation.limits),
    ):
        if lines:
            out.print(f"[bold]{title}[/]")
        for line in lines:
            out.print(f"  {escaped(line)}", soft_wrap=True)


def _table(candidates: tuple[Candidate, ...]) -> Table:
    table = Table(show_lines=False)
    for name in ("action", "resource", "statement", "condition", "standing"):
        table.add_column(name, overflow="fold")
    for one in candidates:
        since = f"event {one.event_id}" if one.event_id else f"seen {one.seen_at}"
        standing = f"{_STANDING[one.standing]} ({since})" + (f": {one.why}" if one.why else "")
        to = f", to {one.grants_to}" if one.grants_to else ""
        table.add_row(
            escaped(one.action),
            escaped(one.resource or "not known"),
            escaped(f"{one.effect}: {one.name()}{to}"),
            _CONDITION[one.condition] + ("" if one.matched == "yes" else "; whether it matches cannot be told"),
            escaped(standing),
        )
    return table
