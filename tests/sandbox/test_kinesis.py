"""Kinesis in the sandbox: what DynamoDB writes into a stream, and how a stream is read."""

import base64
import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dynatrail.sandbox import Sandbox
from dynatrail.sandbox.kinesis import KinesisBehaviour
from dynatrail.sandbox.sandbox import PRODUCTION
from dynatrail.sandbox.streams_answers import Faults

pytestmark = pytest.mark.slow

START = datetime(2026, 11, 1, tzinfo=UTC)
REGION = "eu-west-1"
ONCE_IN_ORDER = KinesisBehaviour(duplicates=0, late=0)


@dataclass
class Account:
    sandbox: Sandbox
    dynamodb: Any
    kinesis: Any

    @property
    def now(self) -> datetime:
        return self.sandbox.clock.now()

    def wait(self, **more: float) -> None:
        self.sandbox.pass_time(self.now + timedelta(**more))

    def table(self, name: str, *, shards: int = 1, precision: str = "MILLISECOND") -> str:
        """A table with a binary key and a destination stream of the same name; the stream's ARN."""
        self.dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "digest", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "digest", "AttributeType": "B"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self.kinesis.create_stream(StreamName=name, ShardCount=shards)
        arn = f"arn:aws:kinesis:{REGION}:{PRODUCTION}:stream/{name}"
        self.dynamodb.enable_kinesis_streaming_destination(
            TableName=name,
            StreamArn=arn,
            EnableKinesisStreamingConfiguration={"ApproximateCreationDateTimePrecision": precision},
        )
        return arn

    def put(self, table: str, key: bytes, **more: Any) -> None:
        self.dynamodb.put_item(TableName=table, Item={"digest": {"B": key}, **more})

    def shards(self, arn: str) -> list[dict[str, Any]]:
        shards: list[dict[str, Any]] = self.kinesis.list_shards(StreamARN=arn)["Shards"]
        return shards

    def read(self, arn: str, shard_id: str, kind: str = "TRIM_HORIZON", **more: Any) -> list[dict[str, Any]]:
        """All answers until the shard ends or has nothing more."""
        sent = {"StreamARN": arn, "ShardId": shard_id, "ShardIteratorType": kind, **more}
        iterator, answers = self.kinesis.get_shard_iterator(**sent)["ShardIterator"], []
        while iterator:
            answers.append(self.kinesis.get_records(ShardIterator=iterator, StreamARN=arn))
            iterator = answers[-1].get("NextShardIterator")
            if not answers[-1]["MillisBehindLatest"]:
                break
        return answers

    def records(self, arn: str) -> list[dict[str, Any]]:
        """Of all shards, in the order of their arrival, with `Data` decoded."""
        found = [
            {**record, "Data": json.loads(record["Data"])}
            for shard in self.shards(arn)
            for answer in self.read(arn, shard["ShardId"])
            for record in answer["Records"]
        ]
        return sorted(found, key=lambda record: record["SequenceNumber"][12:])


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("kinesis")) as sandbox:
        sandbox.clock.set(START)
        sandbox.kinesis.behaviour = ONCE_IN_ORDER
        root = sandbox.root(PRODUCTION, REGION)
        yield Account(sandbox, sandbox.client("dynamodb", root), sandbox.client("kinesis", root))


def test_record_is_as_dynamodb_writes_it(account):
    arn = account.table("Shape")
    made = account.now
    account.put("Shape", b"\x00\x01", pages={"L": [{"B": b"\xff"}]}, n={"N": "7"})
    account.wait(seconds=2)
    (record,) = account.records(arn)
    data = record["Data"]

    def doubled(raw):
        return base64.b64encode(base64.b64encode(raw)).decode()

    assert data == {
        "awsRegion": REGION,
        "eventID": data["eventID"],
        "eventName": "INSERT",
        "userIdentity": None,
        "recordFormat": "application/json",
        "tableName": "Shape",
        "dynamodb": {
            "ApproximateCreationDateTime": round(made.timestamp() * 1000),
            "ApproximateCreationDateTimePrecision": "MILLISECOND",
            "Keys": {"digest": {"B": doubled(b"\x00\x01")}},
            "NewImage": {
                "digest": {"B": doubled(b"\x00\x01")},
                "pages": {"L": [{"B": doubled(b"\xff")}]},
                "n": {"N": "7"},
            },
            "SizeBytes": 8 + 8 + 5 + 3 + 2 + 3,
        },
        "eventSource": "aws:dynamodb",
    }
    assert timedelta() < record["ApproximateArrivalTimestamp"] - made < timedelta(seconds=1)


