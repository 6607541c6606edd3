"""Exports of the sandbox, asked for and read back over the network as anybody would."""

import base64
import gzip
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dynatrail.sandbox import Sandbox
from dynatrail.sandbox.exports import ExportBehaviour
from dynatrail.sandbox.sandbox import PRODUCTION

pytestmark = pytest.mark.slow

START = datetime(2026, 11, 1, tzinfo=UTC)
NOON = START + timedelta(hours=12)
HOUR = timedelta(hours=1)
ARN = f"arn:aws:dynamodb:us-east-1:{PRODUCTION}:table/Notes"
BUCKET = "example-exports"


@dataclass
class Account:
    sandbox: Sandbox
    dynamodb: Any
    s3: Any

    def put(self, name: str, **more: Any) -> None:
        self.dynamodb.put_item(TableName="Notes", Item={"id": {"S": name}, **more})

    def export(self, start: datetime, end: datetime, **more: Any) -> dict[str, Any]:
        """An incremental export of [start, end), as DescribeExport gives it after ten minutes."""
        view = {"ExportViewType": more.pop("view")} if "view" in more else {}
        asked = self.dynamodb.export_table_to_point_in_time(
            TableArn=ARN,
            S3Bucket=more.pop("bucket", BUCKET),
            ExportType="INCREMENTAL_EXPORT",
            IncrementalExportSpecification={"ExportFromTime": start, "ExportToTime": end, **view},
            **more,
        )["ExportDescription"]
        return self.finished(asked["ExportArn"])

    def finished(self, arn: str) -> dict[str, Any]:
        self.sandbox.pass_time(self.sandbox.clock.now() + timedelta(minutes=10))
        described: dict[str, Any] = self.dynamodb.describe_export(ExportArn=arn)["ExportDescription"]
        return described

    def get(self, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def files(self, export: dict[str, Any]) -> list[dict[str, Any]]:
        summary = json.loads(self.get(export["ExportManifest"]))
        return [json.loads(line) for line in self.get(summary["manifestFilesS3Key"]).splitlines()]

    def lines(self, export: dict[str, Any]) -> list[dict[str, Any]]:
        keys = [file["dataFileS3Key"] for file in self.files(export)]
        lines = [json.loads(line) for key in keys for line in gzip.decompress(self.get(key)).splitlines()]
        return sorted(lines, key=lambda line: (line.get("Keys") or line["Item"])["id"]["S"])


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    """A table whose items changed between 12:00 and 13:00; the clock then stands at 15:00."""
    with Sandbox(tmp_path_factory.mktemp("exports")) as sandbox:
        sandbox.clock.set(START)
        root = sandbox.root(PRODUCTION)
        account = Account(sandbox, sandbox.client("dynamodb", root), sandbox.client("s3", root))
        account.s3.create_bucket(Bucket=BUCKET)
        account.dynamodb.create_table(
            TableName="Notes",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        account.dynamodb.update_continuous_backups(
            TableName="Notes", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        for name in ("changed", "removed", "untouched"):
            account.put(name, text={"S": "before"}, raw={"B": b"\x00\xff"})
        sandbox.pass_time(NOON + timedelta(minutes=5))
        account.put("changed", text={"S": "between"})
        account.put("new", text={"S": "first"})
        account.put("passing")
        sandbox.pass_time(NOON + timedelta(minutes=30, seconds=1, microseconds=7))
        account.put("changed", text={"S": "after"}, number={"N": "12345678901234567890123456789012345678"})
        account.dynamodb.delete_item(TableName="Notes", Key={"id": {"S": "removed"}})
        account.dynamodb.delete_item(TableName="Notes", Key={"id": {"S": "passing"}})
        sandbox.pass_time(NOON + timedelta(hours=1))
        account.put("new", text={"S": "outside"})
        sandbox.pass_time(NOON + timedelta(hours=3))
        yield account


@pytest.fixture(scope="module")
def hour(account):
    return account.export(NOON, NOON + timedelta(hours=1), S3Prefix="for/audit/")


def test_incremental_export_holds_the_net_change_of_each_item(account, hour):
    lines = account.lines(hour)
    assert [
        (line["Keys"]["id"]["S"], line.get("OldImage", {}).get("text"), line.get("NewImage", {}).get("text"))
        for line in lines
    ] == [
        ("changed", {"S": "before"}, {"S": "after"}),
        ("new", None, {"S": "first"}),
        ("removed", {"S": "before"}, None),
    ]
    assert lines[0]["OldImage"]["raw"] == {"B": base64.b64encode(b"\x00\xff").decode()}
    assert lines[0]["NewImage"]["number"] == {"N": "12345678901234567890123456789012345678"}


def test_time_is_that_of_the_last_write_in_microseconds(account, hour):
    last = NOON + timedelta(minutes=30, seconds=1, microseconds=7)
    micros = str(round(last.timestamp() * 1_000_000))
    assert account.lines(hour)[0]["Metadata"] == {"WriteTimestampMicros": {"N": micros}}


def test_data_lies_where_all_incremental_exports_of_the_prefix_have_it(account, hour):
    export_id = hour["ExportArn"].rsplit("/", 1)[1]
    assert hour["ExportManifest"] == f"for/audit/AWSDynamoDB/{export_id}/manifest-summary.json"
    assert {file["dataFileS3Key"].rsplit("/", 1)[0] for file in account.files(hour)} == {"for/audit/AWSDynamoDB/data"}
    assert account.get(f"for/audit/AWSDynamoDB/{export_id}/_started") == b""


def test_checksums_and_counts_are_true(account, hour):
    folder = hour["ExportManifest"].rsplit("/", 1)[0]
    for name in ("manifest-summary", "manifest-files"):
        digest = hashlib.md5(account.get(f"{folder}/{name}.json")).digest()
        assert account.get(f"{folder}/{name}.checksum") == base64.b64encode(digest)
    files = account.files(hour)
    for file in files:
        digest = hashlib.md5(account.get(file["dataFileS3Key"])).digest()
        assert (file["md5Checksum"], file["etag"]) == (base64.b64encode(digest).decode(), digest.hex())
    assert sum(file["itemCount"] for file in files) == hour["ItemCount"] == 3


def test_summary_says_what_was_asked_for(account, hour):
    summary = json.loads(account.get(hour["ExportManifest"]))
    assert summary["version"] == "2023-08-01"
    assert (summary["exportType"], summary["outputView"]) == ("INCREMENTAL_EXPORT", "NEW_AND_OLD_IMAGES")
    assert (summary["exportFromTime"], summary["exportToTime"]) == (
        "2026-11-01T12:00:00.000Z",
        "2026-11-01T13:00:00.000Z",
    )
    assert (summary["tableArn"], summary["itemCount"], summary["outputFormat"]) == (ARN, 3, "DYNAMODB_JSON")


def test_new_images_leave_out_the_old_ones(account):
    lines = account.lines(account.export(NOON, NOON + timedelta(hours=1), view="NEW_IMAGES"))
    assert [set(line) for line in lines] == [
        {"Metadata", "Keys", "NewImage"},
        {"Metadata", "Keys", "NewImage"},
        {"Metadata", "Keys"},
    ]


def test_full_export_holds_the_items_of_an_instant(account):
    asked = account.dynamodb.export_table_to_point_in_time(
        TableArn=ARN, S3Bucket=BUCKET, ExportTime=NOON + timedelta(minutes=10)
    )["ExportDescription"]
    done = account.finished(asked["ExportArn"])
    items = {line["Item"]["id"]["S"]: line["Item"].get("text", {}).get("S") for line in account.lines(done)}
    assert items == {
        "changed": "between",
        "new": "first",
        "passing": None,
        "removed": "before",
        "untouched": "before",
    }
    assert "/data/" in account.files(done)[0]["dataFileS3Key"]


def test_export_is_in_progress_before_it_is_completed(account):
    asked = account.dynamodb.export_table_to_point_in_time(TableArn=ARN, S3Bucket=BUCKET)["ExportDescription"]
    assert asked["ExportStatus"] == "IN_PROGRESS"
    before = account.dynamodb.describe_export(ExportArn=asked["ExportArn"])["ExportDescription"]
    assert (before["ExportStatus"], "ExportManifest" in before) == ("IN_PROGRESS", False)
    assert account.finished(asked["ExportArn"])["ExportStatus"] == "COMPLETED"


def test_same_token_is_the_same_export(account):
    sent = {"TableArn": ARN, "S3Bucket": BUCKET, "ClientToken": "once"}
    first, second = (account.dynamodb.export_table_to_point_in_time(**sent)["ExportDescription"] for _ in range(2))
    assert first["ExportArn"] == second["ExportArn"]
    with pytest.raises(ClientError) as caught:
        account.dynamodb.export_table_to_point_in_time(**{**sent, "S3Prefix": "other"})
    assert caught.value.response["Error"]["Code"] == "ExportConflictException"


def test_filter_chooses_and_projects_and_is_shown(account):
    specification = {
        "FilterExpression": "#t = :t",
        "ProjectionExpression": "id",
        "ExpressionAttributeNames": {"#t": "text"},
        "ExpressionAttributeValues": {":t": {"S": "after"}},
    }
    done = account.export(NOON, NOON + timedelta(hours=1), FilterSpecification=specification)
    assert done["FilterSpecification"] == specification
    assert [line["NewImage"] for line in account.lines(done)] == [{"id": {"S": "changed"}}]


@pytest.mark.parametrize(
    ("start", "length", "code"),
    [
        pytest.param(NOON, timedelta(minutes=14), "ValidationException", id="too-short"),
        pytest.param(START, timedelta(hours=24, minutes=1), "InvalidExportTimeException", id="too-late"),
        pytest.param(START - timedelta(hours=1), timedelta(hours=2), "InvalidExportTimeException", id="too-early"),
    ],
)
def test_period_must_be_possible(account, start, length, code):
    with pytest.raises(ClientError) as caught:
        account.export(start, start + length)
    assert caught.value.response["Error"]["Code"] == code


def test_without_recovery_there_is_no_export(account):
    account.dynamodb.create_table(
        TableName="Plain",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    with pytest.raises(ClientError) as caught:
        account.dynamodb.export_table_to_point_in_time(TableArn=ARN.replace("Notes", "Plain"), S3Bucket=BUCKET)
    assert caught.value.response["Error"]["Code"] == "PointInTimeRecoveryUnavailableException"


def test_recovery_reaches_back_to_when_it_was_switched_on(account):
    described = account.dynamodb.describe_continuous_backups(TableName="Notes")["ContinuousBackupsDescription"]
    recovery = described["PointInTimeRecoveryDescription"]
    assert recovery["EarliestRestorableDateTime"] == START
    assert account.sandbox.clock.now() - recovery["LatestRestorableDateTime"] == timedelta(minutes=5)
    assert recovery["RecoveryPeriodInDays"] == 35


def test_exports_can_be_listed_page_by_page(account, hour):
    listed, more = [], {}
    while more is not None:
        page = account.dynamodb.list_exports(TableArn=ARN, MaxResults=2, **more)
        assert len(page["ExportSummaries"]) <= 2
        listed += [(one["ExportArn"], one["ExportType"]) for one in page["ExportSummaries"]]
        more = {"NextToken": page["NextToken"]} if "NextToken" in page else None
    assert (hour["ExportArn"], "INCREMENTAL_EXPORT") in listed
    assert len(listed) == len(set(listed)) > 2


@pytest.mark.parametrize(
    ("behaviour", "bucket", "code"),
    [
        pytest.param(ExportBehaviour(fails="InternalServerError"), BUCKET, "InternalServerError", id="on-purpose"),
        pytest.param(ExportBehaviour(), "no-such-bucket", "S3NoSuchBucket", id="no-bucket"),
    ],
)
def test_failed_export_says_why(account, monkeypatch, behaviour, bucket, code):
    monkeypatch.setattr(account.sandbox.exports, "behaviour", behaviour)
    failed = account.export(NOON, NOON + timedelta(hours=1), bucket=bucket)
    assert (failed["ExportStatus"], failed["FailureCode"]) == ("FAILED", code)
    assert "ExportManifest" not in failed


def test_other_spellings_that_aws_shows(account, monkeypatch):
    monkeypatch.setattr(account.sandbox.exports, "behaviour", ExportBehaviour(checksum=".md5", plain_times=True))
    done = account.export(NOON, NOON + timedelta(hours=1))
    assert account.get(done["ExportManifest"].replace(".json", ".md5"))
    assert {type(line["Metadata"]["WriteTimestampMicros"]) for line in account.lines(done)} == {str}


def test_call_is_recorded_with_the_times_that_were_asked_for(account):
    heard = []
    account.sandbox.recorder.listener = heard.append
    account.export(NOON, NOON + timedelta(hours=1))
    record = next(one.record for one in heard if one.record["eventName"] == "ExportTableToPointInTime")
    assert (record["eventCategory"], record["readOnly"]) == ("Management", False)
    assert record["requestParameters"]["incrementalExportSpecification"] == {
        "exportFromTime": "Nov 1, 2026, 12:00:00 PM",
        "exportToTime": "Nov 1, 2026, 1:00:00 PM",
    }
    assert record["resources"] == [{"accountId": PRODUCTION, "type": "AWS::DynamoDB::Table", "ARN": ARN}]
    assert record["responseElements"]["exportDescription"]["exportStatus"] == "IN_PROGRESS"


def test_exports_outlive_a_restart_of_the_emulator(account, hour):
    account.sandbox.checkpoint()
    again = account.dynamodb.describe_export(ExportArn=hour["ExportArn"])["ExportDescription"]
    assert again["ExportManifest"] == hour["ExportManifest"]
    saved = (account.sandbox.folder / "parts" / "exports.state").read_bytes()
    account.sandbox.exports.load(saved)
    assert account.sandbox.exports.save() == saved


def test_auditor_may_ask_for_an_export_and_read_it(tiny):
    table = f"arn:aws:dynamodb:us-east-1:{PRODUCTION}:table/Patients"
    dynamodb = tiny.sandbox.client("dynamodb", tiny.sandbox.auditor)
    end = tiny.played.window[1]
    asked = dynamodb.export_table_to_point_in_time(
        TableArn=table,
        S3Bucket=tiny.played.export_bucket,
        S3Prefix=tiny.played.export_prefix,
        ExportType="INCREMENTAL_EXPORT",
        IncrementalExportSpecification={"ExportFromTime": end - timedelta(hours=23), "ExportToTime": end - HOUR},
    )["ExportDescription"]
    tiny.sandbox.pass_time(tiny.sandbox.clock.now() + timedelta(minutes=1))
    done = dynamodb.describe_export(ExportArn=asked["ExportArn"])["ExportDescription"]
    bucket = {"Bucket": tiny.played.export_bucket}
    body = tiny.sandbox.client("s3", tiny.sandbox.auditor).get_object(**bucket, Key=done["ExportManifest"])["Body"]
    assert json.loads(body.read())["itemCount"] == done["ItemCount"]
    with pytest.raises(ClientError) as caught:
        tiny.sandbox.client("s3", tiny.sandbox.auditor).put_object(**bucket, Key="elsewhere", Body=b"")
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
