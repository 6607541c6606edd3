"""Turns one row of `sql/trail/ocsf_others.sql`, a record that is no request, into one OCSF 1.8.0 event.

docs/reference/ocsf.md says which class each kind has, and why. What has no place goes to `unmapped`; a document of a
snapshot and an item's image are never here.
"""

from collections.abc import Callable, Mapping
from typing import Any

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

_UNKNOWN = "Unknown"
_EVERYWHERE = "*"
_SEVERITIES = {"Informational": 1, "Low": 2, "Medium": 3, "High": 4, "Critical": 5}
_STATUS = {"success": (1, "Success"), "failure": (2, "Failure")}
_DYNATRAIL = {"name": "Dynatrail", "version": __version__}
_UNMAPPED = (
    *("kind", "operation", "index_name", "item_key_token", "actor_class", "confidence", "how_many", "method"),
    *("changed_attributes", "change_origin", "sequence_number", "shard_id", "reconstructed", "producer"),
    *("finding_kind", "evidence_ids", "controls", "status", "reason"),
)


def event(row: Row) -> Object:
    """One OCSF event. Attributes without a value are left out, never null."""
    class_name = ocsf.CLASS_NAMES[row["ocsf_class_uid"]]
    log, product, own = _KINDS[row["kind"]](row)
    common = {
        "activity_id": row["ocsf_activity_id"],
        "activity_name": row["activity"],
        "category_name": ocsf.CATEGORY_NAMES[row["ocsf_category_uid"]],
        "category_uid": row["ocsf_category_uid"],
        "class_name": class_name,
        "class_uid": row["ocsf_class_uid"],
        "cloud": cloud(row["account_id"], row["region"], row["table_arn"], row["subject"], row["actor"]),
        "message": row["detail"],
        "metadata": _metadata(row, log, product),
        "severity": "Informational",
        "severity_id": 1,
        "time": milliseconds(row["event_time"]),
        "timezone_offset": 0,
        "type_name": f"{class_name}: {'Other' if row['ocsf_activity_id'] == OTHER else row['activity']}",
        "type_uid": row["ocsf_type_uid"],
        "unmapped": _unmapped(row),
    }
    return present(common | own)


Told = tuple[str, Object, Object]
"""Log that it was taken from, product that wrote it, and what the kind has beside what all have."""


def _item_change(row: Row) -> Told:
    status_id, status = _STATUS[row["outcome"]]
    address = row["source_ip_address"]
    own = {
        "actor": _actor(row),
        "database": {"name": "DynamoDB", "type": "NoSQL", "type_id": 6},
        "http_request": present({"user_agent": row["user_agent"]}),
        "src_endpoint": {"ip": address} if is_ip(address) else {"svc_name": address or "dynamodb.amazonaws.com"},
        "status": status,
        "status_id": status_id,
        "table": present({"name": row["table_name"], "uid": row["table_arn"]}),
        "type": "Table",
        "type_id": 3,
    }
    return "item changes", {"name": "DynamoDB", "vendor_name": "AWS"}, own


def _alarm(row: Row) -> Told:
    name = row["subject"]
    product = {"name": "CloudWatch", "vendor_name": "AWS"}
    if row["ocsf_class_uid"] == ocsf.ENTITY_MANAGEMENT:
        return "alarm history", product, _status(row) | {"entity": {"name": name, "type": "Alarm", "type_id": OTHER}}
    found = {
        "analytic": {"name": name, "type": "Rule", "type_id": 1},
        "title": f"Alarm {name}",
        "uid": f"{row['account_id']}:{row['region']}:alarm:{name}",
    }
    own: Object = {"finding_info": found, "is_alert": row["activity"] == "Create", "resources": _table(row)}
    if row["activity"] == "Create":
        # How bad it is, whoever made the alarm knows.
        own |= {"severity": _UNKNOWN, "severity_id": 0, "status": "New", "status_id": 1}
    elif row["activity"] == "Close":
        own |= {"status": "Resolved", "status_id": 4}
    return "alarm history", product, own


def _throttling(row: Row) -> Told:
    own = _status(row) | {
        "count": row["how_many"],
        "end_time": milliseconds(row["ends_at"]),
        "severity": "Low",
        "severity_id": 2,
        "start_time": milliseconds(row["event_time"]),
        "unmapped": _unmapped(row)
        | present({"metric_name": row["subject"], "table_name": row["table_name"], "table_arn": row["table_arn"]}),
    }
    return "metrics", {"name": "DynamoDB", "vendor_name": "AWS"}, own


_ENTITY_TYPES = {"User": (2, "User"), "Group": (3, "Group"), "Policy": (5, "Policy")}


