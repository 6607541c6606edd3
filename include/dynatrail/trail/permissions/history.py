"""What is known of one identity, policy or resource over time, and what of it was in force at an instant.

A look shows everything of a resource at once; an event changes one slot of it: an inline policy, an attachment, a
boundary, a document. So a slot's value at an instant is what was told last before, and the next thing told says how
long that was so. A look's instant is when its run was due, shortly before it really looked.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

IN_FORCE = "in_force"
MAY_HAVE_DIFFERED = "may_have_differed"
SEEN_LATER = "seen_later"
STANDINGS = (IN_FORCE, MAY_HAVE_DIFFERED, SEEN_LATER)
"""From sure to unsure."""

SPREAD = timedelta(seconds=60)
"""How long what a change took away may still have counted: IAM's changes are eventually consistent, and AWS gives no
bound; it speaks of seconds ("Changes that I make are not always immediately visible")."""

Slot = tuple[str, str]
"""Kind and name: ("inline", "work"), ("attached", ARN), ("group", name), ("boundary", ""), ("document", ""), …"""


class Token(Enum):
    """Values that are none."""

    UNKNOWN = "it was changed to something that the record does not hold"
    SILENT = "this fact does not speak of the slot"


Value = Any
"""Canonical JSON of a document, an ARN, True, None for `not there`, or `Token.UNKNOWN`."""


@dataclass(frozen=True, slots=True)
class Fact:
    """What was told of a resource at an instant.

    Attributes:
        slots: values by slot.
        whole: the slots that are not named were not there.
        blind: it could not be read, so nothing is known of any slot from then on.
        event_id, event_name: of the call that changed it; None: a look.
    """

    at: datetime
    slots: Mapping[Slot, Value]
    whole: bool = False
    blind: bool = False
    event_id: str | None = None
    event_name: str | None = None

    def value(self, slot: Slot) -> Value:
        if self.blind:
            return Token.UNKNOWN
        return self.slots.get(slot, None if self.whole else Token.SILENT)


@dataclass(frozen=True, slots=True)
class Held:
    """One value that a slot had or may have had.

    Attributes:
        source: the fact that holds the value.
        because: the fact that makes it unsure.
    """

    value: Value
    standing: str
    source: Fact
    because: Fact | None = None


@dataclass(slots=True)
class History:
    """Everything told of one resource, and when its account was looked at as a whole."""

    looks: tuple[datetime, ...] = ()
    facts: list[Fact] = field(default_factory=list)

    def close(self) -> None:
        """Put the facts in order; a look at the very instant of a change has not seen it."""
        self.facts.sort(key=lambda one: (one.at, one.event_id is not None, one.event_id or ""))

    def slots(self, kind: str) -> list[Slot]:
        """All slots of a kind that were ever told of, in order."""
        return sorted({slot for fact in self.facts for slot in fact.slots if slot[0] == kind})

    def instants(self) -> Iterable[datetime]:
        """When an answer of `at` may become another one."""
        yield from self.looks[-1:]
        for fact in self.facts:
            yield fact.at
            if fact.event_id is not None:
                yield fact.at + SPREAD
            elif (look := self._look_before(fact.at)) is not None:
                yield look + timedelta(microseconds=1)

    def at(self, slot: Slot, instant: datetime) -> list[Held]:
        """The values that the slot had or may have had; none where nothing is known."""
        previous = before = after = None  # what was there last, the fact that tells, and the next one
        for fact in self.facts:
            if fact.value(slot) is Token.SILENT:
                continue
            if fact.at > instant:
                after = fact
                break
            previous = previous if before is None or before.value(slot) is Token.UNKNOWN else before
            before = fact
        if before is None:
            return [] if after is None else [self._first(slot, after)]
        value = before.value(slot)
        if value is Token.UNKNOWN:
            held = [Held(Token.UNKNOWN, MAY_HAVE_DIFFERED, before, before)]
        else:
            held = [Held(value, *self._until(before, after, value, slot, instant))]
        just_changed = before.event_id is not None and instant - before.at < SPREAD
        if previous is not None and (value is Token.UNKNOWN or just_changed):
            held.append(Held(previous.value(slot), MAY_HAVE_DIFFERED, previous, before))
        if after is not None and after.event_id is None and held[0].standing == MAY_HAVE_DIFFERED:
            held.append(Held(after.value(slot), SEEN_LATER, after))
        return held

    @staticmethod
    def _first(slot: Slot, after: Fact) -> Held:
        if after.event_id is not None:
            return Held(Token.UNKNOWN, MAY_HAVE_DIFFERED, after, after)
        return Held(after.value(slot), SEEN_LATER, after)

    def _until(
        self, before: Fact, after: Fact | None, value: Value, slot: Slot, instant: datetime
    ) -> tuple[str, Fact, Fact | None]:
        if after is None or after.blind:
            return IN_FORCE, before, None
        same = after.value(slot) == value
        if after.event_id is not None:
            # The look saw what was only made after its instant.
            late = same and before.event_id is None and value is not None
            return (MAY_HAVE_DIFFERED, before, after) if late else (IN_FORCE, before, None)
        if same or ((look := self._look_before(after.at)) is not None and instant <= look):
            return IN_FORCE, before, None
        return MAY_HAVE_DIFFERED, before, after

    def _look_before(self, instant: datetime) -> datetime | None:
        """The last instant that was surely looked at before a look; looks are known by their hour."""
        at = bisect_left(self.looks, instant.replace(minute=0, second=0, microsecond=0))
        return self.looks[at - 1] if at else None

    def is_confirmed(self, instant: datetime) -> bool:
        """Whether anything was told later: a look that saw it, or that found nothing changed."""
        looked = bool(self.looks) and self.looks[-1] > instant
        return looked or any(one.at > instant and not one.blind for one in self.facts)


def unsurer(*standings: str) -> str:
    """The least sure of several."""
    return max(standings, key=STANDINGS.index)
