"""Contributor Insights: which keys calls name most."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.parsers import create_parser

from dynatrail.sandbox.calls import service_model
from dynatrail.sandbox.insights import Insights
from dynatrail.sandbox.metrics_counting import TableShape
from dynatrail.sandbox.parts import Seen

See = Callable[..., Seen]
Json = dict[str, Any]
START = datetime(2026, 11, 23, tzinfo=UTC)
SHAPES = {
    "123456789012/us-east-1": {
        "Patients": TableShape(["patient_id"]),
        "Diary": TableShape(["clinic", "starts"], {"ByPatient": ["patient_id"]}),
    }
}
THROTTLED = {"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException", "message": ""}


class Account:
    """Insights, asked in the way of boto3."""

    def __init__(self, see: See) -> None:
        self.insights = Insights(lambda: SHAPES)
        self._see = see

    def enable(self, table: str, **more: Any) -> None:
        sent = {"TableName": table, "ContributorInsightsAction": "ENABLE", **more}
        self.insights.saw(self._see("dynamodb", "UpdateContributorInsights", sent, {"TableName": table}, at=START))

    def make(self, operation: str, at: datetime = START, **sent: Any) -> None:
        self.insights.gave(self._see("dynamodb", operation, sent, at=at))

    def rules(self, table: str, **more: Any) -> list[str]:
        sent = {"TableName": table, **more}
        seen = self._see("dynamodb", "DescribeContributorInsights", sent, sent, at=START)
        answer = self.insights.answer(seen)
        assert answer is not None
        found: list[str] = json.loads(answer.body)["ContributorInsightsRuleList"]
        return found

    def report(self, rule: str, **more: Any) -> Json:
        sent = {"RuleName": rule, "StartTime": START, "EndTime": START + timedelta(hours=1), "Period": 60, **more}
        answer = self.insights.answer(
            self._see("cloudwatch", "GetInsightRuleReport", sent, at=START + timedelta(hours=2))
        )
        assert answer is not None
        raw = {"status_code": answer.status, "headers": dict(answer.headers), "body": answer.body}
        shape = service_model("cloudwatch").operation_model("GetInsightRuleReport").output_shape
        parsed: Json = create_parser("smithy-rpc-v2-cbor").parse(raw, shape)  # type: ignore[arg-type]
        return parsed

    def top(self, rule: str, **more: Any) -> dict[tuple[str, ...], float]:
        found = self.report(rule, **more)["Contributors"]
        return {tuple(one["Keys"]): one["ApproximateAggregateValue"] for one in found}


@pytest.fixture
def account(see: See) -> Account:
    return Account(see)


def patient(name: str) -> Json:
    return {"patient_id": {"S": name}}


def test_rules_are_named_for_what_they_count(account: Account):
    account.enable("Patients")
    account.enable("Diary")
    stamp = int(START.timestamp() * 1000)
    assert account.rules("Patients") == [
        f"DynamoDBContributorInsights-{kind}-Patients-{stamp}" for kind in ("PKC", "PKT")
    ]
    assert [name.split("-")[1] for name in account.rules("Diary")] == ["PKC", "SKC", "PKT", "SKT"]


def test_throttled_keys_alone_have_two_rules(account: Account):
    account.enable("Diary", ContributorInsightsMode="THROTTLED_KEYS")
    assert [name.split("-")[1] for name in account.rules("Diary")] == ["PKT", "SKT"]


def test_keys_are_counted_by_how_often_calls_name_them(account: Account):
    account.enable("Patients")
    for name in ("a", "b", "a"):
        account.make("GetItem", TableName="Patients", Key=patient(name))
    account.make("PutItem", TableName="Patients", Item={**patient("a"), "name": {"S": "withheld"}})
    account.make("BatchGetItem", RequestItems={"Patients": {"Keys": [patient("b"), patient("c")]}})
    assert account.top(account.rules("Patients")[0]) == {("a",): 3.0, ("b",): 2.0, ("c",): 1.0}


def test_a_query_counts_for_its_partition_key_or_its_indexs(account: Account):
    account.enable("Diary")
    account.enable("Diary", IndexName="ByPatient")
    values = {":c": {"S": "north"}, ":p": {"S": "a"}}
    account.make("Query", TableName="Diary", KeyConditionExpression="clinic = :c", ExpressionAttributeValues=values)
    account.make(
        "Query",
        TableName="Diary",
        IndexName="ByPatient",
        KeyConditionExpression="patient_id = :p",
        ExpressionAttributeValues=values,
    )
    assert account.top(account.rules("Diary")[0]) == {("north",): 1.0}
    assert account.top(account.rules("Diary", IndexName="ByPatient")[0]) == {("a",): 1.0}


def test_a_report_names_the_top_ones_and_counts_all(account: Account):
    account.enable("Patients")
    for number in range(12):
        for _ in range(number + 1):
            account.make("GetItem", TableName="Patients", Key=patient(f"{number:02d}"))
    report = account.report(account.rules("Patients")[0], MaxContributorCount=2)
    assert [one["Keys"] for one in report["Contributors"]] == [["11"], ["10"]]
    assert (report["ApproximateUniqueCount"], report["AggregateValue"]) == (12, 78.0)
    assert report["KeyLabels"] == ["patient_id"]


def test_the_end_does_not_belong_to_the_window(account: Account):
    account.enable("Patients")
    account.make("GetItem", START + timedelta(hours=1), TableName="Patients", Key=patient("a"))
    assert account.top(account.rules("Patients")[0]) == {}


def test_throttled_calls_count_in_their_own_rule(account: Account, see: See):
    account.enable("Patients")
    sent = {"TableName": "Patients", "Key": patient("a")}
    account.insights.gave(see("dynamodb", "GetItem", sent, THROTTLED, at=START, status=400))
    consumed, throttled = account.rules("Patients")
    assert (account.top(consumed), account.top(throttled)) == ({}, {("a",): 1.0})


def test_rules_are_listed_as_dynamodbs_own(account: Account, see: See):
    account.enable("Patients")
    answer = account.insights.answer(see("cloudwatch", "DescribeInsightRules", {}))
    assert answer is not None
    shape = service_model("cloudwatch").operation_model("DescribeInsightRules").output_shape
    raw = {"status_code": answer.status, "headers": dict(answer.headers), "body": answer.body}
    rules = create_parser("smithy-rpc-v2-cbor").parse(raw, shape)["InsightRules"]  # type: ignore[arg-type]
    assert {(rule["State"], rule["ManagedRule"]) for rule in rules} == {("ENABLED", True)}


def test_a_table_without_insights_is_not_counted(account: Account):
    account.make("GetItem", TableName="Patients", Key=patient("a"))
    assert account.report("DynamoDBContributorInsights-PKC-Patients-1")["Error"]["Code"] == "ResourceNotFoundException"


def test_it_goes_on_after_a_restart(account: Account):
    account.enable("Patients")
    account.make("GetItem", TableName="Patients", Key=patient("a"))
    again = Insights(lambda: SHAPES)
    again.load(account.insights.save())
    account.insights = again
    assert account.top(account.rules("Patients")[0]) == {("a",): 1.0}
