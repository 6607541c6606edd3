"""CloudWatch of a running sandbox in which `tiny` was played, asked by the auditor through boto3."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from dynatrail.clock import HOUR, iso
from dynatrail.sandbox.identities import Caller
from dynatrail.sandbox.metrics import Mismatches
from dynatrail.sandbox.scenarios.signals import BILLING_LOG, BOOKING_LOG, WATCHED_KEYS

if TYPE_CHECKING:
    from conftest import Tiny
    from dynatrail.sandbox.recorder import Recorded

pytestmark = pytest.mark.slow

Json = dict[str, Any]


@pytest.fixture(scope="module")
def client(tiny: "Tiny") -> Callable[..., Any]:
    """A client of the auditor, in the practice's home region unless said otherwise."""

    def made(service: str, region: str = "us-east-1") -> Any:
        auditor = tiny.sandbox.auditor
        return tiny.sandbox.client(service, auditor, region=region)

    return made


@pytest.fixture(scope="module")
def truth(tiny: "Tiny") -> Json:
    found: Json = json.loads((tiny.played.ground_truth.parent / "tiny.metrics.json").read_text())
    return found


def hourly(cloudwatch: Any, window: tuple[datetime, datetime], name: str, stat: str, **named: str) -> dict[str, float]:
    """Hour → value of one series, over all pages."""
    dimensions = [{"Name": key, "Value": value} for key, value in named.items()]
    metric = {"Namespace": "AWS/DynamoDB", "MetricName": name, "Dimensions": dimensions}
    asked = [{"Id": "a", "MetricStat": {"Metric": metric, "Period": 3600, "Stat": stat}}]
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=asked, StartTime=window[0], EndTime=window[1], MaxDatapoints=5
    )
    return {
        iso(at): value
        for page in pages
        for result in page["MetricDataResults"]
        for at, value in zip(result["Timestamps"], result["Values"], strict=True)
    }


def by_series(rows: list[Json], value: str) -> Iterator[tuple[tuple[str, ...], dict[str, float]]]:
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for row in rows:
        if row[value] is not None:
            series = (row["region"], row.get("table_name", ""), row.get("operation", ""))
            found.setdefault(series, {})[row["hour"]] = row[value]
    yield from found.items()


def streamed(client: Callable[..., Any], region: str, table: str) -> dict[str, str]:
    described = client("dynamodb", region).describe_table(TableName=table)["Table"]
    return {"StreamLabel": described["LatestStreamLabel"]}


