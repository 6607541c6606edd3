"""`requestParameters` of DynamoDB's data events, call by call (aws-facts a4).

Item keys are in clear and untyped (`"id": "7"`, whatever its type); of other attributes only the names are there. The
classic calls' names are proven by real records and by the docs' samples. For BatchGetItem, BatchWriteItem,
TransactGetItems and ExecuteTransaction no public record exists: the shapes here follow `requestItems` of their
documented relatives, and docs/reference/sandbox.md says so.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from dynatrail.sandbox import partiql
from dynatrail.sandbox.casing import lowered

Json = dict[str, Any]
KeyNames = Callable[[str], Collection[str]]
"""Names of a table's key attributes; empty when the table is not known."""

DATA_OPERATIONS = frozenset(
    {
        *("BatchExecuteStatement", "BatchGetItem", "BatchWriteItem", "DeleteItem", "ExecuteStatement"),
        *("ExecuteTransaction", "GetItem", "PutItem", "Query", "Scan", "SearchVectors", "TransactGetItems"),
        *("TransactWriteItems", "UpdateItem", "GetRecords", "GetShardIterator"),
    }
)
"""Operations that are data events ("Logging DynamoDB operations by using AWS CloudTrail")."""

_AS_SENT = (
    *("TableName", "IndexName", "ConsistentRead", "Limit", "Select", "ReturnConsumedCapacity"),
    *("ReturnItemCollectionMetrics", "ReturnValues", "ReturnValuesOnConditionCheckFailure", "ScanIndexForward"),
    *("Segment", "TotalSegments", "ConditionExpression", "UpdateExpression", "KeyConditionExpression"),
    *("FilterExpression", "ProjectionExpression", "ExpressionAttributeNames", "AttributesToGet"),
)
_EQUALITY = re.compile(r"(?P<name>#?\w[\w.-]*)\s*=\s*(?P<value>:\w+)")

# Which fields keep the API's capital letter, per member of a transaction: the docs' sample mixes both.
_CAPITAL = {
    "Put": frozenset[str](),
    "Update": frozenset({"ConditionExpression", "ExpressionAttributeNames"}),
    "Delete": frozenset({"TableName", "ReturnValuesOnConditionCheckFailure"}),
    "ConditionCheck": frozenset(
        {
            "TableName",
            "Key",
            "ConditionExpression",
            "ExpressionAttributeNames",
            "ReturnValuesOnConditionCheckFailure",
        }
    ),
    "Get": frozenset[str](),
}


def data_parameters(operation: str, sent: Mapping[str, Any], key_names: KeyNames) -> Json:
    """What CloudTrail records of a data event's parameters."""
    if operation in {"ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"}:
        return _statements(operation, sent, key_names)
    if operation in {"GetRecords", "GetShardIterator"}:
        return _stream(sent)
    shown = {lowered(name): sent[name] for name in _AS_SENT if name in sent}
    match operation:
        case "TransactWriteItems" | "TransactGetItems":
            shown["requestItems"] = [_transaction_member(member, key_names) for member in sent.get("TransactItems", [])]
        case "BatchGetItem":
            shown["requestItems"] = {
                table: {"keys": [plain_key(key) for key in wanted.get("Keys", [])], **_without_keys(wanted)}
                for table, wanted in sent.get("RequestItems", {}).items()
            }
        case "BatchWriteItem":
            shown["requestItems"] = {
                table: [_write_request(request, table, key_names) for request in requests]
                for table, requests in sent.get("RequestItems", {}).items()
            }
        case "Query":
            if key := equality_key(sent):
                shown["key"] = key
        case _:
            shown |= _single_item(sent, key_names)
    return shown


def tables_of(operation: str, sent: Mapping[str, Any]) -> list[str]:
    """Tables that a DynamoDB call names, as names, in the order named."""
    named = [sent[field] for field in ("TableName", "TargetTableName") if isinstance(sent.get(field), str)]
    if isinstance(arn := sent.get("ResourceArn", sent.get("TableArn", sent.get("StreamArn"))), str):
        named.append(arn)
    named += list(sent.get("RequestItems") or {})
    for member in sent.get("TransactItems") or []:
        named += [part["TableName"] for part in member.values() if "TableName" in part]
    statements = [sent, *(sent.get("Statements") or []), *(sent.get("TransactStatements") or [])]
    named += [partiql.table_of(part["Statement"]) or "" for part in statements if "Statement" in part]
    if operation == "GetRecords" and isinstance(sent.get("ShardIterator"), str):
        named.append(stream_of(sent["ShardIterator"]))
    return list(dict.fromkeys(bare_table(name) for name in named if name))


