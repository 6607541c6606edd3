"""Identity Center of the organization: the clinic's nurses and doctors, their groups, permission sets and assignments.

ministack knows neither `sso` nor `identitystore`; it has checked signature and IAM policy before these answers are
given. Only reading is simulated. Ids are those that the people's records carry in `onBehalfOf.userId`.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.parts import Seen
from dynatrail.sandbox.posture import is_unknown, json_answer, json_error

Json = dict[str, Any]

HOME = "us-east-1"
MANAGEMENT = "123456789012"
INSTANCE = "arn:aws:sso:::instance/ssoins-1f2e3d4c5b6a7988"
STORE = "d-1f2e3d4c5b"
PEOPLE = {
    "Nurse": ("nurse.alice", "nurse.bo", "nurse.carmen", "nurse.deniz"),
    "Doctor": ("dr.eriksen", "dr.farah"),
}
"""Permission set, and group of the same people."""
_CREATED = datetime.fromisoformat("2025-01-01T00:00:00+00:00").timestamp()


def user_id(name: str) -> str:
    """The id under which a person's sessions are recorded."""
    return f"a4b8c4d8-0001-70e1-0000-{sum(name.encode()):012d}"


class IdentityCenter:
    """The part; see `parts.Part`."""

    name = "identity_center"

    def saw(self, seen: Seen) -> None:
        pass

    def answer(self, seen: Seen) -> Response | None:
        if seen.call.service not in {"sso-admin", "identitystore"} or not is_unknown(seen.response):
            return None
        here = seen.account_id == MANAGEMENT and seen.call.region == HOME
        if seen.call.operation == "ListInstances":
            return json_answer({"Instances": [_instance()] if here else []})
        if not here:
            return json_error("ResourceNotFoundException", "There is no such instance here.")
        found = _sso(seen.call.operation, seen.call.parameters)
        return json_answer(found) if found is not None else None

    def tick(self, now: datetime) -> None:
        pass

    def save(self) -> bytes:
        return b""

    def load(self, saved: bytes) -> None:
        pass


def _instance() -> Json:
    return {
        "InstanceArn": INSTANCE,
        "IdentityStoreId": STORE,
        "OwnerAccountId": MANAGEMENT,
        "Name": "clinic",
        "CreatedDate": _CREATED,
        "Status": "ACTIVE",
    }


def permission_set(name: str) -> str:
    """ARN of a permission set."""
    return INSTANCE.replace(":instance/", ":permissionSet/") + f"/ps-{name.encode().hex():0<16.16}"


def _group_id(name: str) -> str:
    return f"a4b8c4d8-0002-70e1-0000-{sum(name.encode()):012d}"


def _sso(operation: str, sent: Json) -> Json | None:
    answer = _ANSWERS.get(operation)
    return answer(sent) if answer else None


def _name(sent: Json) -> str:
    return next((one for one in PEOPLE if permission_set(one) == sent.get("PermissionSetArn")), "Nurse")


def _described(sent: Json) -> Json:
    name = _name(sent)
    told = {"Name": name, "PermissionSetArn": permission_set(name), "CreatedDate": _CREATED, "SessionDuration": "PT10H"}
    return {"PermissionSet": told}


def _policy(sent: Json) -> Json:
    from dynatrail.sandbox.scenarios.house import permission_set_policy

    return {"InlinePolicy": permission_set_policy(_name(sent))}


def _assignments(sent: Json) -> Json:
    if sent.get("AccountId") != MANAGEMENT:
        return {"AccountAssignments": []}
    name = _name(sent)
    one = {"AccountId": MANAGEMENT, "PermissionSetArn": permission_set(name), "PrincipalType": "GROUP"}
    return {"AccountAssignments": [one | {"PrincipalId": _group_id(name)}]}


def _groups(_sent: Json) -> Json:
    return {
        "Groups": [
            {"GroupId": _group_id(one), "IdentityStoreId": STORE, "DisplayName": f"{one}s", "CreatedAt": _CREATED}
            for one in PEOPLE
        ]
    }


def _memberships(sent: Json) -> Json:
    group = next((one for one in PEOPLE if _group_id(one) == sent.get("GroupId")), "")
    return {"GroupMemberships": [_membership(group, person) for person in PEOPLE.get(group, ())]}


def _user(name: str) -> Json:
    given = name.rpartition(".")[2].capitalize()
    return {
        "UserId": user_id(name),
        "IdentityStoreId": STORE,
        "UserName": f"{name}@example.com",
        "Name": {"GivenName": given, "FamilyName": "Example"},
        "DisplayName": f"{given} Example",
        "Emails": [{"Value": f"{name}@example.com", "Type": "work", "Primary": True}],
        "UserStatus": "ENABLED",
    }


def _membership(group: str, name: str) -> Json:
    return {
        "IdentityStoreId": STORE,
        "MembershipId": user_id(name).replace("-0001-", "-0003-"),
        "GroupId": _group_id(group),
        "MemberId": {"UserId": user_id(name)},
    }


_ANSWERS: dict[str, Callable[[Json], Json]] = {
    "ListPermissionSets": lambda _: {"PermissionSets": [permission_set(name) for name in PEOPLE]},
    "DescribePermissionSet": _described,
    "GetInlinePolicyForPermissionSet": _policy,
    "ListManagedPoliciesInPermissionSet": lambda _: {"AttachedManagedPolicies": []},
    "ListCustomerManagedPolicyReferencesInPermissionSet": lambda _: {"CustomerManagedPolicyReferences": []},
    "GetPermissionsBoundaryForPermissionSet": lambda _: {"PermissionsBoundary": {}},
    "ListAccountsForProvisionedPermissionSet": lambda _: {"AccountIds": [MANAGEMENT]},
    "ListAccountAssignments": _assignments,
    "ListUsers": lambda _: {"Users": [_user(one) for people in PEOPLE.values() for one in people]},
    "ListGroups": _groups,
    "ListGroupMemberships": _memberships,
}
