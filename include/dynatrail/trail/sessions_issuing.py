"""What the events that issue credentials say, and how a key is first seen used: JSON to flat columns.

Shapes are those of "CloudTrail userIdentity element" and of the STS records in the IAM user guide. A field that is
missing or of another shape is NULL: AWS omits a response of more than 100 KB, and a record is never refused here.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow as pa

from dynatrail.clock import parse_instant
from dynatrail.warehouse.schema import INSTANT, NAMES

Json = dict[str, Any]

ISSUING = pa.schema(
    [
        ("event_id", pa.string()),
        ("event_time", INSTANT),
        ("event_source", pa.string()),
        ("event_name", pa.string()),
        ("region", pa.string()),
        ("recipient_account_id", pa.string()),
        ("shared_event_id", pa.string()),
        ("original_event_id", pa.string()),
        ("caller_type", pa.string()),
        ("caller_arn", pa.string()),
        ("caller_id", pa.string()),
        ("caller_account_id", pa.string()),
        ("caller_key", pa.string()),
        ("caller_issuer_arn", pa.string()),
        ("caller_created_at", INSTANT),
        ("caller_source_identity", pa.string()),
        ("invoked_by", pa.string()),
        ("issued_key", pa.string()),
        ("issued_arn", pa.string()),
        ("issued_id", pa.string()),
        ("issued_account_id", pa.string()),
        ("role_arn", pa.string()),
        ("claimed_name", pa.string()),
        ("expires_at", INSTANT),
        ("source_identity", pa.string()),
        ("transitive_tag_keys", NAMES),
        ("mfa_authenticated", pa.bool_()),
        ("provider", pa.string()),
        ("subject", pa.string()),
        ("identity_center_user_id", pa.string()),
        ("origin_arn", pa.string()),
    ]
)
"""Columns of the relation `issuing`: one successful issuing event; `issued_*` say what it issued."""

KEY_USE = pa.schema(
    [
        ("access_key_id", pa.string()),
        ("event_id", pa.string()),
        ("event_time", INSTANT),
        ("region", pa.string()),
        ("recipient_account_id", pa.string()),
        ("account_id", pa.string()),
        ("principal_type", pa.string()),
        ("principal_arn", pa.string()),
        ("principal_id", pa.string()),
        ("issuer_arn", pa.string()),
        ("created_at", INSTANT),
        ("session_name", pa.string()),
        ("mfa_authenticated", pa.bool_()),
        ("source_identity", pa.string()),
        ("identity_center_user_id", pa.string()),
        ("invoked_by", pa.string()),
        ("origin_arn", pa.string()),
        ("from_instance", pa.bool_()),
        ("is_assumed_root", pa.bool_()),
        ("provider", pa.string()),
        ("other_principal_id", pa.string()),
        ("other_event_id", pa.string()),
        ("other_user_id", pa.string()),
    ]
)
"""Columns of the relation `key_use`: one temporary key, as its first use shows it."""

CALLER = pa.schema(
    [
        ("caller_id", pa.string()),
        ("access_key_id", pa.string()),
        ("principal_type", pa.string()),
        ("principal_arn", pa.string()),
        ("session_issuer_arn", pa.string()),
        ("invoked_by", pa.string()),
        ("on_behalf_of_user_id", pa.string()),
    ]
)
"""Columns of the relation `caller`: who made a request, as `api_event` has it; `caller_id` is the asker's own."""

CALLER_PRINCIPAL = pa.schema(
    [
        *(field for field in CALLER if field.name != "caller_id"),
        ("first_principal_arn", pa.string()),
        ("first_principal_type", pa.string()),
        ("principal_class", pa.string()),
    ]
)
"""Columns of the relation `caller_principal`: what records say of a caller, and whom that caller begins with."""

_EXPIRES = re.compile(r"(\w{3}) (\d{1,2}), (\d{4}),? (\d{1,2}):(\d\d):(\d\d)\s?([AP]M)")
_ARN_PARTS = 5  # after "arn": partition, service, region, account, resource
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_decode = msgspec.json.Decoder().decode


def issuing(rows: pa.Table) -> pa.Table:
    """Rows of `sql/trail/session_issuing.sql` as the relation `ISSUING`."""
    return pa.Table.from_pylist([_issuing(row) for row in rows.to_pylist()], schema=ISSUING)


