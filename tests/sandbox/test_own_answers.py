"""LookupEvents."""

from datetime import UTC, datetime, timedelta
from typing import Any

from dynatrail.clock import iso
from dynatrail.sandbox.own_answers import lookup

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def history(count: int, step: timedelta = timedelta(hours=1)) -> list[dict[str, Any]]:
    """Oldest first."""
    return [
        {
            "eventID": f"event-{age}",
            "eventName": "CreateTable" if age % 2 else "DeleteTable",
            "eventSource": "dynamodb.amazonaws.com",
            "eventTime": iso(NOW - age * step),
            "readOnly": False,
            "userIdentity": {"type": "IAMUser", "userName": "alice", "accessKeyId": "AKIAEXAMPLE"},
        }
        for age in reversed(range(count))
    ]


def test_events_come_newest_first_in_pages_of_at_most_fifty():
    first = lookup(history(70), {"MaxResults": 50}, NOW)
    second = lookup(history(70), {"MaxResults": 50, "NextToken": first["NextToken"]}, NOW)
    assert [event["EventId"] for event in first["Events"] + second["Events"]] == [f"event-{n}" for n in range(70)]
    assert "NextToken" not in second


def test_an_attribute_filters():
    asked = {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "CreateTable"}]}
    assert {event["EventName"] for event in lookup(history(10), asked, NOW)["Events"]} == {"CreateTable"}


def test_nothing_is_older_than_ninety_days():
    assert len(lookup(history(200, timedelta(days=10)), {"StartTime": 0}, NOW)["Events"]) == 10


def test_a_window_bounds_the_answer():
    asked = {"StartTime": (NOW - timedelta(hours=3)).timestamp(), "EndTime": (NOW - timedelta(hours=1)).timestamp()}
    assert [event["EventId"] for event in lookup(history(10), asked, NOW)["Events"]] == [
        "event-1",
        "event-2",
        "event-3",
    ]
