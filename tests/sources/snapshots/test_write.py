import sqlite3
from datetime import timedelta

import pytest
from tests.sources.snapshots.conftest import FIRST, PLACE, TABLE

from dynatrail.settings import settings
from dynatrail.sources.snapshots import announcing, write
from dynatrail.sources.snapshots.pieces import Capture
from dynatrail.sources.snapshots.versions import SupersededError
from dynatrail.state import pending
from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Warehouse

ON, OFF = {"n": 1}, {"n": 2}


def test_first_look_writes_everything(run, rows, seen):
    run(0, seen(a=ON, b=OFF))
    assert rows() == [(0, "a", "present", '{"n":1}'), (0, "b", "present", '{"n":2}')]


def test_look_that_sees_the_same_writes_nothing(run, digest, seen):
    run(0, seen(a=ON))
    before = digest()
    assert run(1, seen(a=ON)).rows == 0
    assert digest() == before


def test_one_changed_setting_is_one_row(run, rows, seen):
    run(0, seen(a=ON, b=ON))
    run(1, seen(a=OFF, b=ON))
    assert rows()[2:] == [(1, "a", "present", '{"n":2}')]


def test_row_names_what_was_before(run, home, seen):
    run(0, seen(a=ON))
    run(1, seen(a=OFF))
    old, new = sorted(
        Warehouse.from_settings(settings()).dataset("table_config").to_table().to_pylist(),
        key=lambda row: row["captured_at"],
    )
    assert (old["previous_sha256"], new["previous_sha256"]) == (None, old["sha256"])


def test_same_run_twice_gives_the_same_digest(run, digest, seen):
    run(0, seen(a=ON))
    run(1, seen(a=OFF))
    before = digest()
    run(1, seen(a=OFF))
    assert digest() == before


def test_run_killed_between_data_and_state_writes_the_same_rows(run, digest, seen, home, monkeypatch):
    run(0, seen(a=ON))
    with sqlite3.connect(home / "state.db") as state, sqlite3.connect(home / "before.db") as copy:
        state.backup(copy)
    run(1, seen(a=OFF))
    before = digest()
    monkeypatch.setenv("DYNATRAIL_STATE_URL", f"sqlite:///{home / 'before.db'}")  # as if the first had been killed
    run(1, seen(a=OFF))
    assert digest() == before
    assert run(2, seen(a=OFF)).rows == 0


def test_second_attempt_that_sees_something_else_replaces_the_first(run, rows, seen):
    run(0, seen(a=ON))
    run(1, seen(a=OFF))
    run(1, seen(a={"n": 3}))
    assert rows()[1:] == [(1, "a", "present", '{"n":3}')]


def test_second_attempt_that_sees_no_change_takes_the_first_one_s_row_back(run, rows, seen):
    run(0, seen(a=ON))
    run(1, seen(a=OFF, b=ON))
    run(1, seen(a=ON))
    assert rows() == [(0, "a", "present", '{"n":1}')]
    assert run(2, seen(a=ON)).rows == 0


def test_what_disappeared_is_gone_once(run, rows, seen):
    run(0, seen(a=ON, b=ON))
    run(1, seen(a=ON))
    run(2, seen(a=ON))
    assert rows()[2:] == [(1, "b", "gone", "It is no longer there.")]


def test_what_came_back_is_present_again(run, rows, seen):
    for number, look in enumerate((seen(a=ON), seen(), seen(a=ON))):
        run(number, look)
    assert [row[2] for row in rows()] == ["present", "gone", "present"]


def test_what_may_not_be_read_is_unreadable_once(run, rows, seen):
    run(0, seen(a=ON))
    run(1, seen(a="dynamodb:DescribeTimeToLive is not allowed"))
    run(2, seen(a="dynamodb:DescribeTimeToLive is not allowed"))
    run(3, seen(a=ON))
    assert [row[0::2] for row in rows()] == [(0, "present"), (1, "unreadable"), (3, "present")]


