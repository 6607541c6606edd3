"""Users, groups, roles and managed policies, and who of them may reach DynamoDB."""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from dynatrail.sources.iam import aspects
from dynatrail.sources.snapshots import gather
from dynatrail.sources.snapshots.asking import Asker
from dynatrail.sources.snapshots.pieces import Capture
from dynatrail.sources.snapshots.questions import Resource

Json = dict[str, Any]
Details = dict[str, list[Json]]

_ASPECT = aspects.AUTHORIZATION_DETAILS.operation
_AWS_POLICY = ":iam::aws:policy/"
_REACHES = "dynamodb:"


def look(asker: Asker) -> tuple[Capture, Details | None]:
    """A document for each identity and policy, and the lists themselves; None when they could not be read."""
    capture = Capture()
    answer = asker.pages(aspects.AUTHORIZATION_DETAILS)
    if answer.kind != "found":
        whole = Resource(aspects.ACCOUNT, gather.everything_of("iam", asker), None)
        gather.take(capture, answer, whole, _ASPECT)
        return capture, None
    details: Details = {
        name: [one for page in answer.value for one in page.get(name) or ()] for name in aspects.AUTHORIZATION_LISTS
    }
    gather.mark_complete(capture, aspects.ACCOUNT, [_ASPECT])
    for name, (kind, label) in aspects.AUTHORIZATION_LISTS.items():
        gather.mark_complete(capture, kind, [_ASPECT])
        for one in details[name]:
            if kind != aspects.POLICY or _counts(one):
                capture.present(kind, one["Arn"], _ASPECT, one.get(label), one)
    return capture, details


def _counts(policy: Json) -> bool:
    """AWS's own policies are a thousand; those that nobody here uses say nothing about this account."""
    used = policy.get("AttachmentCount") or policy.get("PermissionsBoundaryUsageCount")
    return _AWS_POLICY not in policy["Arn"] or bool(used)


def reaching_dynamodb(details: Details) -> Iterator[tuple[str, str, str]]:
    """Type, ARN and name of the roles and users that some policy allows anything in DynamoDB, groups included.

    Generous on purpose: boundaries, conditions and denials are not looked at, as they only take away.
    """
    policies = {policy["Arn"]: _default_version(policy) for policy in details["Policies"]}
    groups = {group["GroupName"]: group for group in details["GroupDetailList"]}
    for user in details["UserDetailList"]:
        own = [user, *(groups[name] for name in user.get("GroupList") or () if name in groups)]
        if any(_allows(one, ("UserPolicyList", "GroupPolicyList"), policies) for one in own):
            yield aspects.USER, user["Arn"], user["UserName"]
    for role in details["RoleDetailList"]:
        if _allows(role, ("RolePolicyList",), policies):
            yield aspects.ROLE, role["Arn"], role["RoleName"]


def _default_version(policy: Json) -> Any:
    versions = policy.get("PolicyVersionList") or ()
    return next((version.get("Document") for version in versions if version.get("IsDefaultVersion")), None)


def _allows(holder: Json, lists: Iterable[str], policies: Mapping[str, Any]) -> bool:
    attached = [one["PolicyArn"] for one in holder.get("AttachedManagedPolicies") or ()]
    documents = [policy.get("PolicyDocument") for name in lists for policy in holder.get(name) or ()]
    # A policy whose document is not among the answers may allow anything.
    unknown = [arn for arn in attached if policies.get(arn) is None]
    return bool(unknown) or any(_mentions(one) for one in [*documents, *(policies.get(arn) for arn in attached)])


def _mentions(document: Any) -> bool:
    statements = document.get("Statement", []) if isinstance(document, Mapping) else []
    for statement in statements if isinstance(statements, list) else [statements]:
        if not isinstance(statement, Mapping) or statement.get("Effect") != "Allow":
            continue
        actions = statement.get("Action", [])
        if "NotAction" in statement or any(_is_dynamodb(one) for one in _listed(actions)):
            return True
    return False


def _is_dynamodb(action: str) -> bool:
    service, _, _ = action.lower().partition(":")
    return fnmatchcase("dynamodb", service)


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
