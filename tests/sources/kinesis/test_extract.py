"""Kinesis streams of the sandbox, read to rows, checkpoints, gaps and statements."""

import base64
import json
from datetime import timedelta

import pytest

from dynatrail.errors import SourceError
from dynatrail.sandbox.kinesis import KinesisBehaviour
from dynatrail.sandbox.streams_answers import Faults
from dynatrail.settings import settings
from dynatrail.sources.kinesis import run
from dynatrail.state import streams as state
from dynatrail.warehouse.store import Warehouse

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)


def test_every_change_lands_once_however_often_it_is_read(practice):
    documents = practice(shards=2)
    for number in range(5):
        documents.put(bytes([number]))
    assert [(one.records, one.changes) for one in documents.read()] == [(5, 5)]
    assert [(one.records, one.changes) for one in documents.read()] == [(0, 0)]
    assert len(documents.rows("change_id")) == 5


def test_key_has_the_token_that_the_trail_and_streams_give(practice):
    documents = practice()
    documents.put(b"\x00\xff")
    documents.read()
    text = base64.b64encode(b"\x00\xff").decode()
    assert documents.rows("item_key_token") == [documents.tokens().item([("digest", text)])]


def test_binary_values_are_shown_as_dynamodb_has_them(practice):
    documents = practice(clear=("scan",))
    documents.put(b"k", scan={"B": b"\x01\x02"})
    documents.read()
    assert '"scan":{"B":"AQI="}' in documents.rows("new_image")[0]


def test_row_says_where_it_came_from_and_how_exact_its_time_is(practice):
    documents = practice()
    documents.put(b"first")
    documents.dynamodb.update_kinesis_streaming_destination(
        TableName=documents.name,
        StreamArn=documents.arn,
        UpdateKinesisStreamingConfiguration={"ApproximateCreationDateTimePrecision": "MICROSECOND"},
    )
    documents.wait(microseconds=7)
    written = documents.now
    documents.put(b"second")
    documents.read()
    assert documents.rows("change_origin", "time_precision", "view_type", "stream_arn", "by_ttl", "reconstructed") == [
        ("kinesis", unit, "NEW_AND_OLD_IMAGES", documents.arn, False, False) for unit in ("MILLISECOND", "MICROSECOND")
    ]
    assert documents.rows("event_time")[1] == written


def test_copies_and_late_records_give_one_row_each_in_the_order_of_the_changes(practice, monkeypatch):
    documents = practice(clear=("v",))
    monkeypatch.setattr(documents.sandbox.kinesis, "behaviour", KinesisBehaviour(duplicates=0.4, late=0.4, seed=3))
    for number in range(20):
        documents.dynamodb.put_item(
            TableName=documents.name, Item={"digest": {"B": b"one item"}, "v": {"N": str(number)}}
        )
        documents.wait(seconds=1)
        if number == 9:
            documents.read()
    documents.wait(seconds=20)
    documents.read()
    shown = [image.partition('"v":{"N":"')[2].partition('"')[0] for image in documents.rows("new_image")]
    assert shown == [str(number) for number in range(20)]


def test_reading_from_the_beginning_again_gives_the_same_rows(practice, monkeypatch):
    documents = practice(shards=2)
    monkeypatch.setattr(documents.sandbox.kinesis, "behaviour", KinesisBehaviour(duplicates=0.5, late=0.5, seed=4))
    for number in range(12):
        documents.put(bytes([number]))
        if number % 5 == 0:
            documents.read()
    documents.wait(seconds=20)
    documents.read()
    before = documents.digest()
    state.forget(documents.arn)
    documents.read()
    assert documents.digest() == before


@pytest.mark.parametrize("point", ["before the rows", "between rows and checkpoint", "after the checkpoint"])
def test_killed_run_is_made_good_by_the_next(practice, monkeypatch, point):
    documents = practice()
    monkeypatch.setattr(run, "PORTION", 2)
    for number in range(7):
        documents.put(bytes([number]))
    land, advance = run.land, state.advance

    def killed(*given, **more):
        if point == "after the checkpoint":
            advance(*given, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if point == "before the rows":
            patch.setattr(run, "land", killed)
        else:
            patch.setattr(state, "advance", killed)
        with pytest.raises(KeyboardInterrupt):
            documents.read()
    documents.read()
    assert land is run.land
    assert len(documents.rows("change_id")) == 7


def test_split_and_merged_shards_are_read_to_their_end(practice):
    documents = practice()
    documents.put(b"before")
    documents.read()
    documents.kinesis.split_shard(
        StreamARN=documents.arn, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127)
    )
    for number in range(6):
        documents.put(bytes([number]))
    documents.read()
    documents.kinesis.merge_shards(
        StreamARN=documents.arn, ShardToMerge="shardId-000000000001", AdjacentShardToMerge="shardId-000000000002"
    )
    documents.put(b"after")
    documents.read()
    assert len(documents.rows("change_id")) == 8
    assert [(row.shard_id[-1], row.status) for row in state.shards(streams=[documents.arn])] == [
        ("0", "drained"),
        ("1", "drained"),
        ("2", "drained"),
        ("3", "open"),
    ]
    assert documents.gaps() == []


