import re
from datetime import timedelta

import pytest

from dynatrail.integrity import calibration
from dynatrail.integrity.calibration import Span, settle, tolerances

from .trails_kept import at

FIVE = timedelta(minutes=5)


def spans(*differences, events=10, gap_before=None, unknown=()):
    """Spans that follow one another from START on; with a span of nothing before the one at `gap_before`."""
    shift = [1 if gap_before is not None and n >= gap_before else 0 for n in range(len(differences))]
    return [
        Span(at(0) + (n + shift[n]) * FIVE, at(0) + (n + shift[n] + 1) * FIVE, float(one), events, n not in unknown)
        for n, one in enumerate(differences)
    ]


@pytest.mark.parametrize(
    ("differences", "left"),
    [
        ((0, 0), [0, 0]),
        ((1, -1), [0, 0]),
        ((-1, 1), [0, 0]),
        ((1, 0, 0, -1), [0, 0, 0, 0]),
        ((3, -1), [2, 0]),
        ((1, -2, 1), [0, 0, 0]),
        ((2, 2), [2, 2]),
        ((0, 5, 0), [0, 5, 0]),
    ],
    ids=str,
)
def test_what_is_too_much_makes_up_for_what_is_missing_nearby(differences, left):
    assert settle(spans(*differences), reach=36) == left


def test_the_nearest_make_up_for_each_other_whatever_came_before():
    assert settle(spans(1, 0, 0, -1, 1), reach=36) == [1, 0, 0, 0, 0]


def test_nothing_passes_a_span_in_which_nothing_happened():
    assert settle(spans(1, -1, gap_before=1), reach=36) == [1, -1]


def test_nothing_passes_further_than_it_may():
    assert settle(spans(1, 0, 0, -1), reach=2) == [1, 0, 0, -1]


def test_no_more_passes_than_there_are_events():
    assert settle(spans(5, 0, -5, events=2), reach=36) == [3, 0, -3]


def test_beside_an_unknown_count_an_event_may_belong_to_it():
    assert settle(spans(-3, 0, unknown=(1,)), reach=36) == [0, 0]
    assert settle(spans(3, 0, unknown=(1,), events=2), reach=36) == [1, 0]


def test_beside_an_hour_that_was_not_read_too_much_may_belong_to_it():
    assert settle(spans(-3), reach=36, unread=frozenset({at(-1)})) == [0]
    assert settle(spans(3), reach=36, unread=frozenset({at(-1)})) == [3]


def test_an_exact_history_tolerates_nothing():
    assert tolerances().of(1_000_000, 0.0) == 0


def test_a_spread_counts_by_the_square_root():
    allowed = tolerances()
    assert allowed.of(400, 0.5) == 2 * allowed.of(100, 0.5) == allowed.spread_times * 0.5 * 20


def test_without_history_a_share_is_tolerated():
    allowed = tolerances()
    assert allowed.of(50, None) == allowed.without_history * 50


def test_every_measure_has_its_entry_and_every_entry_its_measure():
    files = (calibration.PROJECT / "sql" / "reconcile" / "measures").glob("*.sql")
    given = {path.stem: set(re.findall(r"'(\w+)' as measure\b", path.read_text())) for path in files}
    assert all(given.values())
    assert sorted(set().union(*given.values())) == sorted(tolerances().measures)
