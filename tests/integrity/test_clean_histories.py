"""Of a history in which nobody meddled nothing is reported, whatever is late, doubled, out of order or paused in it.

`make bench-integrity` looks at 200 of them.
"""

from datetime import timedelta

import pytest
from tests.integrity.histories import History, clean, clean_shape
from tests.integrity.looking import Memory, Seen, look, remember

from dynatrail.sandbox.tampering import chains

SEEDS = 30


def alarms(seen: Seen) -> list[str]:
    """Whatever is reported, but for pauses, which there are."""
    return [f"{one.rule_id}: {one.explanation}" for one in seen.findings if one.rule_id != "integrity.validation_off"]


def assert_clean(seen: Seen, history: History) -> None:
    assert alarms(seen) == []
    assert seen.files("altered", "forged", "missing") == {}
    assert seen.digests("invalid", "missing", "unread") == {}
    unattested = {key for key in seen.files("unattested") if "_BACKFILLED" not in key}  # until its own digest comes
    assert unattested <= history.unvouched <= set(seen.files("unattested", "not_yet_attested"))


@pytest.mark.parametrize("online", [True, False], ids=["online", "offline"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_is_reported_of_a_clean_history(seed: int, online: bool):
    history = clean(seed)
    assert_clean(look(history, online=online), history)


@pytest.mark.parametrize("seed", [seed for seed in range(SEEDS) if clean_shape(seed).pause])
def test_a_pause_is_reported_with_its_span_and_nothing_twice(seed: int):
    history = clean(seed)
    history.bucket.things.update(history.waiting)  # before the first digest has come nobody knows that it goes on
    found = look(history).found("validation_off")
    places = {(chain.account_id, chain.region, chain.trail_name) for chain in chains(history.bucket)}
    told = [(one.account_id, one.region, one.title.split()[1]) for one in found]
    assert len(set(told)) == len(told)
    assert set(told) <= places
    assert {name for _, _, name in told} == {trail.name for trail in history.trails}
    for one in found:
        assert history.pause
        begin, end = history.pause
        assert abs(one.event_time - begin) <= timedelta(minutes=15)
        assert one.ends_at
        assert abs(one.ends_at - end) <= timedelta(minutes=15)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_is_reported_at_any_moment_of_it(seed: int):
    """Looked at again and again while it grows, and remembered in between."""
    history, memory = clean(seed), Memory.nothing()
    moment = history.start + timedelta(minutes=47)
    while moment < history.until:
        then = history.at(moment)
        seen = look(then, memory=memory)
        assert_clean(seen, then)
        memory = remember(seen, then)
        moment += timedelta(hours=5, minutes=13)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_window_that_begins_in_the_middle_is_as_clean(seed: int):
    history = clean(seed)
    since = history.start + (history.until - history.start) / 2
    seen = look(history, since=since)
    assert alarms(seen) == []
    assert seen.files("altered", "forged", "missing") == {}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_was_waited_for_is_valid_once_it_has_come(seed: int):
    history = clean(seed)
    memory = remember(look(history), history)
    history.bucket.things.update(history.waiting)
    seen = look(history, memory=memory)
    assert_clean(seen, history)
    assert set(history.waiting) <= set(seen.digests("valid"))
    assert seen.digests("pending") == {}