def test_what_was_trimmed_before_it_was_read_is_a_gap(practice):
    documents = practice()
    documents.put(b"read")
    documents.read()
    read_at = documents.now
    documents.put(b"lost")
    documents.wait(hours=30)
    documents.put(b"left")
    documents.read()
    ((reason, start, end),) = documents.gaps()
    assert reason == "trimmed"
    assert read_at - timedelta(minutes=6) < documents.start + start <= read_at
    assert documents.start + end > documents.now - timedelta(hours=24)
    assert len(documents.rows("change_id")) == 2


def test_idle_shard_whose_last_record_was_trimmed_has_no_gap(practice):
    documents = practice()
    documents.put(b"a")
    documents.read()
    for _ in range(2):
        documents.wait(hours=20)
        documents.read()
    documents.put(b"b")
    documents.read()
    assert documents.gaps() == []


def test_destination_that_was_switched_off_leaves_one_gap_that_grows(practice):
    documents = practice()
    documents.put(b"a")
    documents.read()
    documents.disable()
    documents.put(b"nowhere")
    documents.wait(hours=1)
    documents.read()
    documents.wait(hours=1)
    documents.read()
    documents.wait(hours=1)
    documents.enable()
    documents.put(b"b")
    documents.read()
    enabled_at = documents.now
    documents.wait(hours=1)
    documents.read()
    ((reason, _, end),) = documents.gaps()
    assert reason == "destination_disabled"
    assert abs(documents.start + end - enabled_at) <= timedelta(seconds=2)


def test_other_stream_than_before_leaves_a_gap_between_the_two(practice):
    documents = practice()
    documents.put(b"a")
    documents.read()
    documents.disable()
    documents.wait(hours=2)
    documents.kinesis.create_stream(StreamName=f"{documents.name}-new", ShardCount=1)
    documents.enable(f"{documents.name}-new")
    documents.put(b"b")
    documents.read()
    assert {reason for reason, *_ in documents.gaps()} == {"destination_disabled", "stream_replaced"}
    assert len(documents.rows("change_id")) == 2


def test_deleted_stream_is_a_gap_and_an_error_that_says_what_to_do(practice):
    documents = practice()
    documents.put(b"a")
    documents.read()
    documents.kinesis.delete_stream(StreamARN=documents.arn)
    documents.wait(hours=1)
    with pytest.raises(SourceError, match="enable it again"):
        documents.read()
    assert [reason for reason, *_ in documents.gaps()] == ["shard_vanished"]


def test_stream_made_anew_under_its_name_is_read_from_its_beginning(practice):
    documents = practice()
    documents.put(b"a")
    documents.read()
    documents.kinesis.delete_stream(StreamARN=documents.arn)
    documents.wait(hours=1)
    documents.kinesis.create_stream(StreamName=documents.name, ShardCount=1)
    documents.put(b"b")
    documents.read()
    assert [reason for reason, *_ in documents.gaps()] == ["stream_replaced"]
    assert len(documents.rows("change_id")) == 2


def test_table_without_a_destination_says_so(practice):
    documents = practice()
    documents.disable()
    documents.read()
    assert set(map(str, documents.statements().values())) == {"('not_assessable', ['no_destination'])"}


def test_hours_are_complete_once_they_were_read_past(practice):
    documents = practice()
    first = documents.now.replace(minute=0, second=0, microsecond=0)
    documents.put(b"a")
    documents.sandbox.pass_time(first + 3 * HOUR + timedelta(minutes=10))
    documents.read()
    stated = documents.statements()
    assert stated[first] == ("incomplete", ["reading_began"])
    assert stated[first + HOUR] == stated[first + 2 * HOUR] == ("complete", None)
    assert first + 3 * HOUR not in stated


