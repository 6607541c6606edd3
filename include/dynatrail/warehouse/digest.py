r"""Content digests: SHA-256 over what rows say, whatever their order, files, compaction or library versions.

The canonical form, so that anyone can compute it again:

1. A value is `tag byte-length ":" text`, lengths and integers in decimal, text in UTF-8. Tags: `s` string, `x` binary
   (lower-case hexadecimal), `b` boolean (`true`, `false`), `i` integer or decimal, `f` floating point (its IEEE 754
   double bits as a signed integer; -0.0 is 0.0 and every NaN is the same NaN), `d` date (`YYYY-MM-DD`), `t` instant
   (microseconds since 1970-01-01T00:00:00Z), `l` list (element count, `,`, then its elements' values, a NULL element
   being `n`), `r` struct (like a row).
2. A row is `name "=" value` for every column that is not NULL, in the order of the names, without separators. A NULL
   column is left out, so that adding a nullable column to a table changes no earlier digest. NULL, `''` and `[]`
   therefore differ.
3. The digest is the SHA-256 of `dynatrail-rows-1 <table> <row count>\n` and the rows' own SHA-256 digests (32 bytes
   each), sorted.
"""

import hashlib
from collections.abc import Callable, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.errors import WarehouseError


def digest_batches(name: str, batches: Iterable[pa.RecordBatch]) -> str:
    """The content digest (hex) of all rows of `batches`, for the table called `name`; 32 bytes of memory a row."""
    rows: list[bytes] = []
    for batch in batches:
        texts = _record(batch.schema.names, batch.columns, len(batch))
        rows.extend(hashlib.sha256(text).digest() for text in texts.cast(pa.large_binary()).to_pylist())
    rows.sort()
    total = hashlib.sha256(f"dynatrail-rows-1 {name} {len(rows)}\n".encode())
    for row in rows:
        total.update(row)
    return total.hexdigest()


def _record(names: list[str], columns: list[pa.Array], length: int) -> pa.Array:
    """One text per row: `name=value` of its columns that are not NULL, in name order."""
    parts = [
        pc.fill_null(_join(f"{name}=", _value(column)), "")
        for name, column in sorted(zip(names, columns, strict=True), key=lambda pair: pair[0])
    ]
    if not parts:
        return pa.array([""] * length, pa.large_string())
    return _join(*parts)


def _value(column: pa.Array) -> pa.Array:
    """`tag length:text` of each value; NULL stays NULL."""
    tag, text = _text(column)
    length = pc.binary_length(text).cast(pa.large_string())
    return _join(tag, length, ":", text)


def _join(*parts: str | pa.Array) -> pa.Array:
    """The parts of each row one after the other; NULL if one of them is."""
    large = [pa.scalar(part, pa.large_string()) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*large, pa.scalar("", pa.large_string()), null_handling="emit_null")


def _text(column: pa.Array) -> tuple[str, pa.Array]:
    if pa.types.is_dictionary(column.type):
        return _text(column.dictionary_decode())
    for is_kind, tag, text in _FORMS:
        if is_kind(column.type):
            return tag, text(column)
    raise WarehouseError(
        f"No canonical form is defined for columns of type {column.type}; define one in warehouse/digest.py."
    )


def _plain(column: pa.Array) -> pa.Array:
    return column.cast(pa.large_string())


def _hexadecimal(column: pa.Array) -> pa.Array:
    return pa.array([None if value is None else value.hex() for value in column.to_pylist()], pa.large_string())


def _microseconds(column: pa.Array) -> pa.Array:
    return _plain(column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()))


def _struct(column: pa.Array) -> pa.Array:
    text = _record([field.name for field in column.type], column.flatten(), len(column))
    return pc.if_else(column.is_valid(), text, pa.scalar(None, text.type))


def _bits(column: pa.Array) -> pa.Array:
    double = column.cast(pa.float64())
    double = pc.if_else(pc.equal(double, 0.0), 0.0, double)
    return _plain(pc.if_else(pc.is_nan(double), float("nan"), double).view(pa.int64()))


def _list(column: pa.Array) -> pa.Array:
    lengths = pc.list_value_length(column)
    counts = pc.fill_null(lengths, 0).cast(pa.int64())
    ends = pc.cumulative_sum(counts)
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), ends])
    elements = pc.fill_null(_value(pc.list_flatten(column)), "n")
    joined = pc.binary_join(pa.LargeListArray.from_arrays(offsets, elements), pa.scalar("", pa.large_string()))
    text = _join(_plain(lengths), ",", joined)
    return pc.if_else(column.is_valid(), text, pa.scalar(None, text.type))


_FORMS: tuple[tuple[Callable[[pa.DataType], bool], str, Callable[[pa.Array], pa.Array]], ...] = (
    (pa.types.is_string, "s", _plain),
    (pa.types.is_large_string, "s", _plain),
    (pa.types.is_string_view, "s", _plain),
    (pa.types.is_binary, "x", _hexadecimal),
    (pa.types.is_large_binary, "x", _hexadecimal),
    (pa.types.is_boolean, "b", _plain),
    (pa.types.is_integer, "i", _plain),
    (pa.types.is_decimal, "i", _plain),
    (pa.types.is_floating, "f", _bits),
    (pa.types.is_date32, "d", _plain),
    (pa.types.is_timestamp, "t", _microseconds),
    (pa.types.is_list, "l", _list),
    (pa.types.is_large_list, "l", _list),
    (pa.types.is_struct, "r", _struct),
    (pa.types.is_null, "n", _plain),
)