class TestMetrics:
    def test_successful_requests_are_those_that_the_scenario_made(self, tiny: "Tiny", client: Any, truth: Json):
        for (region, table, operation), hours in by_series(truth["requests"], "successful"):
            more = streamed(client, region, table) if operation == "GetRecords" else {}
            named = {"TableName": table, "Operation": operation, **more}
            found = hourly(
                client("cloudwatch", region), tiny.played.window, "SuccessfulRequestLatency", "SampleCount", **named
            )
            assert found == hours, (region, table, operation)

    def test_no_series_is_counted_beside_those(self, tiny: "Tiny", truth: Json):
        found = set()
        for region in ("us-east-1", "eu-west-1"):
            cloudwatch = tiny.sandbox.client("cloudwatch", tiny.sandbox.root("123456789012"), region=region)
            for page in cloudwatch.get_paginator("list_metrics").paginate(MetricName="SuccessfulRequestLatency"):
                for metric in page["Metrics"]:
                    named = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
                    if datapoints(cloudwatch, metric, *tiny.played.window):  # other tests read live
                        found.add((region, named["TableName"], named["Operation"]))
        assert found == {series for series, _ in by_series(truth["requests"], "successful")}

    def test_rows_returned_are_those_that_the_scenario_got(self, tiny: "Tiny", client: Any, truth: Json):
        for (region, table, operation), hours in by_series(truth["requests"], "returned_items"):
            named = {"TableName": table, "Operation": operation}
            found = hourly(client("cloudwatch", region), tiny.played.window, "ReturnedItemCount", "Sum", **named)
            assert found == hours, (region, table, operation)

    def test_errors_are_those_that_the_scenario_met(self, tiny: "Tiny", client: Any, truth: Json):
        for (region, *_), hours in by_series(truth["user_errors"], "count"):
            assert hourly(client("cloudwatch", region), tiny.played.window, "UserErrors", "Sum") == hours
        for (region, table, _), hours in by_series(truth["conditional_checks_failed"], "count"):
            found = hourly(
                client("cloudwatch", region),
                tiny.played.window,
                "ConditionalCheckFailedRequests",
                "Sum",
                TableName=table,
            )
            assert found == hours

    def test_a_statement_is_counted_under_its_verb(self, tiny: "Tiny", client: Any):
        named = {"TableName": "Invoices", "Operation": "ExecuteStatement"}
        cloudwatch, window = client("cloudwatch"), tiny.played.window
        plain = hourly(cloudwatch, window, "SuccessfulRequestLatency", "SampleCount", **named)
        verbs = [
            hourly(cloudwatch, window, "SuccessfulRequestLatency", "SampleCount", **named, Verb=f"PartiQL{verb}")
            for verb in ("Select", "Insert", "Update", "Delete")
        ]
        assert sum(plain.values()) == sum(sum(found.values()) for found in verbs) > 0

    def test_throttling_of_cloudwatch_itself_can_be_had(self, tiny: "Tiny", client: Any):
        tiny.sandbox.metrics.throttle(1)
        with pytest.raises(ClientError, match="Throttling"):
            hourly(client("cloudwatch"), tiny.played.window, "UserErrors", "Sum")
        assert hourly(client("cloudwatch"), tiny.played.window, "UserErrors", "Sum")

    def test_asking_for_metrics_leaves_no_record(self, tiny: "Tiny", client: Any):
        hourly(client("cloudwatch"), tiny.played.window, "UserErrors", "Sum")
        asked = [{"AttributeKey": "EventName", "AttributeValue": "GetMetricData"}]
        assert client("cloudtrail").lookup_events(LookupAttributes=asked)["Events"] == []


class TestMismatches:
    @pytest.fixture(autouse=True)
    def matching_afterwards(self, tiny: "Tiny") -> Iterator[None]:
        yield
        tiny.sandbox.metrics.mismatches = Mismatches()

    def read(self, tiny: "Tiny", **caller: Any) -> int:
        """Read one file as the account's root; the records that it left."""
        kept: list[Recorded] = []
        tiny.sandbox.recorder.listener = kept.append
        root = tiny.sandbox.root("123456789012")
        try:
            dynamodb = tiny.sandbox.client("dynamodb", root, caller=Caller(**caller))
            dynamodb.get_item(TableName="Patients", Key={"patient_id": {"S": "mismatch"}})
        finally:
            tiny.sandbox.recorder.listener = None
        return len(kept)

    def counts(self, tiny: "Tiny", client: Any) -> float:
        """Reads of Patients since the window's end, once the minute is over."""
        tiny.sandbox.pass_time(tiny.sandbox.clock.now() + timedelta(minutes=2))
        window = (tiny.played.window[1], tiny.sandbox.clock.now() + HOUR)
        named = {"TableName": "Patients", "Operation": "GetItem"}
        return sum(hourly(client("cloudwatch"), window, "SuccessfulRequestLatency", "SampleCount", **named).values())

    def test_a_call_that_the_selectors_leave_out_has_a_metric_and_no_event(self, tiny: "Tiny", client: Any):
        before = self.counts(tiny, client)
        assert self.read(tiny, selected=False) == 0
        assert self.counts(tiny, client) == before + 1

    def test_a_call_that_cloudwatch_missed_has_an_event_and_no_metric(self, tiny: "Tiny", client: Any):
        before = self.counts(tiny, client)
        tiny.sandbox.metrics.mismatches = Mismatches(missing=1.0)
        assert self.read(tiny) == 1
        assert self.counts(tiny, client) == before

    def test_a_throttled_read_is_refused_to_the_caller(self, tiny: "Tiny", client: Any):
        before = self.counts(tiny, client)
        tiny.sandbox.metrics.mismatches = Mismatches(throttled_reads=1.0)
        with pytest.raises(ClientError, match="ProvisionedThroughputExceededException"):
            self.read(tiny)
        assert self.counts(tiny, client) == before


