"""What DynamoDB writes into a Kinesis data stream for one change of one item.

Shape: "Using Kinesis Data Streams to capture changes to DynamoDB" and records seen in the wild. There is no sequence
number and no view type of DynamoDB's; both images are always there; binary values are base64 twice over.
"""

import base64
import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from dynatrail.sandbox.journal import Change
from dynatrail.sandbox.journal_values import size

Json = dict[str, Any]

UNITS = {"MILLISECOND": timedelta(milliseconds=1), "MICROSECOND": timedelta(microseconds=1)}
"""Values of ApproximateCreationDateTimePrecision."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TTL = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
_canonical = msgspec.json.Encoder(order="deterministic").encode


def partition_key(change: Change) -> str:
    """One item's changes go to one shard; 32 hexadecimal digits, as AWS's are."""
    return hashlib.md5(_canonical(change.key), usedforsecurity=False).hexdigest().upper()


def event_id(change: Change) -> str:
    """The same in every copy of the record."""
    digest = hashlib.sha256(f"{change.table_arn} {change.sequence} kinesis".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def record(change: Change, precision: str) -> bytes:
    """The `Data` of the Kinesis record; `precision` is one of `UNITS`."""
    images = {"NewImage": change.new, "OldImage": change.old}
    parts = [change.key, *(image for image in images.values() if image is not None)]
    return msgspec.json.encode(
        {
            "awsRegion": change.region,
            "eventID": event_id(change),
            "eventName": change.change_type,
            "userIdentity": _TTL if change.cause == "ttl" else None,
            "recordFormat": "application/json",
            "tableName": change.table,
            "dynamodb": {
                "ApproximateCreationDateTime": (change.at - _EPOCH) // UNITS[precision],
                "Keys": _doubled_item(change.key),
                **{name: _doubled_item(image) for name, image in images.items() if image is not None},
                "SizeBytes": sum(size(part) for part in parts),
                "ApproximateCreationDateTimePrecision": precision,
            },
            "eventSource": "aws:dynamodb",
        }
    )


def _doubled_item(item: Json) -> Json:
    return {name: _doubled(value) for name, value in item.items()}


def _doubled(value: Json) -> Json:
    """The typed value with its binary parts, which are base64 text already, encoded once more."""
    ((kind, part),) = value.items()
    match kind:
        case "B":
            return {"B": base64.b64encode(part.encode()).decode()}
        case "BS":
            return {"BS": [base64.b64encode(member.encode()).decode() for member in part]}
        case "L":
            return {"L": [_doubled(member) for member in part]}
        case "M":
            return {"M": _doubled_item(part)}
    return value
