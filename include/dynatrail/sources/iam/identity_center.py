"""Identity Center: permission sets, who is assigned which in which account, and the ids behind `onBehalfOf.userId`.

People's names and addresses are personal data: they are kept as keyed tokens, so that a session name or address can
still be looked up by who knows it. What else the directory tells of a person is not kept at all.
"""

from typing import Any

from dynatrail.privacy.tokens import Tokenizer
from dynatrail.sources.iam import aspects
from dynatrail.sources.snapshots import gather
from dynatrail.sources.snapshots.asking import Asker
from dynatrail.sources.snapshots.pieces import Capture
from dynatrail.sources.snapshots.questions import Resource

Json = dict[str, Any]

_KINDS = {
    aspects.PERMISSION_SET: [aspect.name for aspect in aspects.PERMISSION_SET_ASPECTS],
    aspects.ASSIGNMENT: ["ListAccountAssignments"],
    aspects.PERSON: ["ListUsers"],
    aspects.PEOPLE: ["ListGroups"],
    aspects.MEMBERSHIP: ["ListGroupMemberships"],
}


def look(asker: Asker, tokens: Tokenizer) -> Capture:
    """Everything of the instances that the account sees, in whichever of its regions they are."""
    capture, whole_view = Capture(), True
    for region in asker.target.account.regions:
        answer = asker.ask(aspects.LIST_INSTANCES, region=region)
        everything = Resource(aspects.INSTANCE, f"arn:{asker.partition}:sso:{region}:{asker.target.account_id}:*", None)
        if answer.kind != "found":
            gather.take(capture, answer, everything, "ListInstances")
            whole_view = False
            continue
        for instance in answer.value:
            arn = instance["InstanceArn"]
            capture.present(aspects.INSTANCE, arn, "ListInstances", instance.get("Name"), instance)
            whole_view &= _permission_sets(asker, capture, arn, region)
            whole_view &= _directory(asker, capture, instance["IdentityStoreId"], region, tokens)
    if whole_view:
        # Otherwise what was not met may only have been hidden.
        gather.mark_complete(capture, aspects.INSTANCE, ["ListInstances"])
        for kind, names in _KINDS.items():
            gather.mark_complete(capture, kind, [*names, "ListPermissionSets"])
    return capture


def _permission_sets(asker: Asker, capture: Capture, instance: str, region: str) -> bool:
    listed = asker.ask(aspects.LIST_PERMISSION_SETS, {"InstanceArn": instance}, region=region)
    if listed.kind != "found":
        gather.take(capture, listed, Resource(aspects.PERMISSION_SET, f"{instance}/*", None), "ListPermissionSets")
        return False
    whole = True
    for arn in listed.value:
        resource = Resource(aspects.PERMISSION_SET, arn, None, {"instance_arn": instance}, region)
        capture.add(gather.about(asker, resource, aspects.PERMISSION_SET_ASPECTS) or Capture())
        both = {"InstanceArn": instance, "PermissionSetArn": arn}
        accounts = asker.ask(aspects.PROVISIONED_ACCOUNTS, both, region=region)
        if accounts.kind != "found":
            gather.take(
                capture,
                accounts,
                Resource(aspects.ASSIGNMENT, f"{arn}/*", None),
                aspects.PROVISIONED_ACCOUNTS.operation,
            )
            whole = False
            continue
        for account in accounts.value:
            whole &= _assignments(asker, capture, both | {"AccountId": account}, region)
    return whole


def _assignments(asker: Asker, capture: Capture, parameters: Json, region: str) -> bool:
    place = f"{parameters['PermissionSetArn']}/{parameters['AccountId']}"
    answer = asker.ask(aspects.ACCOUNT_ASSIGNMENTS, parameters, region=region)
    if answer.kind != "found":
        gather.take(capture, answer, Resource(aspects.ASSIGNMENT, f"{place}/*", None), "ListAccountAssignments")
        return False
    for one in answer.value:
        arn = f"{place}/{one['PrincipalType']}/{one['PrincipalId']}"
        capture.present(aspects.ASSIGNMENT, arn, "ListAccountAssignments", None, one)
    return True


def _directory(asker: Asker, capture: Capture, store: str, region: str, tokens: Tokenizer) -> bool:
    place = f"arn:{asker.partition}:identitystore::{asker.target.account_id}:identitystore/{store}"
    people = asker.ask(aspects.LIST_PEOPLE, {"IdentityStoreId": store}, region=region)
    groups = asker.ask(aspects.LIST_GROUPS, {"IdentityStoreId": store}, region=region)
    if people.kind == "found":
        for one in people.value:
            capture.present(aspects.PERSON, f"{place}/user/{one['UserId']}", "ListUsers", None, person(one, tokens))
    else:
        gather.take(capture, people, Resource(aspects.PERSON, f"{place}/user/*", None), "ListUsers")
    if groups.kind != "found":
        gather.take(capture, groups, Resource(aspects.PEOPLE, f"{place}/group/*", None), "ListGroups")
        return False
    whole = people.kind == "found"
    for group in groups.value:
        arn = f"{place}/group/{group['GroupId']}"
        kept = {name: group[name] for name in ("GroupId", "IdentityStoreId", "DisplayName") if name in group}
        capture.present(aspects.PEOPLE, arn, "ListGroups", group.get("DisplayName"), kept)
        parameters = {"IdentityStoreId": store, "GroupId": group["GroupId"]}
        members = asker.ask(aspects.LIST_MEMBERSHIPS, parameters, region=region)
        if members.kind != "found":
            gather.take(capture, members, Resource(aspects.MEMBERSHIP, f"{arn}/*", None), "ListGroupMemberships")
            whole = False
            continue
        for one in members.value:
            kept = {name: one[name] for name in ("GroupId", "MemberId", "MembershipId") if name in one}
            capture.present(aspects.MEMBERSHIP, f"{arn}/{one['MembershipId']}", "ListGroupMemberships", None, kept)
    return whole


def person(user: Json, tokens: Tokenizer) -> Json:
    """What is kept of a person: ids and status in clear, names and addresses as tokens, nothing else."""
    kept: Json = {
        name: user[name] for name in ("UserId", "IdentityStoreId", "UserStatus", "UserType") if user.get(name)
    }
    for name in ("UserName", "DisplayName"):
        if user.get(name):
            kept[name] = tokens.value(str(user[name]))
    if user.get("Emails"):
        kept["Emails"] = [tokens.value(str(one["Value"])) for one in user["Emails"] if one.get("Value")]
    if user.get("ExternalIds"):
        kept["ExternalIds"] = [
            {"Issuer": one.get("Issuer"), "Id": tokens.value(str(one.get("Id", "")))} for one in user["ExternalIds"]
        ]
    return kept
