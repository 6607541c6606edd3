"""What is worked out once for many records: identities, calls, places, denials.

Each `Memo` key is exactly what its columns depend on. Keys that come from the file are the bytes of its JSON.
"""

import re
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from dynatrail.arns import table_arn
from dynatrail.sources.cloudtrail import records
from dynatrail.trail.ocsf import class_uid

IDENTITY = (
    ("principal_type", "principal_arn", "principal_id", "account_id", "user_name", "access_key_id", "session_name")
    + ("session_issuer_arn", "session_created_at", "mfa_authenticated", "source_identity", "on_behalf_of_user_id")
    + ("invoked_by", "user_identity")
)
CALL = (
    ("event_source", "event_name", "event_version", "event_type", "event_category", "management_event", "read_only")
    + ("api_version", "region", "recipient_account_id", "session_credential_from_console", "tls_version", "attestation")
    + ("ocsf_class_uid",)
)
PLACE = ("table_names", "table_arns", "resource_arns")

# "Troubleshoot access denied error messages" (IAM user guide); matched all 24 real messages of aws-facts e2.
_DENIED = re.compile(
    r"^User:?(?: \S+)? is not authorized to perform:? (?P<action>[\w-]+:\w+)"
    r"(?: on resource:? \"?(?P<resource>[^\s\"]+?)\"?)?"
    r"(?: because (?P<implicit>no .+?) allows the [\w-]+:\w+ action"
    r"| with (?P<explicit>an explicit deny in an? [^:]+?(?:: arn:\S+?)?))?\.?(?:,? \(?authorization id: \S+)?$",
    re.IGNORECASE,
)
_CONFIGURED = re.compile(rb'"(?:tableName|tableArn|resourceArn|targetTableName|sourceTableName)"\s*:\s*"([^"\\]+)"')
_OTHER = ("service_event_details", "edge_device_details", "event_context", "vpc_endpoint_account_id")
_encode = msgspec.json.Encoder().encode
_string_decode = msgspec.json.Decoder(str).decode


def identity(raw: bytes) -> tuple[Any, ...]:
    """The columns of one userIdentity; its whole JSON stays beside them."""
    who = records.decode_identity(raw)
    if who is None:
        return (None,) * len(IDENTITY)
    session = who.session_context
    attributes = session.attributes if session else None
    created = attributes.creation_date if attributes else None
    # "AROA…:sessionName": the name is what the caller of AssumeRole chose.
    _, colon, name = (who.principal_id or "").partition(":")
    return (
        who.type,
        who.arn,
        who.principal_id,
        who.account_id,
        who.user_name,
        who.access_key_id or None,
        name if colon and who.type in ("AssumedRole", "FederatedUser") else None,
        session.session_issuer.arn if session and session.session_issuer else None,
        datetime.fromisoformat(created) if created else None,
        _flag(attributes.mfa_authenticated) if attributes else None,
        session.source_identity if session else None,
        who.on_behalf_of.user_id if who.on_behalf_of else None,
        who.invoked_by,
        raw.decode(),
    )


def call(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """The columns of one kind of call; `key` holds them in order, with tlsDetails as bytes at the end."""
    *columns, console, tls = key
    source, name, category, management = key[0], key[1], key[4], key[5]
    details = records.decode_tls(tls)
    # Attestation is the business of the integrity stage; until it has looked, no digest vouches for the file.
    return (
        *columns,
        _flag(console),
        details.tls_version if details else None,
        "not_yet_attested",
        class_uid(source, name, category, management),
    )


def place(key: tuple[bytes, tuple[str, ...], str, str]) -> tuple[Any, ...]:
    """The tables of one event: those its resources list and those its request names, sorted by name.

    The account is taken from a resource's ARN; resources[].accountId is not always it (aws-facts a4).
    """
    raw, asked, region, recipient = key
    resources = [resource.arn for resource in records.decode_resources(raw) or () if resource.arn]
    arns = {table_name(arn): arn.partition("/index/")[0].partition("/stream/")[0] for arn in resources if is_table(arn)}
    for table in asked:
        name = table_name(table)
        if table.startswith("arn:"):
            arns[name] = table.partition("/index/")[0].partition("/stream/")[0]
        else:
            arns.setdefault(name, table_arn(recipient, region, name))
    names = sorted(arns)
    return names or None, [arns[name] for name in names] or None, resources or None


@lru_cache(maxsize=4096)
def denial(message: str) -> dict[str, str]:
    """What a message in IAM's form says was denied; empty for any other message."""
    found = _DENIED.match(message)
    if not found:
        return {}
    said = {
        "denied_action": found["action"],
        "denied_resource_arn": found["resource"],
        "denied_by": found["implicit"] or found["explicit"],
    }
    return {column: value for column, value in said.items() if value}


def tables_configured(raw: bytes) -> tuple[str, ...]:
    """The tables that a control plane request names, wherever in it."""
    named = {_string_decode(b'"' + found + b'"') for found in _CONFIGURED.findall(raw)}
    return tuple(sorted(name for name in named if not name.startswith("arn:") or is_table(name)))


def has_other_fields(record: records.Record) -> bool:
    """Whether a record has known fields without a column."""
    return not (
        record.service_event_details is records.ABSENT
        and record.edge_device_details is records.ABSENT
        and record.event_context is records.ABSENT
        and record.vpc_endpoint_account_id is None
    )


def other_fields(record: records.Record, raw: bytes | None) -> bytes:
    """The fields of a record that have no column, as one JSON object; `raw` is the record if it has unknown fields."""
    kept: dict[str, Any] = {}
    if raw is not None:
        kept = {name: value for name, value in records.decode_fields(raw).items() if name not in records.KNOWN_FIELDS}
    for field in _OTHER:
        value = getattr(record, field)
        if value is not None and value is not records.ABSENT:
            kept[_CAMEL[field]] = value
    return _encode(dict(sorted(kept.items())))


def table_name(table: str) -> str:
    """A table's name, given its name or any ARN of it, its indexes or its streams."""
    return table.partition(":table/")[2].partition("/")[0] if is_table(table) else table


def is_table(arn: str) -> bool:
    return arn.startswith("arn:") and ":dynamodb:" in arn and ":table/" in arn


def _flag(value: str | bool | None) -> bool | None:
    """CloudTrail writes booleans as the strings "true" and "false" in several places."""
    if value is None or isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower())


_CAMEL = {field.name: field.encode_name for field in msgspec.structs.fields(records.Record)}
