"""Answers that ministack cannot give, as nothing is delivered there: ListPublicKeys, LookupEvents, GetTrailStatus.

ministack has verified the signature and the caller's IAM policy before these are asked: a call that it denied stays
denied, one that it allowed but does not know (`Unknown CloudTrail action`) is answered here.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dynatrail.clock import iso, parse_instant
from dynatrail.sandbox.calls import Call
from dynatrail.sandbox.digests import Signer
from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.trails import Trail, Trails

Json = dict[str, Any]

_OK = 200
_PAGE = 50
_KEPT = timedelta(days=90)
_KEY_VALID = timedelta(days=3650)
_KEY_OLDER = timedelta(days=30)
"""Than the first trail."""


class OwnAnswers:
    """Args: the state that the answers are made of; `history` is the recorder's, by `ACCOUNT/REGION`."""

    def __init__(self, trails: Trails, history: Mapping[str, list[Json]], signer: Signer, organization_id: str) -> None:
        self._trails = trails
        self._history = history
        self._signer = signer
        self._organization_id = organization_id

    def answer(self, call: Call, response: Response, account_id: str, now: datetime) -> Response:
        """The answer to `call`, which is ministack's `response` for everything else."""
        allowed = response.status == _OK
        match call.service, call.operation:
            case "cloudtrail", "ListPublicKeys" if b"Unknown CloudTrail action" in response.body:
                return _json(self._public_keys(call.parameters, now))
            case "cloudtrail", "LookupEvents" if allowed:
                records = self._history.get(f"{account_id}/{call.region}", [])
                return _json(lookup(records, call.parameters, now))
            case "cloudtrail", "GetTrailStatus" if allowed:
                trail = self._trails.find(call.parameters.get("Name", ""), account_id)
                return _json(status(trail)) if trail else response
            case "organizations", "DescribeOrganization" if allowed:
                described = json.loads(response.body)["Organization"]
                text = response.body.decode().replace(described["Id"], self._organization_id)
                return Response(_OK, _json({}).headers, text.encode())
        return response

    def _public_keys(self, asked: Mapping[str, Any], now: datetime) -> Json:
        """The keys that were valid at some time of the span asked for, which ends now and begins then if not told."""
        end = _instant(asked.get("EndTime")) or now
        start = _instant(asked.get("StartTime")) or end
        began = min((trail.started_at for trail in self._trails.by_arn.values() if trail.started_at), default=now)
        valid_from, valid_to = began - _KEY_OLDER, began + _KEY_VALID
        if start > valid_to or end < valid_from:
            return {"PublicKeyList": []}
        return {
            "PublicKeyList": [
                {
                    "Value": self._signer.public_key,
                    "ValidityStartTime": valid_from.timestamp(),
                    "ValidityEndTime": valid_to.timestamp(),
                    "Fingerprint": self._signer.fingerprint,
                }
            ]
        }


def status(trail: Trail) -> Json:
    """GetTrailStatus; times are sandbox time."""
    times = {
        "StartLoggingTime": trail.started_at,
        "StopLoggingTime": trail.stopped_at,
        "LatestDeliveryTime": trail.delivered_at,
        "LatestDigestDeliveryTime": trail.digest_at,
    }
    return {
        "IsLogging": trail.logging,
        **{name: at.timestamp() for name, at in times.items() if at is not None},
        "LatestDeliveryAttemptTime": iso(trail.delivered_at) if trail.delivered_at else "",
        "LatestDeliveryAttemptSucceeded": iso(trail.delivered_at) if trail.delivered_at else "",
        "TimeLoggingStarted": iso(trail.started_at) if trail.started_at else "",
        "TimeLoggingStopped": iso(trail.stopped_at) if trail.stopped_at else "",
    }


def lookup(records: list[Json], asked: Mapping[str, Any], now: datetime) -> Json:
    """LookupEvents: management events of one account and region, newest first, at most 90 days back."""
    since = max(_instant(asked.get("StartTime")) or now - _KEPT, now - _KEPT)
    until = _instant(asked.get("EndTime")) or now
    wanted = {item["AttributeKey"]: item["AttributeValue"] for item in asked.get("LookupAttributes") or []}
    found = [
        record
        for record in reversed(records)
        if since <= parse_instant(record["eventTime"]) <= until
        and all(value in _attribute(record, name) for name, value in wanted.items())
    ]
    begin = int(asked.get("NextToken") or 0)
    end = begin + min(int(asked.get("MaxResults") or _PAGE), _PAGE)
    answer: Json = {"Events": [_event(record) for record in found[begin:end]]}
    if end < len(found):
        answer["NextToken"] = str(end)
    return answer


def _attribute(record: Json, name: str) -> list[str]:
    resources = record.get("resources", [])
    values: dict[str, list[str]] = {
        "EventId": [record["eventID"]],
        "EventName": [record["eventName"]],
        "EventSource": [record["eventSource"]],
        "ReadOnly": [str(record["readOnly"]).lower()],
        "AccessKeyId": [record["userIdentity"].get("accessKeyId", "")],
        "Username": [_user_name(record)],
        "ResourceName": [resource["ARN"] for resource in resources],
        "ResourceType": [resource["type"] for resource in resources],
    }
    return values.get(name, [])


def _user_name(record: Json) -> str:
    identity = record["userIdentity"]
    if "userName" in identity:
        return str(identity["userName"])
    return "root" if identity["type"] == "Root" else str(identity.get("arn", "")).rsplit("/", 1)[-1]


def _event(record: Json) -> Json:
    return {
        "EventId": record["eventID"],
        "EventName": record["eventName"],
        "EventSource": record["eventSource"],
        "ReadOnly": str(record["readOnly"]).lower(),
        "AccessKeyId": record["userIdentity"].get("accessKeyId", ""),
        "EventTime": parse_instant(record["eventTime"]).timestamp(),
        "Username": _user_name(record),
        "Resources": [{"ResourceType": r["type"], "ResourceName": r["ARN"]} for r in record.get("resources", [])],
        "CloudTrailEvent": json.dumps(record, separators=(",", ":")),
    }


def _instant(value: Any) -> datetime | None:
    return None if value is None else datetime.fromtimestamp(float(value), UTC)


def _json(answer: Json) -> Response:
    body = json.dumps(answer, separators=(",", ":")).encode()
    return Response(_OK, [("Content-Type", "application/x-amz-json-1.1")], body)
