"""Shows the encrypted values of one change to who is entitled: who has the key-wrapping key, a reason and a ticket.

First everything is decrypted in memory, then the reveal is recorded, then the caller gets the values. Where it cannot
be recorded nobody gets anything. Values go nowhere but to the caller: neither the record nor a message holds one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.dataset as pads

from dynatrail import clock
from dynatrail.errors import PrivacyError
from dynatrail.integrity import findings
from dynatrail.integrity.findings import Finding
from dynatrail.privacy import erasure, events, policy, subjects
from dynatrail.privacy.events import Event
from dynatrail.privacy.policy import MEMBER, Step, TablePolicy
from dynatrail.privacy.subjects import SubjectKeys
from dynatrail.warehouse.schema import ITEM_CHANGE
from dynatrail.warehouse.store import Warehouse

if TYPE_CHECKING:
    from dynatrail.settings import Settings

PRODUCER = "privacy"
RULE = "privacy.values_revealed"

_SHORTEST = 4
"""Characters of a value from which on a reason may not hold it: a shorter one is in many words."""

_COLUMNS = ["change_id", "account_id", "region", "table_name", "table_arn", "item_key_token", "old_image", "new_image"]
_decode = msgspec.json.Decoder().decode

Path = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """One encrypted value.

    Attributes:
        image: `old` or `new`.
        path: where it lies, as the policy writes paths.
        kind: DynamoDB type.
        value: in clear; None: it cannot be read.
        why: why not.
    """

    image: str
    path: str
    kind: str
    value: str | None
    why: str = ""


class _Sealed(NamedTuple):
    """An encrypted value where it lies."""

    image: str
    path: Path
    kind: str
    stored: str
    subject: str


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, as far as is known, and why.

    Attributes:
        name: as the command line finds it; a claim.
        reason, ticket: as given.
    """

    name: str
    reason: str
    ticket: str


def reveal(
    settings: "Settings",
    change_id: str,
    asker: Asker,
    *,
    attributes: Sequence[str] = (),
    at: datetime | None = None,
) -> list[Shown]:
    """The encrypted values of a change in clear, after the reveal has been recorded.

    Args:
        settings: say where warehouse, keys and policy are.
        change_id: of a row of `item_change`.
        asker: who asks, and why.
        attributes: paths of the values to show, as a policy writes them; none: all.
        at: the present instant.

    Raises:
        PrivacyError: no reason or ticket, or one that holds a value; no such change or value; nothing of it can be
            read, because its subject was erased (says when and why) or the key is another.
        SettingsError: the key-wrapping key is not here: who asks is not entitled.
        WarehouseError, StateError: the reveal could not be recorded, so nothing is shown.
    """
    reason, ticket = events.stated("reason", asker.reason), events.stated("ticket", asker.ticket)
    keys = subjects.load(settings, make=False)
    warehouse = Warehouse.from_settings(settings)
    change = _change(warehouse, change_id)
    found = _wanted(change, attributes)
    erased = {one.subject: one for one in subjects.erased({one.subject for one in found})}
    read = [(one, _read(keys, erased.get(one.subject), one)) for one in found]
    if not any(one.value is not None for _, one in read):
        raise PrivacyError(" ".join(dict.fromkeys(one.why for _, one in read)))
    for _, one in read:
        if one.value and len(one.value) >= _SHORTEST and one.value.casefold() in f"{reason} {ticket}".casefold():
            raise PrivacyError(
                "The reason or ticket holds one of the values, and both are kept for good. Nothing shown."
            )
    entry = policy.load(settings).entry(change["table_name"])
    readable = [one for one, shown in read if shown.value is not None]
    told = _events(change, readable, entry, Asker(asker.name, reason, ticket), at or clock.now())
    for event in told:
        erasure.refuse_if_it_names(settings, event.subject, f"{reason} {ticket}")
    events.record(warehouse, told)
    if entry is not None and entry.alert_on_reveal:
        for event in told:
            _alert(warehouse, event)
    return [one for _, one in read]


def _change(warehouse: Warehouse, change_id: str) -> dict[str, Any]:
    wanted = pads.field("change_id") == change_id
    rows = warehouse.dataset(ITEM_CHANGE.name).to_table(columns=_COLUMNS, filter=wanted).to_pylist()
    if not rows:
        raise PrivacyError(
            "There is no change with this id. Take change_id from item_change, or from `python -m dynatrail item`."
        )
    found: dict[str, Any] = rows[0]
    return found


