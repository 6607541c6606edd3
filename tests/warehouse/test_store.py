"""One process: what a write replaces, what it refuses, what versions, digests, compaction and vacuum keep."""

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable

from dynatrail.errors import WarehouseError
from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Maintained, Warehouse


def rows(warehouse, version=None):
    order = [("event_time", "ascending"), ("event_id", "ascending")]
    return warehouse.dataset("api_event", version).to_table().sort_by(order)


def set_column(table, name, values):
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)


def test_written_rows_are_read_back_as_they_were(warehouse, events, hour, slice_of):
    written = events(per_hour=50)
    assert warehouse.replace("api_event", written, hours=[hour], where=slice_of) == 50
    assert rows(warehouse).equals(written)


def test_only_the_named_hours_are_replaced(warehouse, events, hour, slice_of):
    day = [hour + timedelta(hours=n) for n in range(4)]
    warehouse.replace("api_event", events(day), hours=day, where=slice_of)
    warehouse.replace("api_event", events([day[1]], per_hour=1, name="new"), hours=[day[1], day[3]], where=slice_of)
    assert rows(warehouse)["event_id"].to_pylist() == [
        *events(day)["event_id"].to_pylist()[:3],
        "new-0104-000000",
        *events(day)["event_id"].to_pylist()[6:9],
    ]


def test_hours_with_gaps_over_many_days_leave_the_hours_between_alone(warehouse, events, hour, slice_of):
    all_hours = [hour + timedelta(hours=n) for n in range(24 * 14)]
    warehouse.replace("api_event", events(all_hours, per_hour=2), hours=all_hours, where=slice_of)
    odd = all_hours[1::2]
    warehouse.replace("api_event", events(odd, per_hour=1, name="new"), hours=odd, where=slice_of)
    names = pc.utf8_slice_codeunits(rows(warehouse)["event_id"], 0, 3).to_pylist()
    assert (names.count("eve"), names.count("new")) == (len(all_hours), len(odd))
    assert warehouse.versions() == {"api_event": 2}


def test_other_accounts_and_regions_of_the_hour_stay(warehouse, events, hour, slice_of):
    other = {"recipient_account_id": "210987654321", "region": "eu-central-1"}
    warehouse.replace("api_event", events(**other, name="other"), hours=[hour], where=other)
    warehouse.replace("api_event", events(), hours=[hour], where=slice_of)
    warehouse.replace("api_event", events(per_hour=0), hours=[hour], where=slice_of)
    assert rows(warehouse)["recipient_account_id"].to_pylist() == ["210987654321"] * 3


def test_without_a_slice_all_accounts_of_the_hour_are_replaced(warehouse, events, hour):
    other = {"recipient_account_id": "210987654321", "region": "us-east-1"}
    warehouse.replace("api_event", events(**other, name="other"), hours=[hour], where=other)
    warehouse.replace("api_event", events(per_hour=1), hours=[hour])
    assert rows(warehouse).num_rows == 1


def test_a_slice_value_is_data_not_sql(warehouse, events, hour):
    odd = {"recipient_account_id": "x' OR '1'='1", "region": "eu-central-1"}
    warehouse.replace("api_event", events(), hours=[hour])
    warehouse.replace("api_event", events(**odd, name="odd"), hours=[hour], where=odd)
    assert rows(warehouse).num_rows == 6


def test_the_same_rows_again_make_no_version(warehouse, events, hour, slice_of):
    warehouse.replace("api_event", events(per_hour=40_000), hours=[hour], where=slice_of)
    before = warehouse.versions()
    shuffled = events(per_hour=40_000).take(pa.array(list(reversed(range(40_000)))))
    assert warehouse.replace("api_event", shuffled, hours=[hour], where=slice_of) == 0
    assert warehouse.versions() == before


def test_one_changed_value_makes_a_version(warehouse, events, hour, slice_of):
    warehouse.replace("api_event", events(), hours=[hour], where=slice_of)
    before = warehouse.versions()["api_event"]
    changed = set_column(events(), "user_agent", pa.array(["text 0", "text 1", None]))
    assert warehouse.replace("api_event", changed, hours=[hour], where=slice_of) == 3
    assert warehouse.versions()["api_event"] == before + 1


