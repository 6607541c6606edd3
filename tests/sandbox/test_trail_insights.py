"""What a trail counts itself, asked as in AWS and read as the pipeline reads it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dynatrail.config import Account, Target
from dynatrail.sandbox import Delivery, Sandbox
from dynatrail.sandbox.sandbox import PRODUCTION
from dynatrail.sandbox.state import Credentials
from dynatrail.settings import PROJECT
from dynatrail.sources.cloudtrail import insight_metrics

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

REGION = "us-east-1"
START = datetime(2026, 11, 9, 10, tzinfo=UTC)
TARGET = Target(Account(id=PRODUCTION, regions=(REGION,)), REGION)
POLICY = PROJECT / "docs" / "reference" / "iam" / "extract_cloudwatch.json"
SELECTORS = [
    {"InsightType": kind, "EventCategories": ["Data"]} for kind in ("ApiCallRateInsight", "ApiErrorRateInsight")
]


class Counted:
    """A trail that selects writes only, a table with some calls on it, and an auditor with the reference policy."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        sandbox.clock.set(START)
        sandbox.deliver_as(Delivery.regular())
        root = sandbox.root(PRODUCTION)
        sandbox.client("s3", root).create_bucket(Bucket="logs")
        self.trails = sandbox.client("cloudtrail", root)
        self.arn = self.trails.create_trail(Name="main", S3BucketName="logs")["TrailARN"]
        self.trails.start_logging(Name="main")
        data = {"Type": "AWS::DynamoDB::Table", "Values": ["arn:aws:dynamodb"]}
        self.trails.put_event_selectors(
            TrailName="main", EventSelectors=[{"ReadWriteType": "WriteOnly", "DataResources": [data]}]
        )
        dynamodb = sandbox.client("dynamodb", root)
        dynamodb.create_table(
            TableName="Patients",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        for number in range(6):
            sandbox.pass_time(START + timedelta(minutes=2 * number))
            item = {"id": {"S": str(number % 4)}}
            try:
                dynamodb.put_item(TableName="Patients", Item=item, ConditionExpression="attribute_not_exists(id)")
            except ClientError:
                assert number > 3
            dynamodb.get_item(TableName="Patients", Key=item)
        sandbox.pass_time(START + timedelta(hours=1))
        iam = sandbox.client("iam", root)
        iam.create_user(UserName="auditor")
        iam.put_user_policy(UserName="auditor", PolicyName="read", PolicyDocument=POLICY.read_text())
        key = iam.create_access_key(UserName="auditor")["AccessKey"]
        self.auditor = Credentials(key["AccessKeyId"], key["SecretAccessKey"], REGION)

    def client(self, region: str = REGION) -> Any:
        return self.sandbox.client("cloudtrail", self.auditor, region=region)

    def ask(self, **asked: Any) -> list[tuple[datetime, float]]:
        answer = self.client().list_insights_metric_data(
            **{
                "TrailName": self.arn,
                "EventSource": "dynamodb.amazonaws.com",
                "EventName": "PutItem",
                "InsightType": "ApiCallRateInsight",
                "StartTime": START,
                "Period": 60,
                **asked,
            }
        )
        return list(zip(answer["Timestamps"], answer["Values"], strict=True))


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    with Sandbox(tmp_path_factory.mktemp("counted")) as sandbox:
        yield Counted(sandbox)


@pytest.fixture
def enabled(counted: Counted) -> Iterator[Counted]:
    counted.trails.put_insight_selectors(TrailName="main", InsightSelectors=SELECTORS)
    yield counted
    counted.trails.put_insight_selectors(TrailName="main", InsightSelectors=[])


def test_a_trail_without_insights_of_data_events_is_not_asked(counted: Counted):
    assert insight_metrics.watched(counted.client, TARGET) == []
    with pytest.raises(counted.client().exceptions.InvalidParameterException):
        counted.ask()


def test_every_selected_call_is_counted_in_its_minute(enabled: Counted):
    minutes = [START + timedelta(minutes=2 * number) for number in range(6)]
    assert enabled.ask() == [(at, 1.0) for at in minutes]
    assert enabled.ask(EventName="GetItem") == []  # the trail does not select it
    assert enabled.ask(Period=3600) == [(START, 6.0)]


def test_errors_are_counted_by_their_code(enabled: Counted):
    failed = enabled.ask(InsightType="ApiErrorRateInsight", ErrorCode="ConditionalCheckFailedException")
    assert [at for at, _ in failed] == [START + timedelta(minutes=8), START + timedelta(minutes=10)]


def test_pages_and_zeros(enabled: Counted):
    assert enabled.ask(MaxResults=2) == enabled.ask()[:2]
    filled = enabled.ask(DataType="FillWithZeros", EndTime=START + timedelta(minutes=12))
    assert [value for _, value in filled] == [1.0, 0.0] * 6


def test_the_pipeline_reads_the_same_with_the_reference_policy(enabled: Counted):
    (trail,) = insight_metrics.watched(enabled.client, TARGET)
    rows = insight_metrics.read(enabled.client(), trail, TARGET, START, START + timedelta(hours=1)).to_pylist()
    told = {(row["metric_name"], row["operation"], row["event_time"], row["value"]) for row in rows}
    assert told == {
        *(("ApiCallRateInsight", "PutItem", at, value) for at, value in enabled.ask()),
        *(("ApiErrorRateInsight", "PutItem", START + timedelta(minutes=minute), 1.0) for minute in (8, 10)),
    }
    named = {"EventName": "PutItem", "EventSource": "dynamodb.amazonaws.com", "TrailName": "main"}
    assert {"ErrorCode": "ConditionalCheckFailedException", **named} in [json.loads(row["dimensions"]) for row in rows]


def test_counts_outlive_a_stop(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("stopped")
    with Sandbox(folder) as sandbox:
        Counted(sandbox).trails.put_insight_selectors(TrailName="main", InsightSelectors=SELECTORS)
    with Sandbox(folder) as sandbox:
        client = sandbox.client("cloudtrail", sandbox.root(PRODUCTION))
        (trail,) = insight_metrics.watched(lambda _: client, TARGET)
        assert len(insight_metrics.read(client, trail, TARGET, START, START + timedelta(hours=1))) == 8
