from concurrent.futures import ThreadPoolExecutor

from dynatrail.sources.snapshots.limiter import Limiter


class Time:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now = 0.0

    def sleep(self, seconds):
        self.now += seconds


def passed(limiter, time, calls):
    times = []
    for _ in range(calls):
        limiter.wait()
        times.append(time.now)
    return times


def test_burst_of_a_second_passes_at_once_and_then_the_rate_holds():
    time = Time()
    times = passed(Limiter(5, monotonic=lambda: time.now, sleep=time.sleep), time, 15)
    assert times[:5] == [0] * 5
    assert round(times[-1], 6) == 2.0


def test_no_second_sees_more_than_twice_the_rate():
    time = Time()
    times = passed(Limiter(5, monotonic=lambda: time.now, sleep=time.sleep), time, 100)
    assert max(sum(start <= at < start + 1 for at in times) for start in times) <= 10


def test_rate_holds_for_all_threads_together():
    slept = []
    limiter = Limiter(10, monotonic=lambda: 0.0, sleep=slept.append)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: limiter.wait(), range(40)))
    assert len(slept) == 30
    assert round(max(slept), 6) == 3.0
