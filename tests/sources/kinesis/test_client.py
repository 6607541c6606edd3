"""Calls of Kinesis, against botocore's own stub."""

from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.stub import Stubber

from dynatrail.errors import SourceError
from dynatrail.sources.kinesis.client import Destination, KinesisClient, Shard, destinations
from dynatrail.sources.streams.client import GoneError, IteratorExpiredError

ARN = "arn:aws:kinesis:eu-west-1:123456789012:stream/documents"
CREATED = datetime(2026, 11, 1, tzinfo=UTC)


def client(service):
    return boto3.client(service, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")


@pytest.fixture
def stub():
    made = client("kinesis")
    with Stubber(made) as stubber:
        yield stubber, KinesisClient(made)


def shard(number, *parents, ending=None):
    more = dict(zip(("ParentShardId", "AdjacentParentShardId"), parents, strict=False))
    numbers = {"StartingSequenceNumber": "1", **({"EndingSequenceNumber": ending} if ending else {})}
    keys = {"StartingHashKey": "0", "EndingHashKey": "1"}
    return {"ShardId": f"shardId-{number}", "HashKeyRange": keys, "SequenceNumberRange": numbers, **more}


def test_all_pages_of_shards_are_read_with_both_parents_of_a_merged_one(stub):
    stubber, kinesis = stub
    summary = {
        "StreamName": "documents",
        "StreamARN": ARN,
        "StreamStatus": "ACTIVE",
        "RetentionPeriodHours": 48,
        "StreamCreationTimestamp": CREATED,
        "EnhancedMonitoring": [],
        "OpenShardCount": 1,
    }
    stubber.add_response("describe_stream_summary", {"StreamDescriptionSummary": summary}, {"StreamARN": ARN})
    stubber.add_response("list_shards", {"Shards": [shard(0, ending="9")], "NextToken": "more"}, {"StreamARN": ARN})
    stubber.add_response("list_shards", {"Shards": [shard(2, "shardId-0", "shardId-1")]}, {"NextToken": "more"})
    stream = kinesis.describe(ARN)
    assert (stream.retention, stream.created_at) == (timedelta(hours=48), CREATED)
    assert stream.shards == (
        Shard("shardId-0", (), "1", "9"),
        Shard("shardId-2", ("shardId-0", "shardId-1"), "1", None),
    )


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ExpiredIteratorException", IteratorExpiredError),
        ("ResourceNotFoundException", GoneError),
        ("ProvisionedThroughputExceededException", SourceError),
    ],
)
def test_what_aws_refuses_is_told_apart(stub, code, kind):
    stubber, kinesis = stub
    stubber.add_client_error("get_records", code, "pat-4711")
    with pytest.raises(kind) as caught:
        kinesis.records("iterator", ARN, "shardId-0")
    assert code in str(caught.value)
    assert "4711" not in str(caught.value)


def test_destination_that_could_not_be_enabled_is_none():
    dynamodb = client("dynamodb")
    statuses = {"a": "ACTIVE", "b": "UPDATING", "c": "DISABLED", "d": "ENABLE_FAILED"}
    listed = [{"StreamArn": f"{ARN}-{name}", "DestinationStatus": status} for name, status in statuses.items()]
    with Stubber(dynamodb) as stubber:
        answer = {"TableName": "Documents", "KinesisDataStreamDestinations": listed}
        stubber.add_response("describe_kinesis_streaming_destination", answer, {"TableName": "Documents"})
        assert destinations(dynamodb, "Documents") == [
            Destination(f"{ARN}-a", active=True),
            Destination(f"{ARN}-b", active=True),
            Destination(f"{ARN}-c", active=False),
        ]
