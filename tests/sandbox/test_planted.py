"""What `clinic` plants against the trail, in its shortest window that has it, as an auditor finds it."""

import gzip
import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from dynatrail.clock import parse_instant
from dynatrail.sandbox import Sandbox
from dynatrail.sandbox.scenarios.house_trails import SELECTORS
from dynatrail.settings import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

Json = dict[str, Any]

END = datetime(2026, 11, 20, tzinfo=UTC)
CHAINS = (("123456789012", "us-east-1"), ("123456789012", "eu-west-1"), ("210987654321", "us-east-1"))


@dataclass
class Clinic:
    """A running sandbox in which three days of `clinic` were played."""

    sandbox: Sandbox
    bucket: str
    trail_arn: str
    window: tuple[datetime, datetime]
    truth: Path

    @cached_property
    def objects(self) -> dict[str, Json]:
        s3 = self.sandbox.client("s3", self.sandbox.auditor)
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix="AWSLogs/")
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        return {
            key: json.loads(gzip.decompress(s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())) for key in keys
        }

    @cached_property
    def records(self) -> list[Json]:
        return [record for key, held in self.objects.items() if "/CloudTrail/" in key for record in held["Records"]]

    @property
    def calls(self) -> list[Json]:
        return [json.loads(line) for line in (self.truth / "clinic.jsonl").read_text().splitlines()]

    def planted(self, kind: str) -> Json:
        told = json.loads((self.truth / "clinic.planted.json").read_text())
        (found,) = (one for one in told if one["kind"] == kind)
        return found


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with Sandbox(tmp_path_factory.mktemp("clinic")) as sandbox:
        played = sandbox.play("clinic", end=END, days=3)
        yield Clinic(sandbox, played.trail_bucket, played.trail_arn, played.window, played.ground_truth.parent)


def test_one_log_file_is_in_no_digest_and_it_is_the_forged_one(clinic: Clinic):
    listed = {
        file["s3Object"]
        for key, digest in clinic.objects.items()
        if "/CloudTrail-Digest/" in key
        for file in digest["logFiles"]
    }
    (extra,) = {key for key in clinic.objects if "/CloudTrail/" in key} - listed
    forged = clinic.planted("log_file_forged")
    assert [f"s3://{clinic.bucket}/{extra}"] == forged["addresses"]
    assert [record["eventID"] for record in clinic.objects[extra]["Records"]] == forged["event_ids"]
    assert set(forged["event_ids"]).isdisjoint(call["event_id"] for call in clinic.calls)


@pytest.mark.parametrize(("account", "region"), CHAINS)
def test_the_stock_validator_finds_every_digest_and_log_file_valid(clinic: Clinic, account: str, region: str):
    """It does not look for files that no digest names."""
    said = validated(clinic, account, region)
    counted = re.findall(r"(\d+)/(\d+) (digest|log) files valid$", said, re.MULTILINE)
    assert [(valid == total, kind) for valid, total, kind in counted] == [(True, "digest"), (True, "log")], said
    assert int(counted[0][1]) == 72, said  # one chain, from the window's first instant to its end
    assert "No log files were delivered" not in said


def test_an_administrators_data_events_are_missing_and_nobody_elses(clinic: Clinic):
    hidden = clinic.planted("selectors_narrowed")
    delivered = {
        record["addendum"]["originalEventID"] if "originalEventID" in record.get("addendum", {}) else record["eventID"]
        for record in clinic.records
    }
    lost = [call for call in clinic.calls if call["event_id"] not in delivered]
    assert [call["event_id"] for call in clinic.calls if not call["delivered"]] == [call["event_id"] for call in lost]
    assert {call["actor"]["name"] for call in lost} == {hidden["actor"]}
    assert hidden["starts_at"] < min(call["event_time"] for call in lost)
    assert max(call["event_time"] for call in lost) < hidden["ends_at"]
    counted = Counter((call["region"], table, call["event_name"]) for call in lost for table in call["tables"])
    told = {
        (one["region"], one["table_arn"], one["operation"]): one["requests"] for one in hidden["counts"]["by_operation"]
    }
    assert counted == told
    assert sum(told.values()) == hidden["counts"]["requests"] > 30


