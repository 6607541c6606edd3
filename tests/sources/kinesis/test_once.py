"""Which of several copies of a change stays."""

import pyarrow as pa
import pytest

from dynatrail.sources.kinesis.once import once


def rows(*given):
    names = ("change_origin", "event_id", "stream_arn", "sequence_number", "shard_id")
    return pa.table({name: pa.array([row[n] for row in given], pa.string()) for n, name in enumerate(names)})


FIRST = ("kinesis", "e1", "arn", "10", "s0")
COPY = ("kinesis", "e1", "arn", "11", "s1")
OTHER = ("kinesis", "e2", "arn", "12", "s0")


@pytest.mark.parametrize("given", [(FIRST, COPY, OTHER), (COPY, OTHER, FIRST)], ids=["in order", "copy first"])
def test_smallest_position_stays_whatever_came_first(given):
    assert set(once(rows(*given))["sequence_number"].to_pylist()) == {"10", "12"}


def test_shorter_number_is_smaller():
    nine = ("kinesis", "e1", "arn", "9", "s0")
    assert once(rows(FIRST, nine))["sequence_number"].to_pylist() == ["9"]


def test_rows_of_other_origins_stay_as_they_are():
    stream = ("stream", "e1", "arn", "11", "s1")
    assert len(once(rows(stream, stream, FIRST))) == 3


def test_records_without_an_id_are_never_copies():
    nameless = ("kinesis", None, "arn", "11", "s1")
    assert len(once(rows(nameless, nameless))) == 2
