"""Access Analyzer over the organization: which tables and streams a resource policy opens to accounts outside of it.

ministack has no `access-analyzer`; it has checked signature and IAM policy before these answers are given. Findings
follow from the resource policies that were put, at once instead of within half an hour, and stay, resolved, when the
policy is taken away.
"""

import json
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from dynatrail.clock import iso
from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.parts import Seen
from dynatrail.sandbox.posture import is_unknown, json_answer, json_error

Json = dict[str, Any]

_CREATED = "2025-01-01T00:00:00Z"


class Finding(msgspec.Struct):
    """One principal outside that one resource's policy lets in."""

    id: str
    account_id: str
    region: str
    resource: str
    resource_type: str
    principal: str
    actions: list[str]
    created_at: datetime
    updated_at: datetime
    status: str = "ACTIVE"


class AccessAnalyzer:
    """The part; see `parts.Part`. `accounts` are those of the organization, the one with the analyzer first."""

    name = "access_analyzer"

    def __init__(self, accounts: tuple[str, ...]) -> None:
        self._accounts = accounts
        self._findings: dict[str, Finding] = {}

    def saw(self, seen: Seen) -> None:
        call = seen.call
        if call.service != "dynamodb" or not seen.ok:
            return
        match call.operation:
            case "PutResourcePolicy":
                self._judge(seen, call.parameters["ResourceArn"], json.loads(call.parameters["Policy"]))
            case "DeleteResourcePolicy":
                self._judge(seen, call.parameters["ResourceArn"], {})
            case "DeleteTable":
                arn = f"arn:aws:dynamodb:{call.region}:{seen.account_id}:table/{call.parameters['TableName']}"
                self._judge(seen, arn, {})

    def answer(self, seen: Seen) -> Response | None:
        call = seen.call
        if call.service != "accessanalyzer" or not is_unknown(seen.response):
            return None
        arn = f"arn:aws:access-analyzer:{call.region}:{self._accounts[0]}:analyzer/clinic-organization"
        here = seen.account_id == self._accounts[0]
        match call.operation:
            case "ListAnalyzers":
                analyzer = {"arn": arn, "name": "clinic-organization", "type": "ORGANIZATION", "status": "ACTIVE"}
                return json_answer({"analyzers": [analyzer | {"createdAt": _CREATED}] if here else []})
            case "ListFindingsV2" if here and call.parameters.get("analyzerArn") == arn:
                wanted = ((call.parameters.get("filter") or {}).get("resourceType") or {}).get("eq")
                found = [one for one in self._findings.values() if one.region == call.region]
                return json_answer(
                    {"findings": [_told(one) for one in found if not wanted or one.resource_type in wanted]}
                )
            case "GetFindingV2" if asked := self._findings.get(str(call.parameters.get("id"))):
                details = {
                    "principal": {"AWS": asked.principal},
                    "action": asked.actions,
                    "isPublic": asked.principal == "*",
                }
                return json_answer(_told(asked) | {"findingDetails": [{"externalAccessDetails": details}]})
        error = json_error("ResourceNotFoundException", "There is no such analyzer or finding.")
        error.status = 404
        error.headers.append(("x-amzn-ErrorType", "ResourceNotFoundException"))
        return error

    def tick(self, now: datetime) -> None:
        pass

    def save(self) -> bytes:
        return msgspec.msgpack.encode(self._findings)

    def load(self, saved: bytes) -> None:
        self._findings = msgspec.msgpack.decode(saved, type=dict[str, Finding])

    def _judge(self, seen: Seen, arn: str, policy: Json) -> None:
        kind = "AWS::DynamoDB::Stream" if "/stream/" in arn else "AWS::DynamoDB::Table"
        now, let_in = seen.now.replace(microsecond=0), set()
        for principal, actions in self._outsiders(policy):
            found = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{arn} {principal}"))
            let_in.add(found)
            old = self._findings.get(found)
            made = old.created_at if old else now
            self._findings[found] = Finding(
                found, seen.account_id, seen.call.region, arn, kind, principal, actions, made, now
            )
        for one in self._findings.values():
            if one.resource == arn and one.id not in let_in and one.status == "ACTIVE":
                one.status, one.updated_at = "RESOLVED", now

    def _outsiders(self, policy: Json) -> Iterator[tuple[str, list[str]]]:
        statements = policy.get("Statement", [])
        for statement in statements if isinstance(statements, list) else [statements]:
            principal = statement.get("Principal", {})
            names = principal.get("AWS", []) if isinstance(principal, dict) else principal
            actions = statement.get("Action", [])
            for name in names if isinstance(names, list) else [names]:
                account = name.split(":")[4] if name.startswith("arn:") else name
                if statement.get("Effect") == "Allow" and account not in self._accounts:
                    yield name, actions if isinstance(actions, list) else [actions]


def _told(one: Finding) -> Json:
    return {
        "id": one.id,
        "resource": one.resource,
        "resourceType": one.resource_type,
        "resourceOwnerAccount": one.account_id,
        "findingType": "ExternalAccess",
        "status": one.status,
        "createdAt": iso(one.created_at),
        "updatedAt": iso(one.updated_at),
        "analyzedAt": iso(one.updated_at),
    }
