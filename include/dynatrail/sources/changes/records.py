"""The change record that DynamoDB Streams, its Lambda delivery and a Kinesis destination share.

"StreamRecord" and "Record" of the DynamoDB Streams API reference; Lambda adds `eventSourceARN`, Kinesis the last two
fields of `Record` and the precision of the time.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from dynatrail.sources.changes.values import Image


class Body(Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """What happened to the item."""

    time: int | float = msgspec.field(name="ApproximateCreationDateTime")
    keys: Image = msgspec.field(name="Keys")
    new_image: Image | None = msgspec.field(name="NewImage", default=None)
    old_image: Image | None = msgspec.field(name="OldImage", default=None)
    sequence_number: str | None = msgspec.field(name="SequenceNumber", default=None)
    size_bytes: int | None = msgspec.field(name="SizeBytes", default=None)
    view_type: str | None = msgspec.field(name="StreamViewType", default=None)
    precision: str | None = msgspec.field(name="ApproximateCreationDateTimePrecision", default=None)


class Record(Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """One change record."""

    dynamodb: Body
    event_name: str = msgspec.field(name="eventName")
    event_id: str | None = msgspec.field(name="eventID", default=None)
    event_version: str | None = msgspec.field(name="eventVersion", default=None)
    event_source: str | None = msgspec.field(name="eventSource", default=None)
    region: str | None = msgspec.field(name="awsRegion", default=None)
    user_identity: dict[str, Any] | None = msgspec.field(name="userIdentity", default=None)
    stream_arn: str | None = msgspec.field(name="eventSourceARN", default=None)
    record_format: str | None = msgspec.field(name="recordFormat", default=None)
    table_name: str | None = msgspec.field(name="tableName", default=None)


decode_record = msgspec.json.Decoder(Record).decode
_members = msgspec.json.Decoder(dict[str, Raw]).decode
_anything = msgspec.json.Decoder(float_hook=str).decode
_encode = msgspec.json.Encoder().encode
_KNOWN = frozenset(field.encode_name for field in msgspec.structs.fields(Record))
_KNOWN_BODY = frozenset(field.encode_name for field in msgspec.structs.fields(Body))


def decode_with_rest(raw: bytes) -> tuple[Record, dict[str, Any]]:
    """A record of which some fields are not known, and those fields decoded (the inner ones below `dynamodb`).

    Raises:
        msgspec.DecodeError: it is no change record even without them.
    """
    outer = _members(raw)
    inner = _members(outer.get("dynamodb", Raw(b"null")))
    rest = {name: _anything(value) for name, value in outer.items() if name not in _KNOWN}
    if unknown := {name: _anything(value) for name, value in inner.items() if name not in _KNOWN_BODY}:
        rest["dynamodb"] = unknown
    known = {name: value for name, value in outer.items() if name in _KNOWN}
    known["dynamodb"] = Raw(_encode({name: value for name, value in inner.items() if name in _KNOWN_BODY}))
    return decode_record(_encode(known)), rest
