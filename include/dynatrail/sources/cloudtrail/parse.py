"""CloudTrail log files to rows of `api_event` and `api_event_item`: the one place that touches their JSON.

A file is decoded once into typed records. Only where that fails, its records are decoded one by one, so that a bad one
is rejected with its position and the others go on.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw

from dynatrail.errors import ObjectError
from dynatrail.privacy.messages import mask_message, mask_values, sketch
from dynatrail.privacy.requests import DataRequests, KeyTypes
from dynatrail.privacy.tokens import Tokenizer
from dynatrail.privacy.unknown_shapes import mask_data, mask_other
from dynatrail.sources.cloudtrail import contexts, records
from dynatrail.sources.cloudtrail.columns import HOUR_US, EventColumns, Memo, Rows
from dynatrail.sources.cloudtrail.gunzip import gunzip
from dynatrail.sources.cloudtrail.records import Fields, Record, together
from dynatrail.sources.cloudtrail.shapes import DYNAMODB, RequestShapes
from dynatrail.warehouse.schema import API_EVENT

_BYTE = re.compile(r"\(byte (\d+)\)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KIND = ("event_source", "management_event", "event_category")
# In the order of contexts.CALL, as far as it goes.
_CALL = (
    *("event_source", "event_name", "event_version", "event_type", "event_category", "management_event", "read_only"),
    *("api_version", "aws_region"),
)
_RARE = {
    **dict.fromkeys(("error_code", "error_message", "shared_event_id", "addendum", "vpc_endpoint_account_id")),
    **dict.fromkeys(("service_event_details", "edge_device_details", "event_context"), records.ABSENT),
}
"""Fields that few records have -> what stands for their absence."""
_FEW, _SMALLEST = 1000, 100  # members, bytes: the fields that every record has take more


class Rejected(NamedTuple):
    """A record that is no event; `payload` is masked."""

    position: int
    code: str
    reason: str
    payload: str
    size: int
    sha256: str


class Read(NamedTuple):
    """What one object held; `hours` are the UTC hours of its events."""

    sha256: str
    records: int
    oldest: datetime | None
    newest: datetime | None
    hours: frozenset[datetime]
    rejected: tuple[Rejected, ...]


class _UnfitError(Exception):
    """This record is no event: (code, reason)."""


class Parser:
    """Parses the log files of one batch: `read` each, then take `tables`."""

    def __init__(self, tokens: Tokenizer, key_types: KeyTypes, *, max_bytes: int) -> None:
        self._requests = DataRequests(tokens, key_types)
        self._max_bytes = max_bytes
        self._identities = Memo(contexts.IDENTITY, contexts.identity)
        self._calls = Memo(contexts.CALL, contexts.call)
        self._places = Memo(contexts.PLACE, contexts.place)
        self._agents = Memo(("user_agent", "vpc_endpoint_id"), lambda both: both)
        self._shapes = RequestShapes(self._requests)
        memos = (self._identities, self._calls, self._places, self._agents)
        self._columns = EventColumns(memos, self._shapes.shapes, self._shapes.item_shapes)
        self._times: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._columns)

    def read(self, uri: str, data: bytes, *, account_id: str, only: str | None = None) -> Read:
        """Parse one object, as fetched; `account_id` is the account of its folder.

        Args:
            uri: its address.
            data: the object's bytes.
            account_id: of its folder.
            only: the hash that its content must have.

        Raises:
            ObjectError: the object is unusable as a whole, or `altered`; nothing of it was taken.
        """
        content = gunzip(data, limit=self._max_bytes)
        sha256 = hashlib.sha256(content).hexdigest()
        if only not in (None, sha256):
            raise ObjectError(
                "altered",
                "The object was altered after it had been taken: its content is no longer what CloudTrail's digest "
                "names. The rows of the genuine content stay. Find out who wrote to the bucket (PutObject).",
            )
        unfit: list[tuple[int, str, str]] = []
        try:
            found: list[Any] = records.decode_file(content).records
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            found = _one_by_one(content)
        self._columns.begin(uri, sha256)
        try:
            times = self._take(found, account_id) if all(type(record) is Record for record in found) else None
        except _UnfitError:
            times = None
        if times is None:
            times = []
            for index, record in enumerate(found):
                try:
                    times += self._take_one(record, index, account_id)
                except _UnfitError as error:
                    unfit.append((index, *error.args))
        return Read(
            sha256,
            len(found),
            _instant(min(times)) if times else None,
            _instant(max(times)) if times else None,
            frozenset(_instant(hour * HOUR_US) for hour in {time // HOUR_US for time in times}),
            _rejected(content, unfit) if unfit else (),
        )

    def tables(self) -> tuple[pa.Table, pa.Table]:
        """Rows of `api_event`, in the table's order, and the rows of `api_event_item` that they name."""
        events = self._columns.events()
        items = self._columns.items(events, self._table_arn, self._places)
        # Sorted here, where repeated values are still one integer each, and not again when they are written.
        keys = {name: _sortable(events[name]) for name in API_EVENT.order_by}
        order = pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in keys])
        return events.take(order), items

    def _table_arn(self, place: int, name: str | None) -> str | None:
        names, arns, *_ = self._places.rows[place]
        return arns[names.index(name)] if name is not None and names and name in names else None

    def _take_one(self, record: Record | Raw, index: int, account_id: str) -> list[int]:
        other: bytes | None = None
        if not isinstance(record, Record):
            record, other = _unusual(bytes(record))
        return self._take([record], account_id, first=index, other=other)

    def _take(self, found: list[Record], account_id: str, *, first: int = 0, other: bytes | None = None) -> list[int]:
        """Take records in, wholly or not at all; returns their times in microseconds.

        Args:
            found: records of one object, one after the other.
            account_id: whose trail got those that do not say it.
            first: position of the first in its object.
            other: the only record as it stands in its object, if it has fields that are not known.

        Raises:
            _UnfitError: at least one is no event.
        """
        try:
            rows = self._rows(found, account_id, first, other)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise _UnfitError(
                "wrong_type", f"A field of the record is not what CloudTrail writes: {_said(error)}"
            ) from None
        self._columns.extend(rows)
        return rows.times

    def _rows(self, found: list[Record], account_id: str, first: int, other: bytes | None) -> Rows:
        fields = records.by_field(found)
        known = self._times.get
        times = [known(text) or self._time(text) for text in fields["event_time"]]
        recipients = [own or account_id for own in fields["recipient_account_id"]]
        data = [
            source == DYNAMODB and not (management is True or category == "Management")
            for source, management, category in zip(*map(fields.get, _KIND), strict=True)
        ]
        requests = self._shapes.take(fields, data)
        identities = self._identities.places(together(fields["user_identity"]))
        details = together(fields["tls_details"])
        called = [*map(fields.get, _CALL), recipients, fields["session_credential_from_console"], details]
        calls = self._calls.places(list(zip(*called, strict=True)))
        resources = together(fields["resources"])
        places = self._places.places(
            list(zip(resources, requests.tables, fields["aws_region"], recipients, strict=True))
        )
        agents = self._agents.places(list(zip(fields["user_agent"], fields["vpc_endpoint_id"], strict=True)))
        distinct = (
            fields["event_id"],
            fields["request_id"],
            fields["source_ip_address"],
            range(first, first + len(found)),
        )
        return Rows(
            times,
            distinct,
            requests.shapes,
            requests.texts,
            (identities, calls, places, agents),
            requests.items,
            requests.sparse + self._rare(found, fields, data, requests.values, other),
        )

    def _time(self, text: str) -> int:
        try:
            instant = datetime.fromisoformat(text)
            if instant.tzinfo is None:
                raise _UnfitError("bad_time", "eventTime has no UTC offset")
            delta = instant.astimezone(UTC) - _EPOCH
        except (ValueError, OverflowError):
            raise _UnfitError("bad_time", "eventTime is no ISO 8601 instant") from None
        time_us = self._times[text] = (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
        return time_us

    def _rare(
        self,
        found: list[Record],
        fields: Fields,
        data: list[bool],
        values: Mapping[int, Mapping[str, str]],
        other: bytes | None,
    ) -> list[tuple[str, int, Any]]:
        """The columns that few records have: (column, record, value)."""
        sparse: list[tuple[str, int, Any]] = []
        for column in ("response_elements", "additional_event_data"):
            for row in _rows_with(fields[column], records.ABSENT):
                raw = bytes(fields[column][row])
                sparse.append((column, row, self._kept(raw, found[row].event_name, strict=data[row])))
        rows = {0} if other is not None else set()
        rows.update(row for field, absent in _RARE.items() for row in _rows_with(fields[field], absent))
        for row in sorted(rows):
            record = found[row]
            rare: dict[str, Any] = {"error_code": record.error_code, "shared_event_id": record.shared_event_id}
            if record.error_message is not None:
                message = mask_values(record.error_message, values.get(row, {}))
                denial = contexts.denial(message)
                rare |= denial
                rare["error_message"] = message if denial or not data[row] else mask_message(message)
            if record.addendum is not None:
                rare["addendum_reason"] = record.addendum.reason
                rare["original_event_id"] = record.addendum.original_event_id
            if other is not None or contexts.has_other_fields(record):
                raw = contexts.other_fields(record, other)
                rare["other_fields"] = self._kept(raw, record.event_name, strict=data[row])
            sparse += [(column, row, value) for column, value in rare.items() if value is not None]
        return sparse

    def _kept(self, raw: bytes, event_name: str, *, strict: bool) -> str | None:
        """Fields of free form: of a data event every value is masked, elsewhere only secrets."""
        if strict:
            return mask_data(self._requests, event_name, raw).parameters
        return mask_other(self._requests, raw)


def _rows_with(values: Sequence[Any], absent: Any) -> list[int]:
    """The rows that have a value; most often there is none, which is told without a look at each in Python."""
    if values.count(absent) == len(values):
        return []
    return [row for row, value in enumerate(values) if value != absent]


def _sortable(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Arrow does not sort by dictionary-encoded columns; the ranks of their values sort alike."""
    if not pa.types.is_dictionary(column.type):
        return column
    encoded = column.combine_chunks()
    return pc.rank(encoded.dictionary, tiebreaker="dense").take(encoded.indices)


def _instant(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).replace(microsecond=time_us % 1_000_000)


def _said(error: Exception) -> str:
    """What a decoder said; msgspec names types and places, never values."""
    return str(error) if isinstance(error, msgspec.DecodeError) else type(error).__name__


def _one_by_one(content: bytes) -> list[Record | Raw]:
    found = _members(content)
    # Anyone who can write to the bucket could make gigabytes of what a few megabytes of `0,0,0,…` hold.
    if len(found) > _FEW and sum(len(bytes(raw)) < _SMALLEST for raw in found) > _FEW:
        raise ObjectError(
            "no_events",
            f"Most of the {len(found):,} members of `Records` are too small to be events. It is no CloudTrail log "
            "file; find out who put it there.",
        )
    read: list[Record | Raw] = []
    for raw in found:
        try:
            read.append(records.decode_record(raw))
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            read.append(raw)
    return read


def _members(content: bytes) -> list[Raw]:
    """The members of `Records`, not decoded.

    Raises:
        ObjectError: there is no such list, or the file is not JSON that could be cut into its members.
    """
    try:
        return records.decode_raw_file(content).records
    except msgspec.ValidationError as error:
        raise ObjectError(
            "no_records", f"The object is JSON without a list `Records` ({_said(error)}). It is no CloudTrail log file."
        ) from None
    except (msgspec.DecodeError, RecursionError) as error:
        # One record may hold what no decoder takes, such as half of a surrogate pair in a user agent. The caller of an
        # API could hide a whole file of records behind that, so the file is cut by its brackets.
        cut = records.cut(content)
        if cut is None:
            raise ObjectError(
                "not_json",
                f"The object is not JSON ({_said(error)}). Compare its hash with the digest; fetch it again.",
                f"byte {place[1]}" if (place := _BYTE.search(str(error))) else f"byte {len(content)}",
            ) from None
        return cut


def _unusual(raw: bytes) -> tuple[Record, bytes]:
    """A record that the strict shape refused: with fields that are not known, or no event at all."""
    if raw[:1] != b"{":
        raise _UnfitError("not_an_object", "The member of `Records` is no JSON object")
    try:
        return records.decode_lenient(raw), raw
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        code = "wrong_type" if isinstance(error, msgspec.ValidationError) else "not_json"
        if "missing required field" in str(error):
            code = "missing_field"
        raise _UnfitError(code, f"The record is not what CloudTrail writes: {_said(error)}") from None


def _rejected(content: bytes, unfit: list[tuple[int, str, str]]) -> tuple[Rejected, ...]:
    raw = _members(content)
    return tuple(
        Rejected(
            index,
            code,
            f"{reason}. The record was kept out; the rest of its file was taken.",
            sketch(bytes(raw[index])),
            len(bytes(raw[index])),
            hashlib.sha256(bytes(raw[index])).hexdigest(),
        )
        for index, code, reason in unfit
    )
