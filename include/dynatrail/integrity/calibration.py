"""What is tolerated between two counts: `include/reconcile/tolerances.yaml`, and the arithmetic over it.

A tolerance grows with the square root of the count, as chance at the edges of spans does. Its width is what a table's
operation showed before, and nothing is learnt from what was missing: see `sql/reconcile/expected.sql`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
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
    reach_spans: int = Field(ge=0, le=12)
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


@dataclass(slots=True)
class Span:
    """One span of one series, in order of time.

    Attributes:
        starts_at, ends_at: half-open.
        difference: what is missing of the expected count; below zero: what is too much.
        near_start, near_end: events that the witness may have counted in the span before, or after; None: any.
        trail_count: events.
        is_known: whether the witness's count is known. What it counted in a span that is not may be any near event.
    """

    starts_at: datetime
    ends_at: datetime
    difference: float
    trail_count: float
    near_start: float | None
    near_end: float | None
    is_known: bool = True


def settle(spans: Sequence[Span], reach: int, unread: frozenset[datetime] = frozenset()) -> list[float]:
    """Differences left over when spans next to each other have made up for what lies near their ends.

    Each event moves over an end at most once, and only if it lies near it; a chain of spans may pass one on. Nearest
    first.

    Args:
        spans: of one series, ascending, apart where nothing happened on either side.
        reach: how many spans apart two may be that make up for each other.
        unread: hours without a witness's count, for spans that have no row.
    """
    left = [span.difference if span.is_known else 0.0 for span in spans]
    back = [_near(span.near_start, span) for span in spans]  # events of a span that may belong to the one before
    on = [_near(span.near_end, span) for span in spans]  # … to the one after
    for at, span in enumerate(spans):
        if abs(left[at]) <= _NOTHING:
            continue
        for earlier in range(at - 1, max(at - reach, 0) - 1, -1):
            if not _adjoin(spans, earlier):
                break
            if not (spans[earlier].is_known and span.is_known):
                break
            _make_up(left, back, on, earlier, at)
            if abs(left[at]) <= _NOTHING:
                break
    for at, span in enumerate(spans):
        if span.is_known and abs(left[at]) > _NOTHING:
            left[at] = _beside_unknown(spans, left[at], at, back, on, unread)
    return left


def _near(said: float | None, span: Span) -> float:
    return float(span.trail_count if said is None else said)


def _adjoin(spans: Sequence[Span], at: int) -> bool:
    return spans[at].ends_at == spans[at + 1].starts_at


def _make_up(left: list[float], back: list[float], on: list[float], earlier: int, later: int) -> None:
    """Move events between two spans whose differences have opposite signs, as far as each end between them allows."""
    if left[earlier] * left[later] >= 0:
        return
    # Too much in the later one: its events move back over each start between; too much in the earlier one: on.
    ends, side = (range(earlier + 1, later + 1), back) if left[later] < 0 else (range(earlier, later), on)
    moved = min(abs(left[earlier]), abs(left[later]), *(side[end] for end in ends))
    for end in ends:
        side[end] -= moved
    sign = 1 if left[later] < 0 else -1
    left[earlier] -= sign * moved
    left[later] += sign * moved


def _beside_unknown(
    spans: Sequence[Span],
    difference: float,
    at: int,
    back: list[float],
    on: list[float],
    unread: frozenset[datetime],
) -> float:
    span = spans[at]
    before = spans[at - 1] if at and _adjoin(spans, at - 1) else None
    after = spans[at + 1] if at + 1 < len(spans) and _adjoin(spans, at) else None
    free = 0.0
    if (not before.is_known) if before else hour_of(span.starts_at - timedelta(seconds=1)) in unread:
        free += back[at] if difference < 0 else (on[at - 1] if before else 0.0)
    if (not after.is_known) if after else hour_of(span.ends_at) in unread:
        free += on[at] if difference < 0 else (back[at + 1] if after else 0.0)
    return max(difference - free, 0.0) if difference > 0 else min(difference + free, 0.0)
