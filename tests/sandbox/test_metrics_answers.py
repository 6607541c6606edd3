"""GetMetricData, GetMetricStatistics and ListMetrics."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynatrail.sandbox.metrics_answers import get_metric_data, get_metric_statistics, list_metrics
from dynatrail.sandbox.metrics_store import MetricStore
from dynatrail.sandbox.metrics_wire import WireError

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PLACE = ("123456789012", "us-east-1")
Json = dict[str, Any]


@pytest.fixture
def store() -> MetricStore:
    """One sample in each of the last ten whole minutes, of two tables."""
    made = MetricStore()
    for table in ("Patients", "Invoices"):
        for age in range(1, 11):
            named = (("Operation", "GetItem"), ("TableName", table))
            made.add(
                *PLACE, "SuccessfulRequestLatency", named, NOW - timedelta(minutes=age), float(age), "Milliseconds"
            )
    return made


def query(name: str = "a", table: str = "Patients", period: int = 60, stat: str = "SampleCount") -> Json:
    dimensions = [{"Name": "TableName", "Value": table}, {"Name": "Operation", "Value": "GetItem"}]
    metric = {"Namespace": "AWS/DynamoDB", "MetricName": "SuccessfulRequestLatency", "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}


def asked(*queries: Json, **more: Any) -> Json:
    window = {"StartTime": NOW - timedelta(hours=1), "EndTime": NOW}
    return {"MetricDataQueries": list(queries), **window, **more}


def all_pages(store: MetricStore, **request: Any) -> list[Json]:
    pages = [get_metric_data(store, *PLACE, request, NOW)]
    while token := pages[-1].get("NextToken"):
        pages.append(get_metric_data(store, *PLACE, {**request, "NextToken": token}, NOW))
    return pages


def test_the_newest_point_comes_first_unless_asked_otherwise(store: MetricStore):
    newest = get_metric_data(store, *PLACE, asked(query()), NOW)["MetricDataResults"][0]["Timestamps"]
    oldest = get_metric_data(store, *PLACE, asked(query(), ScanBy="TimestampAscending"), NOW)
    assert newest[0] == NOW - timedelta(minutes=1)
    assert newest == oldest["MetricDataResults"][0]["Timestamps"][::-1]


def test_pages_hold_no_more_points_than_asked_for_and_together_all_of_them(store: MetricStore):
    pages = all_pages(store, **asked(query("a"), query("b", "Invoices"), MaxDatapoints=7))
    sizes = [sum(len(result["Values"]) for result in page["MetricDataResults"]) for page in pages]
    assert sizes == [7, 7, 6]
    found = [at for page in pages for result in page["MetricDataResults"] for at in result["Timestamps"]]
    assert len(found) == 2 * len(set(found)) == 20


def test_a_series_that_goes_on_says_so(store: MetricStore):
    first, second = all_pages(store, **asked(query(), MaxDatapoints=7))
    assert first["MetricDataResults"][0]["StatusCode"] == "PartialData"
    assert second["MetricDataResults"][0]["StatusCode"] == "Complete"


def test_a_series_without_points_is_complete_and_empty(store: MetricStore):
    (result,) = get_metric_data(store, *PLACE, asked(query(table="Nowhere")), NOW)["MetricDataResults"]
    assert (result["Values"], result["StatusCode"]) == ([], "Complete")


def test_another_region_has_nothing(store: MetricStore):
    answer = get_metric_data(store, PLACE[0], "eu-west-1", asked(query()), NOW)
    assert answer["MetricDataResults"][0]["Values"] == []


def test_the_end_does_not_belong_to_the_window(store: MetricStore):
    request = asked(query()) | {"EndTime": NOW - timedelta(minutes=1)}
    assert len(get_metric_data(store, *PLACE, request, NOW)["MetricDataResults"][0]["Values"]) == 9


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (asked(*(query(f"q{number}") for number in range(501))), "size greater than 500"),
        (asked(query("a"), query("a")), "not unique"),
        (asked(query("Upper")), "pattern"),
        (asked(query(period=90)), "multiple of 60"),
        (asked(query(stat="Median")), "Stat"),
        (asked(query()) | {"StartTime": NOW}, "less than"),
        (asked({"Id": "e", "Expression": "m1 * 2"}), "MetricStat"),
    ],
    ids=["too many queries", "ids twice", "id in capitals", "odd period", "odd statistic", "no window", "expression"],
)
def test_what_cloudwatch_refuses(store: MetricStore, request_: Json, message: str):
    with pytest.raises(WireError, match=message) as caught:
        get_metric_data(store, *PLACE, request_, NOW)
    assert caught.value.code == "ValidationError"


def test_a_token_of_another_request_is_refused(store: MetricStore):
    token = get_metric_data(store, *PLACE, asked(query(), MaxDatapoints=3), NOW)["NextToken"]
    with pytest.raises(WireError, match="token"):
        get_metric_data(store, *PLACE, asked(query("b"), NextToken=token), NOW)


def test_statistics_of_more_than_1440_points_are_refused(store: MetricStore):
    request = {
        "MetricName": "SuccessfulRequestLatency",
        "Namespace": "AWS/DynamoDB",
        "Period": 60,
        "StartTime": NOW - timedelta(days=2),
        "EndTime": NOW,
        "Statistics": ["Sum"],
    }
    with pytest.raises(WireError, match="exceeds the limit of 1440") as caught:
        get_metric_statistics(store, *PLACE, request, NOW)
    assert caught.value.code == "InvalidParameterCombination"


def test_a_metric_idle_for_two_weeks_is_no_longer_listed(store: MetricStore):
    assert len(list_metrics(store, *PLACE, {}, NOW)["Metrics"]) == 2
    assert list_metrics(store, *PLACE, {}, NOW + timedelta(days=15))["Metrics"] == []


def test_metrics_are_listed_by_a_dimension(store: MetricStore):
    wanted = {"Dimensions": [{"Name": "TableName", "Value": "Invoices"}]}
    (found,) = list_metrics(store, *PLACE, wanted, NOW)["Metrics"]
    assert {"Name": "TableName", "Value": "Invoices"} in found["Dimensions"]