def key_use(rows: pa.Table) -> pa.Table:
    """Rows of `sql/trail/session_use.sql` as the relation `KEY_USE`."""
    return pa.Table.from_pylist([_key_use(row) for row in rows.to_pylist()], schema=KEY_USE)


def patterns(globs: Iterable[str]) -> pa.Table:
    """The relation `break_glass` (pattern): regular expressions of ARN patterns in which `*` and `?` stand for text."""
    found = [re.escape(one).replace(r"\*", ".*").replace(r"\?", ".") for one in globs]
    return pa.table({"pattern": pa.array([f"^{one}$" for one in found], pa.string())})


def _issuing(row: Json) -> Json:
    asked, answered, more = (_object(row[name]) for name in _DOCUMENTS)
    name = row["event_name"]
    if name == "CreateSession":
        # One role is asked for, so that there is one set.
        found_set = answered.get("credentialSet")
        answered |= _object(found_set[0]) if isinstance(found_set, list) and found_set else {}
    found: Json = {column: row.get(column) for column in ISSUING.names}
    # Any other caller's scope says where the caller comes from, not what was issued.
    found["origin_arn"] = _origin(_object(row["user_identity"])) if row["caller_type"] == "AWSService" else None
    found |= _issued(name, row, asked, answered, more)
    found["issued_account_id"] = found["issued_account_id"] or row["recipient_account_id"]
    credentials = _object(answered.get("credentials"))
    key = _text(credentials.get("accessKeyId"))
    # No event issues a long-term key; one that says so must not speak for the user whose key it names.
    found["issued_key"] = key if key and key.startswith("ASIA") else None
    found["expires_at"] = _expiry(credentials.get("expiration"))
    found["source_identity"] = _text(answered.get("sourceIdentity")) or _text(asked.get("sourceIdentity"))
    found["transitive_tag_keys"] = _tag_keys(asked)
    found["mfa_authenticated"] = _mfa(name, asked, more)
    return found


def _issued(name: str, row: Json, asked: Json, answered: Json, more: Json) -> Json:
    """Whom an event issued credentials to, by its kind."""
    match name:
        case "AssumeRole" | "AssumeRoleWithSAML" | "AssumeRoleWithWebIdentity":
            role, user = _text(asked.get("roleArn")), _object(answered.get("assumedRoleUser"))
            found = {
                "issued_arn": _text(user.get("arn")),
                "issued_id": _text(user.get("assumedRoleId")),
                "issued_account_id": _account(role or _text(user.get("arn"))),
                "role_arn": role,
                "claimed_name": _text(asked.get("roleSessionName")),
            }
            identity = _object(row["user_identity"])
            if name == "AssumeRoleWithSAML":
                found["provider"] = _text(asked.get("principalArn")) or _text(identity.get("identityProvider"))
                found["subject"] = _text(answered.get("subject")) or _text(identity.get("userName"))
            elif name == "AssumeRoleWithWebIdentity":
                found["provider"] = _text(answered.get("provider")) or _text(identity.get("identityProvider"))
                # The response's subjectFromWebIdentityToken is masked like the token; the identity repeats it.
                found["subject"] = _text(identity.get("userName"))
            return found
        case "CreateSession" | "AssumeRoleForPodIdentity":
            return _handed_on(row, asked, answered)
        case "GetCredentialsForIdentity":
            identity_id = _text(answered.get("identityId")) or _text(asked.get("identityId"))
            found = {"caller_type": "WebIdentityUser", "provider": row["event_source"], "subject": identity_id}
            return _NOBODY | found | {"role_arn": _text(asked.get("customRoleArn")), "issued_account_id": None}
        case "AssumeRoot":
            target = _text(asked.get("targetPrincipal")) or ""
            account = _account(target) or target
            arn = target if target.startswith("arn:") else f"arn:aws:iam::{account}:root"
            return {"issued_arn": arn, "issued_account_id": account, "role_arn": arn} if account else {}
        case "GetFederationToken":
            user = _object(answered.get("federatedUser"))
            return {
                "issued_arn": _text(user.get("arn")),
                "issued_id": _text(user.get("federatedUserId")),
                "issued_account_id": row["caller_account_id"],
                "claimed_name": _text(asked.get("name")),
            }
        case "GetDelegatedAccessToken":
            return {"issued_account_id": _account(_text(answered.get("assumedPrincipal")))}
        case "SwitchRole" | "RenewRole":
            # The record is made in the name of the new session; who switched is beside it.
            came_from = _text(more.get("SwitchFrom")) or _text(more.get("RenewedBy"))
            found = {"issued_arn": row["caller_arn"], "issued_account_id": row["caller_account_id"]}
            switched = {"caller_type": _type_of(came_from), "caller_arn": came_from}
            return _NOBODY | found | switched | {"caller_account_id": _account(came_from)}
    same = {"issued_arn": row["caller_arn"], "issued_id": row["caller_id"]}
    return same | {"issued_account_id": row["caller_account_id"]}


