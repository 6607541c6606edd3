"""What covers which time of a chain: stretches in order, without overlap or hole."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise

BEGINNING = datetime.min.replace(tzinfo=UTC)


class Cover(StrEnum):
    """What is known of deliveries in a stretch of time, best first: where several claim one, the first wins."""

    VALID = "valid"
    MISSING = "missing"
    PENDING = "pending"
    INVALID = "invalid"
    UNREAD = "unread"
    OFF = "off"
    OPEN = "open"
    UNSEEN = "unseen"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A half-open stretch of time of a chain, and what covers it; `end` None: from then on.

    Attributes:
        reason_code: `log_file.reason_code` of a file that falls into it.
        reason: the same for a person.
    """

    start: datetime
    end: datetime | None
    cover: Cover
    reason_code: str | None = None
    reason: str | None = None


_RANK = {cover: rank for rank, cover in enumerate(Cover)}
_END = datetime.max.replace(tzinfo=UTC)


def painted(marks: Iterable[Stretch], open_from: datetime) -> tuple[Stretch, ...]:
    """Lay stretches over each other, better cover on top; before them is unseen, from `open_from` on is open.

    A hole between them is lost: something must have been there.
    """
    laid = sorted(marks, key=lambda mark: (mark.start, _end(mark), _RANK[mark.cover], mark.reason or ""))
    known = [mark for mark in laid if mark.start != BEGINNING]
    # What nobody signed does not tell where the chain begins.
    solid = [mark.start for mark in known if mark.cover not in {Cover.INVALID, Cover.UNREAD}]
    first = min(solid or [mark.start for mark in known], default=open_from)
    open_from = max(open_from, first)
    hole = Stretch(first, open_from, Cover.MISSING, "digest_missing", "No digest covers it, and nothing explains that.")
    ground = [
        Stretch(BEGINNING, first, Cover.UNSEEN, "digests_not_read", "Its digest was not read; verify from earlier on."),
        Stretch(open_from, None, Cover.OPEN, "window_open", "The digest of its window is not due yet."),
    ]
    points = sorted({point for mark in [*laid, *ground] for point in (mark.start, _end(mark))})
    painted: list[Stretch] = []
    active: list[Stretch] = []
    entering = iter(laid)
    upcoming = next(entering, None)
    for start, end in pairwise(points):
        active = [mark for mark in active if _end(mark) > start]
        while upcoming is not None and upcoming.start <= start:
            if _end(upcoming) > start:
                active.append(upcoming)
            upcoming = next(entering, None)
        below = ground[0] if end <= first else ground[1] if start >= open_from else hole
        top = min([*active, below], key=lambda mark: (_rank(mark, hole), mark.start, mark.reason or ""))
        _append(painted, top, start, None if end == _END else end)
    return tuple(painted)


def over(stretches: Sequence[Stretch], start: datetime, end: datetime) -> Sequence[Stretch]:
    """The stretches that [start, end] touches."""
    first = bisect_right(stretches, start, key=lambda stretch: stretch.start) - 1
    last = bisect_right(stretches, end, key=lambda stretch: stretch.start)
    return stretches[max(first, 0) : last]


def _append(painted: list[Stretch], top: Stretch, start: datetime, end: datetime | None) -> None:
    before = painted[-1] if painted else None
    same = before and (before.cover, before.reason_code, before.reason) == (top.cover, top.reason_code, top.reason)
    if before and same and before.end == start:
        start = before.start
        painted.pop()
    painted.append(Stretch(start, end, top.cover, top.reason_code, top.reason))


def _rank(mark: Stretch, hole: Stretch) -> int:
    return len(_RANK) if mark is hole else _RANK[mark.cover]


def _end(mark: Stretch) -> datetime:
    return mark.end or _END
