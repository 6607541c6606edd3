"""Reads that DynamoDB throttles, when a scenario wants it: ministack has answered them, the caller gets a refusal.

Only reads, as a write that ministack has done cannot be taken back. A batch is throttled in part: it succeeds, and its
last key comes back in `UnprocessedKeys`.
"""

import json
from typing import Any

from dynatrail.sandbox.calls import Call
from dynatrail.sandbox.hop import Response

Json = dict[str, Any]

WHOLE = frozenset({"GetItem", "Query", "Scan"})
_HEADERS = [("Content-Type", "application/x-amz-json-1.0")]
_MESSAGE = (
    "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning "
    "level with the UpdateTable API."
)


def refuse_read() -> Response:
    """DynamoDB's throttling error."""
    kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"
    return Response(400, list(_HEADERS), json.dumps({"__type": kind, "message": _MESSAGE}).encode())


def cut_batch(call: Call, response: Response) -> Response | None:
    """A BatchGetItem answer without the last key of its first table; None where that would leave nothing."""
    wanted: Json = call.parameters.get("RequestItems") or {}
    if sum(len(of.get("Keys", [])) for of in wanted.values()) < 2 or not wanted:  # noqa: PLR2004
        return None
    table = next(iter(wanted))
    key = wanted[table]["Keys"][-1]
    answer = json.loads(response.body)
    items = answer.get("Responses", {}).get(table, [])
    kept = [item for item in items if any(item.get(name) != value for name, value in key.items())]
    answer.setdefault("Responses", {})[table] = kept
    answer["UnprocessedKeys"] = {table: {**wanted[table], "Keys": [key]}}
    return Response(200, list(response.headers), json.dumps(answer, ensure_ascii=False).encode())
