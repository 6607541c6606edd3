"""FilterLogEvents in sandbox time."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynatrail.sandbox.logs import Logs
from dynatrail.sandbox.parts import Seen

See = Callable[..., Seen]
Json = dict[str, Any]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
GROUP = {"logGroupName": "/aws/lambda/booking-api"}


class Account:
    """A log group with two streams."""

    def __init__(self, see: See) -> None:
        self.logs = Logs()
        self._see = see
        self.call("CreateLogGroup", **GROUP)
        for stream in ("a", "b"):
            self.call("CreateLogStream", **GROUP, logStreamName=stream)

    def call(self, operation: str, at: datetime = NOW, **sent: Any) -> Json:
        seen = self._see("logs", operation, sent, at=at)
        self.logs.saw(seen)
        answer = self.logs.answer(seen)
        return json.loads(answer.body) if answer else {}

    def put(self, *messages: str, stream: str = "a", at: datetime = NOW, age: timedelta = timedelta()) -> Json:
        events = [{"timestamp": ms(at - age) + number, "message": text} for number, text in enumerate(messages)]
        return self.call("PutLogEvents", at, **GROUP, logStreamName=stream, logEvents=events)

    def pages(self, **sent: Any) -> list[list[str]]:
        found = []
        while True:
            answer = self.call("FilterLogEvents", **GROUP, **sent)
            found.append([event["message"] for event in answer["events"]])
            if "nextToken" not in answer:
                return found
            sent["nextToken"] = answer["nextToken"]


def ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


@pytest.fixture
def account(see: See) -> Account:
    return Account(see)


def test_events_of_all_streams_come_in_the_order_of_their_times(account: Account):
    account.put("second", stream="b", age=timedelta(minutes=1))
    account.put("first", stream="a", age=timedelta(minutes=2))
    assert account.pages() == [["first", "second"]]


def test_an_event_has_an_id_that_stays_and_sandbox_time(account: Account):
    account.put("x", at=NOW + timedelta(minutes=1), age=timedelta(minutes=1))
    (event,) = account.call("FilterLogEvents", **GROUP)["events"]
    assert (event["timestamp"], event["ingestionTime"]) == (ms(NOW), ms(NOW + timedelta(minutes=1)))
    assert len(event["eventId"]) == 56
    assert account.call("FilterLogEvents", **GROUP)["events"][0] == event


def test_a_page_without_a_match_is_empty_and_has_a_token(account: Account):
    account.logs.scanned_a_page = 3
    account.put(*["noise"] * 5, "ERROR")
    assert account.pages(filterPattern="ERROR") == [[], ["ERROR"]]


def test_no_event_is_lost_or_doubled_between_pages(account: Account):
    account.put(*map(str, range(10)))
    assert account.pages(limit=4) == [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9"]]


def test_a_page_is_at_most_a_megabyte(account: Account):
    account.put(*["x" * 600_000] * 2)
    assert [len(page) for page in account.pages()] == [1, 1]


def test_both_ends_belong_to_the_window(account: Account):
    account.put(*map(str, range(5)))
    assert account.pages(startTime=ms(NOW) + 1, endTime=ms(NOW) + 3) == [["1", "2", "3"]]


def test_streams_are_chosen_by_name_or_prefix(account: Account):
    account.put("x", stream="a")
    account.put("y", stream="b")
    assert account.pages(logStreamNames=["b"]) == [["y"]]
    assert account.pages(logStreamNamePrefix="a") == [["x"]]


def test_a_wrong_pattern_or_token_is_refused(account: Account):
    for wrong in ({"filterPattern": "{ $.a"}, {"nextToken": "bm9uZQ=="}):
        assert account.call("FilterLogEvents", **GROUP, **wrong)["__type"] == "InvalidParameterException"


def test_events_too_old_or_too_new_are_rejected_and_said_so(account: Account):
    assert account.put("old", "older", age=timedelta(days=15)) == {
        "rejectedLogEventsInfo": {"tooOldLogEventEndIndex": 2}
    }
    assert account.put("new", age=timedelta(hours=-3)) == {"rejectedLogEventsInfo": {"tooNewLogEventStartIndex": 0}}
    assert account.pages() == [[]]


def test_retention_drops_what_is_older(account: Account):
    account.put("x")
    account.call("PutRetentionPolicy", **GROUP, retentionInDays=1)
    account.logs.tick(NOW + timedelta(days=2))
    assert account.pages() == [[]]


def test_it_goes_on_after_a_restart(account: Account):
    account.put("x")
    again = Logs()
    again.load(account.logs.save())
    account.logs = again
    assert account.pages() == [["x"]]
