"""Sandbox time."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynatrail.errors import SandboxError
from dynatrail.sandbox.clock import SandboxClock

T0 = datetime(2026, 11, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Real:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def test_a_clock_that_was_never_set_shows_real_time():
    real = Real()
    assert SandboxClock(real=real).now() == real.now


def test_a_set_clock_stands_still_until_it_is_told_to_run():
    real = Real()
    clock = SandboxClock(real=real)
    clock.set(T0)
    real.now += 5 * SECOND
    assert clock.now() == T0


def test_a_running_clock_keeps_step_with_real_time():
    real = Real()
    clock = SandboxClock(real=real)
    clock.set(T0, running=True)
    real.now += 5 * SECOND
    assert clock.now() == T0 + 5 * SECOND


def test_the_clock_never_goes_back():
    clock = SandboxClock(real=Real())
    clock.set(T0)
    with pytest.raises(SandboxError, match="cannot go back"):
        clock.set(T0 - SECOND)


def test_an_earlier_real_instant_maps_to_the_sandbox_time_that_held_then():
    real = Real()
    clock = SandboxClock(real=real)
    clock.set(T0)
    stamped = real.now
    real.now += SECOND
    clock.set(T0 + timedelta(days=3))
    assert clock.at(stamped) == T0


def test_an_instant_to_come_lies_as_far_ahead_in_sandbox_time():
    real = Real()
    clock = SandboxClock(real=real)
    clock.set(T0)
    assert clock.at(real.now + timedelta(hours=1)) == T0 + timedelta(hours=1)


def test_an_instant_to_come_maps_to_the_same_one_whenever_a_running_clock_is_asked():
    real = Real()
    clock = SandboxClock(real=real)
    clock.set(T0, running=True)
    expiry = real.now + timedelta(days=365)
    asked = []
    for _ in range(10):
        asked.append(clock.at(expiry))
        real.now += timedelta(seconds=0.13)
    assert set(asked) == {T0 + timedelta(days=365)}


def test_kept_breakpoints_give_the_same_mapping_again():
    real = Real()
    clock = SandboxClock(real=real)
    clock.set(T0)
    real.now += SECOND
    clock.set(T0 + timedelta(days=14), running=True)
    real.now += timedelta(days=1)
    again = SandboxClock(clock.breakpoints, real=real)
    assert again.now() == T0 + timedelta(days=15)


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 100_000), st.booleans()), min_size=1, max_size=20))
def test_the_mapping_keeps_the_order_of_real_instants(steps: list[tuple[int, int, bool]]):
    real = Real()
    clock = SandboxClock(real=real)
    stamps = []
    for pause, jump, running in steps:
        clock.set((clock.now() if clock.breakpoints else T0) + jump * SECOND, running=running)
        real.now += pause * SECOND
        stamps.append(real.now)
    mapped = [clock.at(stamp) for stamp in stamps]
    assert mapped == sorted(mapped)
