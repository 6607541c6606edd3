"""What each kind of call adds to the metrics."""

import json
from typing import Any

import pytest

from dynatrail.sandbox.calls import Call
from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.metrics_counting import Sample, TableShape, samples

Json = dict[str, Any]
KEY = {"id": {"S": "a"}}
SHAPES = {"T": TableShape(["id"], {"ByMail": ["mail"]})}


def count(operation: str, sent: Json, answer: Json | None = None, status: int = 200, **more: Any) -> list[Sample]:
    return samples(
        Call("dynamodb", operation, sent), Response(status, [], json.dumps(answer or {}).encode()), SHAPES, **more
    )


def failed(code: str, operation: str = "PutItem", message: str = "", status: int = 400) -> dict[str, Json]:
    error = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}
    found = count(operation, {"TableName": "T", "Item": KEY}, error, status)
    return {sample.name: dict(sample.dimensions) for sample in found}


def latencies(found: list[Sample]) -> list[Json]:
    return [dict(sample.dimensions) for sample in found if sample.name == "SuccessfulRequestLatency"]


def units(found: list[Sample], kind: str) -> dict[str, float | None]:
    return {
        dict(sample.dimensions).get("GlobalSecondaryIndexName", "table"): sample.value
        for sample in found
        if sample.name == f"Consumed{kind}CapacityUnits"
    }


def test_a_call_on_one_table_is_one_sample():
    assert latencies(count("GetItem", {"TableName": "T", "Key": KEY})) == [{"TableName": "T", "Operation": "GetItem"}]


def test_a_table_may_be_named_by_its_arn():
    arn = "arn:aws:dynamodb:us-east-1:123456789012:table/T"
    assert latencies(count("GetItem", {"TableName": arn, "Key": KEY})) == [{"TableName": "T", "Operation": "GetItem"}]


def test_a_batch_on_two_tables_is_one_sample_for_each():
    found = count("BatchGetItem", {"RequestItems": {"T": {"Keys": [KEY, KEY]}, "U": {"Keys": [KEY]}}})
    assert [named["TableName"] for named in latencies(found)] == ["T", "U"]


def test_a_statement_has_its_verb_and_a_plain_series_beside():
    sent = {"Statement": 'UPDATE "T" SET a = 1 WHERE id = 2'}
    named = {"TableName": "T", "Operation": "ExecuteStatement"}
    assert latencies(count("ExecuteStatement", sent)) == [named, {**named, "Verb": "PartiQLUpdate"}]
    assert latencies(count("ExecuteStatement", sent, plain=False)) == [{**named, "Verb": "PartiQLUpdate"}]


@pytest.mark.parametrize(("verb", "kind"), [("SELECT * FROM T", "Read"), ("DELETE FROM T WHERE id = 1", "Write")])
def test_a_batch_of_statements_says_whether_it_reads_or_writes(verb: str, kind: str):
    found = count("BatchExecuteStatement", {"Statements": [{"Statement": verb}]}, plain=False)
    assert latencies(found)[0]["OperationType"] == kind


@pytest.mark.parametrize("operation", ["Query", "Scan"])
def test_a_query_and_a_scan_tell_how_many_rows_they_gave(operation: str):
    found = count(operation, {"TableName": "T"}, {"Count": 3, "ScannedCount": 9, "Items": [KEY] * 3})
    assert [sample.value for sample in found if sample.name == "ReturnedItemCount"] == [3.0]


def test_a_single_read_tells_no_rows():
    assert not [s for s in count("GetItem", {"TableName": "T", "Key": KEY}) if s.name == "ReturnedItemCount"]


def test_a_failed_condition_has_no_operation_and_is_no_user_error():
    assert failed("ConditionalCheckFailedException") == {
        "ConditionalCheckFailedRequests": {"TableName": "T"},
        "ConsumedWriteCapacityUnits": {"TableName": "T"},
    }


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException", "ResourceNotFoundException"])
def test_user_errors_have_no_dimension_at_all(code: str):
    assert failed(code) == {"UserErrors": {}}


def test_a_throttled_request_is_no_user_error():
    assert failed("ProvisionedThroughputExceededException", "GetItem") == {
        "ThrottledRequests": {"TableName": "T", "Operation": "GetItem"},
        "ReadThrottleEvents": {"TableName": "T"},
    }


def test_a_conflict_is_both_a_user_error_and_a_conflict():
    assert failed("TransactionConflictException") == {"UserErrors": {}, "TransactionConflict": {"TableName": "T"}}


def test_the_conflicts_of_a_transaction_are_counted_by_item_in_one_sample_a_table():
    members = [{"Put": {"TableName": table, "Item": KEY}} for table in ("T", "T", "U", "V")]
    codes = ["TransactionConflict", "TransactionConflict", "TransactionConflict", "None"]
    error = {"__type": "x#TransactionCanceledException", "CancellationReasons": [{"Code": code} for code in codes]}
    found = count("TransactWriteItems", {"TransactItems": members}, error, 400)
    assert [(dict(one.dimensions).get("TableName"), one.value) for one in found] == [
        (None, 1.0),
        ("T", 2.0),
        ("U", 1.0),
    ]


def test_a_fault_of_the_service_has_an_operation():
    assert failed("InternalServerError", status=500) == {"SystemErrors": {"TableName": "T", "Operation": "PutItem"}}


def test_a_batch_throttled_in_part_is_a_success_with_an_event():
    found = count("BatchGetItem", {"RequestItems": {"T": {"Keys": [KEY]}}}, {"UnprocessedKeys": {"T": {"Keys": [KEY]}}})
    assert {"SuccessfulRequestLatency", "ReadThrottleEvents"} <= {sample.name for sample in found}
    assert "ThrottledRequests" not in {sample.name for sample in found}


def test_reads_cost_by_four_and_writes_by_one_kilobyte():
    item = {**KEY, "text": {"S": "x" * 5000}}
    assert units(count("GetItem", {"TableName": "T", "Key": KEY}, {"Item": item}), "Read") == {"table": 1.0}
    assert units(count("PutItem", {"TableName": "T", "Item": item}), "Write") == {"table": 5.0}


def test_a_write_costs_in_each_index_that_the_item_is_in():
    item = {**KEY, "mail": {"S": "a@example.com"}}
    assert units(count("PutItem", {"TableName": "T", "Item": item}), "Write") == {"table": 1.0, "ByMail": 1.0}


def test_management_calls_add_nothing():
    assert count("DescribeTable", {"TableName": "T"}) == []
