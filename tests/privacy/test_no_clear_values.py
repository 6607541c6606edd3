"""No value of an item's key occurs in anything that the pipeline gives, whatever the value and the request's shape."""

import gzip
import json
import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dynatrail.errors import ObjectError
from dynatrail.privacy.tokens import Tokenizer
from dynatrail.sources.cloudtrail.parse import Parser

ACCOUNT = "123456789012"
TOKENS = Tokenizer(bytes(range(32)))
TYPES = {"Patients": {"patient_id": "S", "number": "N"}}
# What is no clear text though digits and letters: tokens and hashes.
OPAQUE = re.compile(r"t1:[0-9a-f]{32}|[0-9a-f]{64}")
PLACEHOLDER = "\N{SNOWMAN}\N{SNOWMAN}\N{SNOWMAN}\N{SNOWMAN}"

texts = st.text(st.characters(codec="utf-8"), min_size=4, max_size=30)
hostile = st.sampled_from(
    [
        "O'Neil",
        "'; DROP TABLE Patients; --",
        'say "hello"',
        "jane@example.com",
        "a,b}c]d",
        '"key":{"a":"b"}',
        '{"S":"pat-4711"}',
        "WHERE id = 'x'",
        "SET secret = 1",
        "***(Redacted)'",
        "back\\slash'\\",
        "line\nbreak\r\n\ttab",
        "/* comment */ --",
        "`tick`tock",
        "[red]markup[/]",
        "\x1b[31mred",
        "नमस्ते दुनिया",
        "e\u0301\u200d\ufeff",
        "2026-11-01",
        "AROAEXAMPLEX:jane",
    ]
)
numbers = st.one_of(
    st.integers(-(10**37), 10**37).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=5).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"-?[1-9]\d{0,5}(\.\d{1,5})?[eE][+-]?\d{1,3}", fullmatch=True),
).filter(lambda text: len(text) >= 4)
secrets = st.one_of(texts, hostile, numbers)


def quoted(value):
    return "'" + value.replace("'", "''") + "'"