def bare_table(name: str) -> str:
    """A table's name, from its name or from an ARN of it, its index or its stream."""
    return name.split(":table/", 1)[-1].split("/", 1)[0]


def plain_key(key: Mapping[str, Mapping[str, Any]]) -> Json:
    """`{"id": {"N": "7"}}` → `{"id": "7"}`."""
    return {name: next(iter(value.values())) for name, value in key.items()}


def stream_of(shard_iterator: str) -> str:
    """ARN of the stream in a shard iterator (`ARN|1|opaque`); empty when it holds none."""
    arn = shard_iterator.partition("|")[0]
    return arn if arn.startswith("arn:") else ""


def _stream(sent: Mapping[str, Any]) -> Json:
    return {lowered(name): value for name, value in sent.items()}


def _single_item(sent: Mapping[str, Any], key_names: KeyNames) -> Json:
    shown: Json = {}
    if "Key" in sent:
        shown["key"] = plain_key(sent["Key"])
    if "Item" in sent:
        shown |= _put(sent["Item"], key_names(bare_table(sent.get("TableName", ""))))
    if "AttributeUpdates" in sent:
        shown["attributeUpdates"] = {
            name: {"action": update["Action"]} if "Action" in update else {}
            for name, update in sent["AttributeUpdates"].items()
        }
    if "Expected" in sent:
        shown["expected"] = {name: {} for name in sent["Expected"]}
    return shown


def _put(item: Mapping[str, Any], keys: Collection[str]) -> Json:
    return {"key": plain_key({name: item[name] for name in keys if name in item}), "items": list(item)}


def _transaction_member(member: Mapping[str, Any], key_names: KeyNames) -> Json:
    operation, sent = next(iter(member.items()))
    fields: Json = {"TableName": sent.get("TableName")}
    if "Item" in sent:
        put = _put(sent["Item"], key_names(bare_table(sent["TableName"])))
        fields |= {"Key": put["key"], "Items": put["items"]}
    if "Key" in sent:
        fields["Key"] = plain_key(sent["Key"])
    for name in _AS_SENT:
        if name in sent:
            fields[name] = sent[name]
    capital = _CAPITAL.get(operation, frozenset())
    return {
        "operation": operation,
        **{name if name in capital else lowered(name): value for name, value in fields.items()},
    }


def _without_keys(wanted: Mapping[str, Any]) -> Json:
    return {lowered(name): wanted[name] for name in _AS_SENT if name in wanted}


def _write_request(request: Mapping[str, Any], table: str, key_names: KeyNames) -> Json:
    if "PutRequest" in request:
        return {"putRequest": _put(request["PutRequest"]["Item"], key_names(bare_table(table)))}
    return {"deleteRequest": {"key": plain_key(request["DeleteRequest"]["Key"])}}


def _statements(operation: str, sent: Mapping[str, Any], key_names: KeyNames) -> Json:
    shown = {
        lowered(name): sent[name] for name in ("ReturnConsumedCapacity", "ConsistentRead", "Limit") if name in sent
    }
    if operation == "ExecuteStatement":
        return {"statement": partiql.redact(sent.get("Statement", ""), key_names), **shown}
    several = sent.get("Statements", sent.get("TransactStatements", []))
    items = [{"statement": partiql.redact(part.get("Statement", ""), key_names)} for part in several]
    return {"requestItems": items, **shown}


def equality_key(sent: Mapping[str, Any]) -> Json:
    """Key values that a Query fixes by equality, those of an index's key included."""
    if "KeyConditions" in sent:
        return plain_key(
            {
                name: condition["AttributeValueList"][0]
                for name, condition in sent["KeyConditions"].items()
                if condition.get("ComparisonOperator") == "EQ"
            }
        )
    names, values = sent.get("ExpressionAttributeNames", {}), sent.get("ExpressionAttributeValues", {})
    return plain_key(
        {
            names.get(found["name"], found["name"]): values[found["value"]]
            for found in _EQUALITY.finditer(sent.get("KeyConditionExpression", ""))
            if found["value"] in values
        }
    )