def test_a_function_gets_the_present_rows_of_its_slice_alone(warehouse, events, hour, slice_of):
    hours = [hour, hour + timedelta(hours=1)]
    warehouse.replace("api_event", events(hours), hours=hours, where=slice_of)
    given = []

    def merge(present):
        given.append(sorted(present["event_id"].to_pylist()))
        return pa.concat_tables([present, events([hours[1]], per_hour=1, name="late")])

    assert warehouse.replace("api_event", merge, hours=[hours[1]], where=slice_of) == 4
    assert given == [events(hours)["event_id"].to_pylist()[3:]]


def test_a_first_fill_that_lost_a_race_is_merged_again(warehouse, events, hour, slice_of):
    competitor = Warehouse(warehouse.root)
    calls = []

    def merge(present):
        calls.append(present.num_rows)
        if len(calls) == 1:
            competitor.replace("api_event", events(name="theirs"), hours=[hour], where=slice_of)
        return pa.concat_tables([present, events(name="ours")])

    warehouse.replace("api_event", merge, hours=[hour], where=slice_of)
    assert calls == [0, 3]
    assert rows(warehouse).num_rows == 6


def test_a_write_beside_another_hour_of_the_day_is_not_repeated(warehouse, events, hour, slice_of):
    competitor = Warehouse(warehouse.root)
    next_hour = hour + timedelta(hours=1)
    calls = []

    def merge(present):
        calls.append(present.num_rows)
        competitor.replace("api_event", events([next_hour]), hours=[next_hour], where=slice_of)
        return events()

    warehouse.replace("api_event", merge, hours=[hour], where=slice_of)
    assert calls == [0]
    assert rows(warehouse).num_rows == 6


def test_dictionary_encoded_and_large_columns_are_accepted(warehouse, events, hour, slice_of):
    given = events()
    encoded = pa.table(
        {
            name: column.dictionary_encode()
            if name in {"event_name", "principal_arn"}
            else column.cast(pa.large_string())
            if name == "user_agent"
            else column
            for name, column in zip(given.column_names, given.columns, strict=True)
        }
    )
    warehouse.replace("api_event", encoded, hours=[hour], where=slice_of)
    assert rows(warehouse).equals(given)


def test_event_date_is_derived(warehouse, events, hour, slice_of):
    warehouse.replace("api_event", events().drop_columns(["event_date"]), hours=[hour], where=slice_of)
    assert set(rows(warehouse)["event_date"].to_pylist()) == {date(2026, 11, 1)}


def test_a_table_says_what_its_columns_mean(warehouse, events, hour, slice_of):
    warehouse.replace("api_event", events(), hours=[hour], where=slice_of)
    fields = {field.name: field for field in DeltaTable(f"{warehouse.root}/api_event").schema().fields}
    assert fields["event_id"].metadata == {"comment": "CloudTrail eventID"}
    assert (fields["event_id"].nullable, fields["user_agent"].nullable) == (False, True)


def test_a_table_never_written_reads_as_empty_and_typed(warehouse):
    assert warehouse.versions() == {}
    assert warehouse.dataset("audit_record").to_table().equals(TABLES["audit_record"].schema.empty_table())


def test_an_old_version_stays_readable(warehouse, events, hour, slice_of):
    warehouse.replace("api_event", events(), hours=[hour], where=slice_of)
    pinned = warehouse.versions()["api_event"]
    warehouse.replace("api_event", events(per_hour=9), hours=[hour], where=slice_of)
    assert rows(warehouse, pinned).equals(events())


def test_a_column_that_the_contract_gained_is_null_in_old_rows(warehouse, events, hour, slice_of, monkeypatch):
    from dynatrail.warehouse import store

    present = TABLES["api_event"]
    earlier = type(present)(
        present.name, present.grain, pa.schema([f for f in present.schema if f.name != "tls_version"]),
        present.natural_key, present.order_by, present.slice_by,
    )  # fmt: skip
    later = hour + timedelta(hours=1)
    with monkeypatch.context() as patched:
        patched.setitem(store.TABLES, "api_event", earlier)
        warehouse.replace("api_event", events(), hours=[hour], where=slice_of)
        digest = warehouse.digest("api_event", hour)
    assert warehouse.dataset("api_event").to_table()["tls_version"].null_count == 3
    warehouse.replace("api_event", events([later]), hours=[later], where=slice_of)
    assert warehouse.dataset("api_event").to_table()["tls_version"].null_count == 3
    assert warehouse.digest("api_event", hour) == digest


