"""requestParameters of data events, call by call, as aws-facts a4 and the documentation's samples have them."""

from typing import Any

import pytest

from dynatrail.sandbox.parameters import data_parameters, tables_of

KEYS = {"Music": ("Artist", "SongTitle"), "Files": ("digest",)}


def shown(operation: str, **sent: Any) -> dict[str, Any]:
    return data_parameters(operation, sent, lambda table: KEYS.get(table, ()))


SONG = {"Artist": {"S": "No One You Know"}, "SongTitle": {"S": "Call Me Today"}}
BARE = {"Artist": "No One You Know", "SongTitle": "Call Me Today"}


def test_put_item_shows_the_key_and_the_names_of_attributes_only():
    item = {**SONG, "AlbumTitle": {"S": "secret"}}
    assert shown("PutItem", TableName="Music", Item=item, ReturnConsumedCapacity="TOTAL") == {
        "tableName": "Music",
        "key": BARE,
        "items": ["Artist", "SongTitle", "AlbumTitle"],
        "returnConsumedCapacity": "TOTAL",
    }


@pytest.mark.parametrize("operation", ["GetItem", "DeleteItem"])
def test_single_item_calls_show_the_untyped_key(operation: str):
    assert shown(operation, TableName="Music", Key=SONG) == {"tableName": "Music", "key": BARE}


def test_numbers_and_binaries_lose_their_type():
    key = {"digest": {"B": "AAEC"}, "n": {"N": "7"}}
    assert shown("GetItem", TableName="Files", Key=key)["key"] == {"digest": "AAEC", "n": "7"}


def test_update_item_shows_expressions_and_never_values():
    recorded = shown(
        "UpdateItem",
        TableName="Music",
        Key=SONG,
        UpdateExpression="SET #Y = :y",
        ExpressionAttributeNames={"#Y": "Year"},
        ExpressionAttributeValues={":y": {"N": "1999"}},
        ConditionExpression="attribute_not_exists(#Y)",
    )
    assert recorded == {
        "tableName": "Music",
        "key": BARE,
        "updateExpression": "SET #Y = :y",
        "expressionAttributeNames": {"#Y": "Year"},
        "conditionExpression": "attribute_not_exists(#Y)",
    }


def test_legacy_update_parameters_lose_their_values():
    recorded = shown(
        "UpdateItem",
        TableName="Music",
        Key=SONG,
        AttributeUpdates={"leaseCounter": {"Action": "PUT", "Value": {"N": "5"}}},
        Expected={"leaseCounter": {"Value": {"N": "4"}}},
    )
    assert recorded["attributeUpdates"] == {"leaseCounter": {"action": "PUT"}}
    assert recorded["expected"] == {"leaseCounter": {}}


def test_query_resolves_equality_into_a_key_and_leaves_ranges_out():
    recorded = shown(
        "Query",
        TableName="Music",
        IndexName="ByYear",
        KeyConditionExpression="#y = :y AND SongTitle >= :s",
        ExpressionAttributeNames={"#y": "Year"},
        ExpressionAttributeValues={":y": {"N": "1999"}, ":s": {"S": "M"}, ":f": {"S": "filter"}},
        FilterExpression="x = :f",
    )
    assert recorded["key"] == {"Year": "1999"}
    assert recorded["indexName"] == "ByYear"
    assert "expressionAttributeValues" not in recorded


def test_legacy_key_conditions_give_the_same_key():
    recorded = shown(
        "Query",
        TableName="Music",
        KeyConditions={"Artist": {"AttributeValueList": [{"S": "a"}], "ComparisonOperator": "EQ"}},
    )
    assert recorded["key"] == {"Artist": "a"}


