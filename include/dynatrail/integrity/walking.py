"""A chain while it is walked from its oldest digest to its newest: what is found missing, and what was never made."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from dynatrail.clock import DAY, HOUR, iso
from dynatrail.integrity.digest_content import BACKFILL, ChainId, Digest
from dynatrail.integrity.stretches import BEGINNING, Cover, Stretch
from dynatrail.integrity.trail_facts import Change, LoggingSpan, TrailFacts
from dynatrail.integrity.words import DigestStatus

SLACK = timedelta(minutes=10)
"""How far instants of configuration and of digests may lie apart and still be the same moment."""


OVERDUE = HOUR
"""How long after it fell due a digest may reach the bucket."""


class ChainState(StrEnum):
    """What is to be said of a chain; several may hold."""

    VALID = "valid"
    INVALID = "invalid"
    BROKEN = "broken"
    PENDING_REDELIVERY = "pending_redelivery"
    GAP_BY_CONFIGURATION = "gap_by_configuration"
    TRUNCATED_TAIL = "truncated_tail"
    TRUNCATED_HEAD = "truncated_head"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A run of digests that are gone.

    Attributes:
        where: `middle`, `head`, `tail`, or `restart` (a chain that begins anew, unexplained, maybe without loss).
        start: begin of the time that they cover.
        end: its end.
        uris: where they must lie, as far as that is known, in the order of time.
        hours: how many there are.
        shown_by: address of the valid digest that shows it: the next one, for a tail the last one.
    """

    where: str
    start: datetime
    end: datetime
    uris: tuple[str, ...]
    hours: int
    shown_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Off:
    """A span in which configuration made no digests."""

    start: datetime
    end: datetime | None
    began: Change | None
    ended: Change | None
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What all chains are seen in."""

    by_uri: Mapping[str, Digest]
    named_elsewhere: Mapping[str, ChainId]
    since: datetime
    until: datetime
    spans: Collection[LoggingSpan]
    facts: Collection[TrailFacts]
    known_since: Mapping[tuple[str, str], datetime]


@dataclass(slots=True)
class Walk:
    """One chain while it is walked from its oldest digest to its newest."""

    id: ChainId
    view: View
    digests: list[Digest]
    missing: list[Digest] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    off: list[Off] = field(default_factory=list)
    marks: list[Stretch] = field(default_factory=list)
    states: set[ChainState] = field(default_factory=set)
    spans: list[LoggingSpan] = field(default_factory=list)


def span_at(state: Walk, instant: datetime) -> LoggingSpan | None:
    return next(
        (s for s in state.spans if (s.start or BEGINNING) <= instant and (s.end is None or instant < s.end)), None
    )


def backward(state: Walk, last: datetime, floor: datetime) -> list[datetime]:
    """Ends of digests from `last` back to after `floor`, ascending; the last always, others if the trail logged."""
    if state.id.kind == BACKFILL:
        return [last]
    before = back(last - HOUR, floor)
    return [due for due in before if not state.spans or span_at(state, due - timedelta(seconds=1)) is not None] + [last]


def back(last: datetime, floor: datetime) -> list[datetime]:
    dues, due = [], last
    while due > floor + SLACK:
        dues.append(due)
        due -= HOUR
    return dues[::-1]


def forward(first: datetime, last: datetime) -> list[datetime]:
    dues, due = [], first + HOUR
    while due <= last + SLACK:
        dues.append(due)
        due += HOUR
    return dues


def lose(
    state: Walk,
    dues: Sequence[datetime],
    where: str,
    shown_by: str | None,
    code: str,
    *,
    at: tuple[datetime, datetime] | None = None,
    await_: bool = True,
) -> None:
    """Note digests that must have been: missing, or awaited while they are younger than a day."""
    gone = []
    for due in dues:
        there = state.view.by_uri.get(state.id.uri(due))
        if there is not None:
            if there.status is DigestStatus.MISSING:
                gone.append((due, there.uri))
            continue
        late = await_ and state.view.until - due < DAY
        add(
            state,
            due,
            state.id.uri(due),
            DigestStatus.PENDING if late else DigestStatus.MISSING,
            None if late else code,
        )
        if not late:
            gone.append((due, state.id.uri(due)))
    note_lost(state, gone, where, shown_by, at)


def lose_named(state: Walk, dues: Sequence[tuple[datetime, bool]], where: str, shown_by: str | None) -> None:
    """The same in a gap of configuration, where some names are not known."""
    gone = []
    for due, named in dues:
        uri = state.id.uri(due) if named else None
        if uri is not None and uri in state.view.by_uri:
            continue
        late = state.view.until - due < DAY
        add(state, due, uri, DigestStatus.PENDING if late else DigestStatus.MISSING, None if late else "tail_missing")
        if not late:
            gone.append((due, uri))
    note_lost(state, gone, where, shown_by, None)


def note_lost(
    state: Walk,
    gone: Sequence[tuple[datetime, str | None]],
    where: str,
    shown_by: str | None,
    at: tuple[datetime, datetime] | None,
) -> None:
    if not gone and at is None:
        return
    start, end = at or (gone[0][0] - HOUR, gone[-1][0])
    state.lost.append(
        Lost(
            where=where,
            start=start,
            end=end,
            uris=tuple(uri for _, uri in gone if uri is not None),
            hours=len(gone),
            shown_by=shown_by,
        )
    )


def add(state: Walk, due: datetime, uri: str | None, status: DigestStatus, code: str | None) -> None:
    one = Digest(chain=state.id, end=due, uri=uri, status=status, start=due - HOUR)
    one.settle(status, code or "awaited")
    state.missing.append(one)


def told(change: Change) -> str:
    by = f" by {change.actor}" if change.actor else ""
    return f"{change.event_name} at {iso(change.at)}{by}"


def switch_off(state: Walk, start: datetime, end: datetime | None) -> None:
    ended = next((s.ended for s in reversed(state.spans) if s.end and s.end <= start + HOUR + SLACK and s.ended), None)
    began = (
        next((s.began for s in state.spans if s.start and abs(s.start - end) <= HOUR and s.began), None)
        if end
        else None
    )
    stopped = ended is not None and ended.event_name in {"StopLogging", "DeleteTrail"}
    code = "logging_stopped" if stopped else "validation_off"
    what = "did not log" if stopped else "made no digests"
    text = f"Trail {state.id.trail_name} {what} from {iso(start)} {'to ' + iso(end) if end else 'on'}"
    known = [told(change) for change in (ended, began) if change]
    text += f" ({'; '.join(known)})." if known else "; who changed that is not known."
    state.marks.append(Stretch(start, end, Cover.OFF, code, text))
    state.off.append(Off(start=start, end=end, began=ended, ended=began, code=code, reason=text))
