"""`reveal`: the encrypted values of one change, on the terminal and nowhere else."""

import getpass
import socket
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from dynatrail.cli.text import escaped
from dynatrail.privacy import reveal
from dynatrail.settings import settings


def run(change_id: str, *, reason: str, ticket: str, attributes: Sequence[str]) -> None:
    """Record the reveal, then print the values.

    Raises:
        PrivacyError, SettingsError, WarehouseError, StateError: as `dynatrail.privacy.reveal.reveal`; nothing is shown.
    """
    asker = reveal.Asker(claimed(), reason, ticket)
    show(reveal.reveal(settings(), change_id, asker, attributes=attributes))


def show(shown: Iterable[reveal.Shown]) -> None:
    """Print values; what they hold does nothing to the terminal."""
    table = Table(box=None, pad_edge=False)
    for title in ("image", "attribute", "type", "value"):
        table.add_column(title, overflow="fold")
    for one in shown:
        # Line ends too: a value with its own could write rows that are none.
        value = escaped(one.value).replace("\n", "\\n") if one.value is not None else f"[dim]{escaped(one.why)}[/]"
        table.add_row(one.image, escaped(one.path), one.kind, value)
    console = Console(soft_wrap=False)
    console.print(table)
    console.print("\n[dim]Recorded in privacy_event; the next build_trail brings it into the timeline.[/]")


def claimed() -> str:
    """User and host as this machine calls them: a claim, nothing that is proven."""
    try:
        user = getpass.getuser()
    except OSError:  # a user id without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