def test_faults_of_kinesis_are_borne(practice, monkeypatch):
    documents = practice()
    for number in range(6):
        documents.put(bytes([number]))
    monkeypatch.setattr("dynatrail.sources.kinesis.client.MOST_RECORDS", 1)
    faults = Faults(throttled=0.1, failed=0.1, expired=0.15, seed=5)
    monkeypatch.setattr(documents.sandbox.kinesis, "faults", faults)
    documents.read()
    assert len(documents.rows("change_id")) == 6
    assert faults.calls > 10


def test_record_that_does_not_parse_is_quarantined_and_the_others_go_on(practice):
    documents = practice()
    documents.put(b"a")
    documents.kinesis.put_record(StreamARN=documents.arn, PartitionKey="x", Data=b"pat-4711 is no JSON")
    documents.put(b"b")
    assert [(one.changes, one.quarantined) for one in documents.read()] == [(2, 1)]
    (kept,) = Warehouse.from_settings(settings()).dataset("quarantine").to_table().to_pylist()
    assert (kept["source"], kept["reason_code"]) == ("kinesis", "not_json")
    assert "4711" not in str(kept)


def test_records_of_tables_that_are_not_read_from_here_are_counted(practice):
    documents = practice()
    documents.kinesis.put_record(
        StreamARN=documents.arn, PartitionKey="x", Data=b'{"tableName":"Other","eventName":"INSERT","dynamodb":{}}'
    )
    assert [(one.foreign, one.changes, one.quarantined) for one in documents.read()] == [(1, 0, 0)]


def test_hours_go_on_after_shards_were_merged(practice):
    documents = practice(shards=2)
    documents.put(b"a")
    documents.read()
    documents.kinesis.merge_shards(
        StreamARN=documents.arn, ShardToMerge="shardId-000000000000", AdjacentShardToMerge="shardId-000000000001"
    )
    documents.wait(hours=3)
    documents.put(b"b")
    documents.read()
    assert state.read_point(state.shards(streams=[documents.arn])) == documents.now


def test_gap_of_a_destination_that_moved_ends_and_the_hours_after_it_are_complete(practice):
    documents = practice()
    documents.put(b"a")
    documents.read()
    documents.disable()
    documents.wait(hours=2)
    documents.kinesis.create_stream(StreamName=f"{documents.name}-new", ShardCount=1)
    documents.enable(f"{documents.name}-new")
    documents.put(b"b")
    documents.read()
    moved_at = documents.now
    for _ in range(4):
        documents.wait(hours=1)
        documents.put(b"b")
        documents.read()
    assert max(documents.start + end for _, _, end in documents.gaps()) < moved_at + HOUR + timedelta(minutes=10)
    assert set(map(str, list(documents.statements().values())[-2:])) == {"('complete', None)"}


def test_killed_first_reading_of_another_stream_leaves_the_gap_before_it(practice, monkeypatch):
    documents = practice()
    documents.put(b"a")
    documents.read()
    documents.wait(hours=2)
    documents.disable()
    documents.kinesis.create_stream(StreamName=f"{documents.name}-new", ShardCount=1)
    documents.enable(f"{documents.name}-new")
    documents.put(b"b")
    land = run.land

    def killed(*given, **more):
        land(*given, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "land", killed)
        with pytest.raises(KeyboardInterrupt):
            documents.read()
    assert "stream_replaced" in {reason for reason, *_ in documents.gaps()}


@pytest.mark.parametrize("hours", [-72, 20], ids=["late", "early"])
def test_time_that_a_record_names_says_nothing_of_what_was_read(practice, hours):
    """Anyone who may write to the stream may put any time into a record."""
    documents = practice()
    documents.put(b"a")
    (shard,) = documents.kinesis.list_shards(StreamARN=documents.arn)["Shards"]
    iterator = documents.kinesis.get_shard_iterator(
        StreamARN=documents.arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    (record,) = documents.kinesis.get_records(ShardIterator=iterator)["Records"]
    body = json.loads(record["Data"])
    body["eventID"] = "00000000-0000-4000-8000-000000000000"
    body["dynamodb"]["ApproximateCreationDateTime"] += hours * 3_600_000
    documents.kinesis.put_record(StreamARN=documents.arn, Data=json.dumps(body).encode(), PartitionKey="k")
    documents.wait(seconds=5)
    documents.read()
    (row,) = state.shards(streams=[documents.arn])
    assert record["ApproximateArrivalTimestamp"] <= row.oldest_event_at <= row.newest_event_at <= documents.now
    assert len(documents.rows("change_id")) == 2
