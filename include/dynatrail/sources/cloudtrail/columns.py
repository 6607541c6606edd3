"""Columns of `api_event` and `api_event_item`, filled record by record and turned into Arrow once.

What repeats from record to record (an identity, the context of a call, a set of tables) is worked out once, kept as one
row of a `Memo`, and costs a record only an integer.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dynatrail.privacy.requests import Item, Request
from dynatrail.sources.cloudtrail.records import Record
from dynatrail.warehouse.schema import API_EVENT, API_EVENT_ITEM

HOUR_US = 3_600_000_000
_DISTINCT = ("event_id", "request_id", "source_ip_address", "request_parameters", "source_index")
_SHARED = ("attribute_names", "update_expression")
_SPARSE = (
    ("error_code", "error_message", "denied_action", "denied_resource_arn", "denied_by", "index_name")
    + ("vpc_endpoint_id", "shared_event_id", "statement", "key_condition_token", "key_condition_attributes")
    + ("response_elements", "additional_event_data", "other_fields", "addendum_reason", "original_event_id", "copies")
)


class Memo:
    """Rows of several columns, each worked out once per distinct key."""

    def __init__(self, columns: Sequence[str], make: Callable[[Any], tuple[Any, ...]]) -> None:
        self.columns = columns
        self.used: list[int] = []
        self._make = make
        self._index: dict[Hashable, int] = {}
        self._rows: list[tuple[Any, ...]] = []

    def at(self, key: Hashable) -> int:
        """The place of the row of `key`, worked out if new; append it to `used` once the record is sure to stay."""
        place = self._index.get(key)
        if place is None:
            row = self._make(key)
            place = self._index[key] = len(self._rows)
            self._rows.append(row)
        return place

    def row(self, record: int) -> tuple[Any, ...]:
        """The row that the n-th record uses."""
        return self._rows[self.used[record]]

    def arrays(self) -> dict[str, pa.Array]:
        used = pa.array(self.used, pa.int32())
        columns = list(zip(*self._rows, strict=True)) or [()] * len(self.columns)
        arrays = {}
        for column, values in zip(self.columns, columns, strict=False):
            kind = API_EVENT.schema.field(column).type
            if pa.types.is_string(kind):
                arrays[column] = _dictionary(used, values)
            else:
                arrays[column] = pa.array(values, kind).take(used)
        return arrays


class EventColumns:
    """The columns that differ from record to record; most are absent most of the time and kept sparse."""

    def __init__(self, memos: Sequence[Memo]) -> None:
        self._memos = memos
        self._times: list[int] = []
        self._dense: dict[str, list[Any]] = {name: [] for name in _DISTINCT + _SHARED}
        self._appends = [column.append for column in self._dense.values()]
        self._sparse: dict[str, dict[int, Any]] = {name: {} for name in _SPARSE}
        self._objects: list[tuple[str, str, int]] = []
        self._item_rows: list[int] = []
        self._items: list[Item] = []
        self._ordinals: list[int] = []

    def __len__(self) -> int:
        return len(self._times)

    def begin(self, uri: str, sha256: str) -> None:
        """What follows comes from this object."""
        self._objects.append((uri, sha256, len(self._times)))

    def add(self, record: Record, time_us: int, index: int, request: Request) -> None:
        row = len(self._times)
        self._times.append(time_us)
        event_id, request_id, address, parameters, position, names, expression = self._appends
        event_id(record.event_id)
        request_id(record.request_id)
        address(record.source_ip_address)
        parameters(request.parameters)
        position(index)
        names(request.attribute_names)
        expression(request.update_expression)
        if request.items:
            self._item_rows += [row] * len(request.items)
            self._items += request.items
            self._ordinals += range(len(request.items))

    def set(self, column: str, value: Any) -> None:
        """Give the record just added a value in a column that few records have."""
        self._sparse[column][len(self._times) - 1] = value

    def events(self) -> pa.Table:
        """All records as rows of `api_event`, not sorted yet."""
        count = len(self._times)
        instants = np.array(self._times, np.int64)
        times, hours = pa.array(instants), pa.array(instants // HOUR_US * HOUR_US)
        instant = API_EVENT.schema.field("event_time").type
        arrays: dict[str, pa.Array] = {
            "event_time": times.cast(pa.timestamp("us")).cast(instant),
            "event_hour": hours.cast(pa.timestamp("us")).cast(instant),
            **self._source(),
            **{name: pa.array(self._dense[name], API_EVENT.schema.field(name).type) for name in _DISTINCT},
            **{name: _shared(self._dense[name], API_EVENT.schema.field(name).type) for name in _SHARED},
        }
        arrays["event_date"] = arrays["event_hour"].cast(pa.date32())
        for memo in self._memos:
            arrays |= memo.arrays()
        for name, values in self._sparse.items():
            arrays[name] = _scatter(values, count, API_EVENT.schema.field(name).type)
        return pa.table([arrays[name] for name in API_EVENT.schema.names], names=API_EVENT.schema.names)

    def items(self, events: pa.Table, arns: Callable[[int, str | None], str | None]) -> pa.Table:
        """The items that `events` (as returned by `events()`) name; `arns(row, table)` gives a table's ARN."""
        rows = pa.array(self._item_rows, pa.int64())
        own: dict[str, Sequence[Any]] = {
            "table_name": [_bare(item.table) for item in self._items],
            "table_arn": [arns(row, item.table) for row, item in zip(self._item_rows, self._items, strict=True)],
            "item_key_token": [item.token for item in self._items],
            "key_attributes": [item.key_attributes for item in self._items],
            "operation": [item.operation for item in self._items],
            "ordinal": self._ordinals,
            "attribute_names": [item.attribute_names for item in self._items],
            "update_expression": [item.update_expression for item in self._items],
        }
        schema = API_EVENT_ITEM.schema
        return pa.table(
            [
                (_item_array(name, own[name]) if name in own else events.column(name).take(rows))
                for name in schema.names
            ],
            names=schema.names,
        )

    def _source(self) -> dict[str, pa.Array]:
        starts = [start for *_, start in self._objects]
        lengths = np.diff([*starts, len(self._times)])
        used = pa.array(np.repeat(np.arange(len(starts), dtype=np.int32), lengths))
        uris, sums, _ = zip(*self._objects, strict=True) if self._objects else ((), (), ())
        return {"source_uri": _dictionary(used, uris), "source_sha256": _dictionary(used, sums)}


def _dictionary(used: pa.Array, values: Sequence[str | None]) -> pa.DictionaryArray:
    """The n-th record's value is `values[used[n]]`; several entries of `values` may be equal."""
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices.take(used), encoded.dictionary)


def _shared(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """An array of values most of which are the same objects over and over: each object is converted once."""
    distinct = {id(value): value for value in values}
    index = dict(zip(distinct, range(len(distinct)), strict=True))
    used = pa.array([index[id(value)] for value in values], pa.int32())
    return pa.array(list(distinct.values()), kind).take(used)


def _scatter(values: dict[int, Any], count: int, kind: pa.DataType) -> pa.Array:
    if not values:
        return pa.nulls(count, kind)
    column: list[Any] = [None] * count
    for row, value in values.items():
        column[row] = value
    return pa.array(column, kind)


def _item_array(name: str, values: Sequence[Any]) -> pa.Array:
    kind = API_EVENT_ITEM.schema.field(name).type
    return pa.array(values, kind) if name in ("item_key_token", "ordinal") else _shared(values, kind)


def _bare(table: str | None) -> str | None:
    """A table's name, given its name or its ARN."""
    return table.partition(":table/")[2].partition("/")[0] or table if table and table.startswith("arn:") else table
