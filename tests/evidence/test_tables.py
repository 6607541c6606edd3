import csv
import io
import json
from datetime import UTC, date, datetime, timedelta

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynatrail.evidence import tables

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("names", pa.list_(pa.string())),
        ("at", INSTANT),
        ("day", pa.date32()),
        ("flag", pa.bool_()),
        ("small", pa.int32()),
        ("big", pa.int64()),
    ]
)

_texts = st.none() | st.text(max_size=12) | st.sampled_from(["", '"', ",", "\r\n", "=1+1", "\x00", "NULL", '""'])
_rows = st.lists(
    st.fixed_dictionaries(
        {
            "text": _texts,
            "names": st.none() | st.lists(_texts, max_size=3),
            "at": st.none() | st.integers(0, 2**52).map(lambda us: EPOCH + timedelta(microseconds=us)),
            "day": st.none() | st.dates(date(1970, 1, 1), date(2200, 1, 1)),
            "flag": st.none() | st.booleans(),
            "small": st.none() | st.integers(-(2**31), 2**31 - 1),
            "big": st.none() | st.integers(-(2**63), 2**63 - 1),
        }
    ),
    max_size=8,
)


def written(folder, parts):
    parquet, text = folder / "t.parquet", folder / "t.csv"
    assert tables.write(parts, SCHEMA, parquet, text) == sum(map(len, parts))
    return parquet.read_bytes(), text.read_bytes()


def read_csv(content):
    """Rows by Arrow's reader, which tells NULL from an empty text."""
    types = {field.name: pa.string() if pa.types.is_list(field.type) else field.type for field in SCHEMA}
    rows = pyarrow.csv.read_csv(
        io.BytesIO(content),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    ).to_pylist()
    return [row | {"names": None if row["names"] is None else json.loads(row["names"])} for row in rows]


@given(rows=_rows)
@settings(max_examples=200, deadline=None)
def test_both_files_read_back_as_what_was_written(rows, tmp_path_factory):
    parquet, text = written(tmp_path_factory.mktemp("t"), [pa.Table.from_pylist(rows, schema=SCHEMA)])
    assert pq.read_table(io.BytesIO(parquet)).to_pylist() == rows
    assert read_csv(text) == rows


def test_csv_is_rfc_4180_text_for_text(tmp_path):
    rows = [
        {"text": 'a "b", c\r\nd', "names": ["x", None, ""], "at": datetime(2026, 11, 1, 3, 4, 5, 6, UTC)},
        {"text": "", "day": date(2026, 11, 1), "flag": True, "small": -1, "big": 2**63 - 1},
    ]
    _, text = written(tmp_path, [pa.Table.from_pylist(rows, schema=SCHEMA)])
    assert text.decode() == (
        '"text","names","at","day","flag","small","big"\r\n'
        '"a ""b"", c\r\nd","[""x"", null, """"]",2026-11-01T03:04:05.000006Z,,,,\r\n'
        '"",,,2026-11-01,true,-1,9223372036854775807\r\n'
    )


def test_python_and_duckdb_read_the_csv_too(tmp_path):
    rows = [{"text": f'=cmd|" /C"!\r\n{n}', "names": ["a,b"], "big": n} for n in range(3)]
    _, text = written(tmp_path, [pa.Table.from_pylist(rows, schema=SCHEMA)])
    by_python = list(csv.DictReader(io.StringIO(text.decode(), newline=""), strict=True))
    assert [row["text"] for row in by_python] == [row["text"] for row in rows]
    by_duckdb = duckdb.connect().execute("select text, big from read_csv($1)", [str(tmp_path / "t.csv")]).fetchall()
    assert by_duckdb == [(row["text"], row["big"]) for row in rows]


def test_bytes_do_not_depend_on_how_the_engine_cut_its_batches(tmp_path):
    whole = pa.Table.from_pylist([{"text": f"t{n % 7}", "names": [str(n)], "big": n} for n in range(1000)], SCHEMA)
    pieces = pa.concat_tables([whole.slice(at, 37) for at in range(0, 1000, 37)])
    assert pieces.column("big").num_chunks > 1
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    assert written(first, [whole]) == written(second, [pieces])


def test_parts_of_more_than_a_row_group_are_written_in_order(tmp_path):
    rows = pa.table({name: pa.nulls(70_000, kind) for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True)})
    rows = rows.set_column(6, "big", pa.array(range(70_000), pa.int64())).cast(SCHEMA)
    parquet, text = written(tmp_path, [rows, rows.slice(0, 0), rows.slice(0, 1)])
    assert pq.read_table(io.BytesIO(parquet)).column("big").to_pylist() == [*range(70_000), 0]
    assert text.count(b"\r\n") == 70_002


@pytest.mark.parametrize("parts", [[], [SCHEMA.empty_table()]])
def test_no_rows_give_a_header_and_the_schema(tmp_path, parts):
    parquet, text = written(tmp_path, parts)
    assert pq.read_table(io.BytesIO(parquet)).schema.equals(SCHEMA)
    assert text.count(b"\r\n") == 1
