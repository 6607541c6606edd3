"""The steps of `prove_trail` over tables on disk: which hours a run states, and that they stay due when it dies."""

from datetime import timedelta

import pytest

from dynatrail import clock
from dynatrail.clock import DAY, HOUR
from dynatrail.integrity import proving
from dynatrail.settings import settings
from dynatrail.state import pending
from dynatrail.state.database import session
from dynatrail.warehouse.store import Warehouse

from .rows import MINUTE, START, event, put

LONG_AFTER = START + 30 * DAY


@pytest.fixture
def warehouse(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path))
    monkeypatch.setenv("DYNATRAIL_TRAIL_BUCKET", "trail.example.com")
    made = Warehouse.from_settings(settings())
    put(made, "api_event", [event(1, START + 4 * MINUTE)])
    return made


def mark(*hours):
    with session() as opened:
        pending.mark(opened, pending.PROVE, hours)


def due(named=(), asked=None, now=LONG_AFTER):
    return proving.due(settings(), named, asked, now)


def old(of):
    """Without those of the last days, which are due as long as nothing is stated of them."""
    return [hour for hour in proving.hours(of) if hour < START + 2 * DAY]


@pytest.mark.usefixtures("warehouse")
def test_named_and_pending_hours_are_due_with_the_hours_around_them_whose_counts_they_make_up_for():
    mark(START + 10 * HOUR)
    assert old(due([START])) == [START + n * HOUR for n in (*range(-3, 4), *range(7, 14))]


@pytest.mark.usefixtures("warehouse")
def test_window_that_is_asked_for_is_due_and_the_run_speaks_up_to_its_end():
    of = due(asked=(START, START + 2 * HOUR))
    assert {START, START + HOUR} <= set(old(of))
    assert of["until"] == clock.iso(START + 2 * HOUR)


@pytest.mark.usefixtures("warehouse")
def test_hour_that_has_not_begun_is_not_due():
    now = START + timedelta(minutes=30)
    assert max(proving.hours(due([START], now=now))) == START


@pytest.mark.usefixtures("warehouse")
def test_hours_stay_due_until_the_last_step_is_over():
    mark(START)
    of = due()
    for step in (proving.compare_counts, proving.prove_sequences, proving.judge, proving.state):
        step(settings(), of)
    assert pending.hours(pending.PROVE) == [START]

    proving.finish(of, [])
    assert pending.hours(pending.PROVE) == []


@pytest.mark.usefixtures("warehouse")
def test_hour_that_becomes_due_meanwhile_stays_due():
    mark(START)
    of = due()
    mark(START)
    proving.finish(of, [])
    assert pending.hours(pending.PROVE) == [START]


def test_second_run_over_the_same_tables_commits_nothing(warehouse):
    first = proving.run(settings(), [START], now=LONG_AFTER)
    before = warehouse.versions()
    second = proving.run(settings(), [START], now=LONG_AFTER)

    assert (first["statements"], second["statements"]) == (2, 0)
    assert warehouse.versions() == before
