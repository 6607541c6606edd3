"""Scenario `clinic`: two weeks of a medical practice.

Nurses and doctors work on weekdays from about 8 to 17 UTC, the web booking goes on day and night, bills are made in the
early morning, the export runs at night, somebody administers, develops and analyses now and then; seven incidents are
planted (`incidents.py`), and three things done to the trail and a stream (`planted.py`).
"""

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial

from dynatrail.sandbox.delivery import Delivery, Outage
from dynatrail.sandbox.scenarios import people, planted, workloads
from dynatrail.sandbox.scenarios.incidents import INCIDENTS
from dynatrail.sandbox.scenarios.practice import Practice
from dynatrail.sandbox.scenarios.script import Act, Cast, Scenario
from dynatrail.sandbox.scenarios.stage import Actor

_DAY = timedelta(days=1)
_SATURDAY = 5
_NURSES = ("nurse.alice", "nurse.bo", "nurse.carmen", "nurse.deniz")
_DOCTORS = ("dr.eriksen", "dr.farah")

Routine = Callable[[Practice, Actor], None]
_NURSE_WORK: tuple[tuple[Routine, int], ...] = (
    (people.check_in, 9),
    (people.register_patient, 4),
    (people.look_up, 7),
    (people.overreach, 1),
)
_DOCTOR_WORK: tuple[tuple[Routine, int], ...] = ((people.visit, 9), (people.file_document, 2), (people.cancel, 2))


def acts(start: datetime, end: datetime, chance: random.Random) -> Iterator[Act]:
    """All that happens in [start, end)."""
    midnight = start.replace(hour=0)
    number = 0
    while midnight < end:
        yield from _day(midnight, number, chance)
        midnight, number = midnight + _DAY, number + 1
    for share, hour, incident in INCIDENTS:
        day = start.replace(hour=0) + int(share * ((end - start) / _DAY)) * _DAY
        yield Act(day + timedelta(hours=hour), _of_practice(incident))
    yield from planted.acts(start, end)


def _day(midnight: datetime, number: int, chance: random.Random) -> Iterator[Act]:
    def at(hour: float, spread: float = 0.0) -> datetime:
        return midnight + timedelta(hours=max(chance.gauss(hour, spread), 0.05))

    weekday = midnight.weekday() < _SATURDAY
    yield Act(at(0.02), lambda cast: cast.sign_out())
    yield Act(at(2.0, 0.01), _of_practice(partial(workloads.export, segments=4)))
    yield Act(at(5.5, 0.05), _of_practice(partial(workloads.bill, rounds=14 if weekday else 5)))
    yield from _bookings(at, chance, 32 if weekday else 20)
    for hour in range(1, 24, 2):
        yield Act(at(hour + 0.3, 0.01), _of_practice(workloads.scale))
    if not weekday:
        return
    for name in _NURSES:
        yield from _shift(name, _NURSE_WORK, 21, at, chance)
    for name in _DOCTORS:
        yield from _shift(name, _DOCTOR_WORK, 13, at, chance)
    yield Act(at(10, 1), _of_practice(people.administer))
    if number % 2 == 0:
        yield Act(at(13, 1), _of_practice(people.debug))
        yield Act(at(15, 0.5), _of_practice(people.analyse))
    if number % 3 == 0:
        yield Act(at(12, 0.2), _of_practice(workloads.deploy))


def _bookings(at: Callable[[float, float], datetime], chance: random.Random, count: int) -> Iterator[Act]:
    """The booking function: people book mostly in the daytime; its container is replaced twice a day."""
    for hour in (8.0, 20.0):
        yield Act(at(hour, 0.1), lambda cast: cast.sign_out("booking-api"))
    for _ in range(count):
        yield Act(
            at(chance.triangular(0.2, 23.5, 18), 0), lambda cast: workloads.book(cast.practice, cast.booking_api())
        )
    for hour in (4.0, 12.0, 21.0):
        yield Act(at(hour, 0.1), lambda cast: workloads.tidy_sessions(cast.practice, cast.booking_api()))


def _shift(
    name: str,
    work: tuple[tuple[Routine, int], ...],
    count: int,
    at: Callable[[float, float], datetime],
    chance: random.Random,
) -> Iterator[Act]:
    """A person's day: patients come in clusters, more in the morning."""
    routines, weights = zip(*work, strict=True)
    begin = chance.gauss(8.0, 0.2)
    for routine in chance.choices(routines, weights, k=count):
        hour = begin + chance.choice((0.3, 1.2, 2.1, 3.0, 5.2, 6.1, 7.4, 8.3))

        def play(cast: Cast, routine: Routine = routine) -> None:
            routine(cast.practice, cast.person(name))

        yield Act(at(hour, 0.12), play)
    yield Act(at(begin + 9.3, 0.1), lambda cast: cast.sign_out(name))


def _of_practice(play: Callable[[Practice], None]) -> Callable[[Cast], None]:
    return lambda cast: play(cast.practice)


SCENARIO = Scenario(
    name="clinic",
    days=14,
    delivery=Delivery(outages=(Outage(region="us-east-1", after_hours=8 * 24 + 6, hours=26),)),
    acts=acts,
    patients=160,
    expected=7000,
)
