"""The matching of changes with requests, held against all matchings of small cases."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynatrail.trail.alignment import (
    AMBIGUOUS,
    CERTAIN,
    IDENTITY_CERTAIN,
    INSERT,
    MODIFY,
    NO_KEY,
    NONE,
    PROBABLE,
    REMOVE,
    UNKNOWN,
    Alignment,
    Changes,
    Requests,
    align,
)
from dynatrail.trail.alignment_classes import EARLIEST_S, LATEST_S, SUREST_S

PUT, UPDATE, DELETE = 1 << INSERT | 1 << MODIFY, 1 << MODIFY, 1 << REMOVE
SETS = (frozenset({"a"}), frozenset({"b"}), frozenset({"a", "b"}))


def columns(kind, rows, **more):
    names = [name for name in kind.__dataclass_fields__ if name not in {"order", "unasked", "doubted"}]
    values = {name: np.array([row[at] for row in rows], np.int64) for at, name in enumerate(names)}
    if kind is Changes:
        values |= {name: np.zeros(len(rows), np.bool_) for name in ("unasked", "doubted")}
    return kind(**values | more, order=np.arange(len(rows)))


def changes_of(*rows):
    """(group, key, second, kind, names)"""
    return columns(Changes, rows)


def requests_of(*rows):
    """(group, key, second, makes, names, principal)"""
    return columns(Requests, rows)


BELIEVED = (EARLIEST_S, LATEST_S)


def fits(change, request, times=BELIEVED):
    group, key, second, kind, names = change
    place, other, at, makes, able, _ = request
    return (
        (group == place and other in (key, NO_KEY))
        and times[0] <= at - second <= times[1]
        and bool(makes >> kind & 1)
        and (UNKNOWN in (names, able) or SETS[names] <= SETS[able])
    )


def matchings(changes, requests, times=BELIEVED):
    """Every matching, as a tuple of each change's request or -1."""

    def rest(at, free):
        if at == len(changes):
            yield ()
            return
        for tail in rest(at + 1, free):
            yield (-1, *tail)
        for request in sorted(free):
            if fits(changes[at], requests[request], times):
                for tail in rest(at + 1, free - {request}):
                    yield (request, *tail)

    return list(rest(0, frozenset(range(len(requests)))))


def complete(changes, requests, times=SUREST_S):
    """Every matching that leaves no change over, if there is one whose times are all believed."""
    if times != BELIEVED and not complete(changes, requests, BELIEVED):
        return []
    return [matching for matching in matchings(changes, requests, times) if -1 not in matching]


change = st.tuples(
    st.just(0), st.integers(0, 1), st.integers(10, 15), st.sampled_from([INSERT, MODIFY, MODIFY]), st.integers(-1, 2)
)
request = st.tuples(
    st.just(0),
    st.sampled_from([0, 0, 0, 1, 1, NO_KEY]),
    st.integers(9, 17),
    st.sampled_from([PUT, UPDATE, DELETE]),
    st.integers(-1, 2),
    st.integers(-1, 2),
)
cases = st.tuples(
    st.lists(change, max_size=5).map(lambda rows: sorted(rows, key=lambda row: row[2])),
    st.lists(request, max_size=6).map(lambda rows: sorted(rows, key=lambda row: row[2])),
)


@st.composite
def explained_cases(draw):
    """Changes that each have a request, and further requests."""
    changes = sorted(draw(st.lists(change, min_size=1, max_size=5)), key=lambda row: row[2])
    own = [
        (group, draw(st.sampled_from([key, key, key, NO_KEY])), second + draw(st.integers(EARLIEST_S, LATEST_S)))
        + (draw(st.sampled_from([1 << kind, PUT])), draw(st.sampled_from([names, UNKNOWN])), draw(st.integers(-1, 2)))
        for group, key, second, kind, names in changes
    ]
    more = draw(st.lists(request, max_size=2))
    return changes, sorted(own + more, key=lambda row: row[2])


any_case = st.one_of(cases, explained_cases())
thorough = settings(max_examples=150, deadline=None)


