"""Datapoints: what is kept how long, and how minutes become longer periods."""

from datetime import UTC, datetime, timedelta

import pytest

from dynatrail.sandbox.metrics_store import MetricStore, Series, statistic

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAYS = timedelta(days=1)


def series_with(*ages: timedelta) -> Series:
    store = MetricStore()
    for age in ages:
        store.add("123456789012", "us-east-1", "UserErrors", (), NOW - age, 1.0)
    return next(iter(store))


def times(series: Series, period: int, now: datetime = NOW) -> list[datetime]:
    points = series.points(0, int(now.timestamp()) + 3600, period, int(now.timestamp()))
    return [datetime.fromtimestamp(at, UTC) for at, _ in points]


@pytest.mark.parametrize(
    ("period", "kept"), [(60, 1), (300, 2), (3600, 3)], ids=["a minute", "five minutes", "an hour"]
)
def test_the_finer_the_period_the_sooner_it_is_gone(period: int, kept: int):
    series = series_with(14 * DAYS, 60 * DAYS, 400 * DAYS, 500 * DAYS)
    assert len(times(series, period)) == kept


def test_minutes_add_up_to_periods_that_start_on_their_multiples():
    series = series_with(*(timedelta(minutes=age) for age in (5, 6, 9, 11)))
    points = series.points(int((NOW - DAYS).timestamp()), int(NOW.timestamp()), 300, int(NOW.timestamp()))
    assert [(datetime.fromtimestamp(at, UTC).minute, len(values)) for at, values in points] == [
        (45, 1),
        (50, 2),
        (55, 1),
    ]


def test_a_minute_is_not_told_before_it_is_over():
    series = series_with(timedelta())
    assert times(series, 60, NOW + timedelta(seconds=59)) == []
    assert times(series, 60, NOW + timedelta(seconds=60)) == [NOW]


def test_an_idle_minute_has_no_point():
    assert times(series_with(timedelta(minutes=5)), 60) == [NOW - timedelta(minutes=5)]


def test_a_late_sample_shows_up_in_its_own_minute_when_its_time_has_come():
    store = MetricStore()
    at, due = NOW - timedelta(hours=1), NOW
    store.add("123456789012", "us-east-1", "UserErrors", (), at, 1.0, visible_at=due)
    series = next(iter(store))
    store.settle(NOW - timedelta(seconds=1))
    assert times(series, 60) == []
    store.settle(NOW)
    assert times(series, 60) == [at]


@pytest.mark.parametrize(
    ("name", "value"),
    [("SampleCount", 4), ("Sum", 10), ("Average", 2.5), ("Minimum", 1), ("Maximum", 4), ("p50", 2.5), ("p100", 4)],
)
def test_statistics(name: str, value: float):
    assert statistic([4.0, 1.0, 3.0, 2.0], name) == value


def test_an_unknown_statistic_is_refused():
    with pytest.raises(ValueError, match="Median"):
        statistic([1.0], "Median")


def test_it_is_the_same_after_a_save():
    store, again = MetricStore(), MetricStore()
    store.add("123456789012", "us-east-1", "UserErrors", (), NOW, 1.0)
    again.load(store.dump())
    assert again.find("123456789012", "us-east-1", "AWS/DynamoDB", "UserErrors", ()) is not None
