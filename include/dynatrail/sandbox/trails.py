"""Trails of the sandbox's accounts: what CreateTrail and its relatives set, and which records a trail selects.

Selector rules: "Filtering data events by using advanced event selectors" and GetEventSelectors (aws-facts b7). Inside
one field the select operators are OR-ed, the deselect operators AND-ed; fields are AND-ed, selectors OR-ed.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from dynatrail.sandbox.calls import Call

Json = dict[str, Any]

_DEFAULT = [{"ReadWriteType": "All", "IncludeManagementEvents": True}]
_GLOBAL_REGION = "us-east-1"

_SELECT: dict[str, Callable[[str, Sequence[str]], bool]] = {
    "Equals": lambda value, wanted: value in wanted,
    "StartsWith": lambda value, wanted: value.startswith(tuple(wanted)),
    "EndsWith": lambda value, wanted: value.endswith(tuple(wanted)),
}


class Trail(msgspec.Struct, kw_only=True):
    """One trail; fields are CreateTrail's. Times are sandbox time."""

    arn: str
    name: str
    account_id: str
    home_region: str
    bucket: str
    prefix: str = ""
    multi_region: bool = False
    organization: bool = False
    global_events: bool = True
    validation: bool = False
    logging: bool = False
    basic: list[Json] = msgspec.field(default_factory=lambda: list(_DEFAULT))
    advanced: list[Json] = []
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    delivered_at: datetime | None = None
    digest_at: datetime | None = None

    def selects(self, record: Mapping[str, Any], members: frozenset[str]) -> bool:
        """Whether this trail delivers `record`; `members` are the organization's accounts."""
        if not self.logging:
            return False
        recipient, region = record["recipientAccountId"], record["awsRegion"]
        if recipient != self.account_id and not (self.organization and recipient in members):
            return False
        if not self.multi_region and region != self.home_region:
            return False
        if self.advanced:
            return any(_advanced(selector, record) for selector in self.advanced)
        return any(_basic(selector, record) for selector in self.basic)


class Trails(msgspec.Struct):
    """All trails, by ARN."""

    by_arn: dict[str, Trail] = {}

    def find(self, name_or_arn: str, account_id: str) -> Trail | None:
        if found := self.by_arn.get(name_or_arn):
            return found
        return next((t for t in self.by_arn.values() if t.name == name_or_arn and t.account_id == account_id), None)

    def learn(self, call: Call, answer: Mapping[str, Any], account_id: str, now: datetime) -> Trail | None:
        """Take note of a successful CloudTrail call; the trail that it changed."""
        sent = call.parameters
        if call.operation == "CreateTrail":
            arn = answer["TrailARN"]
            trail = Trail(
                arn=arn, name=sent["Name"], account_id=account_id, home_region=call.region, bucket=sent["S3BucketName"]
            )
            self.by_arn[arn] = trail
            _update(trail, sent)
            return trail
        found = self.find(sent.get("Name") or sent.get("TrailName") or "", account_id)
        if found is None:
            return None
        match call.operation:
            case "UpdateTrail":
                _update(found, sent)
            case "DeleteTrail":
                del self.by_arn[found.arn]
            case "StartLogging":
                found.started_at = found.started_at if found.logging else now
                found.logging = True
            case "StopLogging":
                found.stopped_at = now if found.logging else found.stopped_at
                found.logging = False
            case "PutEventSelectors":
                found.basic = sent.get("EventSelectors") or []
                found.advanced = sent.get("AdvancedEventSelectors") or []
            case _:
                return None
        return found


def _update(trail: Trail, sent: Mapping[str, Any]) -> None:
    trail.bucket = sent.get("S3BucketName", trail.bucket)
    trail.prefix = sent.get("S3KeyPrefix", trail.prefix).strip("/")
    trail.multi_region = sent.get("IsMultiRegionTrail", trail.multi_region)
    trail.organization = sent.get("IsOrganizationTrail", trail.organization)
    trail.global_events = sent.get("IncludeGlobalServiceEvents", trail.global_events)
    trail.validation = sent.get("EnableLogFileValidation", trail.validation)


def _basic(selector: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    kind = "ReadOnly" if record.get("readOnly") else "WriteOnly"
    if selector.get("ReadWriteType", "All") not in {"All", kind}:
        return False
    if record["eventCategory"] == "Management":
        excluded = selector.get("ExcludeManagementEventSources", [])
        return bool(selector.get("IncludeManagementEvents", True)) and record["eventSource"] not in excluded
    arns = [resource["ARN"] for resource in record.get("resources", [])]
    for resource in selector.get("DataResources", []):
        if resource["Type"] == "AWS::DynamoDB::Table" and record["eventSource"] == "dynamodb.amazonaws.com":
            everything = "arn:aws:dynamodb" in resource["Values"]
            if everything or any(arn in resource["Values"] for arn in arns):
                return True
    return False


def _advanced(selector: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    return all(_field(field, _field_value(field["Field"], record)) for field in selector["FieldSelectors"])


def _field(field: Mapping[str, Any], value: str) -> bool:
    chosen = [test(value, field[name]) for name, test in _SELECT.items() if name in field]
    refused = [test(value, field[f"Not{name}"]) for name, test in _SELECT.items() if f"Not{name}" in field]
    return (not chosen or any(chosen)) and not any(refused)


def _field_value(name: str, record: Mapping[str, Any]) -> str:
    resource = (record.get("resources") or [{}])[0]
    denied_data = record["eventCategory"] == "Data" and not record.get("resources")
    match name:
        case "resources.type":
            # A denied data event has lost its resources but is still a DynamoDB event; whether AWS delivers it under a
            # resources.ARN filter is unverified (aws-facts a4), so only the type is filled in.
            return "AWS::DynamoDB::Table" if denied_data else str(resource.get("type", ""))
        case "resources.ARN":
            return str(resource.get("ARN", ""))
        case "readOnly":
            return str(record.get("readOnly", False)).lower()
        case "userIdentity.arn":
            return str(record["userIdentity"].get("arn", ""))
        case _:
            return str(record.get(name, ""))
