"""What a table definition is made of."""

from dataclasses import dataclass

import pyarrow as pa

INSTANT = pa.timestamp("us", tz="UTC")
NAMES = pa.list_(pa.string())


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the warehouse.

    Attributes:
        name: also the name of its DuckDB view and of its folder.
        grain: what one row is.
        schema: Arrow schema; a field's metadata `comment` is its documentation.
        natural_key: columns that tell two rows apart.
        order_by: total order in which the rows of one slice lie, so that the same rows give the same bytes.
        slice_by: a write replaces all rows of one value of these columns, for a set of hours, atomically.
    """

    name: str
    grain: str
    schema: pa.Schema
    natural_key: tuple[str, ...]
    order_by: tuple[str, ...]
    slice_by: tuple[str, ...] = ()


def column(name: str, kind: pa.DataType, comment: str, *, required: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=not required, metadata={"comment": comment})


def hour_columns(of: str) -> list[pa.Field]:
    return [
        column("event_hour", INSTANT, f"start of the UTC hour of {of}", required=True),
        column("event_date", pa.date32(), "partition: date of `event_hour`", required=True),
    ]


SOURCE_POSITION = [
    column("source_uri", pa.string(), "s3:// address of the object that the row was read from", required=True),
    column("source_sha256", pa.string(), "SHA-256 of that object's uncompressed bytes, as parsed", required=True),
    column("source_index", pa.int64(), "position of the record in that object, from 0", required=True),
]