def test_the_selectors_were_narrowed_put_back_and_are_known_from_the_first_instant(clinic: Clinic):
    hidden = clinic.planted("selectors_narrowed")
    put = sorted(
        (r for r in clinic.records if r["eventName"] == "PutEventSelectors" and "errorCode" not in r),
        key=lambda r: r["eventTime"],
    )
    told = {record["eventID"]: record for record in put}
    assert [parse_instant(record["eventTime"]) for record in told.values()] == [
        clinic.window[0],
        parse_instant(hidden["starts_at"]),
        parse_instant(hidden["ends_at"]),
    ]
    assert list(told)[1:] == hidden["event_ids"]
    cloudtrail = clinic.sandbox.client("cloudtrail", clinic.sandbox.auditor)
    now = cloudtrail.get_event_selectors(TrailName=clinic.trail_arn)["AdvancedEventSelectors"]
    assert now == list(SELECTORS)


def test_cloudwatch_counts_what_the_trail_does_not_tell(clinic: Clinic):
    hidden = clinic.planted("selectors_narrowed")
    metrics = {
        (one["region"], one["table_name"], one["operation"], one["hour"]): one["successful"]
        for one in json.loads((clinic.truth / "clinic.metrics.json").read_text())["requests"]
    }
    cloudwatch = clinic.sandbox.client("cloudwatch", clinic.sandbox.root("123456789012"))
    for one in hidden["counts"]["by_operation"]:
        table, operation = one["table_arn"].rpartition("/")[2], one["operation"]
        answer = cloudwatch.get_metric_statistics(
            Namespace="AWS/DynamoDB",
            MetricName="SuccessfulRequestLatency",
            Dimensions=[{"Name": "TableName", "Value": table}, {"Name": "Operation", "Value": operation}],
            StartTime=hidden["starts_at"][:13] + ":00:00Z",
            EndTime=hidden["ends_at"][:13] + ":00:00Z",
            Period=3600,
            Statistics=["SampleCount"],
        )
        counted = {f"{p['Timestamp']:%Y-%m-%dT%H}:00:00Z": p["SampleCount"] for p in answer["Datapoints"]}
        place = one["region"], table, operation
        assert counted == {hour: metrics[(*place, hour)] for hour in counted}
        assert sum(counted.values()) >= one["requests"]


def test_a_stream_was_replaced_while_its_table_changed(clinic: Clinic):
    lost = clinic.planted("stream_replaced")
    changes = [json.loads(line) for line in (clinic.truth / "clinic.changes.jsonl").read_text().splitlines()]
    (table,) = lost["tables"]
    times = [
        change["event_time"]
        for change in changes
        if change["table_arn"] == table and lost["starts_at"] <= change["event_time"] < lost["ends_at"]
    ]
    assert len(times) == lost["counts"]["changes"] >= 8
    streams = clinic.sandbox.client("dynamodbstreams", clinic.sandbox.auditor)
    assert [one["StreamArn"] for one in streams.list_streams(TableName="Appointments")["Streams"]] == lost["addresses"]
    assert parse_instant(lost["addresses"][1].rpartition("/")[2] + "Z") >= parse_instant(lost["ends_at"])
    seen = {int(at) for arn in lost["addresses"] for at in stream_times(streams, arn)}
    assert not [at for at in times if int(parse_instant(at).timestamp()) in seen]


def test_the_trail_status_is_that_of_a_trail_in_good_order(clinic: Clinic):
    cloudtrail = clinic.sandbox.client("cloudtrail", clinic.sandbox.auditor)
    status = cloudtrail.get_trail_status(Name=clinic.trail_arn)
    newest = max(digest["digestEndTime"] for key, digest in clinic.objects.items() if "/CloudTrail-Digest/" in key)
    assert status["IsLogging"] is True
    assert status["StartLoggingTime"] == clinic.window[0]
    assert status["LatestDigestDeliveryTime"] == parse_instant(newest)
    assert (clinic.window[1] - parse_instant(newest)).total_seconds() < 3600


def stream_times(streams: Any, arn: str) -> Iterator[float]:
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        for record in streams.get_records(ShardIterator=iterator)["Records"]:
            yield record["dynamodb"]["ApproximateCreationDateTime"].timestamp()


def validated(clinic: Clinic, account: str, region: str) -> str:
    root = clinic.sandbox.root("123456789012")
    start, end = (instant.isoformat() for instant in clinic.window)
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": root.access_key_id,
        "AWS_SECRET_ACCESS_KEY": root.secret_access_key,
        "AWS_ENDPOINT_URL": clinic.sandbox.endpoint_url,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    command = [PROJECT / ".venv-awscli" / "bin" / "aws", "cloudtrail", "validate-logs", "--trail-arn", clinic.trail_arn]
    command += ["--start-time", start, "--end-time", end, "--account-id", account, "--region", region]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
