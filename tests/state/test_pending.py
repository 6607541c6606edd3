from datetime import UTC, datetime

import pytest

from dynatrail.state import pending
from dynatrail.state.database import session

STAGE = "build_trail"


def at(hour):
    return datetime(2026, 11, 1, hour, tzinfo=UTC)


@pytest.fixture
def mark(url):
    def run(*hours, stage=STAGE):
        with session(url) as opened:
            pending.mark(opened, stage, [at(hour) for hour in hours])

    return run


@pytest.fixture
def due(url):
    return lambda stage=STAGE: [hour.hour for hour in pending.hours(stage, url)]


def test_marked_hours_are_pending_once_and_in_order(mark, due):
    mark(5, 3)
    mark(3)
    assert due() == [3, 5]


def test_marking_nothing_does_nothing(mark, due):
    mark()
    assert due() == []


def test_stages_have_hours_of_their_own(mark, due, url):
    mark(3)
    mark(4, stage="detect")
    with pending.working(STAGE, [], url) as hours:
        assert hours == {at(3)}
    assert (due(), due("detect")) == ([], [4])


def test_work_gets_the_named_hours_and_those_that_wait(mark, due, url):
    mark(3)
    with pending.working(STAGE, [at(7)], url) as hours:
        assert hours == {at(3), at(7)}
    assert due() == []


def test_hours_of_work_that_failed_stay_pending(mark, due, url):
    mark(3)
    with pytest.raises(ValueError, match="boom"), pending.working(STAGE, [], url):
        raise ValueError("boom")
    assert due() == [3]


def test_hour_marked_during_the_work_stays_pending(mark, due, url):
    mark(3, 4)
    with pending.working(STAGE, [], url):
        mark(4, 5)
    assert due() == [4, 5]


def test_hour_that_another_worker_finished_and_that_became_due_again_stays_pending(mark, due, url):
    """A count would be 1 again, as when the first worker began."""
    mark(3)
    with pending.working(STAGE, [], url):
        with pending.working(STAGE, [], url) as hours:
            assert hours == {at(3)}
        assert due() == []
        mark(3)
    assert due() == [3]


def test_marks_belong_to_the_callers_transaction(due, url):
    def marking():
        with session(url) as opened:
            pending.mark(opened, STAGE, [at(3)])
            raise ValueError("undo")

    with pytest.raises(ValueError, match="undo"):
        marking()
    assert due() == []
