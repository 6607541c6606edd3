"""CloudTrail log files to rows of `api_event` and `api_event_item`: the one place that touches their JSON.

A file is decoded once into typed records. Only where that fails, its records are decoded one by one, so that a bad one
is rejected with its position and the others go on.
"""

import hashlib
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw

from dynatrail.errors import ObjectError
from dynatrail.privacy.messages import mask_message, mask_values, sketch
from dynatrail.privacy.requests import DataRequests, KeyTypes, Request
from dynatrail.privacy.tokens import Tokenizer
from dynatrail.privacy.unknown_shapes import mask_data, mask_other
from dynatrail.sources.cloudtrail import contexts, records
from dynatrail.sources.cloudtrail.columns import HOUR_US, EventColumns, Memo
from dynatrail.sources.cloudtrail.gunzip import gunzip
from dynatrail.sources.cloudtrail.records import Record
from dynatrail.warehouse.schema import API_EVENT

DYNAMODB = "dynamodb.amazonaws.com"
_EMPTY = Request(None)
_NULL = b"null"
_BYTE = re.compile(r"\(byte (\d+)\)")
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
        self._agents = Memo(("user_agent",), lambda agent: (agent,))
        self._columns = EventColumns((self._identities, self._calls, self._places, self._agents))
        self._times: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._columns)

    def read(self, uri: str, data: bytes, *, account_id: str) -> Read:
        """Parse one object, as fetched; `account_id` is the account of its folder.

        Raises:
            ObjectError: the object is unusable as a whole; nothing of it was taken.
        """
        content = gunzip(data, limit=self._max_bytes)
        sha256 = hashlib.sha256(content).hexdigest()
        try:
            found: list[Any] = records.decode_file(content).records
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            found = _one_by_one(content)
        self._columns.begin(uri, sha256)
        unfit: list[tuple[int, str, str]] = []
        times: list[int] = []
        for index, record in enumerate(found):
            try:
                times.append(self._add(record, index, account_id))
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
        items = self._columns.items(events, self._table_arn)
        # Sorted here, where repeated values are still one integer each, and not again when they are written.
        keys = {name: _sortable(events[name]) for name in API_EVENT.order_by}
        order = pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in keys])
        return events.take(order), items

    def _table_arn(self, row: int, table: str | None) -> str | None:
        names, arns, *_ = self._places.row(row)
        name = contexts.table_name(table) if table else None
        return arns[names.index(name)] if name is not None and names and name in names else None

    def _add(self, record: Record | Raw, index: int, account_id: str) -> int:
        """Take one record in, wholly or not at all; returns its time in microseconds.

        Raises:
            _UnfitError: it is no event.
        """
        other: bytes | None = None
        if not isinstance(record, Record):
            record, other = _unusual(bytes(record))
        data = record.event_source == DYNAMODB and not (
            record.management_event is True or record.event_category == "Management"
        )
        recipient = record.recipient_account_id or account_id
        try:
            time_us = self._times.get(record.event_time) or self._time(record.event_time)
            request = self._request(record) if data else self._configuration(record)
            identity = self._identities.at(bytes(record.user_identity))
            call = self._calls.at(
                (  # one tuple, in the order of contexts.CALL; adding tuples up would cost a tenth of the parsing
                    record.event_source,
                    record.event_name,
                    record.event_version,
                    record.event_type,
                    record.event_category,
                    record.management_event,
                    record.read_only,
                    record.api_version,
                    record.aws_region,
                    recipient,
                    record.session_credential_from_console,
                    bytes(record.tls_details),
                )
            )
            resources = bytes(record.resources)
            place = self._places.at((resources, request.tables, record.aws_region, recipient))
            rare = self._rare(record, request, other, data=data)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise _UnfitError(
                "wrong_type", f"A field of the record is not what CloudTrail writes: {_said(error)}"
            ) from None
        self._identities.used.append(identity)
        self._calls.used.append(call)
        self._places.used.append(place)
        self._agents.used.append(self._agents.at(record.user_agent))
        self._columns.add(record, time_us, index, request)
        for column, value in rare.items():
            self._columns.set(column, value)
        return time_us

    def _time(self, text: str) -> int:
        try:
            instant = datetime.fromisoformat(text)
            if instant.tzinfo is None:
                raise _UnfitError("bad_time", "eventTime has no UTC offset")
            delta = instant.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        except (ValueError, OverflowError):
            raise _UnfitError("bad_time", "eventTime is no ISO 8601 instant") from None
        time_us = self._times[text] = (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
        return time_us

    def _request(self, record: Record) -> Request:
        raw = bytes(record.request_parameters)
        if raw == _NULL:
            return _EMPTY
        try:
            return self._requests.mask(record.event_name, raw)
        except msgspec.ValidationError:
            return mask_data(self._requests, record.event_name, raw)

    def _configuration(self, record: Record) -> Request:
        raw = bytes(record.request_parameters)
        if raw == _NULL:
            return _EMPTY
        tables = contexts.tables_configured(raw) if record.event_source == DYNAMODB else ()
        return Request(mask_other(self._requests, raw), tables)

    def _rare(  # noqa: C901  a flat list of optional columns
        self, record: Record, request: Request, other: bytes | None, *, data: bool
    ) -> dict[str, Any]:
        """The columns that few records have."""
        rare: dict[str, Any] = {}
        if record.error_code is not None:
            rare["error_code"] = record.error_code
        if record.error_message is not None:
            message = mask_values(record.error_message, request.values)
            denial = contexts.denial(message)
            rare |= denial
            rare["error_message"] = message if denial or not data else mask_message(message)
        if request.index_name is not None:
            rare["index_name"] = request.index_name
        if request.statement is not None:
            rare["statement"] = request.statement
        if request.condition_token is not None:
            rare["key_condition_token"] = request.condition_token
            rare["key_condition_attributes"] = request.condition_attributes
        if record.vpc_endpoint_id is not None:
            rare["vpc_endpoint_id"] = record.vpc_endpoint_id
        if record.shared_event_id is not None:
            rare["shared_event_id"] = record.shared_event_id
        if record.addendum is not None:
            rare["addendum_reason"] = record.addendum.reason
            rare["original_event_id"] = record.addendum.original_event_id
        if (raw := bytes(record.response_elements)) != _NULL:
            rare["response_elements"] = self._kept(raw, record.event_name, strict=data)
        if (raw := bytes(record.additional_event_data)) != _NULL:
            rare["additional_event_data"] = self._kept(raw, record.event_name, strict=data)
        if other is not None or contexts.has_other_fields(record):
            raw = contexts.other_fields(record, other)
            rare["other_fields"] = self._kept(raw, record.event_name, strict=data)
        return rare

    def _kept(self, raw: bytes, event_name: str, *, strict: bool) -> str | None:
        """Fields of free form: of a data event every value is masked, elsewhere only secrets."""
        if strict:
            return mask_data(self._requests, event_name, raw).parameters
        return mask_other(self._requests, raw)


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
