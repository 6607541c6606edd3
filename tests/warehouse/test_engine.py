"""DuckDB over the warehouse: which relations it shows, what it may reach, how it speaks of mistakes."""

from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from dynatrail.errors import WarehouseError
from dynatrail.warehouse import engine, sqlfiles
from dynatrail.warehouse.schema import TABLES


@pytest.fixture
def filled(warehouse, events, hour, slice_of):
    warehouse.replace("api_event", events(), hours=[hour], where=slice_of)
    return warehouse


@pytest.fixture
def connection(filled):
    with engine.connect(filled) as opened:
        yield opened


@pytest.fixture
def sql(tmp_path, monkeypatch):
    """Puts a file into a `sql/` of the test's own."""
    monkeypatch.setattr(sqlfiles, "SQL", tmp_path)
    (tmp_path / "trail").mkdir()

    def write(text):
        (tmp_path / "trail" / "case.sql").write_text(text)
        return "trail/case.sql"

    return write


def test_every_table_is_a_relation_with_its_columns_before_anything_was_written(warehouse):
    with engine.connect(warehouse) as connection:
        for name, table in TABLES.items():
            found = connection.sql(f"select * from {name}").to_arrow_table()
            assert (found.num_rows, found.schema.names) == (0, table.schema.names)
            assert found.schema.field("event_hour").type == pa.timestamp("us", "UTC")


def test_pinned_versions_are_read_and_tables_not_pinned_are_empty(filled, events, hour, slice_of):
    pinned = filled.versions()
    filled.replace("api_event", events(per_hour=9), hours=[hour], where=slice_of)
    filled.replace("quarantine", lambda present: present, hours=[hour])
    count = "select count(*) as n from api_event"
    with engine.connect(filled, versions=pinned) as connection:
        assert engine.query(connection, count).to_pylist() == [{"n": 3}]
    with engine.connect(filled, versions={}) as connection:
        assert engine.query(connection, count).to_pylist() == [{"n": 0}]


def test_an_open_connection_keeps_the_version_it_was_opened_with(filled, events, hour, slice_of):
    with engine.connect(filled) as connection:
        filled.replace("api_event", events(per_hour=9), hours=[hour], where=slice_of)
        assert engine.query(connection, "select count(*) as n from api_event").to_pylist() == [{"n": 3}]


def test_extra_relations_are_there_and_may_stand_in_for_a_table(filled):
    extra = {"touched_hour": pa.table({"a": [1, 2]}), "api_event": pa.table({"b": [7]})}
    with engine.connect(filled, extra=extra) as connection:
        found = engine.query(connection, "select a, b from touched_hour, api_event order by a")
        assert found.to_pylist() == [{"a": 1, "b": 7}, {"a": 2, "b": 7}]


def test_times_are_utc_whatever_the_machine_says(filled, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    with engine.connect(filled) as connection:
        text = engine.query(connection, "select cast(min(event_hour) as varchar) as at from api_event")
        assert text.to_pylist() == [{"at": "2026-11-01 03:00:00+00"}]


def test_limits_come_from_the_settings(filled, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_ENGINE_THREADS", "1")
    monkeypatch.setenv("DYNATRAIL_ENGINE_MEMORY", "300MiB")
    with engine.connect(filled) as connection:
        limits = "select current_setting('threads') as t, current_setting('memory_limit') as m"
        assert engine.query(connection, limits).to_pylist() == [{"t": 1, "m": "300.0 MiB"}]


@pytest.mark.parametrize(
    "statement",
    [
        "select * from read_csv('/etc/hostname')",
        "select * from '/etc/hostname'",
        "select * from read_parquet('http://192.0.2.1/x.parquet')",
        "select * from some_python_variable",
    ],
)
def test_a_query_reaches_no_file_no_network_and_no_python(connection, statement):
    some_python_variable = pa.table({"a": [1]})  # noqa: F841  what a replacement scan would find
    with pytest.raises(WarehouseError):
        engine.query(connection, statement)


@pytest.mark.parametrize(
    "statement", ["drop view api_event", "create table x as select 1", "set threads = 9", "copy api_event to 'x.csv'"]
)
def test_a_query_that_does_not_read_is_refused(connection, statement):
    with pytest.raises(WarehouseError, match="may only read"):
        engine.query(connection, statement)
    assert engine.query(connection, "select count(*) as n from api_event").to_pylist() == [{"n": 3}]


def test_the_connection_cannot_be_reconfigured_even_past_the_guard(connection):
    with pytest.raises(Exception, match="locked"):
        connection.execute("set enable_external_access = true")


@pytest.mark.parametrize("statement", ["describe api_event", "summarize api_event", "show tables", "explain select 1"])
def test_statements_that_look_around_are_queries(connection, statement):
    assert engine.query(connection, statement).num_rows > 0


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("select 1; select 2", "exactly one statement; got 2"),
        ("", "exactly one statement; got 0"),
        ("selec 1", 'does not parse: .*near "selec"'),
        ("select * from api_evnt", r"no table api_evnt; did you mean api_event\? Tables: alarm_event, api_event, "),
        ("select event_nme from api_event", r"(?s)event_nme.*Candidate bindings: .*event_name"),
        ("select $start", r"values in place of the parameters \$start"),
    ],
)
def test_mistakes_in_a_query_are_explained(connection, statement, message):
    with pytest.raises(WarehouseError, match=message):
        engine.query(connection, statement)


