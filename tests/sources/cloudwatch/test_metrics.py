from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from dynatrail.clock import HOUR
from dynatrail.sources.cloudwatch import metrics
from dynatrail.sources.cloudwatch.catalogue import Series
from dynatrail.sources.cloudwatch.plan import Request
from dynatrail.sources.cloudwatch.report import Report
from dynatrail.warehouse.schema import METRIC

START = datetime(2026, 11, 1, 3, tzinfo=UTC)
GET = Series(
    namespace="AWS/DynamoDB",
    metric="SuccessfulRequestLatency",
    dimensions=(("Operation", "GetItem"), ("TableName", "Patients")),
    statistics=("SampleCount", "Average"),
    period_s=60,
    unit="Milliseconds",
    tells_traffic=False,
)
READS = Series("AWS/DynamoDB", "ConsumedReadCapacityUnits", (("TableName", "Patients"),), ("Sum",), 60, "Count", True)
REQUEST = Request(START, START + HOUR, 60, (GET, READS))
COUNT, AVERAGE, SUM = GET.query_id("SampleCount"), GET.query_id("Average"), READS.query_id("Sum")


@pytest.fixture
def aws():
    """A client of CloudWatch whose answers a test gives in turn."""
    client = boto3.client(
        "cloudwatch",
        region_name="eu-central-1",
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="example",
        config=Config(retries={"total_max_attempts": 1}),
    )
    with Stubber(client) as stub:
        yield client, stub
        stub.assert_no_pending_responses()


def result(name, *points, status="Complete"):
    times = [START + timedelta(minutes=minute) for minute, _ in points]
    return {"Id": name, "Timestamps": times, "Values": [value for _, value in points], "StatusCode": status}


def page(*results, token=None):
    return {"MetricDataResults": list(results)} | ({"NextToken": token} if token else {})


def points(answer):
    return {
        (series.metric, statistic): [(time.minute, value) for time, value in zip(*those, strict=True)]
        for (series, statistic), those in answer.points.items()
    }


def test_pages_of_one_query_are_put_together(aws):
    client, stub = aws
    stub.add_response("get_metric_data", page(result(COUNT, (0, 2.0), status="PartialData"), token="next"))
    stub.add_response(
        "get_metric_data", page(result(COUNT, (5, 3.0)), result(AVERAGE, (0, 1.5)), result(SUM)), expected_params=None
    )

    answer = metrics.ask(client, REQUEST)

    assert points(answer) == {
        ("SuccessfulRequestLatency", "SampleCount"): [(0, 2.0), (5, 3.0)],
        ("SuccessfulRequestLatency", "Average"): [(0, 1.5)],
    }
    assert not answer.lacking


def test_query_that_failed_inside_is_asked_again_alone(aws):
    client, stub = aws
    stub.add_response("get_metric_data", page(result(COUNT, status="InternalError"), result(AVERAGE), result(SUM)))
    stub.add_response("get_metric_data", page(result(COUNT, (1, 4.0))))

    answer = metrics.ask(client, REQUEST)

    assert points(answer) == {("SuccessfulRequestLatency", "SampleCount"): [(1, 4.0)]}
    assert not answer.lacking


def test_partial_answer_that_stays_partial_is_kept_and_counted(aws):
    client, stub = aws
    stub.add_response(
        "get_metric_data", page(result(COUNT, (1, 4.0), status="PartialData"), result(AVERAGE), result(SUM))
    )
    stub.add_response("get_metric_data", page(result(COUNT, (1, 4.0), status="PartialData")))
    stub.add_response("get_metric_data", page(result(COUNT, (1, 4.0), status="PartialData")))

    answer = metrics.ask(client, REQUEST)

    assert points(answer) == {("SuccessfulRequestLatency", "SampleCount"): [(1, 4.0)]}
    assert answer.lacking == {"PartialData": 1}


def test_forbidden_query_is_counted_and_the_others_land(aws, target):
    client, stub = aws
    stub.add_response(
        "get_metric_data", page(result(COUNT, status="Forbidden"), result(AVERAGE, (2, 1.0)), result(SUM, (2, 8.0)))
    )
    report = Report([START])

    answers = list(metrics.read(client, target, [REQUEST], report))

    assert len(metrics.rows(answers[0], target)) == 2
    assert report.statement(START, None) == (
        "incomplete",
        ["metrics: CloudWatch answered Forbidden for 1 of 3 queries"],
    )


def test_refused_action_is_named_and_asked_no_further(aws, target):
    client, stub = aws
    for _ in range(4):  # those that were under way already
        stub.add_client_error("get_metric_data", "AccessDenied", http_status_code=403)
    report = Report([START])

    assert list(metrics.read(client, target, [REQUEST] * 4, report)) == []
    assert report.denied == {"cloudwatch:GetMetricData"}
    assert report.statement(START, None) == ("incomplete", ["metrics: cloudwatch:GetMetricData is not allowed"])


def test_throttling_beyond_patience_is_a_fault_and_the_other_requests_land(aws, target):
    client, stub = aws
    stub.add_client_error("get_metric_data", "ThrottlingException", http_status_code=400)
    stub.add_response("get_metric_data", page(result(COUNT), result(AVERAGE), result(SUM, (0, 1.0))))
    report = Report([START])

    answers = list(metrics.read(client, target, [REQUEST, REQUEST], report))

    assert len(answers) == 1
    assert "SlowDown" not in report.faults[0]
    assert "ThrottlingException" in report.faults[0]


def test_rows_are_the_contracts(aws, target):
    client, stub = aws
    stub.add_response("get_metric_data", page(result(COUNT, (4, 2.0)), result(AVERAGE), result(SUM, (59, 0.5))))

    rows = metrics.rows(metrics.ask(client, REQUEST), target)

    assert rows.schema.equals(METRIC.schema)
    assert rows.to_pylist()[0] == {
        "event_time": START + timedelta(minutes=4),
        "event_hour": START,
        "event_date": START.date(),
        "account_id": "123456789012",
        "region": "eu-central-1",
        "namespace": "AWS/DynamoDB",
        "metric_name": "SuccessfulRequestLatency",
        "table_name": "Patients",
        "operation": "GetItem",
        "index_name": None,
        "dimensions": '{"Operation":"GetItem","TableName":"Patients"}',
        "contributor_token": None,
        "statistic": "SampleCount",
        "period_s": 60,
        "value": 2.0,
        "unit": "Count",
    }


def test_idle_minutes_have_no_row(aws, target):
    client, stub = aws
    stub.add_response("get_metric_data", page(result(COUNT), result(AVERAGE), result(SUM)))

    assert len(metrics.rows(metrics.ask(client, REQUEST), target)) == 0


def test_datapoint_outside_of_the_window_is_left_to_the_run_whose_it_is(aws, target):
    client, stub = aws
    stub.add_response("get_metric_data", page(result(COUNT, (-1, 1.0), (60, 1.0)), result(AVERAGE), result(SUM)))

    assert len(metrics.rows(metrics.ask(client, REQUEST), target)) == 0


def test_traffic_is_a_sum_above_zero_of_what_tells_it(aws):
    client, stub = aws
    stub.add_response("get_metric_data", page(result(COUNT, (0, 9.0)), result(AVERAGE), result(SUM, (0, 0.0))))
    stub.add_response("get_metric_data", page(result(COUNT), result(AVERAGE), result(SUM, (0, 0.0), (1, 0.5))))

    idle, busy = metrics.ask(client, REQUEST), metrics.ask(client, REQUEST)

    assert metrics.with_traffic([idle]) == set()
    assert metrics.with_traffic([idle, busy]) == {"Patients"}
