"""Who did it, in the summary of a run: the chain behind one write, the life of one item, what is left over."""

from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console

from dynatrail import config
from dynatrail.cli import exceptions, item, session
from dynatrail.cli.text import escaped
from dynatrail.settings import settings
from dynatrail.trail import attribution, items, permissions, sessions

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_HAPPENINGS = 8
_POSSIBLE = 3
_EXAMPLES = 1


def show(out: Console, connection: "DuckDBPyConnection", start: datetime, end: datetime) -> None:
    """Print what shows most in the window [start, end); what there is nothing of is left out.

    Raises:
        WarehouseError: a table cannot be read.
    """
    chosen = config.load(settings())
    if written := sessions.most_chained(connection, start, end):
        out.rule("[bold]Who is behind one write[/]")
        session.show_chain(out, connection, written)
        out.print(f"With what right: {escaped(permissions.sentence(connection, written))}", soft_wrap=True)
    if telling := items.most_telling(connection, start, end):
        life = items.life(connection, telling, start, end, break_glass=chosen.break_glass)
        item.show(out, life, limit=_HAPPENINGS, possible=_POSSIBLE)
    found = attribution.exceptions(connection, start, end)
    out.rule("[bold]What attribution leaves over[/]")
    exceptions.show(out, found.changes, found.requests, examples=_EXAMPLES)