def _wanted(change: dict[str, Any], attributes: Sequence[str]) -> list[_Sealed]:
    """Those encrypted values of a change that are asked for."""
    images = ((image, change[f"{image}_image"]) for image in ("old", "new"))
    there = [one for image, text in images if text for one in _encrypted(image, _decode(text))]
    if not there:
        raise PrivacyError("Nothing in this change is encrypted: what it shows is all that was kept.")
    try:
        rules = [policy.steps(path) for path in attributes]
    except ValueError as error:
        raise PrivacyError(f"--attribute: {error}.") from None
    for rule, said in zip(rules, attributes, strict=True):
        if not any(policy.leads_to(rule, one.path) for one in there):
            raise PrivacyError(
                f"Nothing at {said} is encrypted in this change. Encrypted are: "
                f"{', '.join(sorted({policy.written(one.path) for one in there}))}."
            )
    return [one for one in there if not rules or any(policy.leads_to(rule, one.path) for rule in rules)]


def _encrypted(image: str, members: dict[str, Any], path: Path = ()) -> Iterator[_Sealed]:
    """The encrypted values of a masked image, or of a map in it."""
    for name, value in members.items():
        yield from _within(image, value, (*path, name))


def _within(image: str, value: dict[str, Any], path: Path) -> Iterator[_Sealed]:
    ((kind, held),) = value.items()
    if kind == "M":
        yield from _encrypted(image, held, path)
    elif kind == "L":
        for member in held:
            yield from _within(image, member, (*path, MEMBER))
    else:
        for text in held if isinstance(held, list) else [held]:
            if isinstance(text, str) and (subject := subjects.subject_of(text)):
                yield _Sealed(image, path, kind, text, subject)


def _read(keys: SubjectKeys, erased: subjects.Erasure | None, one: _Sealed) -> Shown:
    name = policy.written(one.path)
    if erased is not None:
        why = f"Subject {erased.subject} was erased at {clock.iso(erased.erased_at)}: {erased.reason}"
        return Shown(one.image, name, one.kind, None, why if why.endswith(".") else f"{why}.")
    try:
        return Shown(one.image, name, one.kind, keys.decrypt(one.stored, one.path, one.kind))
    except PrivacyError as error:
        return Shown(one.image, name, one.kind, None, str(error))


def _events(
    change: dict[str, Any], read: Sequence[_Sealed], entry: TablePolicy | None, asker: Asker, at: datetime
) -> list[Event]:
    """One for each subject: the two images of a change may be about two."""
    return [
        Event(
            event_time=at,
            kind=events.REVEAL,
            subject=subject,
            account_id=change["account_id"],
            region=change["region"],
            table_name=change["table_name"],
            table_arn=change["table_arn"],
            item_key_token=change["item_key_token"],
            change_id=change["change_id"],
            attributes=tuple(sorted({_recorded(one.path, entry) for one in read if one.subject == subject})),
            actor=asker.name,
            actor_claimed=True,
            ticket=asker.ticket,
            reason=asker.reason,
        )
        for subject in sorted({one.subject for one in read})
    ]


def _recorded(path: Path, entry: TablePolicy | None) -> str:
    """The path as the policy has it: members of maps may be called by values, which are in no record."""
    rule = entry.deciding(path) if entry else None
    return rule.path if rule else policy.written(path[:1])


def _alert(warehouse: Warehouse, event: Event) -> None:
    """State the finding beside those of the same hour."""
    assert event.attributes is not None
    found = Finding(
        rule_id=RULE,
        severity=findings.MEDIUM,
        event_time=event.event_time,
        account_id=event.account_id,
        region=event.region,
        table_name=event.table_name,
        table_arn=event.table_arn,
        kind="rule",
        subject=event.privacy_event_id,
        title=f"Encrypted values of {event.table_name} were revealed",
        explanation=(
            f"Who claims to be {event.actor} was shown {', '.join(event.attributes)} of subject {event.subject} in the "
            f"change {event.change_id}, ticket {event.ticket}. The masking policy wants each reveal to be looked at: "
            "hold the ticket against the row of privacy_event, and ask the person."
        ),
        how_many=len(event.attributes),
        evidence_ids=(event.privacy_event_id,),
    )
    new = findings.table_of(PRODUCER, [found])
    findings.replace(
        warehouse,
        lambda present: _with(present, new),
        hours=[clock.hour_of(event.event_time)],
        where={"producer": PRODUCER, "account_id": event.account_id, "region": event.region},
    )


def _with(present: pa.Table, new: pa.Table) -> pa.Table:
    known = set(present["finding_id"].to_pylist())
    return present if known & set(new["finding_id"].to_pylist()) else pa.concat_tables([present, new])
