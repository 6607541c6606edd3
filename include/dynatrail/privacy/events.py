"""Rows of `privacy_event`: each erasure and reveal once, and the hours of the timeline that have to tell of it."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

import msgspec
import pyarrow as pa
import pyarrow.dataset as pads

from dynatrail.clock import hour_of, iso, plain
from dynatrail.errors import PrivacyError
from dynatrail.state import pending
from dynatrail.state.database import session
from dynatrail.warehouse.schema import PRIVACY_EVENT
from dynatrail.warehouse.store import Warehouse

ERASURE, REVEAL = "erasure", "reveal"
ANYWHERE = "*"
"""Account and region of what bears on all of them."""

LONGEST = 1000
"""Characters of a reason or a ticket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One erasure or reveal; the fields are those of the table."""

    event_time: datetime
    kind: str
    subject: str
    reason: str
    actor: str | None
    actor_claimed: bool
    account_id: str = ANYWHERE
    region: str = ANYWHERE
    table_name: str | None = None
    table_arn: str | None = None
    item_key_token: str | None = None
    change_id: str | None = None
    attributes: tuple[str, ...] | None = None
    approved_by: str | None = None
    ticket: str | None = None

    @property
    def privacy_event_id(self) -> str:
        """A subject is erased once; values may be looked at any number of times."""
        named: tuple[object, ...] = (self.kind, self.subject)
        if self.kind != ERASURE:
            named += (iso(self.event_time), self.change_id, self.attributes, self.actor, self.ticket, self.reason)
        return hashlib.sha256(msgspec.json.encode(named)).hexdigest()


def record(warehouse: Warehouse, events: Iterable[Event]) -> set[datetime]:
    """Write these events, as far as they are not there, and note that the timeline has to tell of them.

    Returns:
        Their hours.

    Raises:
        WarehouseError, StateError: they cannot be recorded, or the hours not be noted; do it again.
    """
    by_hour: dict[datetime, list[Event]] = {}
    for event in events:
        by_hour.setdefault(hour_of(event.event_time), []).append(event)
    # Before the rows, as a crash in between may not leave the timeline behind; and after them, for a build in between
    # took the hours for done without having seen the rows.
    pending.make_due(pending.TIMELINE, by_hour.keys())
    for hour, of_hour in sorted(by_hour.items()):
        new = pa.Table.from_pylist([_row(event) for event in of_hour], PRIVACY_EVENT.schema)
        warehouse.replace(PRIVACY_EVENT.name, lambda present, new=new: _joined(present, new), hours=[hour])  # type: ignore[misc]
    with session() as opened:
        pending.mark(opened, pending.TIMELINE, by_hour.keys())
    return set(by_hour)


def recorded(warehouse: Warehouse, ids: Collection[str]) -> set[str]:
    """Those of these events that are in the table."""
    wanted = pads.field("privacy_event_id").isin(sorted(ids))
    rows = warehouse.dataset(PRIVACY_EVENT.name).to_table(columns=["privacy_event_id"], filter=wanted)
    return set(rows["privacy_event_id"].to_pylist())


def stated(what: str, text: str | None) -> str:
    """A reason or ticket as it is kept: one line, not empty, not endless.

    Raises:
        PrivacyError: it is empty or too long.
    """
    line = " ".join((text or "").split())
    if not line:
        raise PrivacyError(
            f"The {what} is empty. Say it: it is kept with the record, and evidence shows it to auditors."
        )
    if len(line) > LONGEST:
        raise PrivacyError(f"The {what} has {len(line)} characters; {LONGEST} are kept. Say it shorter.")
    return line


def _joined(present: pa.Table, new: pa.Table) -> pa.Table:
    known = set(present["privacy_event_id"].to_pylist())
    wanted = [row for row in new.to_pylist() if row["privacy_event_id"] not in known]
    return pa.concat_tables([present, pa.Table.from_pylist(wanted, new.schema)])


def _row(event: Event) -> dict[str, object]:
    hour = hour_of(event.event_time)
    return {
        "privacy_event_id": event.privacy_event_id,
        "event_time": plain(event.event_time),
        "event_hour": hour,
        "event_date": hour.date(),
        "account_id": event.account_id,
        "region": event.region,
        "kind": event.kind,
        "subject": event.subject,
        "table_name": event.table_name,
        "table_arn": event.table_arn,
        "item_key_token": event.item_key_token,
        "change_id": event.change_id,
        "attributes": sorted(set(event.attributes)) if event.attributes else None,
        "actor": event.actor,
        "actor_claimed": event.actor_claimed,
        "approved_by": event.approved_by,
        "ticket": event.ticket,
        "reason": event.reason,
    }
