"""`session`: who is behind an access key or an event, link by link, and what was done with the key."""

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.table import Table

from dynatrail import clock, config
from dynatrail.cli.screen import console
from dynatrail.cli.text import escaped
from dynatrail.settings import settings
from dynatrail.trail import sessions_chain
from dynatrail.trail.sessions_chain import Link, Row, Story
from dynatrail.warehouse import engine
from dynatrail.warehouse.store import Warehouse

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LONGEST = 300  # characters of one value; a name in a log may be anything
_SHOWN = 20

_PROOF = {
    "key": "the event names the key",
    "role_id": "same id, and the key was created in the second of the event",
    "interval": "same names, close in time: the weakest proof",
    "": "nothing proves it",
}


def run(key_or_event_id: str, *, as_json: bool) -> None:
    """Print the story; raises WarehouseError where the warehouse knows no such key or event."""
    chosen = settings()
    with engine.connect(Warehouse.from_settings(chosen)) as connection:
        story = sessions_chain.told(connection, key_or_event_id, break_glass=config.load(chosen).break_glass)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(as_document(story), order="sorted") + b"\n")
        return
    out = console()
    _head(out, story)
    _chain(out, story)
    _activity(out, story)
    _issued(out, story)


def show_chain(out: Console, connection: "DuckDBPyConnection", key_or_event_id: str) -> None:
    """Print who is behind one event, and each link before it; what was done with the key is left out.

    Raises:
        WarehouseError: the warehouse knows no such event or key.
    """
    chosen = config.load(settings())
    story = sessions_chain.told(connection, key_or_event_id, break_glass=chosen.break_glass)
    _head(out, story)
    _chain(out, story)


def as_document(story: Story) -> dict[str, Any]:
    """The story as JSON has it: instants as text, names as in the warehouse."""
    principal = story.principal
    document: dict[str, Any] = _plain(
        {
            "access_key_id": story.access_key_id,
            "event": story.event,
            "first_principal_arn": principal["first_principal_arn"],
            "first_principal_type": principal["first_principal_type"],
            "principal_class": principal["principal_class"],
            "chain_proof": principal["chain_proof"],
            "unresolved_reason": principal["unresolved_reason"],
            "what_to_do": story.why_unresolved(),
            "conflict": principal["conflict"],
            "session": story.session,
            "links": [
                {"proof": link.proof, "caller": link.caller, "session": link.session, "event": link.event}
                for link in story.links
            ],
            "activity": story.activity,
            "issued": story.issued,
        }
    )
    return document


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return clock.iso(value) if isinstance(value, datetime) else value


def _head(out: Console, story: Story) -> None:
    if event := story.event:
        on = f" on {', '.join(event['table_names'])}" if event["table_names"] else ""
        failed = f", which failed: {event['error_code']}" if event["error_code"] else ""
        _say(out, "Event", f"{event['event_id']}: {event['event_name']}{on} at {_at(event['event_time'])}{failed}")
    _say(out, "Key", _key(story))
    principal = story.principal
    if principal["first_principal_arn"]:
        kind = f"{principal['first_principal_type']}, {principal['principal_class']}"
        proof = principal["chain_proof"]
        weakest = f"; weakest proof: {proof} ({_PROOF[proof]})" if proof else ""
        _say(out, "Begins with", f"{_short(principal['first_principal_arn'])} ({kind}){weakest}")
    else:
        _say(out, "Begins with", f"nobody proven ({principal['unresolved_reason']}). {story.why_unresolved()}")
    if principal["conflict"]:
        _say(out, "Contradiction", f"{principal['conflict']}.")


def _key(story: Story) -> str:
    key, session = story.access_key_id, story.session
    if key is None:
        return "the record names none"
    if session is None:
        return f"{key}, a long-term key: it is its own beginning" if key.startswith("AKIA") else f"{key}, of no session"
    ends = f" to {_at(session['expires_at'])}" if session["expires_at"] else ""
    of = _short(session["principal_arn"] or session["principal_type"] or "a principal that is not named")
    return f"{key}, {of} in account {session['account_id']}, {_at(session['started_at'])}{ends}"


