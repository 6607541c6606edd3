from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dynatrail.sources.exports.windows import LONGEST, SHORTEST, Span, clipped, merged, plan, without

DAY = datetime(2026, 11, 1, tzinfo=UTC)


def span(start, end):
    """In seconds of one day."""
    return Span(DAY + timedelta(seconds=start), DAY + timedelta(seconds=end))


REACH = span(-35 * 86_400, 86_400)


def test_text_is_read_back():
    one = Span(DAY, DAY + timedelta(seconds=1.5))
    assert str(one) == "2026-11-01T00:00:00Z/2026-11-01T00:00:01.500000Z"
    assert Span.read(str(one)) == one


def test_touching_spans_are_one():
    assert merged([span(5, 9), span(0, 5), span(20, 30), span(21, 22), span(7, 7)]) == [span(0, 9), span(20, 30)]


def test_what_is_taken_is_cut_out():
    assert without([span(0, 10), span(20, 30)], [span(4, 6), span(8, 21)]) == [span(0, 4), span(6, 8), span(21, 30)]


def test_short_gap_is_widened_backwards_to_15_minutes():
    plans, outside = plan([span(3600, 3660)], REACH)
    assert [one.window for one in plans] == [span(3660 - 900, 3660)]
    assert plans[0].spans == (span(3600, 3660),)
    assert outside == []


def test_short_gap_where_the_reach_begins_is_widened_forwards():
    plans, _ = plan([span(10, 20)], span(5, 86_400))
    assert [one.window for one in plans] == [span(5, 905)]


def test_ends_are_whole_seconds_that_hold_the_gap():
    plans, _ = plan([span(3600.25, 7200.75)], REACH)
    assert [one.window for one in plans] == [span(3600, 7201)]


def test_windows_that_overlap_once_widened_become_one():
    plans, _ = plan([span(3600, 3660), span(3900, 3960)], REACH)
    assert [one.window for one in plans] == [span(3660 - 900, 3960)]
    assert plans[0].spans == (span(3600, 3660), span(3900, 3960))


def test_long_gap_is_cut_into_parts_of_at_most_24_hours():
    plans, _ = plan([span(-49 * 3600, 0)], REACH)
    assert [one.window.length for one in plans] == [timedelta(hours=49) / 3] * 3


def test_what_recovery_does_not_reach_is_left_over():
    plans, outside = plan([span(-36 * 86_400, -35 * 86_400 + 3600), span(86_000, 90_000)], REACH)
    assert len(plans) == 2
    assert outside == [span(-36 * 86_400, -35 * 86_400), span(86_400, 90_000)]


def test_nothing_is_planned_where_recovery_reaches_less_than_15_minutes():
    assert plan([span(0, 60)], span(0, 600)) == ([], [span(0, 60)])


spans = st.builds(lambda start, length: span(start, start + length), st.floats(-1e6, 1e6), st.floats(0.001, 4e5))


@given(st.lists(spans, max_size=6))
def test_every_plan_is_one_that_the_api_takes_and_together_they_hold_all_in_reach(missing):
    plans, outside = plan(missing, REACH)
    for one in plans:
        assert SHORTEST <= one.window.length <= LONGEST
        assert one.window.start.microsecond == one.window.end.microsecond == 0
        assert REACH.covers(one.window)
    for before, after in pairwise(plans):
        assert before.window.end <= after.window.start
    planned = [part for one in plans for part in one.spans]
    assert merged(planned) == clipped(missing, REACH)
    assert merged([*planned, *outside]) == merged(missing)
