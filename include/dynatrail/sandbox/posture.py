"""What an account says of its own settings where ministack has no answer: trails' events, bulk loads, auto scaling.

Answers follow the API references. A call that IAM denied never gets here.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from dynatrail.sandbox.calls import Call
from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.parts import Seen

Json = dict[str, Any]

_UNKNOWN = (b"Unknown CloudTrail action", b"Unknown operation", b"Unsupported service")
_TYPE = "application/x-amz-json-1.1"


def json_answer(answer: Json, status: int = 200) -> Response:
    """A JSON answer as botocore reads it."""
    return Response(status, [("Content-Type", _TYPE)], json.dumps(answer, separators=(",", ":")).encode())


def json_error(code: str, message: str) -> Response:
    return json_answer({"__type": code, "message": message}, 400)


def is_unknown(response: Response) -> bool:
    """Whether ministack allowed a call and then did not know it."""
    return any(text in response.body[:200] for text in _UNKNOWN)


class _State(msgspec.Struct):
    """By `ACCOUNT/REGION`, then by what tells them apart."""

    targets: dict[str, dict[str, Json]] = {}
    policies: dict[str, dict[str, Json]] = {}


class Posture:
    """The part; see `parts.Part`."""

    name = "posture"

    def __init__(self) -> None:
        self._state = _State()

    def saw(self, seen: Seen) -> None:
        pass

    def answer(self, seen: Seen) -> Response | None:
        if not is_unknown(seen.response):
            return None
        call, place = seen.call, f"{seen.account_id}/{seen.call.region}"
        match call.service:
            case "cloudtrail":
                return self._of_trail(call)
            case "dynamodb" if call.operation == "ListBulkOperations":
                return json_answer({"BulkOperationsSummaryList": []})
            case "dynamodb" if call.operation == "DescribeTableReplicaAutoScaling":
                described: Json = {
                    "TableName": call.parameters.get("TableName"),
                    "TableStatus": "ACTIVE",
                    "Replicas": [],
                }
                return json_answer({"TableAutoScalingDescription": described})
            case "application-autoscaling":
                return self._of_scaling(call, place, seen)
        return None

    def tick(self, now: datetime) -> None:
        pass

    def save(self) -> bytes:
        return msgspec.msgpack.encode(self._state)

    def load(self, saved: bytes) -> None:
        self._state = msgspec.msgpack.decode(saved, type=_State)

    def _of_trail(self, call: Call) -> Response | None:
        trail = str(call.parameters.get("TrailName", ""))
        match call.operation:
            case "GetEventConfiguration":
                return json_answer({"TrailARN": trail, "AggregationConfigurations": []})
        return None

    def _of_scaling(self, call: Call, place: str, seen: Seen) -> Response | None:
        sent = call.parameters
        key = f"{sent.get('ResourceId')} {sent.get('ScalableDimension')}"
        targets, policies = self._state.targets.setdefault(place, {}), self._state.policies.setdefault(place, {})
        policy = f"{key} {sent.get('PolicyName')}"
        match call.operation:
            case "RegisterScalableTarget":
                arn = f"arn:aws:application-autoscaling:{call.region}:{seen.account_id}:scalable-target/{len(targets)}"
                made = targets.get(key) or {"ScalableTargetARN": arn, "CreationTime": seen.now.timestamp()}
                targets[key] = made | {name: value for name, value in sent.items() if name != "Tags"}
                return json_answer({"ScalableTargetARN": targets[key]["ScalableTargetARN"]})
            case "DeregisterScalableTarget":
                targets.pop(key, None)
                return json_answer({})
            case "PutScalingPolicy":
                arn = f"arn:aws:autoscaling:{call.region}:{seen.account_id}:scalingPolicy:{policy.replace(' ', ':')}"
                made = policies.get(policy) or {"PolicyARN": arn, "CreationTime": seen.now.timestamp(), "Alarms": []}
                policies[policy] = made | dict(sent)
                return json_answer({"PolicyARN": arn, "Alarms": []})
            case "DeleteScalingPolicy":
                policies.pop(policy, None)
                return json_answer({})
            case "DescribeScalableTargets":
                return json_answer({"ScalableTargets": _chosen(targets, sent, "ResourceIds")})
            case "DescribeScalingPolicies":
                return json_answer({"ScalingPolicies": _chosen(policies, sent, "")})
        return None


def _chosen(entries: Mapping[str, Json], sent: Json, ids: str) -> list[Json]:
    wanted = sent.get(ids) or ([sent["ResourceId"]] if sent.get("ResourceId") else [])
    return [entry for entry in entries.values() if not wanted or entry.get("ResourceId") in wanted]