def _chain(out: Console, story: Story) -> None:
    if not story.links:
        if story.session:
            out.print("No event in the warehouse issued it; its uses tell what is known.", highlight=False)
        return
    for number, link in enumerate(story.links, 1):
        out.print(f"[bold]{number}.[/] {escaped(_said(link))}", highlight=False, soft_wrap=True)
        out.print(f"   proof [bold]{escaped(link.proof or 'none')}[/]: {_PROOF.get(link.proof, '')}", highlight=False)
        for name, value in _claims(link):
            out.print(f"   {name}: {escaped(_short(value))}", highlight=False, soft_wrap=True)


def _said(link: Link) -> str:
    """Who asked for which key, when and from where."""
    session, event = link.session, link.event or {}
    at = event.get("event_time") or session["started_at"]
    address = f" from {_short(event['source_ip_address'])}" if event.get("source_ip_address") else ""
    key = session["access_key_id"]
    role = f" for {_short(session['role_arn'])}" if session["role_arn"] else ""
    return (
        f"{_at(at)}  {_short(link.caller)}{address} called {session['issued_event_name']} "
        f"({session['issued_event_id']}), which issued {key}{role}"
    )


def _claims(link: Link) -> list[tuple[str, str]]:
    session = link.session
    found: list[tuple[str, str | None]] = [
        ("claimed session name, no proof", session["claimed_name"]),
        ("MFA", {True: "used", False: "not used", None: None}[session["mfa_authenticated"]]),
        ("source identity", session["source_identity"]),
        ("tags passed on", ", ".join(session["transitive_tag_keys"] or ())),
        ("identity provider", session["federated_provider"]),
        ("subject", session["federated_subject"]),
        ("Identity Center user", session["identity_center_user_id"]),
        ("issued to", session["origin_arn"]),
        ("through", session["invoked_by"]),
    ]
    return [(name, value) for name, value in found if value]


def _activity(out: Console, story: Story) -> None:
    if not story.activity:
        out.print("[bold]Did[/] nothing that the warehouse has.", highlight=False)
        return
    table = Table(title="What was done with it", title_justify="left", title_style="bold")
    for name in ("table", "operation", "calls", "failed", "denied", "first", "last"):
        table.add_column(name, justify="right" if name in {"calls", "failed", "denied"} else "left", overflow="fold")
    for row in story.activity[:_SHOWN]:
        service = row["event_source"].partition(".")[0]
        operation = row["event_name"] if row["table_name"] else f"{service}:{row['event_name']}"
        counts = (f"{int(row[name]):,}" if row[name] else "·" for name in ("calls", "failed", "denied"))
        named = (escaped(_short(text)) for text in (row["table_name"] or "·", operation))
        table.add_row(*named, *counts, _at(row["first_at"]), _at(row["last_at"]))
    if len(story.activity) > _SHOWN:
        table.caption = f"and {len(story.activity) - _SHOWN} more; --json gives all"
    out.print(table)


def _issued(out: Console, story: Story) -> None:
    if not story.issued:
        return
    out.print("[bold]Issued further[/]", highlight=False)
    for row in story.issued[:_SHOWN]:
        out.print(escaped(f"  {_further(row)}"), highlight=False, soft_wrap=True)
    if len(story.issued) > _SHOWN:
        out.print(f"  and {len(story.issued) - _SHOWN} more; --json gives all", highlight=False)


def _further(row: Row) -> str:
    of = _short(row["role_arn"] or row["principal_arn"] or "a principal that is not named")
    return f"{_at(row['started_at'])}  {row['access_key_id']} for {of} ({row['issued_event_name']})"


def _say(out: Console, name: str, text: str) -> None:
    out.print(f"[bold]{name}[/] {escaped(text)}", highlight=False, soft_wrap=True)


def _at(instant: datetime) -> str:
    return clock.iso(instant)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