def test_a_column_that_was_documented_otherwise_is_written_on(warehouse, events, hour, slice_of, monkeypatch):
    from dynatrail.warehouse import store

    present = TABLES["api_event"]
    reworded = [f.with_metadata({"comment": "as it was said before"}) if f.name == "attestation" else f
                for f in present.schema]  # fmt: skip
    earlier = type(present)(
        present.name, present.grain, pa.schema(reworded), present.natural_key, present.order_by, present.slice_by
    )
    later = hour + timedelta(hours=1)
    with monkeypatch.context() as patched:
        patched.setitem(store.TABLES, "api_event", earlier)
        warehouse.replace("api_event", events(), hours=[hour], where=slice_of)
    warehouse.replace("api_event", events([later]), hours=[later], where=slice_of)
    assert len(warehouse.dataset("api_event").to_table()) == 6
    written = DeltaTable(f"{warehouse.root}/api_event").schema().to_arrow()
    assert pa.schema(written).field("attestation").metadata == present.schema.field("attestation").metadata


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop_columns(["event_name"]), "lack column event_name"),
        (lambda t: t.append_column("colour", pa.array(["red"] * 3)), "no column colour"),
        (lambda t: set_column(t, "event_name", pa.nulls(3, pa.string())), r"api_event\.event_name may not be NULL"),
        (lambda t: t.set_column(0, "event_id", pa.array([1, 2, 3])), r"api_event\.event_id takes string, got int64"),
        (
            lambda t: t.set_column(t.schema.get_field_index("ocsf_class_uid"), "ocsf_class_uid", pa.array([2**40] * 3)),
            r"api_event\.ocsf_class_uid takes int32; a value of type int64 does not fit",
        ),
        (lambda t: set_column(t, "region", pa.array(["us-east-1"] * 3)), "3 rows have another region"),
        (lambda t: set_column(t, "event_id", pa.array(["a", "a", "b"])), "1 rows occur more than once"),
    ],
)
def test_rows_that_break_the_contract_are_refused_by_name(warehouse, events, hour, slice_of, spoil, message):
    with pytest.raises(WarehouseError, match=message):
        warehouse.replace("api_event", spoil(events()), hours=[hour], where=slice_of)
    assert rows(warehouse).num_rows == 0


def test_rows_of_another_hour_are_refused(warehouse, events, hour, slice_of):
    with pytest.raises(WarehouseError, match="3 rows have an event_hour outside"):
        warehouse.replace("api_event", events([hour + timedelta(hours=1)]), hours=[hour], where=slice_of)


def test_an_event_hour_that_is_not_the_hour_of_the_event_is_refused(warehouse, events, hour, slice_of):
    moved = set_column(events(), "event_time", pa.array([hour - timedelta(seconds=1)] * 3, pa.timestamp("us", "UTC")))
    with pytest.raises(WarehouseError, match="not the hour of their event_time"):
        warehouse.replace("api_event", moved, hours=[hour], where=slice_of)


def test_a_broken_hour_or_slice_or_table_name_is_refused(warehouse, events, hour, slice_of):
    with pytest.raises(WarehouseError, match="full UTC hours"):
        warehouse.replace("api_event", events(), hours=[hour + timedelta(minutes=5)], where=slice_of)
    with pytest.raises(WarehouseError, match="named by recipient_account_id, region"):
        warehouse.replace("api_event", events(), hours=[hour], where={"region": "eu-central-1"})
    with pytest.raises(WarehouseError, match="There is no table api_evnt; there are api_event,"):
        warehouse.replace("api_evnt", events(), hours=[hour])
    with pytest.raises(WarehouseError, match="at least one hour"):
        warehouse.replace("api_event", events(), hours=[])


def test_an_unknown_version_is_an_error_that_names_it(warehouse, events, hour, slice_of):
    with pytest.raises(WarehouseError, match="api_event does not exist, so it has no version 3"):
        warehouse.dataset("api_event", 3)
    warehouse.replace("api_event", events(), hours=[hour], where=slice_of)
    with pytest.raises(WarehouseError, match="open api_event at version 99"):
        warehouse.dataset("api_event", 99)


def test_a_folder_that_cannot_be_written_is_an_error_with_a_next_step(tmp_path, events, hour):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(WarehouseError, match="doctor"):
        Warehouse(str(tmp_path / "file")).replace("api_event", events(), hours=[hour])


