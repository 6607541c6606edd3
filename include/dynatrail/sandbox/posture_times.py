"""Times of the account's settings in sandbox time, as ministack stamps what it makes in real time.

Only answers that read settings are changed, after all other parts had the chance to answer.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from dynatrail.clock import iso, parse_instant
from dynatrail.sandbox.calls import service_model
from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.parts import Seen

_JSON = {"dynamodb": frozenset({"DescribeTable", "DescribeContinuousBackups", "ListBackups"})}
_XML = frozenset(
    (
        *("GetAccountAuthorizationDetails", "GetRole", "GetUser", "ListRoles", "ListUsers", "ListAccessKeys"),
        *("ListSAMLProviders", "GetSAMLProvider", "GetOpenIDConnectProvider"),
    )
)
_STAMP = re.compile(r"(?<=>)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z(?=<)")


class SandboxTimes:
    """The part; see `parts.Part`. `at` gives the sandbox instant that held at a real one."""

    name = "posture_times"

    def __init__(self, at: Callable[[datetime], datetime]) -> None:
        self._at = at

    def saw(self, seen: Seen) -> None:
        pass

    def answer(self, seen: Seen) -> Response | None:
        call = seen.call
        if not seen.ok:
            return None
        if call.service == "iam" and call.operation in _XML:
            return self._changed(seen.response, _STAMP.sub(self._stamp, seen.response.body.decode()))
        if call.operation in _JSON.get(call.service, ()):
            shape = service_model(call.service).operation_model(call.operation).output_shape
            if shape is not None:
                told = self._walk(json.loads(seen.response.body), shape)
                return self._changed(seen.response, json.dumps(told, separators=(",", ":")))
        return None

    def tick(self, now: datetime) -> None:
        pass

    def save(self) -> bytes:
        return b""

    def load(self, saved: bytes) -> None:
        pass

    def _stamp(self, found: re.Match[str]) -> str:
        return iso(self._at(parse_instant(found[0])).replace(microsecond=0))

    def _walk(self, value: Any, shape: Shape) -> Any:
        if isinstance(shape, StructureShape) and isinstance(value, dict):
            return {
                name: self._walk(member, shape.members[name]) if name in shape.members else member
                for name, member in value.items()
            }
        if isinstance(shape, ListShape) and isinstance(value, list):
            return [self._walk(member, shape.member) for member in value]
        if isinstance(shape, MapShape) and isinstance(value, dict):
            return {name: self._walk(member, shape.value) for name, member in value.items()}
        if shape.type_name == "timestamp" and isinstance(value, (int, float)):
            return self._at(datetime.fromtimestamp(value, UTC)).timestamp()
        return value

    @staticmethod
    def _changed(response: Response, text: str) -> Response:
        # botocore holds a checksum that is there against the body.
        kept = [(name, value) for name, value in response.headers if name.lower() != "x-amz-crc32"]
        return Response(response.status, kept, text.encode())