def _handed_on(row: Json, asked: Json, answered: Json) -> Json:
    """Roles Anywhere, EKS Pod Identity: the service takes the role for a certificate or a pod that it has verified."""
    user, association = _object(answered.get("assumedRoleUser")), _object(answered.get("podIdentityAssociation"))
    arn = _text(user.get("arn"))
    role = _text(answered.get("roleArn")) or _text(asked.get("roleArn"))
    found = {
        "caller_type": "AWSService",
        "invoked_by": row["event_source"],
        "issued_arn": arn,
        "issued_id": _text(user.get("assumedRoleId")) or _text(user.get("assumeRoleId")),
        "issued_account_id": _account(role or arn),
        "role_arn": role,
        "claimed_name": _text(asked.get("roleSessionName")),
        "origin_arn": _text(answered.get("subjectArn")) or _text(association.get("associationArn")),
    }
    return _NOBODY | found


def _key_use(row: Json) -> Json:
    identity = _object(row["user_identity"])
    context = _object(identity.get("sessionContext"))
    found: Json = {column: row.get(column) for column in KEY_USE.names}
    found["origin_arn"] = _origin(identity)
    found["is_assumed_root"] = _text(context.get("assumedRoot")) == "true"
    found["from_instance"] = _text(context.get("ec2RoleDelivery")) is not None
    found["provider"] = _text(_object(context.get("webIdFederationData")).get("federatedProvider"))
    return found


def _origin(identity: Json) -> str | None:
    """The function, task or instance that AWS says credentials were issued to."""
    scope = _object(identity.get("inScopeOf")) or _object(_object(identity.get("sessionContext")).get("inScopeOf"))
    return _text(scope.get("credentialsIssuedTo")) or _text(scope.get("sourceArn"))


def _object(value: Any) -> Json:
    if isinstance(value, str):
        try:
            value = _decode(value)
        except (msgspec.DecodeError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value or None if isinstance(value, str) else None


def _account(arn: str | None) -> str | None:
    begins, *parts = (arn or "").split(":", 5)
    return parts[3] or None if begins == "arn" and len(parts) == _ARN_PARTS else None


def _type_of(arn: str | None) -> str | None:
    if not arn:
        return None
    resource = arn.rpartition(":")[2]
    known = {"user": "IAMUser", "assumed-role": "AssumedRole", "federated-user": "FederatedUser", "root": "Root"}
    return known.get(resource.partition("/")[0])


def _tag_keys(asked: Mapping[str, Any]) -> list[str] | None:
    keys = asked.get("transitiveTagKeys")
    found = {key for key in keys if isinstance(key, str)} if isinstance(keys, list) else set()
    incoming = asked.get("incomingTransitiveTags")
    found |= set(incoming) if isinstance(incoming, dict) else set()
    return sorted(found) or None


def _mfa(name: str, asked: Mapping[str, Any], more: Mapping[str, Any]) -> bool | None:
    if name == "ConsoleLogin":
        return {"Yes": True, "No": False}.get(_text(more.get("MFAUsed")) or "")
    return True if _text(asked.get("serialNumber")) else None


def _expiry(value: Any) -> datetime | None:
    """`Jul 10, 2023, 12:09:47 PM`, as STS writes it, with any kind of space before AM and PM; ISO 8601 elsewhere."""
    if not isinstance(value, str):
        return None
    try:
        if not ((found := _EXPIRES.fullmatch(value)) and found[1] in _MONTHS):
            return parse_instant(value)
        month, hour = _MONTHS.index(found[1]) + 1, int(found[4]) % 12 + 12 * (found[7] == "PM")
        return datetime(int(found[3]), month, int(found[2]), hour, int(found[5]), int(found[6]), tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


_NOBODY: Json = dict.fromkeys(("caller_arn", "caller_id", "caller_account_id", "caller_key", "caller_issuer_arn"))
"""A caller of whom the record itself says nothing."""

_DOCUMENTS = ("request_parameters", "response_elements", "additional_event_data")
