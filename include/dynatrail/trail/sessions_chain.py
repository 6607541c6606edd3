"""One session as a person reads it: the chain that it hangs on, what was done with it, what it issued further."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dynatrail.clock import HOUR, hour_of
from dynatrail.errors import WarehouseError
from dynatrail.trail import sessions
from dynatrail.warehouse import engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection

Row = dict[str, Any]

KEY_PREFIXES = ("ASIA", "AKIA")

REASONS = {
    "issuer_not_seen": (
        "No event that issued this key is in the warehouse: it is older than the trail, was lost, or comes from a "
        "service that records none. Take the {hours} hours before {at} with `python -m dynatrail run`, and see in "
        "coverage whether the management events of that time are complete."
    ),
    "issuer_in_other_account": (
        "The caller is of an account whose trail is not read. Read that account's trail too, or ask its owner for the "
        "event with the same sharedEventID."
    ),
    "caller_not_named": (
        "The event that issued the key does not say who asked for it. See its record in api_event, and the logs of "
        "the service that issued it."
    ),
    "subject_not_recorded": (
        "The identity provider's subject is not in the record, as where AWS leaves out a long response. See the "
        "provider's own log of sign-ins at {at}."
    ),
    "contradiction": (
        "Records contradict each other, so that none is believed. See the finding of rule "
        "identity.session_contradiction and the events that it names."
    ),
    "circle": (
        "The issuing events go in a circle, which AWS cannot have made. See the finding of rule "
        "identity.session_contradiction and where these records come from."
    ),
    "key_not_recorded": (
        "The record names no access key, so no session can be found for it. See the record in api_event."
    ),
    "session_not_built": (
        "No session of this key is built. Trigger the DAG build_trail for the hour {at}, or take that hour with "
        "`python -m dynatrail run`."
    ),
}
"""Why there is no first principal, as a sentence, and what to do."""


@dataclass(frozen=True, slots=True)
class Link:
    """One event that issued a key, the first principal's first.

    Attributes:
        session: row of `session` that it issued.
        proof: how it is known to have issued that key: key, role_id or interval.
        caller: who asked, as the event names them.
        event: its row, as `sql/report/session_issuers.sql` gives it; None: not in the warehouse any more.
    """

    session: Row
    proof: str
    caller: str
    event: Row | None


@dataclass(frozen=True, slots=True)
class Story:
    """What is known of a key.

    Attributes:
        access_key_id: the key; None: the event names none.
        event: the event that was asked about, if one was.
        session: its row of `session`; None: a long-term key, or nothing is built.
        principal: row of `sql/trail/first_principal.sql`.
        links: the chain, the first principal's first.
        activity: rows of `sql/report/session_activity.sql`.
        issued: rows of `sql/report/session_issued.sql`.
    """

    access_key_id: str | None
    principal: Row
    event: Row | None = None
    session: Row | None = None
    links: list[Link] = field(default_factory=list)
    activity: list[Row] = field(default_factory=list)
    issued: list[Row] = field(default_factory=list)

    def why_unresolved(self) -> str | None:
        """Why there is no first principal and what to do; None where there is one."""
        reason = self.principal["unresolved_reason"]
        if not reason:
            return None
        told = self.session["started_at"] if self.session else (self.event or {}).get("event_time")
        hours = int(sessions.CHAIN / HOUR)
        return REASONS[reason].format(at=told.isoformat() if told else "of its use", hours=hours)


def told(connection: "DuckDBPyConnection", key_or_event_id: str, *, break_glass: "Sequence[str]" = ()) -> Story:
    """All that is known of an access key, or of the one that signed an event.

    Args:
        connection: an engine over the warehouse.
        key_or_event_id: access key id (ASIA… or AKIA…), or CloudTrail eventID.
        break_glass: as for `sessions.build`.

    Raises:
        WarehouseError: the warehouse knows neither such a key nor such an event, or cannot be read.
    """
    if key_or_event_id.startswith(KEY_PREFIXES):
        return _of_key(connection, key_or_event_id, None, break_glass)
    events = engine.run_file(connection, "report/session_event.sql", event_id=key_or_event_id).to_pylist()
    if not events:
        raise WarehouseError(
            f"The warehouse has no event {key_or_event_id!r}, and that is no access key id (ASIA… or AKIA…). "
            "Give the event_id of a row of api_event or audit_record."
        )
    return _of_key(connection, events[0]["access_key_id"], events[0], break_glass)


def _of_key(
    connection: "DuckDBPyConnection", key: str | None, event: Row | None, break_glass: "Sequence[str]"
) -> Story:
    chain = engine.run_file(connection, "report/session_chain.sql", access_key_id=key).to_pylist() if key else []
    session = chain[0] if chain else None
    start, end = _window(session, event)
    done: list[Row] = []
    if key:
        done = engine.run_file(
            connection, "report/session_activity.sql", access_key_id=key, start=start, end=end
        ).to_pylist()
    caller = event or _some_caller(connection, key, start, end)
    if caller is None and session is None:
        raise WarehouseError(f"The warehouse has no event that was signed with {key}, and no session of it.")
    return Story(
        access_key_id=key,
        event=event,
        session=session,
        principal=_principal(connection, key, caller, break_glass),
        links=_links(connection, chain),
        activity=done,
        issued=engine.run_file(
            connection, "report/session_issued.sql", access_key_id=key, start=start, end=end
        ).to_pylist()
        if key
        else [],
    )


def _window(session: Row | None, event: Row | None) -> tuple[datetime, datetime]:
    """Whole hours in which a key may have been used; a long-term key: whenever."""
    if session:
        # Not until it expires: what was done later is of interest most of all.
        return hour_of(session["started_at"]) - HOUR, hour_of(session["started_at"] + sessions.LONGEST) + HOUR
    if event and not (event["access_key_id"] or "").startswith("AKIA"):
        at = hour_of(event["event_time"])
        return at - sessions.LONGEST, at + sessions.LONGEST
    return sessions.EARLIEST, sessions.LATEST


def _some_caller(connection: "DuckDBPyConnection", key: str | None, start: datetime, end: datetime) -> Row | None:
    """What some event says of who signed with a key."""
    rows = engine.run_file(connection, "report/session_caller.sql", access_key_id=key, start=start, end=end).to_pylist()
    return rows[0] if rows else None


def _principal(
    connection: "DuckDBPyConnection", key: str | None, caller: Row | None, break_glass: "Sequence[str]"
) -> Row:
    described = {name: (caller or {}).get(name) for name in sessions.CALLER.names}
    described |= {"caller_id": "0", "access_key_id": key}
    callers = pa.Table.from_pylist([described], schema=sessions.CALLER)
    rows: list[Row] = sessions.first_principals(connection, callers, break_glass=break_glass).to_pylist()
    return rows[0]


def _links(connection: "DuckDBPyConnection", chain: list[Row]) -> list[Link]:
    """The chain's links, from the beginning: each session's own link is the last of its `chain`."""
    linked = [row for row in chain if row["issued_event_id"]]
    if not linked:
        return []
    wanted = pa.table({"event_id": pa.array([row["issued_event_id"] for row in linked], pa.string())})
    times = [row["started_at"] for row in linked]
    connection.register("wanted_event", wanted)
    try:
        events = engine.run_file(
            connection,
            "report/session_issuers.sql",
            start=hour_of(min(times)) - HOUR,
            end=hour_of(max(times)) + 2 * HOUR,
        ).to_pylist()
    finally:
        connection.unregister("wanted_event")
    by_id = {row["issued_event_id"]: row for row in events}
    return [_link(row, by_id.get(row["issued_event_id"])) for row in reversed(linked)]


def _link(session: Row, event: Row | None) -> Link:
    own = (session["chain"] or [""])[-1]
    proof, _, rest = own.partition(" ")
    who = rest.partition(": ")[2] or (event or {}).get("principal_arn") or "not named"
    return Link(session, proof or session["chain_proof"] or "", who, event)
