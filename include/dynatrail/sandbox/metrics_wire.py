"""CloudWatch's wire format: boto3 sends and expects CBOR, older clients JSON; times are instants in both directions.

CloudWatch has answered three protocols since botocore 1.42 (`smithy-rpc-v2-cbor`, `json`, `query`). The Query form is
left to ministack. The encoding itself is botocore's own.
"""

import json
from datetime import UTC, datetime
from typing import Any

from botocore.model import ListShape, Shape, StructureShape
from botocore.parsers import RpcV2CBORParser
from botocore.serialize import RpcV2CBORSerializer

from dynatrail.sandbox.hop import Response

Json = dict[str, Any]

CBOR_HEADER = ("smithy-protocol", "rpc-v2-cbor")
_CBOR = [("Content-Type", "application/cbor"), CBOR_HEADER]
_JSON = [("Content-Type", "application/x-amz-json-1.0")]
_BAD_REQUEST = 400


class WireError(Exception):
    """An error that CloudWatch answers with; it ends the call, not the sandbox.

    Attributes:
        code: as a boto3 caller sees it, such as `ValidationError` or `Throttling`.
    """

    def __init__(self, code: str, message: str, status: int = _BAD_REQUEST) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


def read_cbor(body: bytes) -> Json:
    """A CBOR map; empty when it is none, as ministack answers then for itself."""
    parser = RpcV2CBORParser()
    try:
        value = parser.parse_data_item(parser.get_peekable_stream_from_bytes(body)) if body else {}
    except Exception:  # noqa: BLE001  botocore's parser raises whatever the bytes lead it to
        return {}
    return value if isinstance(value, dict) else {}


def read_json(body: bytes, shape: Shape | None) -> Json:
    """A JSON object with its times, which travel as numbers or as text, made instants."""
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        return {}
    return _with_instants(value, shape) if isinstance(value, dict) else {}


def is_cbor(response: Response) -> bool:
    """Whether ministack answered in CBOR, and so the caller asked in it."""
    return "cbor" in (response.header("content-type") or "")


def encode(answer: Json, shape: Shape, *, cbor: bool) -> Response:
    """A successful answer of the shape that botocore's model gives the operation."""
    if cbor:
        body = bytearray()
        RpcV2CBORSerializer()._serialize_data_item(body, answer, shape)  # type: ignore[attr-defined]  # noqa: SLF001  the public way takes input shapes only
        return Response(200, list(_CBOR), bytes(body))
    text = json.dumps(answer, default=_seconds, separators=(",", ":"))
    return Response(200, list(_JSON), text.encode())


def refuse(error: WireError, *, cbor: bool) -> Response:
    """An error answer; the header is how callers that expect the Query protocol's codes get them."""
    fault = "Sender" if error.status < 500 else "Receiver"  # noqa: PLR2004
    headers = [("x-amzn-query-error", f"{error.code};{fault}")]
    if not cbor:
        body = json.dumps({"__type": error.code, "message": str(error)}).encode()
        return Response(error.status, [*_JSON, *headers], body)
    raw = bytearray(b"\xa2")  # a map of two
    for text in ("__type", error.code, "message", str(error)):
        RpcV2CBORSerializer()._serialize_type_string(raw, text, None, None)  # type: ignore[attr-defined]  # noqa: SLF001
    return Response(error.status, [*_CBOR, *headers], bytes(raw))


def _seconds(value: Any) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(type(value).__name__)


def _with_instants(value: Any, shape: Shape | None) -> Any:
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        return {name: _with_instants(member, shape.members.get(name)) for name, member in value.items()}
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_with_instants(member, shape.member) for member in value]
    if shape is not None and shape.type_name == "timestamp":
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        return datetime.fromisoformat(value) if isinstance(value, str) else value
    return value
