"""When the selection of trails was narrowed, and until when: one narrowing for one cause, however many places it hits.

A narrowing opens where something that was selected no longer is, and closes once all of that is selected again. What a
later change takes away on top is a narrowing of its own. Where the selection cannot be told, nothing opens or closes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dynatrail.arns import place_of
from dynatrail.integrity.operations import CONTROL_PLANE, named, operations
from dynatrail.integrity.selectors import Answer, Gap, everything, lost
from dynatrail.integrity.trail_history import Segment, SelectorHistory
from dynatrail.integrity.trail_timeline import Cause
from dynatrail.integrity.words import Selection

Pair = tuple[str, str]
"""A table's ARN and an operation."""


@dataclass(slots=True)
class Span:
    """How long one table and operation lacked what a narrowing took; `end` is None while it does."""

    pair: Pair
    start: datetime
    end: datetime | None = None


@dataclass(slots=True)
class Narrowing:
    """Something that was selected and no longer is, or that never was as far as is known.

    Attributes:
        start: when it was narrowed, or from when on it is known to be narrow.
        after: where no event tells when, the last instant at which it was known not to be; None: it never was.
        causes: the events that narrowed it.
        healed: the events that widened it again, so far.
        trails: ARNs of the trails that count for the places that it hits.
        elsewhere: why other trails do not count.
        what: what is left out -> for which tables and operations.
    """

    start: datetime
    after: datetime | None
    causes: tuple[Cause, ...]
    spans: list[Span] = field(default_factory=list)
    healed: set[Cause] = field(default_factory=set)
    trails: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)
    what: dict[tuple[Gap, ...], set[Pair]] = field(default_factory=dict)

    @property
    def end(self) -> datetime | None:
        """When all of it was selected again; None: it is not."""
        ends = [one.end for one in self.spans]
        return None if None in ends else max(one for one in ends if one is not None)

    @property
    def key(self) -> tuple[object, ...]:
        """What tells one narrowing from another, whatever place it hits."""
        if self.causes:
            return ("event", *sorted(one.event_id for one in self.causes))
        seen = self.start if self.after else None
        return ("seen", seen, *sorted(map(repr, self.what)))


def of(history: SelectorHistory, places: Iterable[tuple[str, str]], tables: Iterable[str]) -> list[Narrowing]:
    """All narrowings of these accounts and regions, and of the tables in them, in order of time."""
    by_place: dict[tuple[str, str], list[str]] = {place: [] for place in places}
    for arn in sorted(tables):
        by_place.setdefault(place_of(arn)[:2], []).append(arn)
    merged: dict[tuple[object, ...], Narrowing] = {}
    for (account, region), arns in sorted(by_place.items()):
        for one in _of_place(history, account, region, arns):
            into = merged.setdefault(one.key, one)
            if into is not one:
                _merge(into, one)
    return sorted(merged.values(), key=lambda one: (one.start, repr(one.key)))


def _of_place(history: SelectorHistory, account: str, region: str, tables: Sequence[str]) -> list[Narrowing]:
    segments = _since_it_began(history.segments(account, region))
    nothing = f"arn:aws:dynamodb:{region}:{account}:table/"
    groups: dict[tuple[bool, ...], list[str]] = {}
    for arn in tables:
        groups.setdefault(history.group(arn), []).append(arn)
    found: dict[datetime, Narrowing] = {}
    for arns in groups.values():
        for name in operations():
            if name != CONTROL_PLANE:
                _follow(history, segments, name, arns, found)
    _follow(history, segments, CONTROL_PLANE, [nothing], found)
    return list(found.values())


def _since_it_began(segments: Sequence[Segment]) -> Sequence[Segment]:
    """From the first trail on: before it nothing was narrowed. All of them where no trail ever counted."""
    began = (place for place, one in enumerate(segments) if one.configuration.known or one.configuration.perhaps)
    return segments[next(began, 0) :]


def _follow(
    history: SelectorHistory,
    segments: Sequence[Segment],
    name: str,
    tables: Sequence[str],
    found: dict[datetime, Narrowing],
) -> None:
    """Follow one operation of tables that are treated alike through all configurations."""
    operation = named(name)
    before, after = everything(operation), None
    opened: list[tuple[Answer, Narrowing, list[Span]]] = []
    for segment in segments:
        answer = history.answer(segment.configuration, name, tables[0])
        if answer.selection is Selection.UNKNOWN or segment.start is None:
            continue
        still = []
        for was, narrowing, spans in opened:
            if lost(operation, was, answer):
                still.append((was, narrowing, spans))
                continue
            narrowing.healed |= set(segment.causes)
            for span in spans:
                span.end = segment.start
        opened = still
        if gaps := lost(operation, before, answer):
            narrowing = found.setdefault(segment.start, Narrowing(segment.start, after, segment.causes))
            spans = [Span((arn, name), segment.start) for arn in tables]
            narrowing.spans += spans
            narrowing.what.setdefault(gaps, set()).update(span.pair for span in spans)
            narrowing.trails |= {trail for trail, _ in segment.configuration.known}
            narrowing.elsewhere |= set(segment.configuration.elsewhere)
            opened.append((before, narrowing, spans))
        before, after = answer, segment.end


def _merge(into: Narrowing, other: Narrowing) -> None:
    into.start = min(into.start, other.start)
    into.spans += other.spans
    into.healed |= other.healed
    into.trails |= other.trails
    into.elsewhere |= other.elsewhere
    for gaps, pairs in other.what.items():
        into.what.setdefault(gaps, set()).update(pairs)
