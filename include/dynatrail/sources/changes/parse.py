"""Change records of one table as rows of `item_change`, with no value of an item in clear.

A `change_id` is the SHA-256 of origin, stream ARN, shard and sequence number. DynamoDB writes each change once, into
one shard of one stream, and never moves it; the stream ARN ends in the time at which the stream was enabled, so a table
made again under an old name gives other ids. The shard belongs to it because AWS promises the order, and so the
uniqueness, of sequence numbers only within a shard. `eventID` is not used: a Kinesis destination repeats a record under
the same one, but nothing says that it stays when the record is read again.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa

from dynatrail.privacy.log_lines import mask_json
from dynatrail.privacy.tokens import Tokenizer
from dynatrail.sources.changes.records import Record, decode_record, decode_with_rest
from dynatrail.sources.changes.rows import Change, ChangedTable, ChangeRows
from dynatrail.sources.changes.values import KeyFormError, Values

MICROSECONDS = {"SECOND": 1_000_000, "MILLISECOND": 1_000, "MICROSECOND": 1}
_LATEST_US = 253_402_300_800_000_000  # year 10000
_TOO_DEEP = "A value is nested far deeper than DynamoDB's 32 levels."
_TTL = ("Service", "dynamodb.amazonaws.com")
_PLAIN_IDENTITY = re.compile(r"Service|[a-z0-9.-]+\.amazonaws\.com")
_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_anything = msgspec.json.Decoder(float_hook=str).decode
_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that gave no row.

    Attributes:
        source_uri: stream and shard that it was read from.
        position: its sequence number, or its place in the shard after the last one that was known.
        event_us: its time, microseconds since 1970, or the nearest known one before it.
        payload: its JSON with a token for every value; None where it is no JSON.
        size, sha256: of the bytes before masking.
    """

    source_uri: str
    position: str
    event_us: int
    code: str
    reason: str
    payload: str | None
    size: int
    sha256: str


@dataclass(slots=True)
class Place:
    """Where records are read: a shard, and how far in it.

    Attributes:
        stream_arn: DynamoDB stream or Kinesis stream.
        view_type: for records that do not say.
        precision: unit of ApproximateCreationDateTime, where a record does not say.
        last: sequence number of the last record; None before the first.
        time_us: its time, microseconds since 1970; also that of a record after it which has none of its own.
    """

    stream_arn: str
    shard_id: str
    view_type: str | None = None
    precision: str = "SECOND"
    last: str | None = None
    time_us: int = 0


