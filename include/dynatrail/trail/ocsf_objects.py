"""Turns one row of `sql/trail/ocsf_requests.sql` into one OCSF 1.8.0 event.

Attributes follow AWS's own mapping of CloudTrail (github.com/ocsf/examples, mappings/markdown/AWS/v1.5.0/CloudTrail),
with three differences: attributes that OCSF has deprecated since are not used (`actor.app_name` instead of
`actor.invoked_by`, `actor.session.credential_uid` instead of `actor.user.credential_uid`); the actor is whom the
session begins with, and the assumed-role ARN with its claimed session name is the session; and `metadata.uid` is the
record's id, because one CloudTrail event can be several records. What has no place goes to `unmapped`.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from dynatrail import __version__
from dynatrail.clock import iso
from dynatrail.trail import ocsf
from dynatrail.trail.ocsf_parts import (
    AWS_ACCOUNT,
    OTHER,
    PROFILES,
    USER_TYPES,
    Object,
    account_of,
    cloud,
    is_ip,
    milliseconds,
    present,
    resource,
    short_name,
)

Row = Mapping[str, Any]

_STATUS = {"success": (1, "Success"), "failure": (2, "Failure"), "denied": (2, "Failure")}
_DECODER = msgspec.json.Decoder(float_hook=Decimal)

_UNMAPPED = (
    "kind", "actor_class", "operation", "index_name", "item_key_token", "attribute_names", "update_expression",
    "key_condition_token",
    "key_condition_attributes", "management_event", "read_only", "denied_action", "denied_resource_arn", "denied_by",
    "session_name", "source_identity", "session_credential_from_console", "tls_version", "addendum_reason",
    "original_event_id", "source_sha256", "source_index", "attestation",
)  # fmt: skip
_UNMAPPED_JSON = ("user_identity", "additional_event_data", "other_fields")


def event(row: Row) -> Object:
    """One OCSF event. Attributes without a value are left out, never null."""
    status_id, status = _STATUS[row["outcome"]]
    denied = row["outcome"] == "denied"
    class_name = ocsf.CLASS_NAMES[row["ocsf_class_uid"]]
    request = _json(row["request_parameters"])
    common = {
        "activity_id": row["ocsf_activity_id"],
        "activity_name": row["activity"],
        "actor": _actor(row),
        "api": _api(row, request),
        "category_name": ocsf.CATEGORY_NAMES[row["ocsf_category_uid"]],
        "category_uid": row["ocsf_category_uid"],
        "class_name": class_name,
        "class_uid": row["ocsf_class_uid"],
        "cloud": cloud(row["account_id"], row["region"], row["table_arn"], row["actor"]),
        "http_request": present({"user_agent": row["user_agent"]}),
        "message": row["detail"],
        "metadata": _metadata(row),
        "severity": "Low" if denied else "Informational",
        "severity_id": 2 if denied else 1,
        "src_endpoint": _source(row),
        "status": status,
        "status_code": row["error_code"],
        "status_detail": row["error_message"],
        "status_id": status_id,
        "time": milliseconds(row["event_time"]),
        "timezone_offset": 0,
        "type_name": f"{class_name}: {'Other' if row['ocsf_activity_id'] == OTHER else row['activity']}",
        "type_uid": row["ocsf_type_uid"],
        "unmapped": _unmapped(row, request),
    }
    built = present(common | _CLASSES[row["ocsf_class_uid"]](row, request if isinstance(request, dict) else {}))
    built["observables"] = _observables(built)
    return built


def _datastore_activity(row: Row, _request: Object) -> Object:
    table = present({"name": row["table_name"], "uid": row["table_arn"]})
    return {
        "database": {"name": "DynamoDB", "type": "NoSQL", "type_id": 6},
        "query_info": {"name": "PartiQL", "query_string": row["statement"]} if row["statement"] else None,
        "table": table,
        "type": "Table" if table else "Database",
        "type_id": 3 if table else 1,
    }


def _api_activity(row: Row, _request: Object) -> Object:
    table = row["table_arn"]
    arns = dict.fromkeys(([table] if table else []) + [arn for arn in row["resource_arns"] or () if arn])
    resources = [resource(arn) for arn in arns]
    if row["table_name"] and not table:
        resources.insert(0, {"name": row["table_name"], "type": "AWS::DynamoDB::Table"})
    return {"resources": resources}


def _account_change(row: Row, request: Object) -> Object:
    response = _json(row["response_elements"])
    result = _first(response, "user", "role")
    # Role operations name a role; the rest name a user, or nobody, which in IAM means the caller.
    role = request.get("roleName") or _first(result, "roleName")
    name = role or request.get("userName") or _first(result, "userName")
    uid = _first(result, "arn")
    if not name and not uid and row["outcome"] == "denied":
        uid = row["denied_resource_arn"]
    if not name and not uid and row["outcome"] != "denied":
        user = _actor(row)["user"]
    else:
        user = {"name": _text(name), "uid": _text(uid)}
        user |= (
            {"type": "Role", "type_id": OTHER} if role or ":role/" in (uid or "") else {"type": "User", "type_id": 1}
        )
        user |= {"account": {"uid": row["account_id"], **AWS_ACCOUNT}}
    policy = present({"name": _text(request.get("policyName")), "uid": _text(request.get("policyArn"))})
    return {"user": present(user), "policies": [policy] if policy else None}


_ENTITIES = (
    # request parameter that names the entity, OCSF type
    ("groupName", (3, "Group")),
    ("policyArn", (5, "Policy")),
    ("policyName", (5, "Policy")),
    ("instanceProfileName", (OTHER, "Instance Profile")),
    ("virtualMFADeviceName", (OTHER, "Virtual MFA Device")),
    ("serialNumber", (OTHER, "Virtual MFA Device")),
    ("openIDConnectProviderArn", (OTHER, "OpenID Connect Provider")),
    ("url", (OTHER, "OpenID Connect Provider")),
    ("sAMLProviderArn", (OTHER, "SAML Provider")),
    ("serverCertificateName", (OTHER, "Server Certificate")),
    ("accountAlias", (OTHER, "Account Alias")),
    ("name", (OTHER, "Other")),
)


def _entity_management(row: Row, request: Object) -> Object:
    for parameter, (type_id, kind) in _ENTITIES:
        if value := _text(request.get(parameter)):
            entity = {"uid" if value.startswith("arn:") else "name": value, "type": kind, "type_id": type_id}
            break
    else:
        # What the call is about is the account itself, or lost with the parameters of a denied call.
        entity = {"org": {"uid": row["account_id"]}, "type": "Unknown", "type_id": 0}
        if row["denied_resource_arn"]:
            entity = {"uid": row["denied_resource_arn"], "type": "Unknown", "type_id": 0}
    return {"entity": entity}


_PROTOCOLS = {"AssumeRoleWithSAML": (5, "SAML"), "AssumeRoleWithWebIdentity": (4, "OpenID")}


def _authentication(row: Row, request: Object) -> Object:
    response, additional = _json(row["response_elements"]), _json(row["additional_event_data"])
    account = {"uid": row["account_id"], **AWS_ACCOUNT}
    actor = _actor(row)["user"]
    assumed = _text(request.get("roleArn")) or (row["denied_resource_arn"] if row["outcome"] == "denied" else None)
    federated = _text(request.get("name")) if row["event_name"] == "GetFederationToken" else None
    if assumed:
        user = {"name": short_name(assumed), "uid": assumed, "type": "Role", "type_id": OTHER}
    elif federated:
        user = {"name": federated, "type": "FederatedUser", "type_id": OTHER, "account": account}
    else:
        user = actor
    who = _first(response, "assumedRoleUser", "federatedUser")
    session = {
        "credential_uid": _text(_first(_first(response, "credentials"), "accessKeyId")),
        "issuer": assumed,
        "uid": _text(_first(who, "assumedRoleId", "federatedUserId")),
        "uid_alt": _text(_first(who, "arn")),
    }
    protocol_id, protocol = _PROTOCOLS.get(row["event_name"], (None, None))
    switches = row["ocsf_activity_id"] == 7  # noqa: PLR2004 - OCSF: Account Switch
    interactive = row["event_name"] in {"ConsoleLogin", "UserAuthentication"}
    mfa = _first(additional, "MFAUsed")
    return {
        "account_switch_type": "Impersonate" if switches else None,
        "account_switch_type_id": 2 if switches else None,
        "auth_protocol": protocol,
        "auth_protocol_id": protocol_id,
        "is_mfa": mfa == "Yes" if mfa in ("Yes", "No") else row["mfa_authenticated"],
        "is_remote": True,
        "logon_type": "Interactive" if interactive else None,
        "logon_type_id": 2 if interactive else None,
        "service": {"name": row["event_source"]},
        "session": present(session),
        "user": present(user),
    }


_CLASSES: dict[int, Callable[[Row, Object], Object]] = {
    ocsf.ACCOUNT_CHANGE: _account_change,
    ocsf.AUTHENTICATION: _authentication,
    ocsf.ENTITY_MANAGEMENT: _entity_management,
    ocsf.API_ACTIVITY: _api_activity,
    ocsf.DATASTORE_ACTIVITY: _datastore_activity,
}


def _actor(row: Row) -> Object:
    identity = _json(row["user_identity"])
    type_id, kind = USER_TYPES.get(row["actor_type"], (OTHER, row["actor_type"] or "Unknown"))
    actor = row["actor"]
    account, name = row["caller_account_id"], row["user_name"]
    if not _is_caller(row):
        account, name = account_of(actor) or account, None
    user = {
        "account": {"uid": account, **AWS_ACCOUNT} if account else None,
        "name": name or (short_name(actor) if actor.startswith("arn:") else None),
        "type": kind,
        "type_id": type_id,
        "uid": actor,
        "uid_alt": row["on_behalf_of_user_id"] or row["principal_id"],
    }
    created = row["session_created_at"]
    session = {
        "created_time": milliseconds(created) if created else None,
        "credential_uid": row["access_key_id"],
        "is_mfa": row["mfa_authenticated"],
        "issuer": row["session_issuer_arn"],
        "uid": row["principal_id"] if row["session_issuer_arn"] else None,
        "uid_alt": row["principal_arn"] if row["session_issuer_arn"] else None,
    }
    web = _first(_first(identity, "sessionContext"), "webIdFederationData")
    idp = {
        "name": _text(_first(web, "federatedProvider")) or _text(_first(identity, "identityProvider")),
        "uid": _text(_first(_first(identity, "onBehalfOf"), "identityStoreArn")),
    }
    return present(
        {"app_name": row["invoked_by"], "idp": present(idp), "session": present(session), "user": present(user)}
    )


_CALLER = ("session_issuer_arn", "principal_arn", "on_behalf_of_user_id", "principal_id", "user_name", "invoked_by")


def _is_caller(row: Row) -> bool:
    """Whether the actor is whom the record itself names, not whom its session begins with."""
    return row["actor"] in {row[name] for name in (*_CALLER, "caller_account_id")}


def _api(row: Row, request: Any) -> Object:
    response = {
        "data": _json(row["response_elements"]),
        "error": row["error_code"],
        "error_message": row["error_message"],
    }
    return present(
        {
            "operation": row["event_name"],
            # OCSF's request object needs an id; a record without one keeps its parameters in `unmapped`.
            "request": present({"uid": row["request_id"], "data": request}) if row["request_id"] else None,
            "response": present(response),
            "service": {"name": row["event_source"]},
            "version": row["api_version"],
        }
    )


def _metadata(row: Row) -> Object:
    feature = row["event_category"]
    return present(
        {
            "correlation_uid": row["shared_event_id"],
            "event_code": row["event_type"],
            "log_name": "CloudTrail",
            "log_provider": "CloudTrail",
            "log_source": row["source_uri"],
            "log_version": row["event_version"],
            "loggers": [{"name": "Dynatrail", "version": __version__}],
            "original_event_uid": row["event_id"],
            "original_time": iso(row["event_time"]),
            "product": present(
                {
                    "feature": {"name": feature} if feature else None,
                    "name": "CloudTrail",
                    "vendor_name": "AWS",
                    "version": row["event_version"],
                }
            ),
            "profiles": list(PROFILES),
            "tenant_uid": row["account_id"],
            "uid": row["record_id"],
            "version": ocsf.VERSION,
        }
    )


def _source(row: Row) -> Object:
    address = row["source_ip_address"]
    # CloudTrail writes an address, a service's DNS name or "AWS Internal"; a record that has none comes from a service.
    found = {"ip": address} if is_ip(address) else {"svc_name": address or row["invoked_by"] or row["event_source"]}
    return present({**found, "uid": row["vpc_endpoint_id"]})


def _unmapped(row: Row, request: Any) -> Object:
    left = {name: row[name] for name in _UNMAPPED} | {name: _json(row[name]) for name in _UNMAPPED_JSON}
    if not row["request_id"]:
        left["request_parameters"] = request
    if not _is_caller(row):
        left |= {name: row[name] for name in ("caller_account_id", "principal_type", "user_name")}
    return present(left)


def _observables(built: Object) -> list[Object]:
    user = built["actor"].get("user", {})
    found = [
        ("src_endpoint.ip", "IP Address", 2, built["src_endpoint"].get("ip")),
        ("actor.user.name", "User Name", 4, user.get("name")),
        ("actor.user.uid", "User Object: uid", 31, user.get("uid")),
        (
            "actor.session.credential_uid",
            "User Credential ID",
            19,
            built["actor"].get("session", {}).get("credential_uid"),
        ),
    ]
    found += [("resources[].uid", "Resource UID", 10, resource.get("uid")) for resource in built.get("resources", ())]
    return [
        {"name": name, "type": kind, "type_id": type_id, "value": value}
        for name, kind, type_id, value in found
        if value
    ]


def _json(text: str | None) -> Any:
    """A JSON column, numbers exact; text that is no JSON stays text, which OCSF's `json_t` allows."""
    if text is None:
        return None
    try:
        return _DECODER.decode(text)
    except msgspec.DecodeError:
        return text


def _first(value: Any, *names: str) -> Any:
    """The first of these members that is present, if `value` is an object at all: CloudTrail's JSON has any shape."""
    return next((value[name] for name in names if value.get(name)), None) if isinstance(value, dict) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
