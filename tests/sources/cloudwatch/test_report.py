from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from dynatrail.errors import SourceError
from dynatrail.sources.cloudwatch.report import Report

HOUR = datetime(2026, 11, 1, 3, tzinfo=UTC)


def refusal(operation="GetMetricData"):
    return ClientError({"Error": {"Code": "AccessDenied", "Message": "pat-4711"}}, operation)


@pytest.fixture
def report():
    return Report([HOUR])


def test_hour_of_which_everything_was_read_is_complete(report):
    assert report.statement(HOUR, None) == ("complete", None)
    report.check("here")


def test_refusal_of_one_api_names_its_action_and_is_no_error(report):
    report.failed("alarms", "cloudwatch:DescribeAlarmHistory", refusal(), "read", all_of_it=True)

    assert report.statement(HOUR, None) == ("incomplete", ["alarms: cloudwatch:DescribeAlarmHistory is not allowed"])
    report.check("here")
    assert "cloudwatch:DescribeAlarmHistory" in report.told()[0]


def test_account_of_which_nothing_may_be_read_is_not_assessable_and_an_error(report):
    report.failed("metrics", "cloudwatch:GetMetricData", refusal(), "read", all_of_it=True)
    report.failed("alarms", "cloudwatch:DescribeAlarmHistory", refusal(), "read", all_of_it=True)

    assert report.statement(HOUR, None)[0] == "not_assessable"
    with pytest.raises(SourceError, match=r"may not be read.*extract_cloudwatch\.json"):
        report.check("123456789012 in eu-central-1")


def test_role_that_may_not_be_assumed_is_named_as_such(report):
    report.failed("metrics", "cloudwatch:GetMetricData", refusal("AssumeRole"), "read")

    assert report.denied == {"sts:AssumeRole"}
    with pytest.raises(SourceError):
        report.check("here")


def test_fault_is_raised_when_all_else_is_done_without_what_aws_said(report):
    report.failed("metrics", "cloudwatch:GetMetricData", EndpointConnectionError(endpoint_url="x"), "read metrics")

    assert report.statement(HOUR, None) == ("incomplete", ["metrics: cloudwatch:GetMetricData failed"])
    with pytest.raises(SourceError, match="Could not read metrics"):
        report.check("here")


def test_what_aws_no_longer_keeps_leaves_an_earlier_statement_as_it_was(report):
    report.expire("metrics", "CloudWatch keeps metrics for 455 days", [HOUR])
    report.expire("alarms", "CloudWatch keeps alarm history for 30 days", [HOUR])

    assert report.statement(HOUR, None)[0] == "not_assessable"
    assert report.statement(HOUR, ("complete", [])) == ("complete", None)
    before = ("incomplete", ["alarms: cloudwatch:DescribeAlarms is not allowed"])
    assert report.statement(HOUR, before) == before


def test_new_lack_is_added_to_what_stood_before(report):
    report.expire("alarms", "CloudWatch keeps alarm history for 30 days", [HOUR])
    report.lack("logs", "a group does not exist")

    assert report.statement(HOUR, ("complete", [])) == ("incomplete", ["logs: a group does not exist"])


def test_reason_carries_nothing_of_the_answer(report):
    report.failed("metrics", "cloudwatch:GetMetricData", refusal(), "read")

    assert "pat-4711" not in f"{report.statement(HOUR, None)}{report.told()}"
