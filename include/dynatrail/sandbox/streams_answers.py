"""Answers, errors, iterators and faults of the sandbox's DynamoDB Streams."""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from dynatrail.sandbox.hop import Response

Json = dict[str, Any]

_ITERATOR_LASTS = timedelta(minutes=15)
_FAILED = 500


class StreamError(Exception):
    """What the API answers instead."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.response = json_answer({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}, status)


def error(code: str, message: str) -> StreamError:
    """A client's error."""
    return StreamError(code, message)


def json_answer(content: Mapping[str, Any], status: int = 200) -> Response:
    body = msgspec.json.encode(content)
    headers = [("Content-Type", "application/x-amz-json-1.0"), ("x-amz-crc32", str(zlib.crc32(body)))]
    return Response(status, headers, body)


def whole(sent: Mapping[str, Any], name: str, default: int, *, most: int) -> int:
    """A limit between 1 and `most`."""
    value = sent.get(name, default)
    if not isinstance(value, int) or value < 1:
        raise error("ValidationException", f"{name} must be at least 1")
    return min(value, most)


def iterator(arn: str, shard_id: str, position: int, now: datetime) -> str:
    """`STREAM_ARN|1|opaque`, as AWS's look; good for 15 minutes of sandbox time."""
    opaque = json.dumps({"shard": shard_id, "position": position, "issued": now.timestamp()}, separators=(",", ":"))
    return f"{arn}|1|{base64.urlsafe_b64encode(opaque.encode()).decode()}"


def read_iterator(text: object, now: datetime) -> tuple[str, str, int]:
    """Stream, shard and position.

    Raises:
        StreamError: it is none, or has expired.
    """
    arn, _, rest = str(text or "").partition("|1|")
    try:
        fields = json.loads(base64.urlsafe_b64decode(rest))
        shard_id, position = str(fields["shard"]), int(fields["position"])
        issued = datetime.fromtimestamp(fields["issued"], UTC)
    except (ValueError, TypeError, KeyError) as wrong:
        raise error("ValidationException", "Invalid ShardIterator") from wrong
    if now - issued > _ITERATOR_LASTS:
        raise error(
            "ExpiredIteratorException",
            "Iterator expired. The iterator was created at "
            f"{issued:%a %b %d %H:%M:%S UTC %Y} while now is {now:%a %b %d %H:%M:%S UTC %Y}",
        )
    return arn, shard_id, position


@dataclass
class Faults:
    """What goes wrong on purpose, by shares of the calls; which ones depends on the seed and the number of the call.

    Attributes:
        throttled: answered with LimitExceededException or ProvisionedThroughputExceededException in turn.
        failed: answered with an InternalServerError, status 500.
        expired: GetRecords calls whose iterator counts as expired.
        calls: how many there have been.
    """

    seed: int = 7
    throttled: float = 0.0
    failed: float = 0.0
    expired: float = 0.0
    calls: int = field(default=0, init=False)

    def strike(self, operation: str) -> None:
        """Raise what this call shall meet, if anything.

        Raises:
            StreamError: as asked for.
        """
        self.calls += 1
        digest = hashlib.blake2b(f"{self.seed}:{self.calls}".encode(), digest_size=7).digest()
        chance = int.from_bytes(digest, "big") / (1 << 56)
        if chance < self.throttled:
            if self.calls % 2:
                raise error("LimitExceededException", "Too many operations for this stream at the same time")
            raise error("ProvisionedThroughputExceededException", "Rate exceeded for this shard")
        if chance < self.throttled + self.failed:
            raise StreamError("InternalServerError", "An error occurred on the server side", _FAILED)
        if operation == "GetRecords" and chance < self.throttled + self.failed + self.expired:
            raise error("ExpiredIteratorException", "Iterator expired")
