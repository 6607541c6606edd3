"""The canonical form of digest.py, computed again here from its description, value by value in plain Python."""

import hashlib
import math
import struct
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynatrail.errors import WarehouseError
from dynatrail.warehouse.digest import digest_batches

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def value_text(value):  # one return a type
    if isinstance(value, str):
        tag, text = "s", value
    elif isinstance(value, bytes):
        tag, text = "x", value.hex()
    elif isinstance(value, bool):
        tag, text = "b", str(value).lower()
    elif isinstance(value, int):
        tag, text = "i", str(value)
    elif isinstance(value, float):
        tag, text = "f", str(struct.unpack(">q", struct.pack(">d", 0.0 if value == 0 else value))[0])
    elif isinstance(value, datetime):
        delta = value - EPOCH
        tag, text = "t", str((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds)
    elif isinstance(value, date):
        tag, text = "d", value.isoformat()
    elif isinstance(value, dict):
        tag, text = "r", row_text(value)
    else:
        tag, text = "l", f"{len(value)}," + "".join("n" if one is None else value_text(one) for one in value)
    return f"{tag}{len(text.encode())}:{text}"


def row_text(row):
    return "".join(f"{name}={value_text(row[name])}" for name in sorted(row) if row[name] is not None)


def described_digest(name, rows):
    hashes = sorted(hashlib.sha256(row_text(row).encode()).digest() for row in rows)
    return hashlib.sha256(f"dynatrail-rows-1 {name} {len(rows)}\n".encode() + b"".join(hashes)).hexdigest()


SCHEMA = pa.schema(
    {
        "text": pa.string(),
        "amount": pa.int64(),
        "ratio": pa.float64(),
        "flag": pa.bool_(),
        "at": pa.timestamp("us", "UTC"),
        "day": pa.date32(),
        "names": pa.list_(pa.string()),
        "chain": pa.list_(pa.struct({"arn": pa.string(), "proven": pa.bool_()})),
        "raw": pa.binary(),
    }
)
VALUES = {
    "text": st.text(max_size=8),
    "amount": st.integers(-(2**63), 2**63 - 1),
    "ratio": st.floats(allow_nan=False),
    "flag": st.booleans(),
    "at": st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    "day": st.dates(date(1900, 1, 1), date(2100, 1, 1)),
    "names": st.lists(st.none() | st.text(max_size=3), max_size=3),
    "chain": st.lists(
        st.none()
        | st.fixed_dictionaries({"arn": st.none() | st.text(max_size=3), "proven": st.none() | st.booleans()}),
        max_size=2,
    ),
    "raw": st.binary(max_size=3),
}
ROWS = st.lists(st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()}), max_size=6)


def digest(rows, schema=SCHEMA):
    return digest_batches("thing", [pa.RecordBatch.from_pylist(rows, schema)])


@given(ROWS)
def test_the_digest_is_the_described_one(rows):
    assert digest(rows) == described_digest("thing", rows)


@given(ROWS, st.randoms())
def test_order_and_batches_do_not_matter(rows, random):
    shuffled = random.sample(rows, len(rows))
    batches = [pa.RecordBatch.from_pylist([row], SCHEMA) for row in shuffled]
    assert digest_batches("thing", batches) == digest(rows)


@given(ROWS.filter(bool))
def test_slices_of_longer_arrays_give_what_they_show(rows):
    batch = pa.RecordBatch.from_pylist([*rows, *rows, *rows], SCHEMA).slice(len(rows), len(rows))
    assert digest_batches("thing", [batch]) == digest(rows)


def test_null_empty_text_and_empty_list_differ():
    texts = pa.schema({"a": pa.string()})
    lists = pa.schema({"a": pa.list_(pa.string())})
    digests = {
        digest([{"a": None}], texts),
        digest([{"a": ""}], texts),
        digest([{"a": []}], lists),
        digest([{"a": [None]}], lists),
        digest([{"a": [""]}], lists),
        digest([], texts),
    }
    assert len(digests) == 6


def test_a_value_does_not_move_from_one_column_to_the_next_unseen():
    schema = pa.schema({"a": pa.string(), "b": pa.string()})
    assert digest([{"a": "xb=s1:y", "b": None}], schema) != digest([{"a": "x", "b": "y"}], schema)
    assert digest([{"a": "xy", "b": "z"}], schema) != digest([{"a": "x", "b": "yz"}], schema)


def test_the_same_row_twice_is_not_the_row_once():
    row = {"text": "a"}
    assert digest([row, row]) != digest([row])


def test_encodings_of_one_value_do_not_matter():
    plain = pa.array(["a", None, "b"])
    others = [plain.dictionary_encode(), plain.cast(pa.large_string()), plain.cast(pa.string_view())]
    expected = digest_batches("thing", [pa.record_batch({"a": plain})])
    assert {digest_batches("thing", [pa.record_batch({"a": other})]) for other in others} == {expected}


def test_a_new_column_without_values_changes_nothing():
    assert digest([{"a": "x"}], pa.schema({"a": pa.string(), "z": pa.int32()})) == digest(
        [{"a": "x"}], pa.schema({"a": pa.string()})
    )


def test_zeros_and_nans_have_one_form():
    schema = pa.schema({"a": pa.float64()})
    assert digest([{"a": -0.0}], schema) == digest([{"a": 0.0}], schema)
    negative_nan = struct.unpack(">d", b"\xff\xf8\x00\x00\x00\x00\x00\x01")[0]
    assert digest([{"a": negative_nan}], schema) == digest([{"a": math.nan}], schema)


def test_the_table_is_part_of_the_digest():
    batch = pa.RecordBatch.from_pylist([{"text": "a"}], SCHEMA)
    assert digest_batches("one", [batch]) != digest_batches("other", [batch])


def test_a_type_without_a_canonical_form_is_an_error():
    with pytest.raises(WarehouseError, match=r"No canonical form.*month_day_nano_interval"):
        digest_batches("thing", [pa.record_batch({"a": pa.array([None], pa.month_day_nano_interval())})])
