"""Who stands behind an access key: CloudTrail's `userIdentity`, learnt from the IAM and STS answers that pass.

Shapes are those of "CloudTrail userIdentity element" (aws-facts a2): an assumed role names its issuer, a session of an
IAM user (console, GetSessionToken) has an ASIA key and `sessionContext`, a role's path survives in the issuer only.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from dynatrail.clock import iso
from dynatrail.sandbox.calls import Call

Json = dict[str, Any]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """What a signature cannot tell about who calls: where from, with what, and on whose behalf.

    Attributes:
        source_ip_address, user_agent: as the record shall show them.
        console: the console made the call with the person's credentials.
        invoked_by: service that acts (`lambda.amazonaws.com`); replaces address and agent, and on `AssumeRole` the
            caller's identity by the service's.
        identity: further fields of `userIdentity`, such as `onBehalfOf` or `inScopeOf`.
        vpc_endpoint_id: endpoint that the call came through.
        mfa: sessions that this caller starts count as MFA-authenticated.
        recorded: False for what the account's maker does outside of any history.
        selected: False where the trail's selectors leave out this caller's data events: they are counted by CloudWatch
            and have no record.
    """

    source_ip_address: str = "127.0.0.1"
    user_agent: str = ""
    console: bool = False
    invoked_by: str = ""
    identity: Json = msgspec.field(default_factory=dict)
    vpc_endpoint_id: str = ""
    mfa: bool = False
    recorded: bool = True
    selected: bool = True


class Identities(msgspec.Struct):
    """Everything learnt: keys, and the users and roles that new keys belong to. Serialised as it is."""

    keys: dict[str, Json] = {}
    users: dict[str, Json] = {}
    roles: dict[str, Json] = {}

    def of(self, access_key_id: str) -> Json | None:
        """`userIdentity` of a key; None when the account never issued it."""
        if access_key_id.isdigit():
            return _root(access_key_id)
        return self.keys.get(access_key_id)

    def learn(self, call: Call, answer: Mapping[str, Any], account_id: str, caller: Caller, now: datetime) -> None:
        """Take note of what a successful IAM or STS call has made."""
        match call.operation:
            case "CreateUser":
                user = answer["User"]
                self.users[f"{account_id}/{user['UserName']}"] = {
                    "type": "IAMUser",
                    "principalId": user["UserId"],
                    "arn": user["Arn"],
                    "accountId": account_id,
                    "userName": user["UserName"],
                }
            case "CreateRole":
                role = answer["Role"]
                self.roles[role["Arn"]] = {
                    "type": "Role",
                    "principalId": role["RoleId"],
                    "arn": role["Arn"],
                    "accountId": account_id,
                    "userName": role["RoleName"],
                }
            case "CreateAccessKey":
                key = answer["AccessKey"]
                if user := self.users.get(f"{account_id}/{key['UserName']}"):
                    key_id = key["AccessKeyId"]
                    self.keys[key_id] = {**user, "accessKeyId": key_id}
            case "DeleteAccessKey":
                self.keys.pop(call.parameters.get("AccessKeyId", ""), None)
            case "GetSessionToken":
                self._learn_user_session(call, answer, caller, now)
            case "AssumeRole" | "AssumeRoleWithSAML" | "AssumeRoleWithWebIdentity":
                self._learn_role_session(call, answer, caller, now)

    def _learn_user_session(self, call: Call, answer: Mapping[str, Any], caller: Caller, now: datetime) -> None:
        identity = self.of(call.access_key_id)
        if identity is None:
            return
        key = answer["Credentials"]["AccessKeyId"]
        context = {"attributes": _attributes(now, mfa=caller.mfa or "SerialNumber" in call.parameters)}
        self.keys[key] = {**identity, "accessKeyId": key, "sessionContext": context}

    def _learn_role_session(self, call: Call, answer: Mapping[str, Any], caller: Caller, now: datetime) -> None:
        session, role_arn = answer["AssumedRoleUser"], call.parameters["RoleArn"]
        account, key = role_arn.split(":")[4], answer["Credentials"]["AccessKeyId"]
        issuer = self.roles.get(role_arn) or {
            "type": "Role",
            "principalId": session["AssumedRoleId"].split(":")[0],
            "arn": role_arn,
            "accountId": account,
            "userName": role_arn.rsplit("/", 1)[-1],
        }
        parent = (self.of(call.access_key_id) or {}).get("sessionContext", {})
        context: Json = {"sessionIssuer": issuer, "attributes": _attributes(now, mfa=caller.mfa)}
        if call.operation == "AssumeRoleWithWebIdentity":
            claims = token_claims(call.parameters.get("WebIdentityToken", ""))
            context["webIdFederationData"] = {
                "federatedProvider": f"arn:aws:iam::{account}:oidc-provider/{_host(claims)}",
                "attributes": {},
            }
        if source := call.parameters.get("SourceIdentity") or parent.get("sourceIdentity"):
            context["sourceIdentity"] = source
        self.keys[key] = {
            "type": "AssumedRole",
            "principalId": session["AssumedRoleId"],
            "arn": session["Arn"],
            "accountId": account,
            "accessKeyId": key,
            "sessionContext": context,
        }


def federated(call: Call, answer: Mapping[str, Any]) -> Json:
    """`userIdentity` of an unsigned AssumeRoleWithSAML or AssumeRoleWithWebIdentity call."""
    account = call.parameters.get("RoleArn", "::::").split(":")[4]
    if call.operation == "AssumeRoleWithSAML":
        subject = answer.get("Subject", "")
        return {
            "type": "SAMLUser",
            "principalId": f"{answer.get('NameQualifier', '')}:{subject}",
            "userName": subject,
            "identityProvider": answer.get("Issuer", ""),
        }
    claims = token_claims(call.parameters.get("WebIdentityToken", ""))
    provider = f"arn:aws:iam::{account}:oidc-provider/{_host(claims)}"
    return {
        "type": "WebIdentityUser",
        "principalId": f"{provider}:{claims.get('aud', '')}:{claims.get('sub', '')}",
        "userName": str(claims.get("sub", "")),
        "identityProvider": provider,
    }


def token_claims(token: str) -> Json:
    """Claims of a JSON Web Token, unverified; empty when it is none."""
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def service_identity(service: str) -> Json:
    """`userIdentity` of an AWS service that acts for itself."""
    return {"type": "AWSService", "invokedBy": service}


def foreign(identity: Mapping[str, Any]) -> Json:
    """The same caller as the account of the role or table sees it: account and id, no name."""
    return {"type": "AWSAccount", "principalId": identity.get("principalId", ""), "accountId": identity["accountId"]}


def _root(account_id: str) -> Json:
    key = "ASIA" + hashlib.sha256(f"root of {account_id}".encode()).hexdigest()[:16].upper()
    return {
        "type": "Root",
        "principalId": account_id,
        "arn": f"arn:aws:iam::{account_id}:root",
        "accountId": account_id,
        "accessKeyId": key,
    }


def _attributes(now: datetime, *, mfa: bool) -> Json:
    return {"creationDate": iso(now.replace(microsecond=0)), "mfaAuthenticated": "true" if mfa else "false"}


def _host(claims: Mapping[str, Any]) -> str:
    return str(claims.get("iss", "")).split("://", 1)[-1].rstrip("/")