@thorough
@given(any_case)
def test_no_request_makes_two_changes_and_all_that_is_matched_fits(case):
    changes, requests = case
    found = align(changes_of(*changes), requests_of(*requests), SETS).request
    taken = found[found >= 0].tolist()
    assert len(taken) == len(set(taken))
    assert all(fits(changes[at], requests[to]) for at, to in enumerate(found.tolist()) if to >= 0)


@thorough
@given(any_case)
def test_table_is_explained_exactly_when_some_matching_leaves_no_change_over(case):
    changes, requests = case
    found = align(changes_of(*changes), requests_of(*requests), SETS)
    possible = bool(complete(changes, requests))
    assert found.explained.tolist() == [possible] * len(changes)
    if possible:
        assert (found.request >= 0).all()


@thorough
@given(any_case)
def test_certain_exactly_when_every_complete_matching_has_the_same_request(case):
    changes, requests = case
    found = align(changes_of(*changes), requests_of(*requests), SETS)
    all_complete = complete(changes, requests)
    for at, confidence in enumerate(found.confidence.tolist()):
        answers = {matching[at] for matching in all_complete}
        assert (confidence == CERTAIN) == (len(answers) == 1)
        if confidence == CERTAIN:
            assert answers == {found.request[at]}


@thorough
@given(any_case)
def test_identity_certain_exactly_when_every_complete_matching_has_one_principal(case):
    changes, requests = case
    found = align(changes_of(*changes), requests_of(*requests), SETS)
    all_complete = complete(changes, requests)
    for at, confidence in enumerate(found.confidence.tolist()):
        answers = {matching[at] for matching in all_complete}
        people = {requests[to][-1] for to in answers}
        expected = len(answers) > 1 and len(people) == 1 and people != {UNKNOWN}
        assert (confidence == IDENTITY_CERTAIN) == expected


@thorough
@given(any_case)
def test_rivals_are_the_other_requests_of_all_complete_matchings(case):
    changes, requests = case
    found = align(changes_of(*changes), requests_of(*requests), SETS)
    all_complete = complete(changes, requests)
    for at in range(len(changes) if all_complete else 0):
        answers = {matching[at] for matching in all_complete}
        rivals = found.rivals[found.starts[at] : found.starts[at + 1]].tolist()
        assert rivals == sorted(answers - {found.request[at]})


@thorough
@given(any_case)
def test_candidates_are_the_requests_that_fit_alone(case):
    changes, requests = case
    found = align(changes_of(*changes), requests_of(*requests), SETS)
    assert found.candidates.tolist() == [sum(fits(one, other) for other in requests) for one in changes]


@thorough
@given(any_case)
def test_requests_of_an_item_come_in_the_order_of_its_changes_where_they_can(case):
    changes, requests = case
    found = align(changes_of(*changes), requests_of(*requests), SETS).request.tolist()
    for key in {one[1] for one in changes}:
        matched = [at for at, one in enumerate(changes) if one[1] == key and found[at] >= 0]
        for first, second in itertools.pairwise(matched):
            crossed = requests[found[first]][2] > requests[found[second]][2]
            exchangeable = fits(changes[first], requests[found[second]]) and fits(
                changes[second], requests[found[first]]
            )
            assert not (crossed and exchangeable)


@thorough
@given(any_case, st.randoms(use_true_random=False))
def test_order_of_the_input_does_not_matter(case, chance):
    changes, requests = (changes_of(*case[0]), requests_of(*case[1]))
    found = align(changes, requests, SETS)
    by_change, by_request = list(range(len(changes))), list(range(len(requests)))
    chance.shuffle(by_change)
    chance.shuffle(by_request)
    taken = np.array(by_change, np.int64), np.array(by_request, np.int64)
    again = align(changes.take(taken[0]), requests.take(taken[1]), SETS)
    named = np.append(taken[1], -1)
    assert named[again.request].tolist() == found.request[taken[0]].tolist()
    assert again.confidence.tolist() == found.confidence[taken[0]].tolist()
    for place, at in enumerate(by_change):
        mine = named[again.rivals[again.starts[place] : again.starts[place + 1]]].tolist()
        assert mine == found.rivals[found.starts[at] : found.starts[at + 1]].tolist()