def test_scan_shows_no_filter_values_and_no_start_key():
    recorded = shown(
        "Scan",
        TableName="Music",
        Limit=5,
        Segment=0,
        TotalSegments=2,
        ExclusiveStartKey=SONG,
        FilterExpression="a = :a",
        ExpressionAttributeValues={":a": {"S": "x"}},
    )
    assert recorded == {
        "tableName": "Music",
        "limit": 5,
        "segment": 0,
        "totalSegments": 2,
        "filterExpression": "a = :a",
    }


def test_a_transaction_mixes_cases_as_the_documented_sample_does():
    names, condition = {"#P": "Price"}, "#P between :lo and :hi"
    common = {"TableName": "Music", "ConditionExpression": condition, "ExpressionAttributeNames": names}
    recorded = shown(
        "TransactWriteItems",
        TransactItems=[
            {"Put": {"Item": {**SONG, "AlbumTitle": {"S": "x"}}, **common}},
            {"Update": {"Key": SONG, "UpdateExpression": "SET #P = :p", **common}},
            {"Delete": {"Key": SONG, "ReturnValuesOnConditionCheckFailure": "ALL_OLD", **common}},
            {"ConditionCheck": {"Key": SONG, "ReturnValuesOnConditionCheckFailure": "ALL_OLD", **common}},
        ],
        ReturnItemCollectionMetrics="SIZE",
    )
    assert recorded["requestItems"] == [
        {
            "operation": "Put",
            "tableName": "Music",
            "key": BARE,
            "items": ["Artist", "SongTitle", "AlbumTitle"],
            "conditionExpression": condition,
            "expressionAttributeNames": names,
        },
        {
            "operation": "Update",
            "tableName": "Music",
            "key": BARE,
            "updateExpression": "SET #P = :p",
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
        },
        {
            "operation": "Delete",
            "TableName": "Music",
            "key": BARE,
            "conditionExpression": condition,
            "expressionAttributeNames": names,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        },
        {
            "operation": "ConditionCheck",
            "TableName": "Music",
            "Key": BARE,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        },
    ]
    assert recorded["returnItemCollectionMetrics"] == "SIZE"


def test_batch_calls_name_their_items_by_table():
    write = shown(
        "BatchWriteItem",
        RequestItems={"Music": [{"PutRequest": {"Item": {**SONG, "x": {"S": "v"}}}}, {"DeleteRequest": {"Key": SONG}}]},
    )
    assert write == {
        "requestItems": {
            "Music": [
                {"putRequest": {"key": BARE, "items": ["Artist", "SongTitle", "x"]}},
                {"deleteRequest": {"key": BARE}},
            ]
        }
    }
    assert shown("BatchGetItem", RequestItems={"Music": {"Keys": [SONG]}}) == {
        "requestItems": {"Music": {"keys": [BARE]}}
    }


def test_several_statements_are_request_items_without_their_parameters():
    recorded = shown(
        "BatchExecuteStatement",
        Statements=[{"Statement": "SELECT * FROM Music WHERE Artist = ?", "Parameters": [{"S": "secret"}]}],
    )
    assert recorded == {"requestItems": [{"statement": "SELECT * FROM Music WHERE Artist = ?"}]}


@pytest.mark.parametrize(
    ("operation", "sent", "tables"),
    [
        ("GetItem", {"TableName": "arn:aws:dynamodb:us-east-1:123456789012:table/Music"}, ["Music"]),
        ("BatchGetItem", {"RequestItems": {"A": {}, "B": {}}}, ["A", "B"]),
        ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": "A"}}, {"Get": {"TableName": "A"}}]}, ["A"]),
        ("ExecuteTransaction", {"TransactStatements": [{"Statement": "DELETE FROM B WHERE a = 1"}]}, ["B"]),
        ("DescribeStream", {"StreamArn": "arn:aws:dynamodb:us-east-1:123456789012:table/A/stream/2026"}, ["A"]),
        ("ListTables", {}, []),
    ],
)
def test_a_call_names_its_tables(operation: str, sent: dict[str, Any], tables: list[str]):
    assert tables_of(operation, sent) == tables
