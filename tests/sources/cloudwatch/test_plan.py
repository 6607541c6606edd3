from datetime import UTC, datetime, timedelta

import pytest

from dynatrail.clock import HOUR
from dynatrail.sources.cloudwatch.catalogue import Series
from dynatrail.sources.cloudwatch.plan import DATAPOINTS, QUERIES, period_of, requests

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def series(number: int, statistics: int = 1, period_s: int = 60) -> Series:
    named = ("Sum", "SampleCount", "Average", "Minimum", "Maximum")[:statistics]
    return Series("AWS/DynamoDB", f"Metric{number}", (("TableName", "Patients"),), named, period_s, None, False)


def hours(age: timedelta, count: int) -> list[datetime]:
    return [NOW - age + HOUR * at for at in range(count)]


@pytest.mark.parametrize(
    ("days", "period"),
    [(0, 60), (14, 60), (15, 300), (62, 300), (63, 3600), (454, 3600), (455, None)],
    ids=str,
)
def test_period_is_the_finest_that_cloudwatch_still_has(days, period):
    assert period_of(NOW - timedelta(days=days), NOW) == period


def test_what_is_about_to_expire_is_asked_for_as_if_it_had():
    assert period_of(NOW - timedelta(days=15) + HOUR, NOW) == 300


def test_request_never_has_more_queries_than_aws_takes():
    made = list(requests([series(n) for n in range(1_201)], hours(HOUR, 1), NOW))

    assert [len(request.queries) for request in made] == [QUERIES, QUERIES, 201]


def test_request_never_gives_more_datapoints_than_aws_returns():
    made = list(requests([series(n) for n in range(300)], hours(timedelta(hours=24), 24), NOW))

    assert max(len(request.queries) * 24 * 60 for request in made) <= DATAPOINTS
    assert sum(len(request.queries) for request in made) == 300


def test_statistics_of_one_metric_stay_in_one_request():
    made = list(requests([series(n, statistics=3) for n in range(400)], hours(HOUR, 1), NOW))

    assert [len(request.series) for request in made] == [166, 166, 68]


def test_window_across_the_retention_is_asked_in_two_periods():
    made = list(requests([series(0)], hours(timedelta(days=15, hours=1), 6), NOW))

    assert [(request.period_s, (request.end - request.start) // HOUR) for request in made] == [(300, 3), (60, 3)]


def test_metric_published_every_five_minutes_is_asked_for_as_such():
    made = list(requests([series(0), series(1, period_s=300)], hours(HOUR, 1), NOW))

    assert [(request.period_s, request.series[0].metric) for request in made] == [(60, "Metric0"), (300, "Metric1")]


def test_nothing_is_asked_of_hours_that_cloudwatch_has_forgotten():
    assert list(requests([series(0)], hours(timedelta(days=500), 3), NOW)) == []


def test_query_ids_are_unique_and_the_same_in_every_run():
    made = [query["Id"] for query in next(requests([series(n, 5) for n in range(50)], hours(HOUR, 1), NOW)).queries]

    assert len(set(made)) == 250
    assert made[0] == "q7f1387d06ef390edc9c2fc81"
    assert all(name[0].isalpha() and name.isalnum() for name in made)