@thorough
@given(any_case, any_case)
def test_tables_do_not_disturb_each_other(one, other):
    moved = [[(1, row[1] + 2 if row[1] >= 0 else row[1], *row[2:]) for row in rows] for rows in other]
    alone = align(changes_of(*one[0]), requests_of(*one[1]), SETS)
    both = align(changes_of(*one[0], *moved[0]), requests_of(*one[1], *moved[1]), SETS)
    count = len(one[0])
    assert both.request[:count].tolist() == alone.request.tolist()
    assert both.confidence[:count].tolist() == alone.confidence.tolist()


@st.composite
def cases_of_tables(draw):
    """Three tables, each with changes and requests of its own items."""
    found = [draw(any_case) for _ in range(3)]
    rows = [
        [(table, row[1] + 2 * table if row[1] >= 0 else row[1], *row[2:]) for row in case[side]]
        for side in (0, 1)
        for table, case in enumerate(found)
    ]
    return [row for part in rows[:3] for row in part], [row for part in rows[3:] for row in part]


@settings(max_examples=60, deadline=None)
@given(cases_of_tables(), st.data())
def test_how_much_is_looked_at_together_makes_no_difference(case, data):
    flags = st.lists(st.booleans(), min_size=len(case[0]), max_size=len(case[0]))
    marks = {name: np.array(data.draw(flags), np.bool_) for name in ("unasked", "doubted")}
    changes, requests = columns(Changes, case[0], **marks), requests_of(*case[1])
    whole = align(changes, requests, SETS, at_once=10**9)
    for at_once in (1, 2, 5):
        cut = align(changes, requests, SETS, at_once=at_once)
        for field in Alignment.__dataclass_fields__:
            assert getattr(cut, field).tolist() == getattr(whole, field).tolist(), field


MODIFIED = (0, 0, 10, MODIFY, 0)
UPDATED = (0, 0, 10, UPDATE, 0, 0)


def answer(changes, requests, **more):
    found = align(columns(Changes, changes, **more), requests_of(*requests), SETS)
    return list(zip(found.request.tolist(), found.confidence.tolist(), strict=True))


def at(row, second, **other):
    values = [*row]
    values[2] = second
    if "principal" in other:
        values[5] = other["principal"]
    return tuple(values)


def test_one_change_and_one_request_belong_together():
    assert answer([MODIFIED], [UPDATED]) == [(0, CERTAIN)]


def test_request_too_far_away_is_no_candidate():
    assert answer([MODIFIED], [at(UPDATED, 10 + LATEST_S + 1)]) == [(-1, NONE)]
    assert answer([MODIFIED], [at(UPDATED, 10 + EARLIEST_S - 1)]) == [(-1, NONE)]


def test_request_a_little_too_far_away_is_another_possibility():
    far = at(UPDATED, 10 + SUREST_S[1], principal=1)
    assert answer([MODIFIED], [UPDATED, far]) == [(0, PROBABLE)]
    assert answer([MODIFIED], [UPDATED, at(far, 11 + SUREST_S[1])]) == [(0, CERTAIN)]


def test_nothing_is_certain_where_requests_are_known_to_be_missing():
    assert answer([MODIFIED], [UPDATED], doubted=np.array([True])) == [(0, PROBABLE)]


def test_change_that_needs_no_request_and_those_that_share_one_with_it_are_not_certain():
    elsewhere = (0, 1, 10, MODIFY, 0)
    requests = [UPDATED, (0, 1, 10, UPDATE, 0, 0)]
    assert answer([MODIFIED, elsewhere], requests, unasked=np.array([True, False])) == [(0, PROBABLE), (1, CERTAIN)]
    twice = [MODIFIED, at(MODIFIED, 11)]
    requests = [UPDATED, at(UPDATED, 11, principal=1)]
    assert [sure for _, sure in answer(twice, requests, unasked=np.array([True, False]))] <= [PROBABLE, PROBABLE]


