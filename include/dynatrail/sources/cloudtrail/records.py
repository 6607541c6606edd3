"""The shape of CloudTrail records ("CloudTrail record contents", user guide; eventVersion 1.00 to 1.11).

Whatever has no fixed shape stays a slice of the file (`Raw`) until somebody needs it. Unknown top-level fields are an
error here, so that the caller notices and keeps them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import astuple

ABSENT = Raw(b"null")
"""Stands for a field of free shape that the record lacks; `null` in the record says the same."""


NULL = b"null"


class Addendum(Struct, rename="camel"):
    reason: str | None = None
    original_event_id: str | None = msgspec.field(default=None, name="originalEventID")


class Record(Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """One record; only what every record has is required."""

    event_time: str
    event_source: str
    event_name: str
    aws_region: str
    event_id: str = msgspec.field(name="eventID")
    event_version: str | None = None
    user_identity: Raw = ABSENT
    source_ip_address: str | None = msgspec.field(default=None, name="sourceIPAddress")
    user_agent: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    request_parameters: Raw = ABSENT
    response_elements: Raw = ABSENT
    additional_event_data: Raw = ABSENT
    request_id: str | None = msgspec.field(default=None, name="requestID")
    event_type: str | None = None
    api_version: str | None = None
    management_event: bool | None = None
    read_only: bool | None = None
    resources: Raw = ABSENT
    recipient_account_id: str | None = None
    service_event_details: Raw = ABSENT
    shared_event_id: str | None = msgspec.field(default=None, name="sharedEventID")
    vpc_endpoint_id: str | None = None
    vpc_endpoint_account_id: str | None = None
    event_category: str | None = None
    addendum: Addendum | None = None
    session_credential_from_console: str | bool | None = None
    edge_device_details: Raw = ABSENT
    event_context: Raw = ABSENT
    tls_details: Raw = ABSENT


class LenientRecord(Record, rename="camel", forbid_unknown_fields=False, gc=False):
    """As `Record`, for a record with fields that are not known yet."""


class File(Struct):
    records: list[Record] = msgspec.field(name="Records")


class RawFile(Struct):
    records: list[Raw] = msgspec.field(name="Records")


class Attributes(Struct, rename="camel"):
    creation_date: str | None = None
    mfa_authenticated: str | bool | None = None


class SessionIssuer(Struct, rename="camel"):
    arn: str | None = None


class SessionContext(Struct, rename="camel"):
    session_issuer: SessionIssuer | None = None
    attributes: Attributes | None = None
    source_identity: str | None = None


class OnBehalfOf(Struct, rename="camel"):
    user_id: str | None = None


class UserIdentity(Struct, rename="camel"):
    """`userIdentity` ("CloudTrail userIdentity element"); fields without a column stay in the row's JSON."""

    type: str | None = None
    principal_id: str | None = None
    arn: str | None = None
    account_id: str | None = None
    access_key_id: str | None = None
    user_name: str | None = None
    session_context: SessionContext | None = None
    invoked_by: str | None = None
    on_behalf_of: OnBehalfOf | None = None


class Resource(Struct):
    arn: str | None = msgspec.field(default=None, name="ARN")
    type: str | None = None


class TlsDetails(Struct, rename="camel"):
    tls_version: str | None = None


FIELDS = Record.__struct_fields__
Fields = Mapping[str, Sequence[Any]]
"""Name of a field of `Record` -> its value in each of some records."""

KNOWN_FIELDS = frozenset(field.encode_name for field in msgspec.structs.fields(Record))

decode_file = msgspec.json.Decoder(File).decode
decode_raw_file = msgspec.json.Decoder(RawFile).decode
decode_record = msgspec.json.Decoder(Record).decode
decode_lenient = msgspec.json.Decoder(LenientRecord).decode
decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
decode_identity = msgspec.json.Decoder(UserIdentity | None).decode
decode_resources = msgspec.json.Decoder(list[Resource] | None).decode
decode_tls = msgspec.json.Decoder(TlsDetails | None).decode

_START = re.compile(rb'\s*\{\s*"Records"\s*:\s*\[')
_END = re.compile(rb"\s*\}\s*")
_MARK = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)


def by_field(found: Sequence[Record]) -> Fields:
    """The values of records field by field, in one pass instead of one for each field."""
    values = zip(*map(astuple, found), strict=True) if found else ((),) * len(FIELDS)
    return dict(zip(FIELDS, values, strict=True))


def together(raws: Sequence[Raw]) -> list[bytes]:
    """Each slice as bytes; all at once is three times as fast. Valid JSON holds no NUL."""
    parts = b"\0".join(raws).split(b"\0") if raws else []
    return parts if len(parts) == len(raws) else [bytes(raw) for raw in raws]


def cut(content: bytes) -> list[Raw] | None:
    """The members of a file's `Records`, cut by brackets and commas alone; None where even these do not fit."""
    start = _START.match(content)
    if start is None:
        return None
    members: list[Raw] = []
    depth, began = 0, start.end()
    for mark in _MARK.finditer(content, start.end()):
        char = mark[0]
        if char in (b"[", b"{"):
            depth += 1
        elif char in (b"]", b"}") and depth:
            depth -= 1
        elif depth == 0 and char in (b",", b"]"):
            members.append(Raw(content[began : mark.start()].strip()))
            began = mark.end()
            if char == b"]":
                return members if _END.fullmatch(content, mark.end()) else None
        elif depth == 0 and char == b"}":
            return None
    return None
