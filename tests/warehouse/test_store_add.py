"""Rows that concern no present row are put beside them; all others are merged with them."""

from functools import partial
from pathlib import Path

import pyarrow.compute as pc
import pytest

from dynatrail.sources.cloudtrail.merge import merge_events
from dynatrail.warehouse.store import Warehouse

KEY = ("event_id", "original_event_id")


@pytest.fixture
def made(events):
    """Rows of one object: no copies, no addendum."""

    def make(name, uri, **columns):
        plain = {"source_uri": uri, "copies": None, "original_event_id": None, "addendum_reason": None}
        return events(name=name, **(plain | columns))

    return make


@pytest.fixture
def add(warehouse, hour, slice_of):
    def write(rows, through=warehouse):
        merge = partial(merge_events, came=rows, taken=pc.unique(rows["source_uri"]).to_pylist())
        return through.add("api_event", merge, key=KEY, hours=[hour], where=slice_of)

    return write


@pytest.fixture
def files(warehouse):
    return lambda: {Path(file).name for file in warehouse.dataset("api_event").files}


def content(warehouse):
    return sorted(warehouse.dataset("api_event").to_table()["event_id"].to_pylist())


def test_new_rows_leave_present_files_alone(warehouse, made, add, files):
    add(made("one", "a"))
    before = files()
    assert add(made("two", "b")) == 3
    assert before < files()
    assert len(content(warehouse)) == 6


def test_rows_that_are_there_already_are_merged(warehouse, made, add):
    add(made("one", "a"))
    add(made("one", "b"))
    rows = warehouse.dataset("api_event").to_table()
    assert rows["source_uri"].to_pylist() == ["a"] * 3
    assert [len(copies) for copies in rows["copies"].to_pylist()] == [1] * 3


def test_an_addendum_replaces_the_event_that_it_names(warehouse, made, add):
    rows = made("one", "a")
    add(rows)
    corrected = made("late", "b")
    column = corrected.schema.get_field_index("original_event_id")
    corrected = corrected.set_column(column, corrected.schema.field(column), rows["event_id"])
    add(corrected)
    assert content(warehouse) == sorted(corrected["event_id"].to_pylist())


def test_the_same_object_again_changes_nothing(warehouse, made, add):
    add(made("one", "a"))
    before = warehouse.versions()
    assert add(made("one", "a")) == 0
    assert warehouse.versions() == before


def test_no_rows_change_nothing(warehouse, made, add):
    add(made("one", "a"))
    assert add(made("none", "b", per_hour=0)) == 0
    assert len(content(warehouse)) == 3


def test_another_writer_of_the_slice_is_seen_before_the_commit(tmp_path, warehouse, made, add, hour, slice_of):
    """Two writers bring the same events from two objects at once: one of them must see the other's."""
    other = Warehouse(str(tmp_path / "warehouse"))
    add(made("first", "a"))
    opened = other._open

    def late(*args, **kwargs):
        handle = opened(*args, **kwargs)  # the version that the second writer decides upon
        other._open = opened
        add(made("race", "c"))
        return handle

    other._open = late
    add(made("race", "b"), through=other)
    rows = warehouse.dataset("api_event").to_table()
    assert sorted(set(rows["source_uri"].to_pylist())) == ["a", "b"]
    assert len(rows) == 6


def test_tables_are_the_same_as_by_replacing(tmp_path, made, hour, slice_of):
    batches = [made("one", "a"), made("two", "c"), made("one", "b"), made("three", "d")]
    warehouses = [Warehouse(str(tmp_path / name)) for name in ("add", "replace")]
    for rows in batches:
        merge = partial(merge_events, came=rows, taken=pc.unique(rows["source_uri"]).to_pylist())
        warehouses[0].add("api_event", merge, key=KEY, hours=[hour], where=slice_of)
        warehouses[1].replace("api_event", merge, hours=[hour], where=slice_of)
    assert warehouses[0].digest("api_event") == warehouses[1].digest("api_event")
