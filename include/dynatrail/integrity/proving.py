"""The steps of `prove_trail`, each over the hours that are due; what one hands to the next is counts and hours."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict

from dynatrail import clock
from dynatrail.clock import HOUR
from dynatrail.integrity import (
    coverage,
    liveness,
    reconcile,
    reconcile_findings,
    selector_findings,
    sequence_findings,
    sequences,
)
from dynatrail.state import pending
from dynatrail.warehouse.store import Warehouse

if TYPE_CHECKING:
    from dynatrail.settings import Settings


class Due(TypedDict):
    """What a run is to state.

    hours: starts of UTC hours, ISO 8601, ascending; until: instant up to which the run speaks; marks: hour -> number of
    the pending ones, so that one that becomes due again meanwhile stays due.
    """

    hours: list[str]
    until: str
    marks: dict[str, int]


def due(
    settings: "Settings", named: Collection[datetime], asked: tuple[datetime, datetime] | None, now: datetime
) -> Due:
    """Gather the hours that a run states.

    Args:
        settings: name warehouse and state database.
        named: hours that events named.
        asked: a window that somebody asked for; the run then speaks up to its end, else up to `now`.
        now: the present instant.

    Raises:
        WarehouseError, StateError: they cannot be read.
    """
    marks = pending.seen(pending.PROVE)
    until = min(asked[1], now) if asked else now
    touched = {clock.hour_of(hour) for hour in named} | marks.keys()
    # Deliveries reach over an hour's edges, and spans make up for each other across hours.
    reach = reconcile.MARGIN // HOUR
    hours = {hour + step * HOUR for hour in touched for step in range(-reach, reach + 1)}
    hours |= set(clock.hours_between(*asked)) if asked else set()
    hours |= set(coverage.due(Warehouse.from_settings(settings), until))
    hours = {hour for hour in hours if hour < now}
    return {
        "hours": [clock.iso(hour) for hour in sorted(hours)],
        "until": clock.iso(until),
        "marks": {clock.iso(hour): mark for hour, mark in sorted(marks.items())},
    }


def compare_counts(settings: "Settings", of: Due) -> dict[str, int]:
    """Write `reconciliation`."""
    return {"comparisons": reconcile.run(settings, hours(of))}


def prove_sequences(settings: "Settings", of: Due) -> dict[str, int]:
    """Write `sequence_proof` and the findings that follow of it."""
    return {
        "sequences": sequences.prove(settings, hours(of)),
        "sequence_findings": sequence_findings.find(settings, hours(of)),
    }


def judge(settings: "Settings", of: Due) -> dict[str, int]:
    """Write the findings of selectors, and then those of counts, which leave out what selectors explain."""
    return {
        "selector_findings": selector_findings.write(settings, hours(of)),
        "count_findings": reconcile_findings.find(settings, hours(of), until=clock.parse_instant(of["until"])),
    }


def state(settings: "Settings", of: Due) -> dict[str, int]:
    """Write `coverage`."""
    return {"statements": coverage.build(settings, hours(of))}


def look_for_silence(settings: "Settings", of: Due) -> dict[str, int]:
    """Write the findings of what is behind."""
    return {"silences": liveness.find(settings, clock.parse_instant(of["until"]))}


def finish(of: Due, done: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Note that the hours are no longer due; returns what the steps wrote, and the hours."""
    pending.done(pending.PROVE, {clock.parse_instant(hour): mark for hour, mark in of["marks"].items()})
    return {"hours": len(of["hours"])} | {name: count for step in done for name, count in step.items()}


def run(
    settings: "Settings",
    named: Collection[datetime] = (),
    asked: tuple[datetime, datetime] | None = None,
    *,
    now: datetime,
) -> dict[str, int]:
    """All steps, one after the other, as the DAG runs them."""
    of = due(settings, named, asked, now)
    steps = (compare_counts, prove_sequences, judge, state, look_for_silence)
    return finish(of, [step(settings, of) for step in steps])


def hours(of: Due) -> list[datetime]:
    return [clock.parse_instant(hour) for hour in of["hours"]]
