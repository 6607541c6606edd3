"""Histories from the snapshots and from the calls that changed permissions.

An entity is ("user", account, name), ("role", …), ("group", …), ("policy", account, ARN) or ("resource", "", ARN).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from dynatrail.arns import table_arn
from dynatrail.clock import plain
from dynatrail.privacy.documents import policy_in
from dynatrail.sources.configuration.aspects import GET_RESOURCE_POLICY
from dynatrail.sources.iam import aspects
from dynatrail.sources.snapshots import canonical
from dynatrail.trail.permissions.history import Fact, History, Slot, Token, Value

if TYPE_CHECKING:
    from datetime import datetime

Json = dict[str, Any]
Row = Mapping[str, Any]
Entity = tuple[str, str, str]
Told = tuple[Entity, dict[Slot, Value], bool]
"""An entity, its slots, and whether they are all that it has; neither: it could not be read."""

INLINE = "inline"
ATTACHED = "attached"
GROUP = "group"
BOUNDARY: Slot = ("boundary", "")
DOCUMENT: Slot = ("document", "")
POLICY: Slot = ("policy", "")
TAGS: Slot = ("tags", "")
ID: Slot = ("id", "")
VERSION = "version"
NO_POLICY = "null"

_KINDS = {aspects.USER: "user", aspects.ROLE: "role", aspects.GROUP: "group"}
_LISTS = {"user": "UserPolicyList", "role": "RolePolicyList", "group": "GroupPolicyList"}
_IDS = {"user": "UserId", "role": "RoleId", "group": "GroupId"}


def named(arn: str) -> str:
    """The name at the end of a user's, role's or group's ARN; paths are not part of it."""
    return arn.rsplit("/", 1)[-1]


def histories(snapshots: Iterable[Row], looks: Iterable[Row], changes: Iterable[Row]) -> dict[Entity, History]:
    """The history of every entity, from the rows of `sql/permission/{snapshots,looks,changes}.sql`."""
    looked: dict[tuple[str, str, str], list[datetime]] = defaultdict(list)
    for row in looks:
        looked[row["source"], row["account_id"], row["region"]].append(plain(row["event_hour"]))
    found: dict[Entity, History] = {}

    def history(entity: Entity, place: tuple[str, str, str]) -> History:
        return found.setdefault(entity, History(tuple(sorted(looked[place]))))

    for row in snapshots:
        if (told := _seen(row)) is not None:
            entity, slots, whole = told
            place = (row["source"], row["account_id"], row["region"])
            fact = Fact(plain(row["captured_at"]), slots, whole, blind=not slots and not whole)
            history(entity, place).facts.append(fact)
    versions = _versions(found)
    for row in changes:
        place = ("iam", row["account_id"], "global")
        for entity, slots, whole in _changed(row, versions):
            if entity[0] == "resource":
                place = ("configuration", row["account_id"], row["region"])
            named_by = {"event_id": row["event_id"], "event_name": row["event_name"]}
            fact = Fact(plain(row["event_time"]), slots, whole, **named_by)
            history(entity, place).facts.append(fact)
    for one in found.values():
        one.close()
    return found


def document(value: Any) -> Value:
    """A policy, as an object or as text, in canonical form; what is none stays recognisable as unreadable."""
    if isinstance(value, str):
        parsed = policy_in(value)
        return canonical.text(value if parsed is None else parsed, GET_RESOURCE_POLICY.operation)
    return canonical.text(value, GET_RESOURCE_POLICY.operation)


def _seen(row: Row) -> Told | None:
    """What one row of a snapshot says; None for what cannot be read."""
    kind = _KINDS.get(row["resource_type"])
    account, arn = row["account_id"], row["resource_arn"]
    entity: Entity = ("resource", "", arn)
    if kind is not None:
        entity = (kind, account, named(arn))
    elif row["resource_type"] == aspects.POLICY:
        entity = ("policy", account, arn)
    elif row["source"] != "configuration":
        return None
    if row["status"] == "gone":
        return entity, {}, True
    if row["status"] != "present":
        return entity, {}, False
    try:
        decoded = msgspec.json.decode(row["document"] or NO_POLICY)
    except msgspec.DecodeError:
        return entity, {}, False
    if entity[0] == "resource":
        policy = decoded.get("Policy") if isinstance(decoded, dict) else None
        return entity, {POLICY: None if policy is None else document(policy)}, True
    if not isinstance(decoded, dict):
        return entity, {}, False
    return entity, _policy(decoded) if kind is None else _identity(decoded, kind), True


def _identity(detail: Json, kind: str) -> dict[Slot, Value]:
    slots: dict[Slot, Value] = {}
    for one in _objects(detail.get(_LISTS[kind])):
        slots[INLINE, str(one.get("PolicyName"))] = document(one.get("PolicyDocument"))
    for one in _objects(detail.get("AttachedManagedPolicies")):
        slots[ATTACHED, str(one.get("PolicyArn"))] = True
    groups = detail.get("GroupList")
    for name in groups if isinstance(groups, list) else ():
        slots[GROUP, str(name)] = True
    boundary = detail.get("PermissionsBoundary")
    if isinstance(boundary, dict):
        slots[BOUNDARY] = boundary.get("PermissionsBoundaryArn")
    tags = _objects(detail.get("Tags"))
    slots[TAGS] = tuple(sorted((str(one.get("Key")).lower(), str(one.get("Value"))) for one in tags))
    slots[ID] = detail.get(_IDS[kind])
    return slots


