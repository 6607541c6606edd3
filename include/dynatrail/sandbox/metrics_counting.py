"""What one DynamoDB call adds to the AWS/DynamoDB metrics ("DynamoDB Metrics and dimensions"; aws-facts d1, d3).

Inferred, as no public source tells: a call on several tables is one sample for each of them, a transaction cancelled by
a condition counts as a user error, and PartiQL's statements have a plain Operation series beside the one with `Verb`.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from dynatrail.sandbox.calls import Call
from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.metrics_sizes import item_size, read_units, total_size, value_size, write_units
from dynatrail.sandbox.metrics_store import Dimensions
from dynatrail.sandbox.parameters import bare_table, stream_of, tables_of
from dynatrail.sandbox.partiql import table_of

Json = dict[str, Any]

COUNTED = frozenset(
    {
        *("PutItem", "DeleteItem", "UpdateItem", "GetItem", "BatchGetItem", "Scan", "Query", "BatchWriteItem"),
        *("TransactWriteItems", "TransactGetItems", "ExecuteTransaction", "BatchExecuteStatement"),
        *("ExecuteStatement", "GetRecords"),
    }
)
"""Values of the dimension Operation."""

_THROTTLES = frozenset(
    {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "ThrottlingError"}
)
_ERROR_TYPE = re.compile(rb'"__type"\s*:\s*"(?:[^"#]*#)?(?P<code>[^"]+)"')
_FAILED, _SERVER = 400, 500
_LOOKED_AT = 20
_VERBS = {"SELECT": "Select", "INSERT": "Insert", "UPDATE": "Update", "DELETE": "Delete"}


class Sample(NamedTuple):
    """One sample of one series; `value` is None for a latency, which the part makes up."""

    name: str
    dimensions: Dimensions
    value: float | None
    unit: str = "Count"


class TableShape(msgspec.Struct):
    """What must be known of a table: its key and its global secondary indexes' keys, attribute names."""

    key: list[str] = []
    indexes: dict[str, list[str]] = {}


def dimensions(**named: str) -> Dimensions:
    return tuple(sorted(named.items()))


def error_code(response: Response) -> str | None:
    """Code of DynamoDB's error answer; None for a success."""
    if response.status < _FAILED:
        return None
    found = _ERROR_TYPE.search(response.body)
    return found["code"].decode() if found else str(response.status)


def is_throttle(code: str) -> bool:
    return code in _THROTTLES


def samples(call: Call, response: Response, shapes: Mapping[str, TableShape], *, plain: bool = True) -> list[Sample]:
    """Everything that the call adds.

    `shapes` are the tables of the owner's account and the call's region by name; unknown ones have no index. With
    `plain`, PartiQL statements are counted in the plain Operation series too.
    """
    code = error_code(response)
    if code is not None:
        return list(_failed(call, code, response))
    if call.operation not in COUNTED:
        return []
    return [
        *_latencies(call, plain=plain),
        *_returned(call, response),
        *_unprocessed(call, response),
        *_consumed(call, response, shapes),
    ]


def _failed(call: Call, code: str, response: Response) -> Iterator[Sample]:
    tables = tables_of(call.operation, call.parameters)
    counted = call.operation in COUNTED
    if response.status >= _SERVER:
        for table in tables if counted else ():
            yield Sample("SystemErrors", dimensions(TableName=table, Operation=call.operation), 1.0)
        return
    if is_throttle(code):
        for table in tables if counted else ():
            yield Sample("ThrottledRequests", dimensions(TableName=table, Operation=call.operation), 1.0)
            kind = "Write" if _writes(call) else "Read"
            yield Sample(f"{kind}ThrottleEvents", dimensions(TableName=table), 1.0)
        return
    if code == "ConditionalCheckFailedException":
        for table in tables:
            yield Sample("ConditionalCheckFailedRequests", dimensions(TableName=table), 1.0)
            yield Sample("ConsumedWriteCapacityUnits", dimensions(TableName=table), 1.0)
        return
    yield Sample("UserErrors", (), 1.0)
    for table, count in _conflicts(call, code, response).items():
        yield Sample("TransactionConflict", dimensions(TableName=table), float(count))


