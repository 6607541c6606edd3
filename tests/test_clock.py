import ast
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynatrail import clock
from dynatrail.settings import PROJECT

instants = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001

WALL_CLOCKS = ("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns")


def at(*parts):
    return datetime(2026, 11, *parts, tzinfo=UTC)


@given(instant=instants)
def test_written_instant_reads_back(instant):
    assert clock.parse_instant(clock.iso(instant)) == instant


def test_instant_is_written_in_utc_and_short():
    assert clock.iso(datetime(2026, 11, 1, 5, tzinfo=timezone(timedelta(hours=2)))) == "2026-11-01T03:00:00Z"


@given(start=instants, span=st.timedeltas(timedelta(0), timedelta(days=3)))
def test_hours_cover_the_window_and_nothing_more(start, span):
    hours = list(clock.hours_between(start, start + span))
    assert all(hour == clock.hour_of(hour) for hour in hours)
    assert all(hour < start + span and hour + clock.HOUR > start for hour in hours)
    assert all(b - a == clock.HOUR for a, b in pairwise(hours))
    assert bool(hours) == bool(span) or clock.hour_of(start) < start


def test_hours_of_an_empty_window_at_a_full_hour_are_none():
    assert list(clock.hours_between(at(1, 3), at(1, 3))) == []


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        (at(2, 6), at(3, 6), [date(2026, 11, 2)]),
        (at(1), at(3), [date(2026, 11, 1), date(2026, 11, 2)]),
        (at(1, 1), at(1, 23), []),
        (at(1, 23), at(2), [date(2026, 11, 1)]),
    ],
)
def test_days_are_those_that_the_window_closes(start, end, days):
    assert list(clock.days_between(start, end)) == days


def test_nothing_else_reads_the_wall_clock():
    """But for the sandbox: it is the machine of an account of its own."""
    sources = [*(PROJECT / "include" / "dynatrail").glob("**/*.py"), *(PROJECT / "dags").glob("*.py")]
    readers = {
        path.relative_to(PROJECT).as_posix()
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in WALL_CLOCKS
    }
    assert {path for path in readers if "/sandbox/" not in path} == {"include/dynatrail/clock.py"}