def test_what_could_not_be_asked_counts_as_it_was(run, rows, seen):
    run(0, seen(a=ON))
    look = seen()
    look.missed["arn:aws:dynamodb:us-east-1:123456789012:table/a", "DescribeTimeToLive"] = "throttled"
    run(1, look)
    assert len(rows()) == 1


def test_nothing_is_gone_when_the_list_was_not_complete(run, rows, seen):
    run(0, seen(a=ON))
    run(1, Capture())
    assert len(rows()) == 1


def test_nothing_is_gone_because_the_sdk_lacks_its_api(run, rows, seen):
    run(0, seen(a=ON))
    look = seen()
    look.lacking.add("DescribeTimeToLive")
    run(1, look)
    assert len(rows()) == 1


def test_run_for_an_earlier_instant_writes_nothing(run, digest, seen):
    run(1, seen(a=ON))
    before = digest()
    with pytest.raises(SupersededError, match="looked at after"):
        run(0, seen(a=OFF))
    assert digest() == before


def test_row_with_an_external_id_is_marked(run, home, seen):
    condition = {"StringEquals": {"sts:ExternalId": "shared"}}
    run(0, seen(a={"Statement": [{"Effect": "Allow", "Condition": condition}]}, b=ON))
    found = Warehouse.from_settings(settings()).dataset("table_config").to_table().to_pylist()
    assert {row["resource_name"]: row["marks"] for row in found} == {"a": ["external_id"], "b": None}


def test_resource_without_an_arn_is_quarantined_and_the_rest_goes_on(run, rows, seen):
    look = seen(a=ON)
    look.present(TABLE, "", "DescribeTimeToLive", "nameless", ON)
    assert run(0, look).quarantined == 1
    assert [row[1] for row in rows()] == ["a"]
    kept = Warehouse.from_settings(settings()).dataset("quarantine").to_table().to_pylist()
    assert [(row["source"], row["reason_code"]) for row in kept] == [("table_config", "arn_unusable")]


def test_document_with_a_credential_stops_the_look(run, home, seen):
    from dynatrail.errors import QualityError

    with pytest.raises(QualityError, match="credential") as raised:
        run(0, seen(a={"SecretAccessKey": "do-not-show"}))
    assert "do-not-show" not in str(raised.value)
    assert Warehouse.from_settings(settings()).dataset("table_config").to_table().num_rows == 0


def test_hours_are_announced_once_also_after_a_kill_before_the_announcement(run, seen):
    run(0, seen(a=ON))
    run(1, seen(a=OFF))
    assert announcing.hours(["table_config"]) == ["2026-11-01T00:00:00Z", "2026-11-01T06:00:00Z"]
    assert announcing.hours(["table_config"]) == []


def test_timeline_is_behind_where_rows_came_or_were_taken_back(run, seen):
    def behind():
        with pending.working(pending.TIMELINE, ()) as due:
            return sorted(due)

    run(0, seen(a=ON))
    assert behind() == [FIRST]
    run(1, seen(a=ON))
    assert behind() == []
    run(1, seen(a=OFF))
    assert behind() == [FIRST + timedelta(hours=6)]
    run(1, seen(a=ON))
    assert behind() == [FIRST + timedelta(hours=6)]


def test_statement_says_what_the_look_could_not_see(home, seen):
    look = seen(a="dynamodb:DescribeTimeToLive is not allowed")
    look.missed["arn", "DescribeTable"] = "DescribeTable: AWS answered ThrottlingException"
    write.state_source(settings(), "configuration", PLACE, FIRST + timedelta(minutes=20), [look], 1)
    (row,) = Warehouse.from_settings(settings()).dataset("source_statement").to_table().to_pylist()
    assert (row["event_hour"], row["status"], row["records"]) == (FIRST, "incomplete", 1)
    assert row["reasons"] == [
        "missed: DescribeTable: AWS answered ThrottlingException",
        "unreadable: dynamodb:DescribeTimeToLive is not allowed",
    ]


def test_suites_are_those_of_the_tables():
    assert {"iam_snapshot", "table_config", "trail_config"} <= TABLES.keys()