def _policy(detail: Json) -> dict[Slot, Value]:
    slots: dict[Slot, Value] = {}
    for one in _objects(detail.get("PolicyVersionList")):
        slots[VERSION, str(one.get("VersionId"))] = document(one.get("Document"))
        if one.get("IsDefaultVersion"):
            slots[DOCUMENT] = document(one.get("Document"))
    return slots


def _objects(value: Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _versions(found: Mapping[Entity, History]) -> dict[tuple[Entity, str], Value]:
    return {
        (entity, slot[1]): value
        for entity, history in found.items()
        for fact in history.facts
        for slot, value in fact.slots.items()
        if slot[0] == VERSION
    }


def _changed(row: Row, versions: dict[tuple[Entity, str], Value]) -> list[Told]:
    asked, answered = _parameters(row["request_parameters"]), _parameters(row["response_elements"])
    account, name = row["account_id"], row["event_name"]
    if row["event_source"] == "dynamodb.amazonaws.com":
        return _of_table(row, asked)
    if name in ("CreatePolicy", "CreatePolicyVersion", "SetDefaultPolicyVersion", "DeletePolicy"):
        return _of_policy(name, account, asked, answered, versions)
    kind = next((one for one in ("user", "role", "group") if f"{one}Name" in asked), None)
    if name == "CreateServiceLinkedRole":
        kind, asked = "role", {"roleName": _inside(answered, "role", "roleName")}
    if name in ("AddUserToGroup", "RemoveUserFromGroup"):
        kind = "user"
    if kind is None or not isinstance(asked.get(f"{kind}Name"), str):
        return []
    entity: Entity = (kind, account, asked[f"{kind}Name"])
    slots, whole = _of_identity(name, kind, asked, answered)
    return [(entity, slots, whole)] if slots or whole else []


def _of_identity(name: str, kind: str, asked: Json, answered: Json) -> tuple[dict[Slot, Value], bool]:
    policy, arn = str(asked.get("policyName")), str(asked.get("policyArn"))
    if name.startswith("Put") and name.endswith("PermissionsBoundary"):
        return {BOUNDARY: asked.get("permissionsBoundary") or Token.UNKNOWN}, False
    if name.startswith("Delete") and name.endswith("PermissionsBoundary"):
        return {BOUNDARY: None}, False
    if name.startswith("Put"):
        told = asked.get("policyDocument")
        return {(INLINE, policy): Token.UNKNOWN if told is None else document(told)}, False
    if name.startswith("Attach"):
        return {(ATTACHED, arn): True}, False
    if name.startswith("Detach"):
        return {(ATTACHED, arn): None}, False
    if name in ("AddUserToGroup", "RemoveUserFromGroup"):
        return {(GROUP, str(asked.get("groupName"))): True if name == "AddUserToGroup" else None}, False
    if name in ("TagUser", "UntagUser"):
        return {TAGS: Token.UNKNOWN}, False
    if name.startswith("Create"):
        made = {ID: _inside(answered, kind, f"{kind}Id") or Token.UNKNOWN}
        boundary = asked.get("permissionsBoundary")
        return made | ({BOUNDARY: boundary} if boundary else {}) | {TAGS: Token.UNKNOWN}, True
    if name.endswith("Policy"):
        return {(INLINE, policy): None}, False
    return {}, True  # DeleteUser, DeleteRole, DeleteGroup


def _of_policy(
    name: str, account: str, asked: Json, answered: Json, versions: dict[tuple[Entity, str], Value]
) -> list[Told]:
    arn = asked.get("policyArn") or _inside(answered, "policy", "arn")
    if not isinstance(arn, str):
        return []
    entity: Entity = ("policy", account, arn)
    told = asked.get("policyDocument")
    value = Token.UNKNOWN if told is None else document(told)
    version = _inside(answered, "policyVersion", "versionId") or ("v1" if name == "CreatePolicy" else None)
    if name == "DeletePolicy":
        return [(entity, {}, True)]
    if name == "SetDefaultPolicyVersion":
        return [(entity, {DOCUMENT: versions.get((entity, str(asked.get("versionId"))), Token.UNKNOWN)}, False)]
    if version:
        versions[entity, str(version)] = value
    if name == "CreatePolicy" or asked.get("setAsDefault") in (True, "true"):
        return [(entity, {DOCUMENT: value}, name == "CreatePolicy")]
    return []


def _of_table(row: Row, asked: Json) -> list[Told]:
    name = row["event_name"]
    arn = asked.get("resourceArn") or asked.get("tableName") or asked.get("targetTableName")
    if not isinstance(arn, str):
        return []
    if not arn.startswith("arn:"):
        arn = table_arn(row["account_id"], row["region"], arn)
    policy = asked.get("policy") if name == "PutResourcePolicy" else asked.get("resourcePolicy")
    if name == "PutResourcePolicy" and policy is None:
        policy = Token.UNKNOWN
    value = policy if policy is None or policy is Token.UNKNOWN else document(policy)
    return [(("resource", "", arn), {POLICY: value}, name != "PutResourcePolicy")]


def _parameters(text: str | None) -> Json:
    try:
        decoded = msgspec.json.decode(text or "{}")
    except msgspec.DecodeError:
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _inside(answered: Json, name: str, member: str) -> Any:
    inner = answered.get(name)
    return inner.get(member) if isinstance(inner, dict) else None