def test_repeated_request_of_one_principal_is_certain_of_who():
    assert answer([MODIFIED], [UPDATED, UPDATED]) == [(0, IDENTITY_CERTAIN)]


def test_nearest_of_two_principals_is_probable():
    assert answer([MODIFIED], [UPDATED, at(UPDATED, 12, principal=1)]) == [(0, PROBABLE)]


def test_two_principals_as_near_are_ambiguous():
    assert answer([MODIFIED], [UPDATED, at(UPDATED, 10, principal=1)]) == [(0, AMBIGUOUS)]


def test_neighbour_takes_away_the_alternative():
    """The later change can only have the later request, so the earlier one has the earlier request."""
    late = at(MODIFIED, 16)
    requests = [at(UPDATED, 11), at(UPDATED, 16, principal=1)]
    assert answer([MODIFIED, late], requests) == [(0, CERTAIN), (1, CERTAIN)]


def test_table_that_lacks_a_request_is_certain_of_nothing():
    elsewhere = (0, 1, 10, MODIFY, 0)
    assert answer([MODIFIED, elsewhere], [UPDATED]) == [(0, PROBABLE), (-1, NONE)]


def test_change_in_a_table_that_lacks_requests_is_not_pinned_on_a_far_one():
    elsewhere = (0, 1, 10, MODIFY, 0)
    assert answer([MODIFIED, elsewhere], [at(UPDATED, 13)])[0] == (-1, NONE)


def test_lags_that_are_usual_in_a_table_are_believed_when_it_lacks_requests():
    slow = [(0, key, 10, MODIFY, 0) for key in range(20)]
    requests = [(0, key, 12, UPDATE, 0, 0) for key in range(19)]
    assert answer(slow, requests) == [(key, PROBABLE) for key in range(19)] + [(-1, NONE)]


def test_two_changes_that_nothing_tells_apart_share_one_request_ambiguously():
    assert [confidence for _, confidence in answer([MODIFIED, MODIFIED], [UPDATED])] == [AMBIGUOUS, NONE]


def test_request_without_key_is_found_by_exclusion():
    inserted = [(0, key, 10, INSERT, UNKNOWN) for key in range(2)]
    requests = [(0, 0, 10, PUT, UNKNOWN, 0), (0, NO_KEY, 10, 1 << INSERT, UNKNOWN, 1)]
    assert answer(inserted, requests) == [(0, CERTAIN), (1, CERTAIN)]


@pytest.mark.parametrize("count", [20_000])
def test_hot_item_of_many_classes_is_aligned(count):
    rng = np.random.default_rng(7)
    second = np.sort(rng.integers(0, count // 28, count))
    zeros = np.zeros(count, np.int64)
    names = rng.integers(0, 3, count)
    no = np.zeros(count, np.bool_)
    changes = Changes(zeros, zeros, second, zeros + MODIFY, names, np.arange(count), no, no)
    requests = Requests(
        zeros, zeros, second, zeros + UPDATE, names, rng.integers(0, 5, count), np.argsort(np.argsort(second))
    )
    found = align(changes, requests, SETS)
    assert found.explained.all()
    assert len(set(found.request.tolist())) == count
    assert np.diff(requests.second[found.request]).min() >= -1 - LATEST_S


def test_rivals_are_at_most_twenty():
    found = align(changes_of(MODIFIED), requests_of(*[UPDATED] * 50), SETS)
    assert found.candidates.tolist() == [50]
    assert found.rivals.tolist() == list(range(1, 21))


def test_nothing_gives_nothing():
    empty = align(changes_of(), requests_of(), SETS)
    assert len(empty.request) == 0
    alone = align(changes_of(MODIFIED), requests_of(), SETS)
    assert (alone.request.tolist(), alone.confidence.tolist()) == ([-1], [NONE])
    assert len(align(changes_of(), requests_of(UPDATED), SETS).request) == 0