def test_change_has_the_images_that_there_are(account):
    arn = account.table("Images")
    account.put("Images", b"a", v={"N": "1"})
    account.put("Images", b"a", v={"N": "2"})
    account.put("Images", b"a", v={"N": "2.0"})
    account.dynamodb.delete_item(TableName="Images", Key={"digest": {"B": b"a"}})
    account.wait(seconds=2)
    seen = [
        (one["Data"]["eventName"], [name for name in ("OldImage", "NewImage") if name in one["Data"]["dynamodb"]])
        for one in account.records(arn)
    ]
    assert sorted(seen) == [
        ("INSERT", ["NewImage"]),
        ("MODIFY", ["OldImage", "NewImage"]),
        ("REMOVE", ["OldImage"]),
    ]


def test_precision_can_be_switched_while_records_flow(account):
    arn = account.table("Precise")
    account.put("Precise", b"before")
    account.dynamodb.update_kinesis_streaming_destination(
        TableName="Precise",
        StreamArn=arn,
        UpdateKinesisStreamingConfiguration={"ApproximateCreationDateTimePrecision": "MICROSECOND"},
    )
    account.wait(microseconds=1)
    made = account.now
    account.put("Precise", b"after")
    account.wait(seconds=2)
    bodies = sorted(
        (one["Data"]["dynamodb"] for one in account.records(arn)), key=lambda body: body["ApproximateCreationDateTime"]
    )
    assert [body["ApproximateCreationDateTimePrecision"] for body in bodies] == ["MILLISECOND", "MICROSECOND"]
    assert bodies[1]["ApproximateCreationDateTime"] == (made - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )


def test_records_come_twice_and_out_of_order_where_asked_for(account, monkeypatch):
    arn = account.table("Messy")
    monkeypatch.setattr(account.sandbox.kinesis, "behaviour", KinesisBehaviour(duplicates=0.3, late=0.3, seed=1))
    for number in range(30):
        account.put("Messy", b"one item", v={"N": str(number)})
        account.wait(seconds=1)
    account.wait(seconds=10)
    records = account.records(arn)
    times = Counter(record["Data"]["eventID"] for record in records)
    order = [int(record["Data"]["dynamodb"]["NewImage"]["v"]["N"]) for record in records]
    assert set(order) == set(range(30))
    assert set(times.values()) == {1, 2}
    assert order != sorted(order)


def test_disabled_destination_gets_nothing_more(account):
    arn = account.table("Ended")
    account.put("Ended", b"first")
    account.dynamodb.disable_kinesis_streaming_destination(TableName="Ended", StreamArn=arn)
    account.put("Ended", b"second")
    account.wait(seconds=2)
    assert len(account.records(arn)) == 1