class TestAlarms:
    def test_the_mass_scan_sets_one_off(self, client: Any):
        pages = (
            client("cloudwatch")
            .get_paginator("describe_alarm_history")
            .paginate(AlarmName="patients-scanned", HistoryItemType="StateUpdate", ScanBy="TimestampAscending")
        )
        found = [entry["HistorySummary"] for page in pages for entry in page["AlarmHistoryItems"]]
        assert found == [
            "Alarm updated from INSUFFICIENT_DATA to OK",
            "Alarm updated from OK to ALARM",
            "Alarm updated from ALARM to OK",
        ]

    def test_the_house_has_four(self, client: Any):
        assert len(client("cloudwatch").describe_alarms()["MetricAlarms"]) == 4

    def test_the_auditor_may_not_change_one(self, client: Any):
        with pytest.raises(ClientError, match="AccessDenied"):
            client("cloudwatch").delete_alarms(AlarmNames=["patients-scanned"])

    def test_looking_at_them_is_a_management_event(self, tiny: "Tiny", client: Any):
        start = tiny.played.window[0]
        client("cloudwatch").describe_alarm_history(AlarmName="patients-scanned", StartDate=start)
        asked = [{"AttributeKey": "EventName", "AttributeValue": "DescribeAlarmHistory"}]
        events = client("cloudtrail").lookup_events(LookupAttributes=asked)["Events"]
        record = json.loads(events[0]["CloudTrailEvent"])
        assert (record["eventSource"], record["readOnly"]) == ("monitoring.amazonaws.com", True)
        assert record["requestParameters"]["alarmName"] == "patients-scanned"


class TestLogs:
    def test_the_booking_function_names_its_patient(self, tiny: "Tiny", client: Any):
        start, end = (round(instant.timestamp() * 1000) for instant in tiny.played.window)
        answer = client("logs").filter_log_events(
            logGroupName=BOOKING_LOG, filterPattern='{ $.message = "booked" }', startTime=start, endTime=end
        )
        (event,) = answer["events"]
        assert start < event["timestamp"] <= event["ingestionTime"] < end
        assert json.loads(event["message"])["email"].endswith("@example.com")

    def test_the_billing_job_warns_in_plain_text(self, client: Any):
        events = client("logs").filter_log_events(logGroupName=BILLING_LOG, filterPattern="WARN invoice")["events"]
        assert len(events) == 3

    def test_groups_were_made_when_the_history_began(self, tiny: "Tiny", client: Any):
        groups = client("logs").describe_log_groups()["logGroups"]
        assert {group["creationTime"] for group in groups} == {round(tiny.played.window[0].timestamp() * 1000)}


class TestInsights:
    def test_the_keys_most_used_are_told_in_clear(self, tiny: "Tiny", client: Any):
        rules = client("dynamodb").describe_contributor_insights(TableName=WATCHED_KEYS)["ContributorInsightsRuleList"]
        start, end = tiny.played.window
        report = client("cloudwatch").get_insight_rule_report(
            RuleName=rules[0], StartTime=start, EndTime=end, Period=3600
        )
        named = [
            item["key"]["patient_id"]["S"]
            for line in tiny.truth()
            if line["outcome"] == "success"
            for item in line["items"]
            if item["table_arn"].endswith(f"/{WATCHED_KEYS}")
        ]
        assert 0 < len(report["Contributors"]) <= 10
        assert {one["Keys"][0] for one in report["Contributors"]} <= set(named)

    def test_it_is_listed_as_enabled(self, client: Any):
        (summary,) = client("dynamodb").list_contributor_insights()["ContributorInsightsSummaries"]
        assert (summary["TableName"], summary["ContributorInsightsStatus"]) == (WATCHED_KEYS, "ENABLED")


def datapoints(cloudwatch: Any, metric: Json, start: datetime, end: datetime) -> list[Json]:
    found: list[Json] = cloudwatch.get_metric_statistics(
        **metric, StartTime=start, EndTime=end, Period=3600, Statistics=["SampleCount"]
    )["Datapoints"]
    return found
