"""What is tolerated between two counts: `include/reconcile/tolerances.yaml`, and the arithmetic over it.

A tolerance grows with the square root of the count, as chance at the edges of spans does. Its width is what a table's
operation showed before, and nothing is learnt from what was missing: see `sql/reconcile/expected.sql`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from math import sqrt
from typing import Literal

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from dynatrail.clock import hour_of
from dynatrail.errors import SettingsError
from dynatrail.settings import PROJECT

FILE = PROJECT / "include" / "reconcile" / "tolerances.yaml"

_NOTHING = 1e-6


class Measure(BaseModel):
    """One thing that is counted twice; the file explains the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    witness: Literal["cloudwatch", "other"]
    calibrated: bool = False
    one_sided: bool = False
    finding: bool = False


class Accepted(BaseModel):
    """A ratio that somebody looked into."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account_id: str | None = None
    region: str | None = None
    table_name: str | None = None
    operation: str | None = None
    ratio: float = Field(gt=0, lt=1)
    since: AwareDatetime
    until: AwareDatetime | None = None
    by: str = Field(min_length=1)
    why: str = Field(min_length=1)


class Tolerances(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    history_days: int = Field(gt=0)
    least_samples: int = Field(gt=0)
    without_history: float = Field(ge=0, lt=1)
    spread_times: float = Field(gt=0)
    reach_spans: int = Field(ge=0, le=36)
    settled_after_s: int = Field(ge=0)
    measures: dict[str, Measure]
    tells_only: tuple[str, ...]
    accepted: tuple[Accepted, ...] = ()

    def of(self, expected: float, spread: float | None) -> float:
        """How many of `expected` things may be missing or too many; `spread` None: there is no history."""
        if spread is None:
            return self.without_history * expected
        return self.spread_times * spread * sqrt(expected)


@cache
def tolerances() -> Tolerances:
    """What the file says.

    Raises:
        SettingsError: the file cannot be read or is wrong; names the field.
    """
    try:
        return Tolerances.model_validate(yaml.safe_load(FILE.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"{FILE} cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(f"{FILE}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


@dataclass(frozen=True, slots=True)
class Span:
    """One span of one series, in order of time.

    Attributes:
        starts_at, ends_at: half-open.
        difference: what is missing of the expected count; below zero: what is too much.
        trail_count: events.
        is_known: whether the witness's count is known; if not, it may have counted any event beside it.
    """

    starts_at: datetime
    ends_at: datetime
    difference: float
    trail_count: float
    is_known: bool = True


def settle(spans: Sequence[Span], reach: int, unread: frozenset[datetime] = frozenset()) -> list[float]:
    """Differences left over when spans next to each other have made up for events that lie near their ends.

    The witness may have counted an event in the span before or after. So what one has too much makes up for what
    another lacks, where every span between them has events that it can pass on; nearest first.

    Args:
        spans: of one series, ascending; where nothing happened on either side there is none.
        reach: how many spans apart two may be that make up for each other.
        unread: hours without a witness's count, for spans that are not there.
    """
    left = [span.difference if span.is_known else 0.0 for span in spans]
    # How many events each end may still let pass, from the span before it and to it.
    on = [float(span.trail_count) for span in spans]
    back = [float(span.trail_count) for span in spans]
    for apart in range(1, reach + 1):
        for earlier in range(len(spans) - apart):
            if left[earlier] * left[earlier + apart] < 0 and _adjoin(spans, earlier, earlier + apart):
                _make_up(left, on, back, earlier, earlier + apart)
    return [
        _beside_unread(spans, at, difference, unread) if abs(difference) > _NOTHING else difference
        for at, difference in enumerate(left)
    ]


def _adjoin(spans: Sequence[Span], first: int, last: int) -> bool:
    """Whether events may pass from the one span to the other: all between are there, and known."""
    between = spans[first : last + 1]
    return all(span.is_known for span in between) and all(
        one.ends_at == other.starts_at for one, other in pairwise(between)
    )


def _make_up(left: list[float], on: list[float], back: list[float], earlier: int, later: int) -> None:
    # Too much in the later one: events move back over the ends between; too much in the earlier one: they move on.
    ends, passing = (range(earlier + 1, later + 1), back) if left[later] < 0 else (range(earlier, later), on)
    moved = min(abs(left[earlier]), abs(left[later]), *(passing[end] for end in ends))
    for end in ends:
        passing[end] -= moved
    sign = 1 if left[later] < 0 else -1
    left[earlier] -= sign * moved
    left[later] += sign * moved


def _beside_unread(spans: Sequence[Span], at: int, difference: float, unread: frozenset[datetime]) -> float:
    """What remains of a difference beside a span whose events, or whose witness's count, may make up for it."""
    span, free = spans[at], 0.0
    before = spans[at - 1] if at and spans[at - 1].ends_at == span.starts_at else None
    after = spans[at + 1] if at + 1 < len(spans) and spans[at + 1].starts_at == span.ends_at else None
    for other, hour in ((before, hour_of(span.starts_at - timedelta(seconds=1))), (after, hour_of(span.ends_at))):
        if (not other.is_known) if other else hour in unread:
            free += span.trail_count if difference < 0 else (other.trail_count if other else 0.0)
    return max(difference - free, 0.0) if difference > 0 else min(difference + free, 0.0)