def test_digest_is_the_same_whatever_the_files_and_their_order(tmp_path, events, hour, slice_of):
    hours = [hour + timedelta(hours=n) for n in range(30)]
    at_once, one_by_one = Warehouse(str(tmp_path / "a")), Warehouse(str(tmp_path / "b"))
    at_once.replace("api_event", events(hours), hours=hours, where=slice_of)
    for start in reversed(range(0, 30, 5)):
        part = events(hours).slice(start * 3, 15)
        one_by_one.replace("api_event", part, hours=hours[start : start + 5], where=slice_of)
    assert at_once.digest("api_event") == one_by_one.digest("api_event")
    assert at_once.digest("api_event", hours[5]) == one_by_one.digest("api_event", hours[5])
    assert at_once.digest("api_event", day=date(2026, 11, 2)) == one_by_one.digest("api_event", day=date(2026, 11, 2))
    assert at_once.digest("api_event", hours[5]) != at_once.digest("api_event", hours[6])


def test_compaction_leaves_one_file_and_the_same_rows(warehouse, events, hour, slice_of):
    hours = [hour + timedelta(hours=n) for n in range(6)]
    for start in hours:
        warehouse.replace("api_event", events([start]), hours=[start], where=slice_of)
    day = hour.date()
    digest, version = warehouse.digest("api_event", day=day), warehouse.versions()["api_event"]
    assert warehouse.compact(day) == [Maintained("api_event", files_removed=6, files_added=1)]
    assert warehouse.digest("api_event", day=day) == digest
    assert warehouse.digest("api_event", day=day, version=version) == digest
    assert warehouse.compact(day) == [Maintained("api_event", files_removed=0, files_added=0)]
    assert warehouse.versions()["api_event"] == version + 1
    assert warehouse.replace("api_event", events(hours[2:3]), hours=hours[2:3], where=slice_of) == 0


def test_vacuum_keeps_the_latest_and_the_pinned_versions(warehouse, events, hour, slice_of):
    for count in range(1, 25):  # a checkpoint lies between the pins
        warehouse.replace("api_event", events(per_hour=count), hours=[hour], where=slice_of)
    removed = warehouse.vacuum({"api_event": [3, 22]}, older_than=timedelta(0))
    assert removed == [Maintained("api_event", files_removed=21)]
    assert [rows(warehouse, version).num_rows for version in (3, 22, None)] == [3, 22, 24]
    with pytest.raises(FileNotFoundError):
        rows(warehouse, 10)


def test_vacuum_spares_what_running_readers_may_need_and_commits_nothing(warehouse, events, hour, slice_of):
    warehouse.replace("api_event", events(per_hour=1), hours=[hour], where=slice_of)
    warehouse.replace("api_event", events(per_hour=2), hours=[hour], where=slice_of)
    assert warehouse.vacuum({}) == [Maintained("api_event", files_removed=0)]
    assert warehouse.versions() == {"api_event": 2}
    assert rows(warehouse, 1).num_rows == 1


def test_vacuum_refuses_pins_of_another_warehouse(warehouse, events, hour, slice_of):
    warehouse.replace("api_event", events(), hours=[hour], where=slice_of)
    with pytest.raises(WarehouseError, match="another warehouse"):
        warehouse.vacuum({"api_event": [7]}, older_than=timedelta(0))
    with pytest.raises(WarehouseError, match="tables that do not exist: colours"):
        warehouse.vacuum({"colours": [1]})


def test_a_second_slice_of_the_year_prunes_by_statistics(warehouse, events, hour, slice_of):
    hours = [hour + timedelta(days=n) for n in range(5)]
    for start in hours:
        warehouse.replace("api_event", events([start]), hours=[start], where=slice_of)
    for kept in Path(warehouse.root, "api_event").glob("event_date=*/*.parquet"):
        if "2026-11-03" not in str(kept):
            kept.unlink()
    # Only the day's own file is opened: the others are gone.
    assert warehouse.replace("api_event", lambda present: present, hours=[hours[2]], where=slice_of) == 0
    assert warehouse.replace("api_event", events([hours[2]], per_hour=9), hours=[hours[2]], where=slice_of) == 9


def test_nothing_is_made_before_it_is_used(tmp_path):
    from dynatrail.settings import Settings

    made = Warehouse.from_settings(Settings(home=tmp_path / "home", warehouse=""))
    assert made.root == str(tmp_path / "home" / "warehouse")
    assert not (tmp_path / "home").exists()
