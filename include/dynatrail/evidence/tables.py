"""Writes rows as Parquet and as CSV so that the same rows give the same bytes, a part at a time.

Parquet: one row group per 65,536 rows of a part, zstd, the contract's schema; the bytes also depend on the pyarrow
version, which `requirements.txt` fixes. CSV: RFC 4180 with CRLF and a header; every text is quoted, so that `""` is an
empty text and nothing between two commas is NULL; instants are ISO 8601 UTC with microseconds, lists are JSON. Values
are exact: a text that a spreadsheet would take for a formula is not changed.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_ROWS = 65_536


def write(parts: Iterable[pa.Table], schema: pa.Schema, parquet: Path, csv: Path) -> int:
    """Write all rows of `parts`, in their order, to both files; returns how many."""
    rows = 0
    with (
        pq.ParquetWriter(parquet, schema, compression="zstd", compression_level=9, version="2.6") as writer,
        csv.open("wb") as text,
    ):
        text.write(",".join(_quoted(name) for name in schema.names).encode() + b"\r\n")
        for part in parts:
            for start in range(0, len(part), _ROWS):
                # One chunk a column: where the engine cut its batches must not show in the pages.
                group = part.slice(start, _ROWS).combine_chunks()
                writer.write_table(group, row_group_size=_ROWS)
                text.write(_lines(group))
            rows += len(part)
    return rows


def _lines(rows: pa.Table) -> bytes:
    cells = [_cells(column.combine_chunks() if column.num_chunks else column) for column in rows.columns]
    large = pa.large_string()
    lines = pc.binary_join_element_wise(*cells, pa.scalar(",", large))
    ended = pc.binary_join_element_wise(lines, pa.scalar("", large), pa.scalar("\r\n", large))
    return "".join(ended.to_pylist()).encode()


def _cells(column: pa.Array) -> pa.Array:
    """Each value as it stands in the file; NULL is nothing at all."""
    kind, large = column.type, pa.large_string()
    if pa.types.is_timestamp(kind):
        # Through a time without zone: formatting with one needs the system's zone database, which slim images lack.
        text = pc.replace_substring(column.cast(pa.timestamp("us")).cast(large), " ", "T", max_replacements=1)
        text = pc.binary_join_element_wise(text, pa.scalar("Z", large), pa.scalar("", large))
    elif pa.types.is_list(kind):
        listed = (None if value is None else json.dumps(value, ensure_ascii=False) for value in column.to_pylist())
        text = _quote(pa.array(listed, large))
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text = _quote(column.cast(large))
    else:
        text = column.cast(large)
    return pc.fill_null(text, pa.scalar("", large))


def _quote(texts: pa.Array) -> pa.Array:
    mark = pa.scalar('"', pa.large_string())
    doubled = pc.replace_substring(texts, '"', '""')
    return pc.binary_join_element_wise(mark, doubled, mark, pa.scalar("", pa.large_string()))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
