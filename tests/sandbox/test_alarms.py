"""Alarms: their states in sandbox time, and a history that outlives them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.parsers import create_parser

from dynatrail.sandbox.alarms import Alarms
from dynatrail.sandbox.calls import service_model
from dynatrail.sandbox.metrics_store import MetricStore
from dynatrail.sandbox.parts import Seen

See = Callable[..., Seen]
Json = dict[str, Any]
START = datetime(2026, 11, 23, tzinfo=UTC)
MINUTES = timedelta(minutes=1)
SETTINGS = {
    "AlarmName": "errors",
    "Namespace": "AWS/DynamoDB",
    "MetricName": "UserErrors",
    "Statistic": "Sum",
    "Period": 300,
    "EvaluationPeriods": 1,
    "Threshold": 3.0,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    "AlarmActions": ["arn:aws:sns:us-east-1:123456789012:security-alerts"],
}


class Account:
    """Alarms over a store, asked in the way of boto3."""

    def __init__(self, see: See) -> None:
        self.store = MetricStore()
        self.alarms = Alarms(self.store)
        self._see = see

    def call(self, operation: str, at: datetime = START, **sent: Any) -> Json:
        seen = self._see("cloudwatch", operation, sent, at=at)
        self.alarms.saw(seen)
        answer = self.alarms.answer(seen)
        if answer is None:
            return {}
        raw = {"status_code": answer.status, "headers": dict(answer.headers), "body": answer.body}
        shape = service_model("cloudwatch").operation_model(operation).output_shape
        found: Json = create_parser("smithy-rpc-v2-cbor").parse(raw, shape)  # type: ignore[arg-type]
        return found

    def errors(self, count: int, at: datetime) -> None:
        for _ in range(count):
            self.store.add("123456789012", "us-east-1", "UserErrors", (), at, 1.0)

    def state(self, at: datetime) -> str:
        self.alarms.tick(at)
        state: str = self.call("DescribeAlarms", at)["MetricAlarms"][0]["StateValue"]
        return state

    def history(self, at: datetime = START + timedelta(hours=1), **sent: Any) -> list[Json]:
        found: list[Json] = self.call("DescribeAlarmHistory", at, **sent)["AlarmHistoryItems"]
        return found


@pytest.fixture
def account(see: See) -> Account:
    return Account(see)


@pytest.mark.parametrize(
    ("treatment", "state"),
    [("missing", "INSUFFICIENT_DATA"), ("notBreaching", "OK"), ("breaching", "ALARM"), ("ignore", "INSUFFICIENT_DATA")],
)
def test_a_period_without_data_is_treated_as_the_alarm_says(account: Account, treatment: str, state: str):
    account.call("PutMetricAlarm", **SETTINGS, TreatMissingData=treatment)
    assert account.state(START + 10 * MINUTES) == state


def test_it_goes_off_when_the_threshold_is_reached_and_back_afterwards(account: Account):
    account.call("PutMetricAlarm", **SETTINGS, TreatMissingData="notBreaching")
    account.errors(3, START + 6 * MINUTES)
    states = [account.state(START + minute * MINUTES) for minute in (7, 12, 17)]
    assert states == ["OK", "ALARM", "OK"]


def test_the_history_gives_the_moment_at_which_it_went_off_not_the_one_at_which_time_was_told(account: Account):
    account.call("PutMetricAlarm", **SETTINGS, TreatMissingData="notBreaching")
    account.errors(3, START + 6 * MINUTES)
    account.alarms.tick(START + timedelta(hours=1))
    (gone_off,) = [entry for entry in account.history() if entry["HistorySummary"].endswith("from OK to ALARM")]
    assert START + 11 * MINUTES <= gone_off["Timestamp"] < START + 12 * MINUTES
    new = json.loads(gone_off["HistoryData"])["newState"]
    assert new["stateReasonData"]["recentDatapoints"] == [3.0]
    assert "[3.0 (23/11/26 00:05:00)] was greater than or equal to the threshold (3.0)" in new["stateReason"]


def test_datapoints_to_alarm_may_be_fewer_than_the_periods(account: Account):
    account.call("PutMetricAlarm", **SETTINGS | {"EvaluationPeriods": 3, "DatapointsToAlarm": 2})
    account.errors(3, START)
    account.errors(1, START + 5 * MINUTES)
    account.errors(4, START + 10 * MINUTES)
    assert account.state(START + 17 * MINUTES) == "ALARM"


def test_an_action_is_in_the_history_unless_actions_are_off(account: Account):
    account.call("PutMetricAlarm", **SETTINGS)
    account.call("SetAlarmState", AlarmName="errors", StateValue="ALARM", StateReason="a test")
    account.call("DisableAlarmActions", AlarmNames=["errors"])
    account.call("SetAlarmState", AlarmName="errors", StateValue="OK", StateReason="a test")
    account.call("SetAlarmState", AlarmName="errors", StateValue="ALARM", StateReason="a test")
    assert len(account.history(HistoryItemType="Action")) == 1


def test_the_history_survives_the_alarm(account: Account):
    account.call("PutMetricAlarm", **SETTINGS)
    account.call("PutMetricAlarm", **SETTINGS | {"Threshold": 4.0}, at=START + MINUTES)
    account.call("DeleteAlarms", AlarmNames=["errors"], at=START + 2 * MINUTES)
    assert account.call("DescribeAlarms")["MetricAlarms"] == []
    entries = account.history(HistoryItemType="ConfigurationUpdate")
    assert [json.loads(entry["HistoryData"])["type"] for entry in entries] == ["Delete", "Update", "Create"]


def test_the_history_goes_back_thirty_days(account: Account):
    account.call("PutMetricAlarm", **SETTINGS)
    assert account.history(START + timedelta(days=30))
    assert account.history(START + timedelta(days=31)) == []


def test_the_history_comes_in_pages_and_windows(account: Account):
    account.call("PutMetricAlarm", **SETTINGS | {"AlarmActions": []})
    for minute in range(1, 6):
        state = "ALARM" if minute % 2 else "OK"
        account.call(
            "SetAlarmState", START + minute * MINUTES, AlarmName="errors", StateValue=state, StateReason="a test"
        )
    later = START + timedelta(hours=1)
    first = account.call("DescribeAlarmHistory", later, MaxRecords=4, ScanBy="TimestampAscending")
    second = account.call(
        "DescribeAlarmHistory", later, MaxRecords=4, ScanBy="TimestampAscending", NextToken=first["NextToken"]
    )
    found = [entry["Timestamp"] for page in (first, second) for entry in page["AlarmHistoryItems"]]
    assert found == [START + minute * MINUTES for minute in range(6)]
    assert "NextToken" not in second
    assert len(account.history(StartDate=START + 2 * MINUTES, EndDate=START + 3 * MINUTES)) == 2


def test_alarms_are_found_by_prefix_and_state(account: Account):
    for name in ("a-1", "a-2", "b-1"):
        account.call("PutMetricAlarm", **SETTINGS | {"AlarmName": name})
    account.call("SetAlarmState", AlarmName="a-2", StateValue="ALARM", StateReason="a test")
    found = account.call("DescribeAlarms", AlarmNamePrefix="a-", StateValue="ALARM")["MetricAlarms"]
    assert [alarm["AlarmName"] for alarm in found] == ["a-2"]


def test_it_goes_on_after_a_restart(account: Account):
    account.call("PutMetricAlarm", **SETTINGS)
    again = Alarms(account.store)
    again.load(account.alarms.save())
    account.errors(3, START + 6 * MINUTES)
    account.alarms = again
    assert account.state(START + 12 * MINUTES) == "ALARM"