def test_iterators_begin_where_they_say(account):
    arn = account.table("Places")
    for number in range(4):
        account.put("Places", bytes([number]))
        account.wait(seconds=10)
    shard = account.shards(arn)[0]["ShardId"]
    records = account.records(arn)
    numbers = [record["SequenceNumber"] for record in records]

    def begins(kind, **more):
        return [
            record["SequenceNumber"]
            for answer in account.read(arn, shard, kind, **more)
            for record in answer["Records"]
        ]

    assert begins("AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1]) == numbers[1:]
    assert begins("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1]) == numbers[2:]
    assert begins("AT_TIMESTAMP", Timestamp=records[2]["ApproximateArrivalTimestamp"]) == numbers[2:]
    assert begins("LATEST") == []


def test_reader_that_is_behind_is_told_by_how_much(account):
    arn = account.table("Behind")
    account.put("Behind", b"a")
    account.wait(seconds=60)
    account.put("Behind", b"b")
    account.wait(seconds=60)
    shard = account.shards(arn)[0]["ShardId"]
    iterator = account.kinesis.get_shard_iterator(StreamARN=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    answer = account.kinesis.get_records(ShardIterator=iterator["ShardIterator"], Limit=1)
    assert 59_000 < answer["MillisBehindLatest"] < 60_000
    answer = account.kinesis.get_records(ShardIterator=answer["NextShardIterator"], Limit=1)
    assert answer["MillisBehindLatest"] == 0


def test_split_shard_stays_readable_and_names_its_children(account):
    arn = account.table("Split")
    account.put("Split", b"before")
    account.wait(seconds=2)
    account.kinesis.split_shard(StreamARN=arn, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    for number in range(8):
        account.put("Split", bytes([number]))
    account.wait(seconds=2)
    parent, *children = account.shards(arn)
    assert "EndingSequenceNumber" in parent["SequenceNumberRange"]
    assert [child["ParentShardId"] for child in children] == [parent["ShardId"]] * 2
    last = account.read(arn, parent["ShardId"])[-1]
    assert "NextShardIterator" not in last
    assert [child["ShardId"] for child in last["ChildShards"]] == [child["ShardId"] for child in children]
    assert len(account.records(arn)) == 9


def test_merged_and_rescaled_shards_keep_their_lineage(account):
    arn = account.table("Lineage", shards=2)
    account.kinesis.merge_shards(
        StreamARN=arn, ShardToMerge="shardId-000000000000", AdjacentShardToMerge="shardId-000000000001"
    )
    account.kinesis.update_shard_count(StreamARN=arn, TargetShardCount=3, ScalingType="UNIFORM_SCALING")
    merged, *rescaled = account.shards(arn)[2:]
    assert (merged["ParentShardId"], merged["AdjacentParentShardId"]) == (
        "shardId-000000000000",
        "shardId-000000000001",
    )
    assert [shard["ParentShardId"] for shard in rescaled] == [merged["ShardId"]] * 3
    assert account.kinesis.describe_stream_summary(StreamARN=arn)["StreamDescriptionSummary"]["OpenShardCount"] == 3


def test_records_past_retention_are_gone(account):
    arn = account.table("Old")
    account.put("Old", b"old")
    account.wait(hours=25)
    account.put("Old", b"young")
    account.wait(seconds=2)
    assert len(account.records(arn)) == 1


def test_iterator_expires(account):
    arn = account.table("Expiring")
    iterator = account.kinesis.get_shard_iterator(
        StreamARN=arn, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    account.wait(minutes=6)
    with pytest.raises(ClientError) as caught:
        account.kinesis.get_records(ShardIterator=iterator)
    assert caught.value.response["Error"]["Code"] == "ExpiredIteratorException"


def test_faults_strike_on_purpose(account, monkeypatch):
    arn = account.table("Faulty")
    monkeypatch.setattr(account.sandbox.kinesis, "faults", Faults(failed=1.0))
    with pytest.raises(ClientError) as caught:
        account.kinesis.list_shards(StreamARN=arn)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_deleted_stream_is_not_found(account):
    arn = account.table("Gone")
    account.kinesis.delete_stream(StreamARN=arn)
    with pytest.raises(ClientError) as caught:
        account.shards(arn)
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_state_outlives_a_restart(account):
    arn = account.table("Kept")
    account.put("Kept", b"kept")
    account.wait(seconds=2)
    before = account.records(arn)
    account.sandbox.kinesis.load(account.sandbox.kinesis.save())
    assert account.records(arn) == before


def test_auditor_reads_what_happened_to_the_practices_documents(tiny):
    (table,) = tiny.played.kinesis_tables
    dynamodb, kinesis = (
        tiny.sandbox.client(service, tiny.sandbox.auditor, region=REGION) for service in ("dynamodb", "kinesis")
    )
    (destination,) = dynamodb.describe_kinesis_streaming_destination(TableName=table)["KinesisDataStreamDestinations"]
    assert destination["DestinationStatus"] == "ACTIVE"
    records = Account(tiny.sandbox, dynamodb, kinesis).records(destination["StreamArn"])
    happened = tiny.sandbox.journal.changes(PRODUCTION, REGION, table)
    seen = {record["Data"]["eventID"]: record["Data"]["dynamodb"]["Keys"]["digest"]["B"] for record in records}
    assert len(seen) == len(happened) > 0
    keys = sorted(base64.b64decode(key).decode() for key in seen.values())
    assert keys == sorted(change.key["digest"]["B"] for change in happened)
