"""The part of a table that one write replaces: a set of hours, optionally of one account and region."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from dynatrail.clock import HOUR, hour_of, iso
from dynatrail.errors import WarehouseError
from dynatrail.warehouse.schema import INSTANT, Table

BATCH_ROWS = 32_768


@dataclass(frozen=True, slots=True)
class Slice:
    """All rows of `table` in `hours` whose columns equal `where`.

    Attributes:
        table: its definition.
        hours: starts of UTC hours, ascending, at least one.
        where: leading columns of `table.slice_by` and their values.
    """

    table: Table
    hours: tuple[datetime, ...]
    where: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, table: Table, hours: Collection[datetime], where: Mapping[str, str]) -> "Slice":
        """Raises WarehouseError if an hour is no full UTC hour or `where` does not name leading `slice_by` columns."""
        for hour in hours:
            if hour.tzinfo is None or hour_of(hour) != hour:
                raise WarehouseError(
                    f"{table.name} is written by full UTC hours; {hour.isoformat()} is none. Use clock.hour_of()."
                )
        leading = table.slice_by[: len(where)]
        if set(leading) != set(where):
            raise WarehouseError(
                f"A slice of {table.name} is named by {', '.join(table.slice_by) or 'its hours alone'}, in that order; "
                f"got {', '.join(where)}."
            )
        return cls(table, tuple(sorted({hour_of(hour) for hour in hours})), tuple((c, where[c]) for c in leading))

    def __str__(self) -> str:
        hours = iso(self.hours[0]) if len(self.hours) == 1 else f"{len(self.hours)} hours from {iso(self.hours[0])}"
        return " ".join([self.table.name, *(f"{column}={value}" for column, value in self.where), hours])

    @property
    def predicate(self) -> str:
        """For delta-rs: bounds let it prune partitions and files by statistics, `IN` cuts out what lies between."""
        first, last = self.hours[0], self.hours[-1]
        dates = sorted({hour.date() for hour in self.hours})
        terms = [
            f"event_date >= '{dates[0]}'",
            f"event_date <= '{dates[-1]}'",
            f"event_hour >= '{iso(first)}'",
            f"event_hour < '{iso(last + HOUR)}'",
        ]
        if (dates[-1] - dates[0]).days + 1 > len(dates):
            terms.append(f"event_date IN ({', '.join(quoted(str(date)) for date in dates)})")
        if self._has_gaps:
            terms.append(f"event_hour IN ({', '.join(quoted(iso(hour)) for hour in self.hours)})")
        terms += [f"{column} = {quoted(value)}" for column, value in self.where]
        return " AND ".join(terms)

    @property
    def expression(self) -> pads.Expression:
        """The same for a pyarrow dataset."""
        first, last = self.hours[0], self.hours[-1]
        expression = (
            (pads.field("event_date") >= pa.scalar(first.date(), pa.date32()))
            & (pads.field("event_date") <= pa.scalar(last.date(), pa.date32()))
            & (pads.field("event_hour") >= pa.scalar(first, INSTANT))
            & (pads.field("event_hour") <= pa.scalar(last, INSTANT))
        )
        if self._has_gaps:
            expression &= pads.field("event_hour").isin(pa.array(self.hours, INSTANT))
        for column, value in self.where:
            expression &= pads.field(column) == value
        return expression

    @property
    def _has_gaps(self) -> bool:
        return (self.hours[-1] - self.hours[0]) // HOUR + 1 > len(self.hours)

    def check(self, rows: pa.Table) -> None:
        """Raises WarehouseError if a row lies outside of the slice, in the wrong hour, or twice."""
        name = self.table.name
        outside = pc.invert(pc.is_in(rows["event_hour"], value_set=pa.array(self.hours, INSTANT)))
        if stray := _count(outside):
            raise WarehouseError(f"{name}: {stray} rows have an event_hour outside of what is being replaced ({self}).")
        for column, value in self.where:
            if stray := _count(pc.not_equal(rows[column], value)):
                raise WarehouseError(
                    f"{name}: {stray} rows have another {column} than the slice that is being replaced."
                )
        if "event_time" in rows.column_names:
            hour = pc.floor_temporal(rows["event_time"], unit="hour")
            if stray := _count(pc.not_equal(hour, rows["event_hour"])):
                raise WarehouseError(
                    f"{name}: {stray} rows have an event_hour that is not the hour of their event_time."
                )
        key = list(self.table.natural_key)
        counts = rows.select(key).group_by(key).aggregate([([], "count_all")])["count_all"]
        if twice := _count(pc.greater(counts, 1)):
            raise WarehouseError(
                f"{name}: {twice} rows occur more than once by ({', '.join(key)}). Deduplicate before writing."
            )


def quoted(text: str) -> str:
    """A text literal of delta-rs' SQL."""
    return "'" + text.replace("'", "''") + "'"


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)


