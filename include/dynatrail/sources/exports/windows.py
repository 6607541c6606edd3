"""Spans of time: what is missing, and the windows in which an export can give it.

An incremental export takes whole seconds, from inclusive to exclusive, no less than 15 minutes and no more than 24
hours apart, within what point-in-time recovery reaches (IncrementalExportSpecification, DynamoDB API reference).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Self

from dynatrail import clock

SHORTEST = timedelta(minutes=15)
LONGEST = timedelta(hours=24)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Half-open: from `start` to before `end`, UTC."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{clock.iso(self.start)}/{clock.iso(self.end)}"

    @classmethod
    def read(cls, text: str) -> Self:
        """From `start/end`, as the state database keeps it."""
        start, _, end = text.partition("/")
        return cls(clock.parse_instant(start), clock.parse_instant(end))

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    def covers(self, other: "Span") -> bool:
        return self.start <= other.start and other.end <= self.end

    def meets(self, other: "Span") -> bool:
        """Whether the two have an instant in common."""
        return self.start < other.end and other.start < self.end


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same instants as spans that neither overlap nor touch, ascending."""
    found: list[Span] = []
    for span in sorted(spans):
        if span.start >= span.end:
            continue
        if found and span.start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


def without(spans: Iterable[Span], taken: Iterable[Span]) -> list[Span]:
    """The instants of `spans` that lie in none of `taken`."""
    rest = merged(spans)
    for hole in merged(taken):
        rest = [
            part
            for span in rest
            for part in (Span(span.start, min(span.end, hole.start)), Span(max(span.start, hole.end), span.end))
            if part.start < part.end
        ]
    return rest


def clipped(spans: Iterable[Span], window: Span) -> list[Span]:
    """The instants of `spans` that lie in `window`."""
    inside = (Span(max(span.start, window.start), min(span.end, window.end)) for span in spans)
    return merged(span for span in inside if span.start < span.end)


@dataclass(frozen=True, slots=True)
class Plan:
    """What an export is asked for.

    Attributes:
        window: what AWS is asked for.
        spans: what is missing in it.
    """

    window: Span
    spans: tuple[Span, ...]


def plan(missing: Sequence[Span], reach: Span) -> tuple[list[Plan], list[Span]]:
    """Windows that together cover what of `missing` lies within `reach`, and what lies outside of it.

    Ends are widened to whole seconds, then backwards (forwards where `reach` begins) to 15 minutes; what is longer than
    24 hours is cut into equal parts. The same spans always give the same windows while they stay in reach.
    """
    reach = Span(_up(reach.start), _down(reach.end))
    within = clipped(missing, reach) if reach.length >= SHORTEST else []
    plans: list[Plan] = []
    for wide in merged(_widened(span, reach) for span in within):
        plans += [Plan(part, tuple(clipped(within, part))) for part in _parts(wide)]
    return plans, without(missing, within)


def _widened(span: Span, reach: Span) -> Span:
    start, end = _down(span.start), min(_up(span.end), reach.end)
    if end - start < SHORTEST:
        start = max(end - SHORTEST, reach.start)
        end = max(end, start + SHORTEST)
    return Span(start, end)


def _parts(span: Span) -> list[Span]:
    count = -(-span.length // LONGEST)
    seconds = span.length // _SECOND
    cuts = [span.start + timedelta(seconds=seconds * number // count) for number in range(count)] + [span.end]
    return [Span(start, end) for start, end in pairwise(cuts)]


def _down(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)


def _up(instant: datetime) -> datetime:
    return instant if not instant.microsecond else _down(instant) + _SECOND
