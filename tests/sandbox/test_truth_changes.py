"""What really happened to the items of the tiny scenario, against the journal and what streams show of it."""

import base64
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from dynatrail.clock import iso
from dynatrail.errors import SandboxError
from dynatrail.sandbox.scenarios.truth import Item
from dynatrail.sandbox.scenarios.truth_changes import ChangeTruth

if TYPE_CHECKING:
    from conftest import Tiny

pytestmark = pytest.mark.slow

Json = dict[str, Any]


@pytest.fixture(scope="module")
def truth(tiny: "Tiny") -> list[Json]:
    file = tiny.played.ground_truth.with_name("tiny.changes.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def records(tiny: "Tiny") -> list[tuple[str, Json]]:
    """(table ARN, record) of every record that the streams have of the window."""
    found = []
    for region in tiny.played.regions:
        client = tiny.sandbox.client("dynamodbstreams", tiny.sandbox.root("123456789012", region))
        for stream in client.list_streams()["Streams"]:
            arn = stream["StreamArn"]
            for shard in client.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
                iterator = client.get_shard_iterator(
                    StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
                )["ShardIterator"]
                found += [
                    (arn.split("/stream/")[0], one) for one in client.get_records(ShardIterator=iterator)["Records"]
                ]
    return [one for one in found if one[1]["dynamodb"]["ApproximateCreationDateTime"] < tiny.played.window[1]]


def comparable(*parts: Any) -> str:
    return json.dumps(parts, sort_keys=True, default=lambda value: base64.b64encode(value).decode())


def test_the_journal_has_exactly_what_happened(tiny, truth):
    causes = {"unrecorded": "call"}
    expected = [
        comparable(
            *(line[name] for name in ("event_time", "table_arn", "key", "change_type", "old_image", "new_image")),
            causes.get(line["cause"], line["cause"]),
        )
        for line in truth
    ]
    actual = [
        comparable(iso(c.at), c.table_arn, c.key, c.change_type, c.old, c.new, c.cause)
        for c in tiny.sandbox.journal
        if c.at < tiny.played.window[1]
    ]
    assert sorted(actual) == sorted(expected)
    assert len(expected) == tiny.played.summary["changes"]


def test_the_streams_show_exactly_what_happened(truth, records):
    expected = [
        comparable(
            line["table_arn"],
            line["event_time"][:19],
            line["key"],
            line["change_type"],
            line["old_image"],
            line["new_image"],
            line["cause"] == "ttl",
        )
        for line in truth
    ]
    actual = [
        comparable(
            table_arn,
            iso(record["dynamodb"]["ApproximateCreationDateTime"])[:19],
            record["dynamodb"]["Keys"],
            record["eventName"],
            record["dynamodb"].get("OldImage"),
            record["dynamodb"].get("NewImage"),
            "userIdentity" in record,
        )
        for table_arn, record in records
    ]
    assert sorted(actual) == sorted(expected)


def test_every_cause_occurs(truth):
    assert Counter(line["cause"] for line in truth).keys() == {"unrecorded", "call", "ttl", "replication"}


def test_a_change_by_a_call_names_the_call_and_its_record(tiny, truth):
    calls = {line["call"]: line for line in tiny.truth()}
    for line in truth:
        if line["cause"] != "call":
            assert line["call"] is None
            assert line["event_ids"] == []
            continue
        call = calls[line["call"]]
        assert line["event_ids"] == [call["event_id"]]
        assert call["outcome"] == "success"
        assert line["event_time"][:19] == call["event_time"][:19]
        assert line["key"] in [item["key"] for item in call["items"]]


def test_the_replica_saw_two_writes_as_one(truth):
    prescriptions = [line for line in truth if line["table_arn"].endswith("/Prescriptions")]
    home = [line for line in prescriptions if line["region"] == "eu-west-1"]
    away = [line for line in prescriptions if line["region"] == "us-east-1"]
    assert [line["change_type"] for line in home] == ["INSERT", "MODIFY"]
    assert [(line["change_type"], line["cause"]) for line in away] == [("INSERT", "replication")]
    assert away[0]["new_image"] == home[-1]["new_image"]


def test_what_nobody_told_of_fails_the_play(tiny, tmp_path):
    table = ("123456789012", "us-east-1", "AuditConfig")
    truth = ChangeTruth(tmp_path, "other", tiny.sandbox.direct)
    truth.know_table(table, ("setting",))
    with pytest.raises(SandboxError, match="AuditConfig in us-east-1"):
        truth.close()


def test_two_calls_to_an_item_are_two_changes(tiny, tmp_path):
    table = ("123456789012", "us-east-1", "AuditConfig")
    client = tiny.sandbox.client("dynamodb", tiny.sandbox.root(table[0]))
    truth = ChangeTruth(tmp_path, "other", tiny.sandbox.direct)
    truth.know_table(table, ("setting",))
    truth.read_all(tiny.sandbox.clock.now())
    before = 2
    for number, value in enumerate(("one", "two", "two"), 1):
        item = {"setting": {"S": "test"}, "value": {"S": value}}
        named = [Item(table[2], {"setting": item["setting"]}, "Put")]
        truth.about_to_call(*table[:2], named, [])
        client.put_item(TableName=table[2], Item=item)
        truth.called(*table[:2], named, tiny.sandbox.clock.now(), call=number, event_ids=[])
    assert truth.close() == before + 2