class RecordError(Exception):
    """The record gives no row; says why, without a value."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class ChangeParser:
    """Parses the records of one table, whichever shards they come from.

    Args:
        tokens: makes the tokens.
        table: the table.
        origin: `stream` or `kinesis`.
        double_base64: binary values are encoded twice, as a Kinesis destination has them.
    """

    def __init__(
        self, tokens: Tokenizer, table: ChangedTable, *, origin: str = "stream", double_base64: bool = False
    ) -> None:
        self.rows = ChangeRows(table, origin)
        self.rejected: list[Rejected] = []
        self._tokens = tokens
        self._values = Values(tokens, table.masks, table.subjects, double_base64=double_base64)

    def add(
        self,
        records: Iterable[bytes | msgspec.Raw],
        place: Place,
        sequence_numbers: Iterable[str] | None = None,
    ) -> None:
        """Parse records of one shard, each one's JSON, in their order, and move `place` on.

        `sequence_numbers` are the records', where they stand beside them (Kinesis) and not in them.
        """
        uri = f"{place.stream_arn}/{place.shard_id}"
        prefix = f"{self.rows.origin}\n{place.stream_arn}\n{place.shard_id}\n"
        outside = iter(sequence_numbers) if sequence_numbers is not None else None
        nameless = 0
        for raw in records:
            sequence = next(outside) if outside is not None else None
            try:
                record, rest = _decoded(raw)
                sequence = sequence or _required(record.dynamodb.sequence_number)
                unit = record.dynamodb.precision or place.precision
                place.time_us = _microseconds(record.dynamodb.time, unit)
                change = self._change(record, rest, unit, place.time_us)
            except RecordError as error:
                sequence = sequence or _sequence_number(raw)
                nameless += sequence is None
                position = (
                    f"sequence {sequence}" if sequence else f"record {nameless} after {place.last or 'the start'}"
                )
                self.rejected.append(self._rejected(raw, uri, position, place.time_us, error))
            else:
                self.rows.add(
                    change._replace(
                        change_id=hashlib.sha256((prefix + sequence).encode()).hexdigest(),
                        view_type=record.dynamodb.view_type or place.view_type,
                        sequence_number=sequence,
                        shard_id=place.shard_id,
                        stream_arn=place.stream_arn,
                        source_uri=uri,
                        source_position=sequence,
                    )
                )
            if sequence:
                place.last, nameless = sequence, 0

    @property
    def pending(self) -> int:
        """Rows and rejected records that were not taken yet."""
        return len(self.rows) + len(self.rejected)

    def take(self) -> tuple[pa.Table, list[Rejected]]:
        """The rows of `item_change`, in the order in which they came, and what gave none; the parser is empty then."""
        rows, rejected = self.rows, self.rejected
        self.rows, self.rejected = ChangeRows(rows.table, rows.origin), []
        return rows.arrow(), rejected

    def _change(self, record: Record, rest: dict[str, Any], unit: str, time_us: int) -> Change:
        body, values = record.dynamodb, self._values
        try:
            token, names = values.key(body.keys)
            old, new = body.old_image, body.new_image
            identity, by_ttl = self._identity(record.user_identity)
            return Change(
                change_id="",
                event_time=time_us,
                item_key_token=token,
                key_attributes=names,
                change_type=record.event_name,
                old_image=None if old is None else values.mask(old),
                new_image=None if new is None else values.mask(new),
                changed_attributes=None if old is None or new is None else values.changed(old, new),
                view_type=None,
                source_uri="",
                source_position="",
                by_ttl=by_ttl and record.event_name == "REMOVE",
                event_id=record.event_id,
                time_precision=unit,
                size_bytes=body.size_bytes,
                old_image_token=None if old is None else values.token(old),
                new_image_token=None if new is None else values.token(new),
                user_identity=identity,
                other_fields=self._other(record, rest),
            )
        except KeyFormError:
            raise RecordError("key_form", "The record's Keys are not a map of S, N or B values.") from None
        except RecursionError:
            raise RecordError("too_deep", _TOO_DEEP) from None
        except (msgspec.DecodeError, UnicodeDecodeError):  # inside of an attribute, which is decoded only here
            raise RecordError("not_json", "The record is no JSON.") from None

    def _identity(self, given: dict[str, Any] | None) -> tuple[str | None, bool]:
        """The userIdentity as canonical JSON, spelt as Lambda does and not as boto3, and whether it means an expiry."""
        if not given:
            return None, False
        lowered = {name[:1].lower() + name[1:]: value for name, value in given.items()}
        by_ttl = (lowered.get("type"), lowered.get("principalId")) == _TTL
        shown = {
            name: value
            if isinstance(value, str) and _PLAIN_IDENTITY.fullmatch(value)
            else self._values.anything(value, ("userIdentity", name))
            for name, value in lowered.items()
        }
        return _encode(shown).decode(), by_ttl

    def _other(self, record: Record, rest: dict[str, Any]) -> str | None:
        """What has no column: unexpected fields and constants, and the attributes whose type is not known."""
        body, other = record.dynamodb, self._values.anything(rest)
        if record.event_version not in (None, "1.0", "1.1"):
            other["eventVersion"] = _word(record.event_version)
        if record.event_source not in (None, "aws:dynamodb"):
            other["eventSource"] = _word(record.event_source)
        if record.region not in (None, self.rows.table.region):
            other["awsRegion"] = _word(record.region)
        unknown = {
            name: attributes
            for name, image in (("OldImage", body.old_image), ("NewImage", body.new_image))
            if image and (attributes := self._values.unknown(image))
        }
        if unknown:
            other["unknownTypes"] = unknown
        return _encode(other).decode() if other else None

    def _shown(self, given: Any) -> Any:
        """A record without its values.

        Of what is no change, as others may write it into a Kinesis stream, names are not vouched for either: a map may
        be keyed by ids.
        """
        if isinstance(given, dict) and "dynamodb" in given:
            return self._values.anything(given)
        return mask_json(given, self._tokens)

    def _rejected(
        self, raw: bytes | msgspec.Raw, uri: str, position: str, time_us: int, error: RecordError
    ) -> Rejected:
        data = bytes(raw)
        try:
            payload = _encode(self._shown(_anything(data))).decode()
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            payload = None
        digest = hashlib.sha256(data).hexdigest()
        return Rejected(uri, position, time_us, error.code, str(error), payload, len(data), digest)


def _decoded(raw: bytes | msgspec.Raw) -> tuple[Record, dict[str, Any]]:
    try:
        return decode_record(raw), {}
    except msgspec.ValidationError:
        pass
    except RecursionError:
        raise RecordError("too_deep", _TOO_DEEP) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RecordError("not_json", "The record is no JSON.") from None
    try:
        return decode_with_rest(bytes(raw))
    except (msgspec.DecodeError, RecursionError):
        # Its own message would name the field, and in a map of attributes that may be a value.
        raise RecordError(
            "record_form", "The record lacks a field that every change has, or one has another type."
        ) from None


def _microseconds(time: float, unit: str) -> int:
    factor = MICROSECONDS.get(unit)
    if factor is None:
        raise RecordError("precision_unknown", "The record's time has a precision that is not known.")
    try:
        time_us = round(time * factor)
    except (OverflowError, ValueError):
        time_us = -1
    if not 0 < time_us < _LATEST_US:
        raise RecordError("time_form", "The record's ApproximateCreationDateTime is no instant.")
    return time_us


def _required(sequence: str | None) -> str:
    if sequence is None:
        raise RecordError("no_sequence_number", "The record has no sequence number to be told apart by.")
    return sequence


def _sequence_number(raw: bytes | msgspec.Raw) -> str | None:
    """That of a record which cannot be decoded as a whole, so that reading goes on after it."""
    try:
        found = _anything(raw)["dynamodb"]["SequenceNumber"]
    except (msgspec.DecodeError, RecursionError, KeyError, TypeError, UnicodeDecodeError):
        return None
    return found if isinstance(found, str) and found.isdigit() else None


def _word(text: str | None) -> str:
    return text if text and _WORD.fullmatch(text) else "?"
