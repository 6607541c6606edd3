"""Columns of `api_event` and `api_event_item`, filled file by file and turned into Arrow once.

What repeats from record to record (an identity, the context of a call, a set of tables, a request but for its key) is
worked out once, kept as one row of a `Memo`, and costs a record only an integer.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.warehouse.schema import API_EVENT, API_EVENT_ITEM

HOUR_US = 3_600_000_000
_DISTINCT = ("event_id", "request_id", "source_ip_address", "source_index")
_SPARSE = (
    ("error_code", "error_message", "denied_action", "denied_resource_arn", "denied_by", "shared_event_id", "statement")
    + ("key_condition_token", "key_condition_attributes", "response_elements", "additional_event_data")
    + ("other_fields", "addendum_reason", "original_event_id", "copies")
)

SHAPE = ("before", "after", "index_name", "attribute_names", "update_expression")
"""A request but for what differs: the masked JSON before and after that, and the columns that it gives."""

ITEM_SHAPE = ("table_name", "operation", "key_attributes", "attribute_names", "update_expression")
"""An item that a request names but for its token, and its event's tables."""


@dataclass(slots=True)
class Rows:
    """What some records of one object add, column by column.

    Attributes:
        distinct: of each column that differs from record to record, its values.
        shapes, texts: place of each request's shape, and the JSON that goes into it; None where there is no request.
        items: (record, place of its shape, token, ordinal) of each item, records counted from the first of these.
        sparse: (column, record, value) of the columns that few records have.
    """

    times: list[int]
    distinct: Sequence[Sequence[Any]]
    shapes: list[int]
    texts: list[str | None]
    memos: Sequence[list[int]]
    items: list[tuple[int, int, str | None, int]] = field(default_factory=list)
    sparse: list[tuple[str, int, Any]] = field(default_factory=list)


class Memo:
    """Rows of several columns, each worked out once per distinct key. `used` names the row of each record taken."""

    def __init__(self, columns: Sequence[str], make: Callable[[Any], tuple[Any, ...]]) -> None:
        self.columns = columns
        self.used: list[int] = []
        self.rows: list[tuple[Any, ...]] = []
        self._make = make
        self._index: dict[Hashable, int] = {}

    def at(self, key: Hashable) -> int:
        """The place of the row of `key`, worked out if new."""
        place = self._index.get(key)
        if place is None:
            row = self._make(key)
            place = self._index[key] = len(self.rows)
            self.rows.append(row)
        return place

    def places(self, keys: Sequence[Hashable]) -> list[int]:
        """The place of each key's row."""
        try:
            return list(map(self._index.__getitem__, keys))
        except KeyError:
            return list(map(self.at, keys))

    def arrays(self, used: Sequence[int], schema: pa.Schema) -> dict[str, pa.Array]:
        """The columns for records that use these rows; text is dictionary-encoded."""
        indices = pa.array(used, pa.int32())
        columns = list(zip(*self.rows, strict=True)) or [()] * len(self.columns)
        arrays = {}
        for column, values in zip(self.columns, columns, strict=True):
            kind = schema.field(column).type if column in schema.names else pa.string()
            encoded = pa.types.is_string(kind)
            arrays[column] = _dictionary(indices, values) if encoded else pa.array(values, kind).take(indices)
        return arrays


class EventColumns:
    """The records of a batch. `shapes` and `item_shapes` are their keys themselves, as `SHAPE` and `ITEM_SHAPE` say."""

    def __init__(self, memos: Sequence[Memo], shapes: Memo, item_shapes: Memo) -> None:
        self._memos = memos
        self._shapes = shapes
        self._item_shapes = item_shapes
        self._times: list[int] = []
        self._distinct: list[list[Any]] = [[] for _ in _DISTINCT]
        self._texts: list[str | None] = []
        self._sparse: dict[str, dict[int, Any]] = {name: {} for name in _SPARSE}
        self._objects: list[tuple[str, str, int]] = []
        self._items: list[tuple[int, int, str | None, int]] = []

    def __len__(self) -> int:
        return len(self._times)

    def begin(self, uri: str, sha256: str) -> None:
        """What follows comes from this object."""
        self._objects.append((uri, sha256, len(self._times)))

    def extend(self, rows: Rows) -> None:
        first = len(self._times)
        self._times += rows.times
        for column, values in zip(self._distinct, rows.distinct, strict=True):
            column.extend(values)
        self._texts += rows.texts
        self._shapes.used += rows.shapes
        for memo, used in zip(self._memos, rows.memos, strict=True):
            memo.used += used
        self._items += [(first + row, shape, token, ordinal) for row, shape, token, ordinal in rows.items]
        for column_name, row, value in rows.sparse:
            self._sparse[column_name][first + row] = value

    def events(self) -> pa.Table:
        """All records as rows of `api_event`, not sorted yet."""
        count, schema = len(self._times), API_EVENT.schema
        instants = np.array(self._times, np.int64)
        times, hours = pa.array(instants), pa.array(instants // HOUR_US * HOUR_US)
        instant = schema.field("event_time").type
        shapes = self._shapes.arrays(self._shapes.used, schema)
        before, after = (shapes.pop(name).dictionary_decode() for name in ("before", "after"))
        arrays: dict[str, pa.Array] = {
            "event_time": times.cast(pa.timestamp("us")).cast(instant),
            "event_hour": hours.cast(pa.timestamp("us")).cast(instant),
            "request_parameters": pc.binary_join_element_wise(before, pa.array(self._texts, pa.string()), after, ""),
            **shapes,
            **self._source(),
            **{name: pa.array(column, schema.field(name).type) for name, column in self._columns()},
        }
        arrays["event_date"] = arrays["event_hour"].cast(pa.date32())
        for memo in self._memos:
            arrays |= memo.arrays(memo.used, schema)
        for name, values in self._sparse.items():
            arrays[name] = _scatter(values, count, schema.field(name).type)
        return pa.table([arrays[name] for name in schema.names], names=schema.names)

    def items(self, events: pa.Table, arns: Callable[[int, str | None], str | None], places: Memo) -> pa.Table:
        """The items that `events` (as returned by `events()`) name.

        `arns(place, table)` gives a table's ARN, where `place` is one of `places`.
        """
        schema = API_EVENT_ITEM.schema
        rows, shapes, tokens, ordinals = zip(*self._items, strict=True) if self._items else ((), (), (), ())
        used = places.used
        tables = [row[0] for row in self._item_shapes.rows]
        table_arns = Memo(("table_arn",), lambda key: (arns(key[0], tables[key[1]]),))
        at = table_arns.places([(used[row], shape) for row, shape in zip(rows, shapes, strict=True)])
        arrays = {
            **self._item_shapes.arrays(shapes, schema),
            **table_arns.arrays(at, schema),
            "item_key_token": pa.array(tokens, pa.string()),
            "ordinal": pa.array(ordinals, pa.int32()),
        }
        indices = pa.array(rows, pa.int64())
        return pa.table(
            [arrays[name] if name in arrays else events.column(name).take(indices) for name in schema.names],
            names=schema.names,
        )

    def _columns(self) -> Iterator[tuple[str, list[Any]]]:
        return zip(_DISTINCT, self._distinct, strict=True)

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


def _scatter(values: dict[int, Any], count: int, kind: pa.DataType) -> pa.Array:
    if not values:
        return pa.nulls(count, kind)
    column: list[Any] = [None] * count
    for row, value in values.items():
        column[row] = value
    return pa.array(column, kind)
