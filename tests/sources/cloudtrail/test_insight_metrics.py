"""CloudTrail's own counts, from answers in the API reference's shape."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from dynatrail.config import Account, Target
from dynatrail.sources.cloudtrail.insight_metrics import ERRORS, OPERATIONS, Watched, read, watched

ACCOUNT, REGION = "123456789012", "eu-west-1"
TRAIL = f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/main"
TARGET = Target(Account(id=ACCOUNT, regions=(REGION,)), REGION)
HOUR = datetime(2026, 11, 9, 10, tzinfo=UTC)


@pytest.fixture
def client() -> Any:
    return boto3.client("cloudtrail", region_name=REGION, aws_access_key_id="AKIA", aws_secret_access_key="x")


def described(stub: Stubber, *arns: str) -> None:
    trails = [{"TrailARN": arn, "HomeRegion": arn.split(":")[3]} for arn in arns]
    stub.add_response("describe_trails", {"trailList": trails}, {"includeShadowTrails": True})


def test_a_trail_is_asked_about_insights_where_it_is_at_home(client):
    regions = []

    def client_in(region):
        regions.append(region)
        return client

    with Stubber(client) as stub:
        described(stub, TRAIL)
        selectors = [{"InsightType": "ApiCallRateInsight", "EventCategories": ["Management", "Data"]}]
        stub.add_response("get_insight_selectors", {"InsightSelectors": selectors}, {"TrailName": TRAIL})
        assert watched(client_in, TARGET) == [Watched(TRAIL, frozenset({"ApiCallRateInsight"}))]
    assert regions == [REGION, "us-east-1"]


def test_another_accounts_organization_trail_is_left_out(client):
    with Stubber(client) as stub:
        described(stub, TRAIL.replace(ACCOUNT, "210987654321"))
        assert watched(lambda _: client, TARGET) == []


@pytest.mark.parametrize("categories", [["Management"], None], ids=["management", "not_said"])
def test_insights_of_management_events_do_not_count_data_events(client, categories):
    selector = {"InsightType": "ApiCallRateInsight", **({"EventCategories": categories} if categories else {})}
    with Stubber(client) as stub:
        described(stub, TRAIL)
        stub.add_response("get_insight_selectors", {"InsightSelectors": [selector]}, {"TrailName": TRAIL})
        assert watched(lambda _: client, TARGET) == []


def test_a_trail_without_insights_is_left_out(client):
    with Stubber(client) as stub:
        described(stub, TRAIL)
        stub.add_client_error("get_insight_selectors", "InsightNotEnabledException")
        assert watched(lambda _: client, TARGET) == []


def test_all_pages_are_read_and_errors_are_asked_about_where_there_were_calls(client):
    asked = {
        "TrailName": TRAIL,
        "EventSource": "dynamodb.amazonaws.com",
        "StartTime": HOUR,
        "EndTime": HOUR + timedelta(hours=1),
        "Period": 60,
        "DataType": "NonZeroData",
    }
    with Stubber(client) as stub:
        for operation in OPERATIONS:
            rate = {**asked, "EventName": operation, "InsightType": "ApiCallRateInsight"}
            if operation != "Scan":
                stub.add_response("list_insights_metric_data", {"Timestamps": [], "Values": []}, rate)
                continue
            first = {"Timestamps": [HOUR], "Values": [2.0], "NextToken": "more"}
            stub.add_response("list_insights_metric_data", first, rate)
            second = {"Timestamps": [HOUR + timedelta(minutes=59)], "Values": [1.0]}
            stub.add_response("list_insights_metric_data", second, {**rate, "NextToken": "more"})
            for code in ERRORS:
                errors = {**rate, "InsightType": "ApiErrorRateInsight", "ErrorCode": code}
                stub.add_response("list_insights_metric_data", {}, errors)
        kinds = frozenset({"ApiCallRateInsight", "ApiErrorRateInsight"})
        rows = read(client, Watched(TRAIL, kinds), TARGET, HOUR, HOUR + timedelta(hours=1)).to_pylist()
        stub.assert_no_pending_responses()
    assert [(row["event_time"], row["event_hour"], row["operation"], row["value"]) for row in rows] == [
        (HOUR, HOUR, "Scan", 2.0),
        (HOUR + timedelta(minutes=59), HOUR, "Scan", 1.0),
    ]
    assert {(row["namespace"], row["table_name"], row["statistic"], row["period_s"]) for row in rows} == {
        ("CloudTrail", None, "Sum", 60)
    }


def test_nothing_counted_gives_no_rows(client):
    with Stubber(client) as stub:
        for operation in OPERATIONS:
            asked = dict.fromkeys(("TrailName", "EventSource", "StartTime", "EndTime", "Period", "DataType"), ANY)
            named = {"EventName": operation, "InsightType": "ApiCallRateInsight"}
            stub.add_response("list_insights_metric_data", {}, {**asked, **named})
        rows = read(client, Watched(TRAIL, frozenset({"ApiCallRateInsight"})), TARGET, HOUR, HOUR)
    assert len(rows) == 0