def _configuration(row: Row) -> Told:
    kind = row["resource_type"] or "AWS resource"
    type_id, caption = _ENTITY_TYPES.get(kind.rpartition("::")[2], (OTHER, kind))
    entity = {"name": row["resource_name"], "type": caption, "type_id": type_id, "uid": row["subject"]}
    own = _status(row) | {"entity": present(entity | {"version": row["previous_sha256"] or row["sha256"]})}
    if row["previous_sha256"] and row["sha256"]:
        own["entity_result"] = present(entity | {"version": row["sha256"]})
    return "snapshots", _DYNATRAIL, own


def _finding(row: Row) -> Told:
    severity = row["severity"] if row["severity"] in _SEVERITIES else _UNKNOWN
    began, ended = milliseconds(row["event_time"]), row["ends_at"]
    found = {
        "analytic": {"name": row["subject"], "type": "Rule", "type_id": 1, "uid": row["subject"]},
        "attacks": [{"technique": {"uid": uid}} for uid in row["attack_techniques"] or ()],
        "data_sources": [row["producer"]] if row["producer"] else None,
        "desc": row["explanation"],
        "first_seen_time": began,
        "last_seen_time": milliseconds(ended) if ended else None,
        "title": row["title"] or row["detail"],
        "types": [row["operation"]],
        "uid": row["finding_id"],
    }
    own = {
        "end_time": milliseconds(ended) if ended else None,
        "finding_info": present(found),
        "is_alert": True,
        "resources": _table(row),
        "severity": severity,
        "severity_id": _SEVERITIES.get(severity, 0),
        "start_time": began,
        "status": "New",
        "status_id": 1,
        # Without the profile `host`, which findings here do not have, the class has no actor.
        "unmapped": _unmapped(row) | ({} if row["actor"] == _UNKNOWN else {"actor": row["actor"]}),
    }
    return "findings", _DYNATRAIL, own


def _privacy_event(row: Row) -> Told:
    if row["ocsf_class_uid"] == ocsf.ENTITY_MANAGEMENT:
        entity = {"name": "Data key of a subject", "type": "Data key", "type_id": OTHER, "uid": row["subject"]}
        # The key is of no account: what it encrypts may be of several.
        own = _status(row) | {"actor": _actor(row), "cloud": {"provider": "AWS"}, "entity": entity}
        return "privacy events", _DYNATRAIL, own
    own = _status(row) | {
        "actor": _actor(row),
        "database": {"name": "Dynatrail", "type": "Object Oriented", "type_id": OTHER},
        "src_endpoint": {"svc_name": "dynatrail"},
        "table": present({"name": row["table_name"], "uid": row["table_arn"]}),
        "type": "Table",
        "type_id": 3,
    }
    return "privacy events", _DYNATRAIL, own


_KINDS: dict[str, Callable[[Row], Told]] = {
    "alarm": _alarm,
    "configuration": _configuration,
    "finding": _finding,
    "item_change": _item_change,
    "privacy_event": _privacy_event,
    "throttling": _throttling,
}


def _unmapped(row: Row) -> Object:
    return present({name: row.get(name) for name in _UNMAPPED})


def _status(row: Row) -> Object:
    status_id, status = _STATUS[row["outcome"]]
    return {"status": status, "status_id": status_id}


def _actor(row: Row) -> Object:
    actor = row["actor"]
    known = row["actor_type"] or (None if actor == _UNKNOWN else "Principal")
    type_id, kind = USER_TYPES.get(known, (OTHER, known)) if known else (0, _UNKNOWN)
    account = account_of(actor)
    user = {
        "account": {"uid": account, **AWS_ACCOUNT} if account else None,
        "name": short_name(actor) if actor.startswith("arn:") else actor,
        "type": kind,
        "type_id": type_id,
        "uid": None if actor == _UNKNOWN else actor,
    }
    session = {"uid_alt": row["acting_as"]} if row["acting_as"] not in (None, actor) else {}
    return present({"session": present(session), "user": present(user)})


def _table(row: Row) -> list[Object]:
    if row["table_arn"]:
        return [resource(row["table_arn"])]
    return [{"name": row["table_name"], "type": "AWS::DynamoDB::Table"}] if row["table_name"] else []


def _metadata(row: Row, log: str, product: Object) -> Object:
    return present(
        {
            "correlation_uid": row["event_id"],
            "log_name": log,
            "log_provider": product["name"],
            "log_source": row.get("source_uri"),
            "loggers": [_DYNATRAIL],
            "original_event_uid": row["change_id"] or row["finding_id"],
            "original_time": iso(row["event_time"]),
            "product": product,
            "profiles": list(PROFILES),
            "tenant_uid": None if row["account_id"] == _EVERYWHERE else row["account_id"],
            "uid": row["record_id"],
            "version": ocsf.VERSION,
        }
    )
