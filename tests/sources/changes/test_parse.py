import json
from datetime import UTC, datetime

import pytest

from dynatrail.sources.changes.parse import ChangeParser, Place
from dynatrail.sources.changes.rows import ChangedTable
from dynatrail.warehouse.schema import ITEM_CHANGE

from .conftest import ABSENT, ACCOUNT, ARN, REGION, STREAM


def test_a_row_has_the_columns_of_the_contract(tokens, table, place, record):
    parser = ChangeParser(tokens, table)
    parser.add([record()], place)
    rows, _ = parser.take()
    assert rows.schema.names == ITEM_CHANGE.schema.names
    assert rows.schema.types == ITEM_CHANGE.schema.types


def test_a_row_says_what_the_record_says(row):
    made = row()
    assert made["event_time"] == datetime(2026, 11, 1, 3, 4, 5, tzinfo=UTC)
    assert made["event_hour"] == datetime(2026, 11, 1, 3, tzinfo=UTC)
    expected = {
        "account_id": ACCOUNT,
        "region": REGION,
        "table_name": "Patients",
        "table_arn": ARN,
        "key_attributes": ["id"],
        "change_type": "MODIFY",
        "changed_attributes": ["name"],
        "view_type": "NEW_AND_OLD_IMAGES",
        "change_origin": "stream",
        "reconstructed": False,
        "by_ttl": False,
        "event_id": "event-1",
        "sequence_number": "100",
        "shard_id": "shard-1",
        "stream_arn": STREAM,
        "time_precision": "SECOND",
        "size_bytes": 40,
        "user_identity": None,
        "other_fields": None,
        "source_uri": f"{STREAM}/shard-1",
        "source_position": "100",
    }
    assert {name: made[name] for name in expected} == expected


def test_no_value_is_in_clear(row):
    assert not any(value in str(row()) for value in ("Jane", "Joan", "pat-4711"))


VIEWS = {
    "KEYS_ONLY": ({"OldImage": ABSENT, "NewImage": ABSENT}, (False, False)),
    "NEW_IMAGE": ({"OldImage": ABSENT}, (False, True)),
    "OLD_IMAGE": ({"NewImage": ABSENT}, (True, False)),
    "NEW_AND_OLD_IMAGES": ({}, (True, True)),
}


@pytest.mark.parametrize("view", VIEWS)
def test_images_are_there_as_the_view_type_says(row, view):
    absent, present = VIEWS[view]
    made = row({"StreamViewType": view, **absent})
    assert (made["old_image"] is not None, made["new_image"] is not None) == present
    assert (made["changed_attributes"] is not None) == all(present)
    assert made["view_type"] == view


def test_a_record_that_names_no_view_type_has_its_streams(tokens, table, record):
    parser = ChangeParser(tokens, table)
    parser.add([record({"StreamViewType": ABSENT})], Place(STREAM, "shard-1", "KEYS_ONLY"))
    assert parser.take()[0]["view_type"].to_pylist() == ["KEYS_ONLY"]


@pytest.mark.parametrize("spelling", [("Type", "PrincipalId"), ("type", "principalId")], ids=["boto3", "lambda"])
def test_an_expiry_is_told_in_both_spellings(row, spelling):
    kind, principal = spelling
    made = row(eventName="REMOVE", userIdentity={kind: "Service", principal: "dynamodb.amazonaws.com"})
    assert made["by_ttl"] is True
    assert made["user_identity"] == '{"principalId":"dynamodb.amazonaws.com","type":"Service"}'


def test_another_identity_is_no_expiry_and_masked(row):
    made = row(eventName="REMOVE", userIdentity={"type": "Jane", "principalId": "dynamodb.amazonaws.com"})
    assert made["by_ttl"] is False
    assert "Jane" not in made["user_identity"]


def test_a_change_id_is_that_of_the_position(tokens, table, record):
    def change_id(stream=STREAM, shard="shard-1", sequence="100", origin="stream"):
        parser = ChangeParser(tokens, table, origin=origin)
        parser.add([record({"SequenceNumber": sequence})], Place(stream, shard))
        return parser.take()[0]["change_id"][0].as_py()

    ids = {
        change_id(),
        change_id(stream=STREAM.replace("2026", "2027")),
        change_id(shard="shard-2"),
        change_id(sequence="101"),
        change_id(origin="kinesis"),
    }
    assert len(ids) == 5
    assert change_id() in ids


def test_the_same_record_twice_gives_one_row(parse, record):
    rows, _ = parse(record(), record())
    assert len(rows) == 1