def test_a_file_runs_with_its_parameters(connection, sql, hour):
    path = sql("-- Events.\nselect count(*) as n from api_event where event_hour >= $start and event_hour < $end")
    found = engine.run_file(connection, path, start=hour, end=hour + timedelta(hours=1))
    assert found.to_pylist() == [{"n": 3}]
    assert engine.run_file(connection, path, start=hour + timedelta(hours=1), end=hour).to_pylist() == [{"n": 0}]


def test_a_file_is_read_in_batches(connection, sql):
    path = sql("select i from unnest($numbers) as each(i) order by i")
    batches = list(engine.batches(connection, path, rows=2048, numbers=list(range(5000))))
    assert [i for batch in batches for i in batch.column(0).to_pylist()] == list(range(5000))
    assert len(batches) > 2


def test_batches_of_nothing_still_have_columns(connection, sql):
    (batch,) = engine.batches(connection, sql("select 1 as n where $no"), no=False)
    assert batch.to_pydict() == {"n": []}


def test_failure_while_batches_are_read_is_told(connection, sql):
    path = sql("select cast(case when i = 4000 then 'x' else '1' end as int) as n from unnest($numbers) as each(i)")
    with pytest.raises(WarehouseError, match=r"sql/trail/case\.sql failed: .*Could not convert"):
        list(engine.batches(connection, path, rows=1024, numbers=list(range(5000))))


def test_a_missing_or_unknown_parameter_is_named(connection, sql):
    path = sql("select $start as start, $end as end_")
    with pytest.raises(WarehouseError, match=r"trail/case\.sql needs the parameters end, which"):
        engine.run_file(connection, path, start=1)
    with pytest.raises(WarehouseError, match=r"has no parameter stop; it takes end, start"):
        engine.run_file(connection, path, start=1, end=2, stop=3)


def test_a_wrong_or_missing_file_is_named(connection, sql):
    with pytest.raises(WarehouseError, match="holds 2 statements"):
        engine.run_file(connection, sql("select 1; select 2"))
    with pytest.raises(WarehouseError, match=r"sql/trail/case\.sql does not parse"):
        engine.run_file(connection, sql("selec 1"))
    with pytest.raises(WarehouseError, match=r"no sql/trail/cass\.sql; beside it are trail/case\.sql"):
        engine.run_file(connection, "trail/cass.sql")


def test_a_result_goes_back_into_the_warehouse_as_it_is(filled, events, hour, slice_of, sql):
    path = sql("select * from api_event")
    with engine.connect(filled) as connection:
        found = engine.run_file(connection, path)
    assert filled.replace("api_event", found, hours=[hour], where=slice_of) == 0


def test_an_aware_time_binds_as_that_instant(connection, sql):
    elsewhere = datetime.fromisoformat("2026-11-01T04:00:00+01:00")
    path = sql("select count(*) as n from api_event where event_hour = $hour")
    assert engine.run_file(connection, path, hour=elsewhere).to_pylist() == [{"n": 3}]