def _conflicts(call: Call, code: str, response: Response) -> Counter[str]:
    """Items that another transaction held, by table: one sample a request, its value the items."""
    if code == "TransactionConflictException":
        return Counter(tables_of(call.operation, call.parameters))
    if code != "TransactionCanceledException":
        return Counter()
    reasons = msgspec.json.decode(response.body).get("CancellationReasons") or []
    members = [next(iter(member.values())) for member in call.parameters.get("TransactItems") or []]
    return Counter(
        bare_table(member["TableName"])
        for member, reason in zip(members, reasons, strict=False)
        if reason.get("Code") == "TransactionConflict"
    )


def _writes(call: Call) -> bool:
    if "Statement" in call.parameters:
        return verb_of(call.parameters["Statement"]) != "Select"
    return call.operation in {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"}


def verb_of(statement: str) -> str:
    """`Select`, `Insert`, `Update` or `Delete`; empty for no statement."""
    return _VERBS.get(statement.split(None, 1)[0].upper(), "") if statement.strip() else ""


def _latencies(call: Call, *, plain: bool) -> Iterator[Sample]:
    name, operation = "SuccessfulRequestLatency", call.operation
    for table in tables_of(operation, call.parameters):
        named = {"TableName": table, "Operation": operation}
        extra: dict[str, str] = {}
        if operation == "GetRecords":
            named["StreamLabel"] = stream_of(call.parameters.get("ShardIterator", "")).rsplit("/", 1)[-1]
        elif operation == "ExecuteStatement":
            extra = {"Verb": f"PartiQL{verb_of(call.parameters.get('Statement', ''))}"}
        elif operation in {"ExecuteTransaction", "BatchExecuteStatement"}:
            extra = {"OperationType": _operation_type(call, table)}
        if plain or not extra:
            yield Sample(name, dimensions(**named), None, "Milliseconds")
        if extra:
            yield Sample(name, dimensions(**named, **extra), None, "Milliseconds")


def _unprocessed(call: Call, response: Response) -> Iterator[Sample]:
    """A batch that was throttled in part is a success with one throttle event for each key left over."""
    for field, kind in (("UnprocessedKeys", "Read"), ("UnprocessedItems", "Write")):
        if call.operation.startswith("Batch") and field.encode() in response.body:
            for table, left in (msgspec.json.decode(response.body).get(field) or {}).items():
                count = len(left["Keys"] if kind == "Read" else left)
                for _ in range(count):
                    yield Sample(f"{kind}ThrottleEvents", dimensions(TableName=bare_table(table)), 1.0)


def _statements(call: Call) -> list[Json]:
    found = call.parameters.get("Statements") or call.parameters.get("TransactStatements") or []
    return [statement for statement in found if isinstance(statement, dict)]


def _operation_type(call: Call, table: str) -> str:
    verbs = {
        verb_of(statement.get("Statement", ""))
        for statement in _statements(call)
        if bare_table(table_of(statement.get("Statement", "")) or "") == table
    }
    return "Read" if verbs == {"Select"} else "Write"


def _returned(call: Call, response: Response) -> Iterator[Sample]:
    """Rows that a read gave; the single reads have no such metric."""
    tables = tables_of(call.operation, call.parameters)
    if not tables:
        return
    named = {"TableName": tables[0], "Operation": call.operation}
    match call.operation:
        case "Query" | "Scan":
            count = msgspec.json.decode(response.body, type=_Counts).Count
            yield Sample("ReturnedItemCount", dimensions(**named), float(count))
        case "ExecuteStatement" if verb_of(call.parameters.get("Statement", "")) == "Select":
            items = msgspec.json.decode(response.body, type=_Items).Items
            yield Sample("ReturnedItemCount", dimensions(**named), float(len(items)))
        case "GetRecords":
            named["StreamLabel"] = stream_of(call.parameters.get("ShardIterator", "")).rsplit("/", 1)[-1]
            records = msgspec.json.decode(response.body, type=_Records).Records
            yield Sample("ReturnedRecordsCount", dimensions(**named), float(len(records)))
            yield Sample("ReturnedBytes", dimensions(**named), float(sum(map(len, records))), "Bytes")


class _Counts(msgspec.Struct):
    Count: int = 0
    ScannedCount: int = 0


class _Items(_Counts):
    Items: list[msgspec.Raw] = []


class _Records(msgspec.Struct):
    Records: list[msgspec.Raw] = []


def _consumed(call: Call, response: Response, shapes: Mapping[str, TableShape]) -> Iterator[Sample]:
    for table, index, kind, units in _units(call, response, shapes):
        named = {"TableName": table, **({"GlobalSecondaryIndexName": index} if index else {})}
        yield Sample(f"Consumed{kind}CapacityUnits", dimensions(**named), units)


def _units(
    call: Call, response: Response, shapes: Mapping[str, TableShape]
) -> Iterator[tuple[str, str | None, str, float]]:
    """(table, index, Read or Write, units) of a successful call."""
    sent = call.parameters
    match call.operation:
        case "GetItem" | "Query" | "Scan":
            units = _read_units_of(call, response)
            yield bare_table(str(sent.get("TableName", ""))), sent.get("IndexName"), "Read", units
        case "BatchGetItem" | "TransactGetItems":
            yield from _several_reads(call, response)
        case "PutItem" | "UpdateItem" | "DeleteItem":
            yield from _write(bare_table(str(sent.get("TableName", ""))), sent, shapes)
        case "BatchWriteItem":
            for name, requests in sent.get("RequestItems", {}).items():
                for request in requests:
                    yield from _write(bare_table(name), next(iter(request.values())), shapes)
        case "TransactWriteItems":
            for member in sent.get("TransactItems", []):
                part = next(iter(member.values()))
                yield from _write(bare_table(part["TableName"]), part, shapes, transactional=True)
        case "ExecuteStatement" | "BatchExecuteStatement" | "ExecuteTransaction":
            yield from _partiql(call)


def _read_units_of(call: Call, response: Response) -> float:
    consistent = bool(call.parameters.get("ConsistentRead"))
    if call.operation == "GetItem":
        item = msgspec.json.decode(response.body).get("Item") or {}
        return read_units(item_size(item), consistent=consistent)
    got = msgspec.json.decode(response.body, type=_Items)
    looked_at: list[Json] = [msgspec.json.decode(item) for item in got.Items[:_LOOKED_AT]]
    return read_units(total_size(looked_at, got.ScannedCount), consistent=consistent)


def _several_reads(call: Call, response: Response) -> Iterator[tuple[str, str | None, str, float]]:
    answers = msgspec.json.decode(response.body).get("Responses") or {}
    if call.operation == "TransactGetItems":
        for member, answer in zip(call.parameters.get("TransactItems", []), answers, strict=False):
            size = item_size(answer.get("Item") or {})
            yield bare_table(member["Get"]["TableName"]), None, "Read", read_units(size, transactional=True)
        return
    for name, wanted in call.parameters.get("RequestItems", {}).items():
        consistent, items = bool(wanted.get("ConsistentRead")), answers.get(name, [])
        missing = max(len(wanted.get("Keys", [])) - len(items), 0)
        sizes = [*(item_size(item) for item in items), *[0] * missing]
        yield bare_table(name), None, "Read", sum(read_units(size, consistent=consistent) for size in sizes)


def _partiql(call: Call) -> Iterator[tuple[str, str | None, str, float]]:
    """One item a statement, as the scenarios' statements have."""
    transactional = call.operation == "ExecuteTransaction"
    for statement in [call.parameters] if call.operation == "ExecuteStatement" else _statements(call):
        text = statement.get("Statement", "")
        name = bare_table(table_of(text) or "")
        if verb_of(text) == "Select":
            yield name, None, "Read", read_units(0, transactional=transactional)
        else:
            yield name, None, "Write", write_units(len(text), transactional=transactional)


def _write(
    table: str, sent: Mapping[str, Any], shapes: Mapping[str, TableShape], *, transactional: bool = False
) -> Iterator[tuple[str, str | None, str, float]]:
    item = sent.get("Item")
    size = item_size(item) if item else item_size(sent.get("Key") or {})
    size += sum(value_size(value) for value in (sent.get("ExpressionAttributeValues") or {}).values())
    yield table, None, "Write", write_units(size, transactional=transactional)
    for index, key in (shapes[table].indexes if table in shapes else {}).items():
        if item is not None and all(name in item for name in key):  # what an update does to an index is not known
            yield table, index, "Write", write_units(size, transactional=transactional)
