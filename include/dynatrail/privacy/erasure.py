"""Erases a person: destroys the key under which their values are encrypted, and records that it was done.

Tables and evidence stay byte for byte what they were; what is encrypted in them can no longer be read by anybody. The
state database notes the erasure in the transaction that destroys the key. The event is made from that note, so a run
that dies in between is healed by the next one, and any number of runs make one event.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from dynatrail import clock
from dynatrail.errors import PrivacyError
from dynatrail.privacy import events, policy, subjects
from dynatrail.privacy.events import Event
from dynatrail.privacy.tokens import Tokenizer, load_key
from dynatrail.state import database
from dynatrail.state.models import SubjectKey
from dynatrail.warehouse.schema import ITEM_CHANGE
from dynatrail.warehouse.store import Warehouse

if TYPE_CHECKING:
    from dynatrail.settings import Settings

CONFIRMATION = "ERASE"
SUBJECT_FORM = r"t1:[0-9a-f]{32}"


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for, checked.

    Attributes:
        subject: token of whom to erase.
        reason: why; kept.
        requested_by: user who triggered the run; None: Airflow does not say.
    """

    subject: str
    reason: str
    requested_by: str | None


@dataclass(frozen=True, slots=True)
class Done:
    """What an erasure came to; no value and no key is in it.

    Attributes:
        erased_at: when the key was destroyed; of a subject that was erased before, that time.
        hours: hours of the timeline that have to tell of it.
        again: whether the subject was erased before.
    """

    erased_at: datetime
    hours: set[datetime]
    again: bool


def asked(settings: "Settings", params: Mapping[str, Any], requested_by: str | None) -> Request:
    """The request of a form.

    Args:
        settings: say where policy and masking key are.
        params: `subject`, `reason` and `confirm`.
        requested_by: user who triggered the run.

    Raises:
        PrivacyError: the subject is no token, the reason is missing or names the subject, or the word of confirmation
            is not there. The message repeats nothing of what was given.
    """
    subject = (params.get("subject") or "").strip()
    if not re.fullmatch(SUBJECT_FORM, subject):
        raise PrivacyError(
            "The subject is no token (t1: and 32 hexadecimal digits). Never give the value itself: a run's parameters "
            "are kept. `python -m dynatrail token NAME=-` asks for the value unseen and prints the token; NAME is what "
            "the masking policy calls the subject. If a value was given, delete this run."
        )
    reason = events.stated("reason", params.get("reason"))
    if params.get("confirm") != CONFIRMATION:
        raise PrivacyError(f"Nothing was erased: write {CONFIRMATION} into Confirm, for it cannot be taken back.")
    refuse_if_it_names(settings, subject, reason)
    return Request(subject, reason, requested_by)


def approver(approval: Mapping[str, Any]) -> str:
    """The user who approved, as Airflow's approval step tells it.

    Raises:
        PrivacyError: it names nobody, as when nobody answered, or it is no approval.
    """
    user = approval.get("responded_by_user") or {}
    name = user.get("name") or user.get("id")
    if approval.get("chosen_options") != ["Approve"] or not name:
        raise PrivacyError("Nobody is known to have approved this erasure. Nothing was erased; trigger it again.")
    return str(name)


def refuse_if_it_names(settings: "Settings", subject: str, text: str) -> None:
    """Refuse a reason that holds the very value that the subject's token stands for.

    Raises:
        PrivacyError: it does; the message does not repeat it.
    """
    tokens = Tokenizer(load_key(settings))
    told = (table.subject for table in policy.load(settings).tables if table.subject)
    names = {one.name or one.attribute for one in told}
    words = {word for part in text.split() for word in (part, part.strip(".,;:!?()[]{}'\"<>"))} | {text}
    if any(tokens.item([(name, word)]) == subject for name in names for word in words):
        raise PrivacyError("The reason names the person, and it is kept for good. Give a ticket or a request's number.")


def holding(warehouse: Warehouse, subject: str) -> dict[str, int]:
    """Rows of `item_change` that hold encrypted values of a subject, by name of the table: what an erasure bears on."""
    mark = f"{subjects.PREFIX}{subject.rpartition(':')[2]}:"
    found: dict[str, int] = {}
    columns = ["table_name", "old_image", "new_image"]
    for batch in warehouse.dataset(ITEM_CHANGE.name).scanner(columns=columns).to_batches():
        old, new = (pc.fill_null(pc.match_substring(batch[name], mark), False) for name in columns[1:])
        for name in batch.filter(pc.or_(old, new))["table_name"].to_pylist():
            found[name] = found.get(name, 0) + 1
    return dict(sorted(found.items()))


def erase(request: Request, approved_by: str, warehouse: Warehouse, *, at: datetime | None = None) -> Done:
    """Destroy the subject's key for good, record it, and take what is left of the key out of the database's files.

    Args:
        request: of the form.
        approved_by: user who approved it.
        warehouse: gets the event, and that of any earlier erasure that was killed before it had one.
        at: the present instant.

    Raises:
        PrivacyError: who asked has approved it.
        StateError, WarehouseError: something of it could not be done. Run it again: the key is destroyed once, and one
            event is recorded.
    """
    if request.requested_by and request.requested_by.casefold() == approved_by.casefold():
        raise PrivacyError("Who asks for an erasure cannot approve it. Nothing was erased; let somebody else approve.")
    now = at or clock.now()
    done = subjects.erase(
        request.subject, reason=request.reason, erased_by=request.requested_by or "", approved_by=approved_by, at=now
    )
    told = {event.privacy_event_id: event for event in map(_event, subjects.erased())}
    own = _event(done)
    missing = told.keys() - events.recorded(warehouse, told.keys())
    hours = events.record(warehouse, [told[one] for one in sorted({*missing, own.privacy_event_id})])
    database.scrub(SubjectKey.__tablename__)
    return Done(done.erased_at, hours, again=done.erased_at != now)


def _event(done: subjects.Erasure) -> Event:
    return Event(
        event_time=done.erased_at,
        kind=events.ERASURE,
        subject=done.subject,
        reason=done.reason,
        actor=done.erased_by or None,
        actor_claimed=False,
        approved_by=done.approved_by or None,
    )
