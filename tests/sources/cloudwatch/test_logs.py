from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.stub import Stubber

from dynatrail.config import LogFilter
from dynatrail.sources.cloudwatch import logs
from dynatrail.warehouse.schema import LOG_EVENT

START = datetime(2026, 11, 1, 3, tzinfo=UTC)
ERRORS = LogFilter(name="errors", log_group="/aws/lambda/booking", pattern="ERROR")
FIRST_MS = int(START.timestamp() * 1000)


@pytest.fixture
def aws():
    client = boto3.client(
        "logs", region_name="eu-central-1", aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="example"
    )
    with Stubber(client) as stub:
        yield client, stub
        stub.assert_no_pending_responses()


def event(number, message="ERROR pat-4711"):
    return {
        "logStreamName": "one",
        "timestamp": FIRST_MS + number,
        "ingestionTime": FIRST_MS + number + 50,
        "message": message,
        "eventId": f"{number:056d}",
    }


def test_empty_pages_are_passed_over_and_window_ends_before_its_end(aws):
    client, stub = aws
    asked = {
        "logGroupName": "/aws/lambda/booking",
        "startTime": FIRST_MS,
        "endTime": FIRST_MS + 3_600_000 - 1,
        "filterPattern": "ERROR",
    }
    stub.add_response("filter_log_events", {"events": [], "nextToken": "a"}, asked)
    stub.add_response("filter_log_events", {"events": [event(1)], "nextToken": "b"}, asked | {"nextToken": "a"})
    stub.add_response("filter_log_events", {"events": []}, asked | {"nextToken": "b"})

    pages = list(logs.pages(client, ERRORS, START, START + timedelta(hours=1)))

    assert pages == [[event(1)]]


def test_filter_without_pattern_asks_for_everything(aws):
    client, stub = aws
    asked = {"logGroupName": "/all", "startTime": FIRST_MS, "endTime": FIRST_MS + 3_600_000 - 1}
    stub.add_response("filter_log_events", {"events": []}, asked)

    assert list(logs.pages(client, LogFilter(name="all", log_group="/all"), START, START + timedelta(hours=1))) == []


def test_row_is_the_contracts_and_masked(target, tokens):
    rows = logs.rows([event(5)], ERRORS, target, tokens)

    assert rows.schema.equals(LOG_EVENT.schema)
    made = rows.to_pylist()[0]
    assert made["message"] == f"ERROR {tokens.value('pat-4711')}"
    assert made["event_time"] == START + timedelta(milliseconds=5)
    assert made["ingestion_time"] == START + timedelta(milliseconds=55)
    assert made["event_hour"] == START


def test_event_matched_by_two_filters_is_two_rows(target, tokens):
    other = LogFilter(name="all", log_group="/aws/lambda/booking")
    ids = [logs.rows([event(1)], chosen, target, tokens)["log_event_id"][0].as_py() for chosen in (ERRORS, other)]

    assert len(set(ids)) == 2
    assert logs.rows([event(1)], ERRORS, target, tokens)["log_event_id"][0].as_py() == ids[0]


def test_retention_is_that_of_the_group_of_exactly_this_name(aws):
    client, stub = aws
    groups = [
        {"logGroupName": "/aws/lambda/booking-old", "retentionInDays": 1},
        {"logGroupName": "/aws/lambda/booking", "retentionInDays": 90},
    ]
    stub.add_response("describe_log_groups", {"logGroups": groups})
    stub.add_response("describe_log_groups", {"logGroups": [{"logGroupName": "/aws/lambda/booking"}]})
    stub.add_response("describe_log_groups", {"logGroups": groups[:1]})

    assert logs.retention(client, "/aws/lambda/booking") == timedelta(days=90)
    assert logs.retention(client, "/aws/lambda/booking") is None
    with pytest.raises(LookupError):
        logs.retention(client, "/aws/lambda/booking")