def test_unknown_fields_are_kept_masked(row):
    made = row(
        {"newThing": {"x": "Jane"}}, another="Joan", eventVersion="1.2", eventSource="aws:other", awsRegion="x y"
    )
    other = json.loads(made["other_fields"])
    assert sorted(other) == ["another", "awsRegion", "dynamodb", "eventSource", "eventVersion"]
    assert (other["eventVersion"], other["eventSource"], other["awsRegion"]) == ("1.2", "aws:other", "?")
    assert "Jane" not in made["other_fields"]
    assert "Joan" not in made["other_fields"]


def test_an_attribute_of_unknown_type_is_named(row):
    made = row({"NewImage": {"id": {"S": "pat-4711"}, "v": {"VEC": [1, 2]}}})
    assert json.loads(made["other_fields"]) == {"unknownTypes": {"NewImage": ["v"]}}
    assert made["changed_attributes"] == ["name", "v"]


def nested(record, depth):
    deep = b'{"L":[' * depth + b'{"S":"x"}' + b"]}" * depth
    return record({"NewImage": {"a": "HERE"}}).replace(b'"HERE"', deep)


REJECTED = {
    "not_json": lambda record: b"{nope",
    "record_form": lambda record: record({"Keys": ABSENT}),
    "no_sequence_number": lambda record: record({"SequenceNumber": ABSENT}),
    "time_form": lambda record: record({"ApproximateCreationDateTime": -7}),
    "precision_unknown": lambda record: record({"ApproximateCreationDateTimePrecision": "NANOSECOND"}),
    "key_form": lambda record: record({"Keys": {"id": {"M": {}}}}),
    "too_deep": lambda record: nested(record, 900),
}


@pytest.mark.parametrize("code", REJECTED)
def test_what_gives_no_row_is_kept_out_with_a_reason(parse, record, code):
    rows, rejected = parse(REJECTED[code](record), record({"SequenceNumber": "101"}))
    assert [row["sequence_number"] for row in rows] == ["101"]
    assert [one.code for one in rejected] == [code]
    assert "pat-4711" not in str(rejected)


@pytest.mark.parametrize("broken", [b"pat-4711\xff", rb"pat-4711\ud800"], ids=["no_utf8", "half_a_character"])
@pytest.mark.parametrize("image", ["OldImage", "NewImage"])
def test_an_attribute_that_cannot_be_decoded_stops_no_shard(parse, record, image, broken):
    broken = record({image: {"id": {"S": "HERE"}}}).replace(b"HERE", broken)
    rows, rejected = parse(broken, record({"SequenceNumber": "101"}))
    assert [row["sequence_number"] for row in rows] == ["101"]
    assert [(one.code, one.payload) for one in rejected] == [("not_json", None)]


def test_a_record_of_something_else_loses_names_that_are_ids(parse):
    _, (piece,) = parse(json.dumps({"visits": {"jane.roe@example.com": {"pat-4711": "Jane"}}}).encode())
    assert piece.code == "record_form"
    assert "visits" in piece.payload
    assert not any(value in piece.payload for value in ("jane", "Jane", "4711"))


def test_a_rejected_record_moves_the_place_on(tokens, table, place, record):
    parser = ChangeParser(tokens, table)
    parser.add([record(), record({"SequenceNumber": "107", "Keys": ABSENT})], place)
    assert place.last == "107"
    assert [one.position for one in parser.rejected] == ["sequence 107"]


def test_a_record_without_a_number_has_the_same_position_wherever_an_answer_begins(tokens, table, record):
    def positions(*answers):
        parser, place = ChangeParser(tokens, table), Place(STREAM, "shard-1")
        for answer in answers:
            parser.add(answer, place)
        return [one.position for one in parser.rejected]

    nameless = record({"SequenceNumber": ABSENT})
    assert positions([record(), nameless]) == positions([record()], [nameless]) == ["record 1 after 100"]


@pytest.mark.parametrize(("unit", "time"), [("MILLISECOND", 1793502245123), ("MICROSECOND", 1793502245123456)])
def test_a_kinesis_record_has_its_own_precision_and_number(tokens, table, record, unit, time):
    kinesis = record(
        {"ApproximateCreationDateTime": time, "SequenceNumber": ABSENT, "StreamViewType": ABSENT},
        recordFormat="application/json",
        tableName="Patients",
        userIdentity=None,
    )
    parser = ChangeParser(tokens, table, origin="kinesis", double_base64=True)
    parser.add([kinesis], Place("arn:aws:kinesis:x", "shardId-0", "NEW_AND_OLD_IMAGES", unit), ["4900"])
    (made,) = parser.take()[0].to_pylist()
    assert (made["sequence_number"], made["time_precision"], made["other_fields"]) == ("4900", unit, None)
    assert made["event_time"].microsecond == (123456 if unit == "MICROSECOND" else 123000)


def test_a_table_names_its_slice():
    assert ChangedTable(ACCOUNT, REGION, "Patients", ARN).slice == {
        "account_id": ACCOUNT,
        "region": REGION,
        "table_name": "Patients",
    }