class Ordered:
    """Rows in the table's total order, taken batch by batch, so that sorting costs no second copy of them."""

    def __init__(self, table: Table, rows: pa.Table) -> None:
        keys = dict.fromkeys(["event_hour", *table.order_by, *table.natural_key])
        self.rows = rows
        self._order = pc.sort_indices(rows, sort_keys=[(key, "ascending") for key in keys])

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def batches(self) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(self), BATCH_ROWS):
            order = self._order.slice(start, BATCH_ROWS)
            # Arrow concatenates all chunks of a text column for every take. Rows come nearly in order, so the part of
            # the table that one batch needs is small; rows that are in order already are not copied at all.
            ends = pc.min_max(order).as_py()
            part = self.rows.slice(ends["min"], ends["max"] - ends["min"] + 1)
            if len(part) > len(order) or pc.any(pc.less(order[1:], order[:-1])).as_py():
                part = part.take(pc.subtract(order, pa.scalar(ends["min"], order.type)))
            yield from part.combine_chunks().to_batches()

    def same_as(self, other: "Ordered") -> bool:
        return len(self) == len(other) and all(
            mine.equals(theirs) for mine, theirs in zip(self.batches(), other.batches(), strict=True)
        )


def conform(rows: pa.Table, table: Table) -> pa.Table:
    """`rows` with exactly the columns and types of `table`; `event_date` is derived from `event_hour`.

    Dictionary-encoded, large and view types become plain ones; integers and timestamps convert if nothing is lost.

    Raises:
        WarehouseError: a column is missing, unknown, of another kind, or NULL where it may not be.
    """
    names = set(rows.column_names)
    if missing := [name for name in table.schema.names if name not in names and name != "event_date"]:
        raise WarehouseError(f"{table.name}: the rows lack column {', '.join(missing)}.")
    if unknown := [name for name in rows.column_names if name not in table.schema.names]:
        raise WarehouseError(f"{table.name} has no column {', '.join(unknown)}; its columns are in warehouse/schema/.")
    hours = _column(rows["event_hour"], table, table.schema.field("event_hour"))
    columns = []
    for field in table.schema:
        if field.name == "event_hour":
            column = hours
        elif field.name == "event_date":
            column = hours.cast(field.type)
        else:
            column = _column(rows[field.name], table, field)
        if not field.nullable and column.null_count:
            raise WarehouseError(
                f"{table.name}.{field.name} may not be NULL, and is in {column.null_count} of {len(column)} rows."
            )
        columns.append(column)
    return pa.table(columns, schema=table.schema)


def _column(column: pa.ChunkedArray, table: Table, field: pa.Field) -> pa.ChunkedArray:
    while pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.type.equals(field.type):
        return column
    if not _compatible(column.type, field.type):
        raise WarehouseError(f"{table.name}.{field.name} takes {field.type}, got {column.type}.")
    try:
        return column.cast(field.type)
    except pa.ArrowInvalid:
        # Arrow's own message would quote the value.
        raise WarehouseError(
            f"{table.name}.{field.name} takes {field.type}; a value of type {column.type} does not fit into it."
        ) from None


def _compatible(given: pa.DataType, wanted: pa.DataType) -> bool:
    is_ = pa.types
    if is_.is_dictionary(given):
        return _compatible(given.value_type, wanted)
    if is_.is_list(wanted):
        return (is_.is_list(given) or is_.is_large_list(given)) and _compatible(given.value_type, wanted.value_type)
    return is_.is_null(given) or given.equals(wanted) or _kind(given) == _kind(wanted)


def _kind(kind: pa.DataType) -> str:
    is_ = pa.types
    if is_.is_string(kind) or is_.is_large_string(kind) or is_.is_string_view(kind):
        return "string"
    if is_.is_integer(kind) or is_.is_decimal(kind):
        return "integer"
    if is_.is_timestamp(kind):
        return "instant" if kind.tz else "timestamp without time zone"
    return "floating" if is_.is_floating(kind) else str(kind)