KNOWN: dict[str, Any] = {
    "GetItem": lambda v: {"tableName": "Patients", "key": {"patient_id": v}, "projectionExpression": "a, #b"},
    "PutItem": lambda v: {"tableName": "Patients", "key": {"patient_id": v, "number": v}, "items": ["a", "b"]},
    "UpdateItem": lambda v: {
        "tableName": "Patients",
        "key": {"patient_id": v},
        "updateExpression": f"SET a = {quoted(v)}, b = :b",
        "conditionExpression": f"patient_id = {quoted(v)}",
    },
    "DeleteItem": lambda v: {"tableName": "Patients", "key": {"number": v}},
    "Query": lambda v: {
        "tableName": "Patients",
        "key": {"patient_id": v},
        "exclusiveStartKey": {"patient_id": v, "number": v},
        "keyConditionExpression": f"patient_id = {quoted(v)}",
    },
    "Scan": lambda v: {"tableName": "Patients", "exclusiveStartKey": {"patient_id": v}},
    "TransactWriteItems": lambda v: {
        "requestItems": [
            {"operation": "Put", "tableName": "Patients", "key": {"patient_id": v}},
            {"operation": "Update", "TableName": "Patients", "Key": {"Number": v}, "UpdateExpression": "SET a = :a"},
        ]
    },
    "ExecuteStatement": lambda v: {"statement": f"SELECT * FROM Patients WHERE patient_id = {quoted(v)}"},
    "BatchExecuteStatement": lambda v: {
        "requestItems": [
            {"statement": f"DELETE FROM Patients WHERE patient_id = {quoted(v)} AND number = 1"},
            {"statement": f"INSERT INTO Patients VALUE {{'patient_id' : {quoted(v)}}}"},
            {"statement": f"UPDATE Patients SET a = {quoted(v)} WHERE patient_id = {quoted(v)}"},
        ]
    },
    "ExecuteTransaction": lambda v: {
        "transactStatements": [{"statement": f"EXISTS(SELECT * FROM Patients WHERE patient_id = {quoted(v)})"}]
    },
    "BatchGetItem": lambda v: {"requestItems": {"Patients": {"keys": [{"patient_id": v}, {"patient_id": {"S": v}}]}}},
    "BatchWriteItem": lambda v: {
        "requestItems": {
            "Patients": [
                {"putRequest": {"item": {"patient_id": {"S": v}, "a": {"L": [{"S": v}]}}}},
                {"deleteRequest": {"key": {"patient_id": v}}},
            ]
        }
    },
    "TransactGetItems": lambda v: {"transactItems": [{"get": {"tableName": "Patients", "key": {"patient_id": v}}}]},
    "SearchVectors": lambda v: {"tableName": "Patients", "indexName": "i", "expressionAttributeValues": {":v": v}},
    "GetRecords": lambda v: {"shardIterator": v, "key": {"patient_id": v}},
    "several kinds at once": lambda v: {
        "key": {"patient_id": v},
        "statement": f"SELECT {quoted(v)}",
        "requestItems": [{"statement": f"SELECT {quoted(v)}", "key": {"patient_id": v}}],
        "streamArn": "arn:aws:dynamodb:eu-central-1:123456789012:table/Patients/stream/x",
        "exclusiveStartKey": {"patient_id": v},
    },
    "twice the same member": lambda v: {"key": {"patient_id": v}, "Key": {"patient_id": v}, "KEYS": [{"a": v}]},
    "values of legacy conditions": lambda v: {
        "tableName": "Patients",
        "key": {"patient_id": v},
        "attributeUpdates": {"a": {"action": "PUT", "value": {"S": v}}},
        "expected": {"patient_id": {"value": v, "attributeValueList": [v]}},
    },
    "no object": lambda v: v,
    "a list": lambda v: [v, {"key": v}, {"key": [v]}],
}
# Not among them: members whose text is names or syntax by definition, such as tableName, statement, updateExpression.
names = st.sampled_from(
    ["", "key", "Keys", "requestItems", "item", "items", "value", "tables", "get", "put", "expected", "new"]
    + ["expressionAttributeValues", "exclusiveStartKey", "attributeUpdates", "operation"]
)
unknown = st.recursive(
    st.just(PLACEHOLDER) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


def with_value(shape, value):
    """`shape` with the placeholder replaced; `item` and `items` as lists hold names, so no value goes there."""
    if isinstance(shape, dict):
        return {
            name: ["a"] if name in ("item", "items") and isinstance(inner, list) else with_value(inner, value)
            for name, inner in shape.items()
        }
    if isinstance(shape, list):
        return [with_value(inner, value) for inner in shape]
    return value if shape == PLACEHOLDER else shape


def record(parameters, value, **overrides):
    return {
        "eventVersion": "1.11",
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/u"},
        "eventTime": "2026-11-01T03:04:05Z",
        "eventSource": "dynamodb.amazonaws.com",
        "awsRegion": "eu-central-1",
        "eventID": "00000000-0000-4000-8000-000000000001",
        "requestParameters": parameters,
        "responseElements": {"item": {"patient_id": {"S": value}}, "keys": [value]},
        "additionalEventData": {"key": {"patient_id": value}, "note": value},
        "errorCode": "ValidationException",
        "newField": [{"key": {"patient_id": value}}, value],
        "eventCategory": "Data",
    } | overrides


def everything(records):
    """All that parsing these records gives, as one text: rows, rejections, errors; JSON columns also decoded."""
    parser = Parser(TOKENS, TYPES, max_bytes=64 << 20)
    told: list[object] = []
    try:
        told.append(
            parser.read("s3://b/f", gzip.compress(json.dumps({"Records": records}).encode()), account_id=ACCOUNT)
        )
    except ObjectError as error:
        told += [str(error), error.position]
    for table in parser.tables():
        for row in table.to_pylist():
            told += [text for value in row.values() for text in strings(value)]
    return OPAQUE.sub("", "\n".join(map(str, told)))


def strings(value):
    """A value's text, and that of every name and value inside it when it is JSON."""
    if isinstance(value, str):
        yield value
        if value[:1] in ("{", "["):
            yield from leaves(json.loads(value))
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def leaves(value):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield str(value)


def check(value, make):
    clear = everything([make(value)])
    assume(value not in everything([make(PLACEHOLDER)]))
    assert value not in clear
    # What was sent in another notation than the stored one must not show in that one either.
    assert PLACEHOLDER not in everything([make(PLACEHOLDER)])


@pytest.mark.parametrize("shape", KNOWN)
@settings(max_examples=25)
@given(value=secrets)
def test_in_every_shape_that_is_known(shape, value):
    check(value, lambda v: record(KNOWN[shape](v), v, eventName=shape if shape in KNOWN else "GetItem"))


@settings(max_examples=150)
@given(value=secrets, shape=unknown, call=st.sampled_from(sorted(KNOWN)))
def test_in_shapes_that_are_not_known(value, shape, call):
    check(value, lambda v: record(with_value(shape, v), v, eventName=call))


@pytest.mark.parametrize("number", [4711123, 4711.125, -4711e20, 47110000000000000000000])
@pytest.mark.parametrize(
    "shape", ["GetItem", "PutItem", "DeleteItem", "Scan", "TransactWriteItems", "BatchGetItem", "TransactGetItems"]
)
def test_as_a_json_number(shape, number):
    assert "4711" not in everything([record(KNOWN[shape](number), number, eventName=shape)])


@pytest.mark.parametrize(
    "message",
    [
        "The item {} does not exist",
        "Invalid token '{}' there",
        'One or more parameter values were invalid: near "{}"',
        "Statement wasn't well formed: {}, can't go on",
        "{}",
        "User: arn:aws:iam::123456789012:user/u is not authorized to perform: dynamodb:GetItem on resource: {}",
    ],
)
@settings(max_examples=25)
@given(value=secrets)
def test_in_error_messages_of_requests_that_hold_it(message, value):
    check(
        value,
        lambda v: record(
            {"tableName": "Patients", "key": {"number": v}}, v, eventName="GetItem", errorMessage=message.format(v)
        ),
    )


@settings(max_examples=50)
@given(value=hostile | numbers)
def test_in_quoted_error_messages_of_requests_without_parameters(value):
    check(value, lambda v: record(None, v, eventName="GetItem", errorMessage=f"Invalid token '{v}' can't be"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda v: v,
        lambda v: [v],
        lambda v: {"eventID": v},
        lambda v: record({"key": v}, v, eventName="GetItem", eventTime=v),
        lambda v: record({"key": v}, v, eventName=[v]),
        lambda v: record({"key": v}, v, eventName="GetItem", userIdentity=v),
        lambda v: record({"key": v}, v, eventName="GetItem", resources=v),
        lambda v: record({"key": v}, v, eventName="GetItem", managementEvent=v),
    ],
)
@settings(max_examples=25)
@given(value=secrets)
def test_in_what_is_kept_of_rejected_records(spoil, value):
    # A sketch shows JSON's own marks; a value of nothing else has nothing to hide.
    assume(set(value) - set('{}[]",: ?9a'))
    check(value, spoil)


@pytest.mark.parametrize("category", ["Management", None])
@settings(max_examples=25)
@given(value=secrets)
def test_in_item_requests_that_call_themselves_something_else(category, value):
    asked = {"tableName": "Patients", "key": {"patient_id": value}, "exclusiveStartKey": {"a": value}}
    made = record(asked, "x", eventName="GetItem", eventCategory=category, managementEvent=category == "Management")
    plain = record({}, "x", eventName="GetItem", eventCategory=category, managementEvent=category == "Management")
    assume(value not in everything([plain]))
    assert value not in everything([made])
