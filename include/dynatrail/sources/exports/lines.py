"""Lines of an incremental export as net changes: one item each, its image before the window and its image at the end.

`{"Metadata": {"WriteTimestampMicros": …}, "Keys": {…}, "OldImage"?: {…}, "NewImage"?: {…}}`. AWS documents the time as
a string and writes it as a number value (`{"N": "…"}`); both are read. No line says who wrote, how often, or whether
an item expired.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Raw

from dynatrail.sources.changes.parse import Rejected
from dynatrail.sources.changes.rows import Change, ChangedTable, ChangeRows
from dynatrail.sources.changes.values import Image, KeyFormError, Values
from dynatrail.sources.exports.calls import VIEW
from dynatrail.sources.exports.windows import Span


class _Metadata(msgspec.Struct):
    written: str | dict[str, str] = msgspec.field(name="WriteTimestampMicros")


class _Line(msgspec.Struct, kw_only=True):
    metadata: _Metadata = msgspec.field(name="Metadata")
    keys: Image = msgspec.field(name="Keys")
    old: Image | None = msgspec.field(name="OldImage", default=None)
    new: Image | None = msgspec.field(name="NewImage", default=None)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_line = msgspec.json.Decoder(_Line).decode
_anything = msgspec.json.Decoder(float_hook=str).decode
_encode = msgspec.json.Encoder(order="sorted").encode


class _LineError(Exception):
    """The line gives no row; says why, without a value."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class LineParser:
    """Parses the lines of one export into masked rows of `item_change`, as far as an export alone can tell them.

    Args:
        values: reads and masks the table's images.
        table: the table.
        window: of the export.
    """

    def __init__(self, values: Values, table: ChangedTable, window: Span) -> None:
        self.rows = ChangeRows(table, "export")
        self.rejected: list[Rejected] = []
        self._values = values
        self._table = table
        self._start, self._end = _micros(window.start), _micros(window.end)

    def add(self, line: bytes, uri: str, number: int) -> None:
        """Parse line `number` (from 1) of the data file at `uri`; what gives no row is in `rejected`."""
        try:
            change = self._change(line, uri, number)
        except _LineError as error:
            self.rejected.append(self._rejected(line, uri, number, error))
        else:
            self.rows.add(change)

    def taken(self) -> ChangeRows:
        """The rows since the last time this was asked; keeps none of them."""
        rows, self.rows = self.rows, ChangeRows(self._table, "export")
        return rows

    def _change(self, line: bytes, uri: str, number: int) -> Change:
        try:
            read = _line(line)
        except msgspec.ValidationError:
            raise _LineError("line_form", "The line lacks a field that every net change has.") from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise _LineError("not_json", "The line is no JSON.") from None
        written = self._written(read.metadata.written)
        for image in (read.old, read.new):
            if image is not None and any(name not in image for name in read.keys):
                raise _LineError("key_missing", "An image of the line lacks an attribute of the key.")
        if read.old is None and read.new is None:
            raise _LineError("no_image", "The line has neither an image before nor one after.")
        values = self._values
        try:
            token, names = values.key(read.keys)
            old = None if read.old is None else values.mask(read.old)
            new = None if read.new is None else values.mask(read.new)
            before = None if read.old is None else values.token(read.old)
            after = None if read.new is None else values.token(read.new)
            changed = None if read.old is None or read.new is None else values.changed(read.old, read.new)
        except KeyFormError:
            raise _LineError("key_form", "The line's Keys are not a map of S, N or B values.") from None
        except RecursionError:
            raise _LineError("too_deep", "An attribute is nested deeper than DynamoDB's 32 levels.") from None
        except (msgspec.DecodeError, UnicodeDecodeError):  # inside of an attribute, which is decoded only here
            raise _LineError("not_json", "The line is no JSON.") from None
        return Change(
            change_id=hashlib.sha256(f"{uri}\n{number}".encode()).hexdigest(),
            event_time=written,
            item_key_token=token,
            key_attributes=names,
            change_type="INSERT" if old is None else "REMOVE" if new is None else "MODIFY",
            old_image=old,
            new_image=new,
            changed_attributes=changed,
            view_type=VIEW,
            source_uri=uri,
            source_position=f"line {number}",
            reconstructed=True,
            reconstructed_from=self._start,
            reconstructed_to=self._end,
            time_precision="MICROSECOND",
            old_image_token=before,
            new_image_token=after,
        )

    def _written(self, given: str | dict[str, str]) -> int:
        text = given.get("N", "") if isinstance(given, dict) else given
        if not text.isascii() or not text.isdigit() or len(text) > len(str(self._end)):
            raise _LineError("write_time_form", "WriteTimestampMicros is no number of microseconds.")
        if not self._start <= int(text) < self._end:
            raise _LineError("outside_window", "WriteTimestampMicros lies outside of the export's window.")
        return int(text)

    def _rejected(self, line: bytes, uri: str, number: int, error: _LineError) -> Rejected:
        try:
            payload = _encode(self._values.anything(_anything(line))).decode()
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            payload = None
        digest = hashlib.sha256(line).hexdigest()
        return Rejected(uri, f"line {number}", self._start, error.code, str(error), payload, len(line), digest)


def changed_attributes(old: str | None, new: str | None) -> list[str] | None:
    """The top-level attributes in which two masked images differ, sorted; None without both.

    Exact, since masking gives equal values of one attribute equal text and others other text.
    """
    if old is None or new is None:
        return None
    before, after = _members(old), _members(new)
    return sorted(
        name for name in before.keys() | after.keys() if bytes(before.get(name, b"")) != bytes(after.get(name, b""))
    )


_members: Any = msgspec.json.Decoder(dict[str, Raw]).decode


def _micros(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)
