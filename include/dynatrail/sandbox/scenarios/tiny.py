"""Scenario `tiny`: one day that has each kind of operation once or a few times, for tests."""

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from dynatrail.sandbox.delivery import Delivery
from dynatrail.sandbox.scenarios import incidents, people, workloads
from dynatrail.sandbox.scenarios.practice import Practice
from dynatrail.sandbox.scenarios.script import Act, Cast, Scenario


def acts(start: datetime, end: datetime, _chance: random.Random) -> Iterator[Act]:
    """All that happens in [start, end), evenly spread."""
    plays = [*_PLAYS, *(_of_practice(play) for play in _ONCE)]
    step = (end - start) / (len(plays) + 1)
    for number, play in enumerate(plays, 1):
        yield Act(start + number * step + timedelta(seconds=number), play)


def _of_practice(play: Callable[[Practice], None]) -> Callable[[Cast], None]:
    return lambda cast: play(cast.practice)


_PLAYS: tuple[Callable[[Cast], None], ...] = (
    lambda cast: people.check_in(cast.practice, cast.person("nurse.alice")),
    lambda cast: people.register_patient(cast.practice, cast.person("nurse.alice")),
    lambda cast: people.overreach(cast.practice, cast.person("nurse.alice")),
    lambda cast: people.visit(cast.practice, cast.person("dr.farah")),
    lambda cast: people.file_document(cast.practice, cast.person("dr.farah")),
    lambda cast: people.cancel(cast.practice, cast.person("dr.farah")),
    lambda cast: workloads.book(cast.practice, cast.booking_api()),
    lambda cast: workloads.tidy_sessions(cast.practice, cast.booking_api()),
)
_ONCE: tuple[Callable[[Practice], None], ...] = (
    lambda practice: workloads.bill(practice, rounds=6),
    lambda practice: workloads.export(practice, segments=2),
    workloads.deploy,
    workloads.scale,
    people.administer,
    people.debug,
    people.analyse,
    lambda practice: incidents.former_employee(practice, reads=3),
    lambda practice: incidents.mass_scan(practice, pages=3),
    incidents.delete_table,
    incidents.share_table,
    incidents.stop_logging,
    lambda practice: incidents.grant_oneself(practice, reads=2),
)

SCENARIO = Scenario(name="tiny", days=1, delivery=Delivery(), acts=acts, patients=30, expected=140)
