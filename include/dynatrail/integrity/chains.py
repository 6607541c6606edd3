"""Chains of digests: how each hangs on the one before, which ones are missing, and what time is covered.

A digest is made every hour at the same minute, so a lost one's name is known. What is absent is lost, may still come
(for a day: CloudTrail redelivers, out of order), or was never made because the trail did not log with validation then.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from dynatrail.clock import DAY, HOUR, iso
from dynatrail.integrity.digest_content import BACKFILL, REASONS, ChainId, Digest, place
from dynatrail.integrity.stretches import BEGINNING, Cover, Stretch, painted
from dynatrail.integrity.trail_facts import Change, LoggingSpan, TrailFacts
from dynatrail.integrity.words import DigestStatus, Link

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
class Chain:
    """One chain as verified.

    Attributes:
        states: what is to be said of it, sorted; `(valid,)` where all is well.
        stretches: in order, without overlap, over all time.
        digests: count by `trail_digest.status`.
        lost: runs of digests that are gone.
        off: spans in which none were made, on purpose.
    """

    id: ChainId
    states: tuple[ChainState, ...]
    stretches: tuple[Stretch, ...]
    digests: Mapping[str, int]
    lost: tuple[Lost, ...] = ()
    off: tuple[Off, ...] = ()


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
class _Walk:
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


def walk(id_: ChainId, digests: Sequence[Digest], view: View) -> tuple[Chain, list[Digest]]:
    """Link the digests of one chain (sorted by end), and find those that are missing.

    Sets `link` and reasons in `digests`; returns the chain and a digest for each missing one. A digest whose status is
    `missing` already is one that was there once.
    """
    self = _Walk(id_, view, list(digests))
    self.spans = sorted(
        (
            span
            for span in view.spans
            if (span.trail_name, span.home_region) == (id_.trail_name, id_.home_region)
            and span.validation
            and (span.account_ids is None or id_.account_id in span.account_ids)
        ),
        key=lambda span: span.start or BEGINNING,
    )
    anchors = [one for one in digests if one.status in {DigestStatus.VALID, DigestStatus.MISSING}]
    before: Digest | None = None
    for one in anchors:
        if one.status is DigestStatus.VALID:
            _link(self, one, before)
        before = one
    last = before or next((one for one in reversed(self.digests) if one.status is DigestStatus.UNREAD), None)
    tail = _tail(self, last) if last else BEGINNING
    return _chain(self, anchors, tail), self.missing


def _link(self: _Walk, one: Digest, before: Digest | None) -> None:
    if one.previous_uri is None:
        _begin(self, one, before)
        return
    previous = self.view.by_uri.get(one.previous_uri)
    if previous is not None and previous.status is DigestStatus.VALID:
        if (previous.sha256, previous.signature) == (one.previous_sha256, one.previous_signature):
            one.link = Link.LINKED
            _bridge(self, one, previous)
        else:
            one.link = Link.BROKEN
            one.settle(DigestStatus.INVALID, "previous_differs")
        return
    if previous is not None and previous.status in {DigestStatus.INVALID, DigestStatus.UNREAD}:
        fits = previous.sha256 is not None and previous.sha256 == one.previous_sha256
        unread = previous.status is DigestStatus.UNREAD
        one.link = Link.LINKED if fits and unread else None if unread else Link.BROKEN
        _note(one, "previous_unread" if unread and not fits else None if unread else "previous_invalid")
        return
    named = place(one.previous_uri)
    if previous is None and named is not None and named[0] != self.id:
        one.link = Link.FIRST
        _note(one, "other_bucket")
        return
    if previous is None and named is not None and named[1] < self.view.since:
        if one.link is None:  # else it is known from when the one before was read
            _note(one, "previous_not_read")
        return
    older = [other.end for other in self.digests if other.status is DigestStatus.VALID and other.end < one.end]
    head = not older
    one.link = Link.TRUNCATED_HEAD if head else Link.BROKEN
    _note(one, "previous_missing" if previous is None else "removed")
    last = named[1] if named else one.start or one.end
    floor = max(older) if older else _head_floor(self, last)
    _lose(self, _backward(self, last, floor), "head" if head else "middle", one.uri, "previous_missing")


def _begin(self: _Walk, one: Digest, before: Digest | None) -> None:
    """A digest that names none before: CloudTrail began there, for a reason that configuration must tell."""
    start = one.start or one.end - HOUR
    if before is None:
        # AWS signed that none was before: an account or region may join a trail that logs since long.
        one.link = Link.FIRST
        began = next((s for s in self.spans if s.start and abs(s.start - start) <= HOUR), None)
        text = f"Trail {self.id.trail_name} makes digests since {iso(start)} only"
        text += f" ({_told(began.began)})." if began and began.began else "."
        self.marks.append(Stretch(BEGINNING, start, Cover.OFF, "before_validation", text))
        return
    edges = [
        edge
        for span in self.spans
        for edge in (span.start, span.end)
        if edge is not None and before.end - HOUR - SLACK <= edge <= start + SLACK
    ]
    if not edges:
        one.link = Link.BROKEN
        _note(one, "restart_unexplained")
        dues = _forward(before.end, start)
        _lose(self, dues, "restart", one.uri, "restart_unexplained", at=(before.end, start))
        return
    one.link = Link.RESTARTED
    self.states.add(ChainState.GAP_BY_CONFIGURATION)
    _configured(self, before.end, start, one.uri)


def _configured(self: _Walk, first: datetime, last: datetime, shown_by: str | None) -> None:
    """A gap that configuration explains: what of it the trail logged in is lost all the same."""
    moment = first
    for span in self.spans:
        begin, end = max(span.start or BEGINNING, first), min(span.end or last, last)
        if end <= begin:
            continue
        if begin > moment:
            _switch_off(self, moment, begin)
        if end >= last - SLACK and begin > first:
            dues = [(due, True) for due in _back(last, begin)]
        else:
            dues = [(due, begin <= first) for due in _forward(begin, end)]
            stopped = span.ended is not None and span.ended.event_name == "StopLogging"
            if stopped and end - (dues[-1][0] if dues else begin) > SLACK:
                dues.append((end, False))  # the last digest of a trail that stops; its name holds seconds not known
        _lose_named(self, dues, "middle", shown_by)
        moment = max(moment, end)
    if last - moment > timedelta(0):
        _switch_off(self, moment, last)


def _switch_off(self: _Walk, start: datetime, end: datetime | None) -> None:
    ended = next((s.ended for s in reversed(self.spans) if s.end and s.end <= start + HOUR + SLACK and s.ended), None)
    began = (
        next((s.began for s in self.spans if s.start and abs(s.start - end) <= HOUR and s.began), None) if end else None
    )
    stopped = ended is not None and ended.event_name in {"StopLogging", "DeleteTrail"}
    code = "logging_stopped" if stopped else "validation_off"
    what = "did not log" if stopped else "made no digests"
    text = f"Trail {self.id.trail_name} {what} from {iso(start)} {'to ' + iso(end) if end else 'on'}"
    known = [_told(change) for change in (ended, began) if change]
    text += f" ({'; '.join(known)})." if known else "; who changed that is not known."
    self.marks.append(Stretch(start, end, Cover.OFF, code, text))
    self.off.append(Off(start=start, end=end, began=ended, ended=began, code=code, reason=text))


def _tail(self: _Walk, last: Digest) -> datetime:
    """What must have come after the newest digest; returns from when on nothing is due yet."""
    view = self.view
    if self.id.kind == BACKFILL:
        return last.end
    if view.named_elsewhere.get(last.uri or "", self.id) != self.id:
        _mark_off_elsewhere(self, last)
        return last.end
    facts = next(
        (f for f in view.facts if (f.trail_name, f.home_region) == (self.id.trail_name, self.id.home_region)), None
    )
    stop, resumed = _stop(self, last.end), None
    if again := _resumed(self, last.end):
        stop, resumed = max(again[0], last.end), again[1]
    if facts is not None and facts.is_logging is False and stop is None:
        stop = last.end
    present = {one.uri for one in self.digests}
    dues, due = [], last.end + HOUR
    while due <= view.until and (stop is None or due <= stop):
        dues.append(due)
        due += HOUR
    absent = [due for due in dues if self.id.uri(due) not in present]
    if not absent or absent[0] + OVERDUE >= view.until:
        # The next one is not overdue; what is due but present was not valid, and is told of by itself.
        dues = [due for due in dues if self.id.uri(due) in present and due < (absent or [view.until])[0]]
        absent = []
    delivered = facts.latest_digest_delivery_time if facts else None
    # The time is that of any region's newest digest, so an hour of it is no proof of another region's.
    proven = facts is None or (delivered is not None and any(due + HOUR <= delivered for due in absent))
    certain = {
        due for due in absent if view.until - due >= DAY or (proven and (delivered is None or due <= delivered + SLACK))
    }
    _lose(self, sorted(certain), "tail", last.uri, "tail_missing", await_=False)
    absent = [due for due in absent if due in certain or due + OVERDUE < view.until]
    for waiting in [due for due in absent if due not in certain]:
        _add(self, waiting, self.id.uri(waiting), DigestStatus.PENDING, "awaited")
    if stop is not None and view.until > stop:
        span = _span_at(self, stop - timedelta(microseconds=1))
        final = span is not None and span.ended is not None and span.ended.event_name == "StopLogging"
        newest = max([last.end, *dues])
        if final and stop - newest > SLACK and view.until - stop > 2 * HOUR:
            _lose_named(self, [(stop, False)], "tail", last.uri)
        self.states.add(ChainState.GAP_BY_CONFIGURATION)
        _switch_off(self, max(stop, newest), resumed)
    if resumed is None:
        return max([last.end, *absent])
    # The chain begins anew at a minute that nobody knows yet.
    anew = [due for due in _forward(resumed, view.until) if due + OVERDUE < view.until]
    _lose_named(self, [(due, False) for due in anew], "tail", last.uri)
    return max([resumed, *anew])


def _stop(self: _Walk, after: datetime) -> datetime | None:
    """When the trail stopped to make digests for good, as far as is known; None: it goes on, or nobody knows."""
    if not self.spans or any(span.end is None for span in self.spans):
        return None
    stop = max(span.end for span in self.spans if span.end is not None)
    return max(stop, after) if after <= stop + HOUR + SLACK else None  # a digest after it: the trail logs again


def _resumed(self: _Walk, after: datetime) -> tuple[datetime, datetime] | None:
    """When the trail stopped at about the newest digest, and began anew since; None: it did not."""
    for one, other in pairwise(self.spans):
        if one.end is not None and other.start is not None and after - SLACK <= other.start:
            return one.end, other.start
    return None


def _mark_off_elsewhere(self: _Walk, last: Digest) -> None:
    text = f"Trail {self.id.trail_name} delivers to another bucket or folder since {iso(last.end)}."
    self.marks.append(Stretch(last.end, None, Cover.OFF, "other_bucket", text))


def _head_floor(self: _Walk, last: datetime) -> datetime:
    """How far back a lost head reaches: to what configuration, or else the oldest known delivery or digest, tells."""
    span = _span_at(self, last - timedelta(seconds=1))
    known = self.view.known_since.get((self.id.account_id, self.id.region))
    if span is not None and span.start is not None:
        floor = max(span.start - SLACK, self.view.since)  # the first digest may cover a few minutes only
    elif known is not None:
        floor = max(known, self.view.since)
    else:
        floor = last - HOUR
    return min([floor, *(one.end - HOUR for one in self.digests if one.status is DigestStatus.MISSING)])


def _span_at(self: _Walk, instant: datetime) -> LoggingSpan | None:
    return next(
        (s for s in self.spans if (s.start or BEGINNING) <= instant and (s.end is None or instant < s.end)), None
    )


def _backward(self: _Walk, last: datetime, floor: datetime) -> list[datetime]:
    """Ends of digests from `last` back to after `floor`, ascending; the last always, others if the trail logged."""
    if self.id.kind == BACKFILL:
        return [last]
    before = _back(last - HOUR, floor)
    return [due for due in before if not self.spans or _span_at(self, due - timedelta(seconds=1)) is not None] + [last]


def _back(last: datetime, floor: datetime) -> list[datetime]:
    dues, due = [], last
    while due > floor + SLACK:
        dues.append(due)
        due -= HOUR
    return dues[::-1]


def _forward(first: datetime, last: datetime) -> list[datetime]:
    dues, due = [], first + HOUR
    while due <= last + SLACK:
        dues.append(due)
        due += HOUR
    return dues


def _lose(
    self: _Walk,
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
        there = self.view.by_uri.get(self.id.uri(due))
        if there is not None:
            if there.status is DigestStatus.MISSING:
                gone.append((due, there.uri))
            continue
        late = await_ and self.view.until - due < DAY
        _add(
            self, due, self.id.uri(due), DigestStatus.PENDING if late else DigestStatus.MISSING, None if late else code
        )
        if not late:
            gone.append((due, self.id.uri(due)))
    _note_lost(self, gone, where, shown_by, at)


def _lose_named(self: _Walk, dues: Sequence[tuple[datetime, bool]], where: str, shown_by: str | None) -> None:
    """The same in a gap of configuration, where some names are not known."""
    gone = []
    for due, named in dues:
        uri = self.id.uri(due) if named else None
        if uri is not None and uri in self.view.by_uri:
            continue
        late = self.view.until - due < DAY
        _add(self, due, uri, DigestStatus.PENDING if late else DigestStatus.MISSING, None if late else "tail_missing")
        if not late:
            gone.append((due, uri))
    _note_lost(self, gone, where, shown_by, None)


def _note_lost(
    self: _Walk,
    gone: Sequence[tuple[datetime, str | None]],
    where: str,
    shown_by: str | None,
    at: tuple[datetime, datetime] | None,
) -> None:
    if not gone and at is None:
        return
    start, end = at or (gone[0][0] - HOUR, gone[-1][0])
    self.lost.append(
        Lost(
            where=where,
            start=start,
            end=end,
            uris=tuple(uri for _, uri in gone if uri is not None),
            hours=len(gone),
            shown_by=shown_by,
        )
    )


def _add(self: _Walk, due: datetime, uri: str | None, status: DigestStatus, code: str | None) -> None:
    one = Digest(chain=self.id, end=due, uri=uri, status=status, start=due - HOUR)
    one.settle(status, code or "awaited")
    self.missing.append(one)


def _bridge(self: _Walk, one: Digest, previous: Digest) -> None:
    """Between two linked digests nothing is open, even should their windows not touch."""
    if one.start is not None and previous.end < one.start:
        self.marks.append(Stretch(previous.end, one.start, Cover.VALID))


def _note(one: Digest, code: str | None) -> None:
    one.reason_code, one.reason = code, REASONS[code] if code else None


def _told(change: Change) -> str:
    by = f" by {change.actor}" if change.actor else ""
    return f"{change.event_name} at {iso(change.at)}{by}"


_COVER = {
    DigestStatus.VALID: Cover.VALID,
    DigestStatus.INVALID: Cover.INVALID,
    DigestStatus.MISSING: Cover.MISSING,
    DigestStatus.PENDING: Cover.PENDING,
    DigestStatus.UNREAD: Cover.UNREAD,
}
_CODE = {Cover.INVALID: "digest_invalid", Cover.MISSING: "digest_missing", Cover.PENDING: "digest_pending"}


def _chain(self: _Walk, anchors: Sequence[Digest], open_from: datetime) -> Chain:
    for one in anchors:
        if one.status is DigestStatus.MISSING:
            one.link = None
            one.settle(DigestStatus.MISSING, "removed")
    _note_removed(self, anchors)
    everything = [*self.digests, *self.missing]
    marks = list(self.marks)
    for one in everything:
        cover = _COVER[one.status]
        code = one.reason_code if cover is Cover.UNREAD else _CODE.get(cover)
        where = one.uri or f"of {iso(one.end)}"
        reason = None if cover is Cover.VALID else f"Digest {where} is {one.status.value}: {one.reason}"
        marks.append(Stretch(one.start or one.end - HOUR, one.end, cover, code, reason))
    # What nobody signed does not tell how far the chain reaches.
    solid = [one.end for one in everything if one.status not in {DigestStatus.INVALID, DigestStatus.UNREAD}]
    stretches = painted(marks, max([open_from, *solid]))
    counts: dict[str, int] = {}
    for one in everything:
        counts[one.status.value] = counts.get(one.status.value, 0) + 1
    states = self.states | _states(self, everything)
    return Chain(
        id=self.id,
        states=tuple(sorted(states)) or (ChainState.VALID,),
        stretches=stretches,
        digests=dict(sorted(counts.items())),
        lost=tuple(sorted(self.lost, key=lambda lost: (lost.start, lost.end, lost.where))),
        off=tuple(self.off),
    )


def _note_removed(self: _Walk, anchors: Sequence[Digest]) -> None:
    """Runs of digests that were there once and that no other digest misses."""
    runs: list[list[Digest]] = []
    for one in anchors:
        if one.status is not DigestStatus.MISSING or any(lost.start < one.end <= lost.end for lost in self.lost):
            continue
        if runs and one.end - runs[-1][-1].end <= HOUR + SLACK:
            runs[-1].append(one)
        else:
            runs.append([one])
    for run in runs:
        _note_lost(self, [(one.end, one.uri) for one in run], _place_of(run[0], anchors), None, None)


def _place_of(one: Digest, anchors: Sequence[Digest]) -> str:
    valid = [other.end for other in anchors if other.status is DigestStatus.VALID]
    if not valid or one.end > max(valid):
        return "tail"
    return "head" if one.end < min(valid) else "middle"


def _states(self: _Walk, everything: Sequence[Digest]) -> set[ChainState]:
    found = set()
    where = {lost.where for lost in self.lost}
    broken = any(one.link is Link.BROKEN and one.reason_code != "previous_missing" for one in everything)
    if broken or where & {"middle", "restart"}:
        found.add(ChainState.BROKEN)
    if any(one.status is DigestStatus.PENDING for one in everything):
        found.add(ChainState.PENDING_REDELIVERY)
    if "head" in where:
        found.add(ChainState.TRUNCATED_HEAD)
    if "tail" in where:
        found.add(ChainState.TRUNCATED_TAIL)
    if any(one.status is DigestStatus.INVALID for one in everything):
        found.add(ChainState.INVALID)
    return found
