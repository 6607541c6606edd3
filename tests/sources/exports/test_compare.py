"""A window of the stream held against an export of it, and what an operator may ask for."""

import json
from datetime import timedelta
from pathlib import Path

import pyarrow.compute as pc
import pytest

from dynatrail.clock import iso
from dynatrail.errors import ExportError, QualityError, SettingsError, SourceError
from dynatrail.sources.exports import ask, calls, compare
from dynatrail.sources.exports.windows import Span
from dynatrail.state import exports as state
from dynatrail.state import streams

from .conftest import ARN, BUCKET, CONFIG, NAME, at, spoilt

pytestmark = pytest.mark.slow


def form(**given):
    return ask.Form.read({"table": NAME, "reason": "a test"} | given, "jane")


WINDOW = {"from": iso(at(1)), "to": iso(at(3))}


@pytest.fixture(scope="module")
def read(world):
    """Items that changed in every way a stream can tell of, all of it read."""
    for patient in ("kept", "changed", "gone"):
        world.put(patient, state="first")
    world.pass_to(1.5)
    world.put("changed", state="second")
    world.put("changed", state="third")
    world.put("new", state="first")
    world.put("passing", state="first")
    world.pass_to(2.5)
    world.delete("gone")
    world.delete("passing")
    world.put("back", state="first")
    world.pass_to(4)
    world.read_streams()
    return world


@pytest.fixture(scope="module")
def export(read):
    (arn,) = ask.for_form(read.settings, form(**WINDOW), "verify").exports
    read.wait([arn])
    return arn


def report(done):
    return json.loads(Path(done.report).read_text(encoding="utf-8"))


def test_all_that_the_stream_gave_agrees(read, export):
    done = compare.compare(read.settings, export, run_id="manual__2026-11-02")
    done.must_agree()
    told = report(done)
    assert (told["agrees"], told["items"], told["differences"], told["first"]) == (True, 4, {}, [])
    assert (told["window"], told["open_gaps"]) == (f"{iso(at(1))}/{iso(at(3))}", [])
    assert Path(done.report).parent.name == "manual__2026-11-02"
    assert state.get(export).status == "loaded"


def test_hours_of_the_window_are_stated(read, export):
    compare.compare(read.settings, export, run_id="stated")
    rows = read.warehouse.dataset("source_statement").to_table().to_pylist()
    said = {
        row["event_hour"]: (row["status"], row["reasons"], row["records"]) for row in rows if row["source"] == "exports"
    }
    assert said == {at(1): ("complete", None, 2), at(2): ("complete", None, 2)}


def test_row_that_is_not_there_is_found_and_said_without_its_value(read, export):
    table = {"account_id": ARN.split(":")[4], "region": "us-east-1", "table_name": NAME}
    hours = [at(1)]
    whole = read.warehouse.dataset("item_change").to_table(filter=pc.field("event_hour") == at(1))
    read.warehouse.replace("item_change", lambda present: present.slice(0, 0), hours=hours, where=table)
    done = compare.compare(read.settings, export, run_id="lost")
    read.warehouse.replace("item_change", whole, hours=hours, where=table)
    # The export does not name the item that came and went; its delete alone does not end as it began.
    assert done.differences == {"not_in_export": 1, "not_in_warehouse": 2}
    with pytest.raises(QualityError, match="1 not_in_export, 2 not_in_warehouse"):
        done.must_agree()
    told = report(done)
    assert {one["item_key_token"][:3] for one in told["first"]} == {"t1:"}
    assert "second" not in json.dumps(told)
    rows = read.warehouse.dataset("source_statement").to_table().to_pylist()
    said = {row["event_hour"]: (row["status"], row["reasons"]) for row in rows if row["source"] == "exports"}
    assert said[at(2)] == ("incomplete", ["net_changes_differ"])


def test_line_that_cannot_be_read_proves_nothing(read, export):
    """Nor is that item among the rows, so nothing shows that it differs."""
    table = {"account_id": ARN.split(":")[4], "region": "us-east-1", "table_name": NAME}
    row = state.get(export)
    rows = read.warehouse.dataset("item_change").to_table()
    with spoilt(read, row.bucket, f"{row.prefix}/AWSDynamoDB") as patient:
        token = read.token(patient)
        hours = [at(1), at(2)]
        whole = rows.filter(pc.field("event_hour").isin(hours))
        own = whole.filter(pc.field("item_key_token") != token)
        read.warehouse.replace("item_change", own, hours=hours, where=table)
        done = compare.compare(read.settings, export, run_id="spoilt")
        read.warehouse.replace("item_change", whole, hours=hours, where=table)
    assert done.differences == {"lines_not_readable": 1}
    with pytest.raises(QualityError, match="cannot be read"):
        done.must_agree()
    rows = read.warehouse.dataset("source_statement").to_table().to_pylist()
    said = {row["event_hour"]: (row["status"], row["reasons"]) for row in rows if row["source"] == "exports"}
    assert said[at(2)] == ("incomplete", ["lines_not_readable"])


def test_export_that_is_there_is_not_paid_for_again(read, export):
    assert ask.for_form(read.settings, form(**WINDOW), "verify").exports == [export]
    assert len(read.dynamodb.list_exports(TableArn=ARN)["ExportSummaries"]) == 1


def test_named_export_is_taken_over(read, export):
    assert ask.for_form(read.settings, form(export=export), "verify").exports == [export]
    with pytest.raises(SettingsError, match="not all of"):
        ask.for_form(read.settings, form(export=export, **{"from": iso(at(1)), "to": iso(at(4))}), "verify")


def test_filtered_export_is_no_proof(read):
    made = read.dynamodb.export_table_to_point_in_time(
        TableArn=ARN,
        S3Bucket=BUCKET,
        ExportType=calls.INCREMENTAL,
        IncrementalExportSpecification={"ExportFromTime": at(1), "ExportToTime": at(3), "ExportViewType": calls.VIEW},
        FilterSpecification={
            "FilterExpression": "patient_id = :one",
            "ExpressionAttributeValues": {":one": {"S": "changed"}},
        },
    )["ExportDescription"]["ExportArn"]
    read.wait([])
    with pytest.raises(ExportError, match="FilterSpecification"):
        ask.for_form(read.settings, form(export=made), "verify")
    window = Span(at(1), at(3))
    assert calls.usable(read.dynamodb, ARN, window, bucket=BUCKET).arn != made


def test_window_that_was_not_read_yet_is_left_alone(read):
    read.sandbox.pass_time(at(8))
    with pytest.raises(SourceError, match="Let the DAG that reads it run first"):
        ask.for_form(read.settings, form(**{"from": iso(at(5)), "to": iso(at(7))}), "repair")


def test_window_that_recovery_does_not_reach_is_said_so(read):
    with pytest.raises(SourceError, match="lies outside"):
        ask.for_form(read.settings, form(**{"from": iso(at(-3)), "to": iso(at(1))}), "repair")


def test_form_says_what_is_missing(read):
    assert ask.Form.read({"table": None, "reason": "", "from": None}, "jane") is None
    with pytest.raises(SettingsError, match="Give a reason"):
        ask.Form.read({"table": NAME, **WINDOW}, "jane")
    with pytest.raises(SettingsError, match="Name the table"):
        ask.Form.read({"reason": "a test", **WINDOW}, "jane")
    with pytest.raises(SettingsError, match="24 hours at most"):
        form(**{"from": iso(at(0)), "to": iso(at(25))})
    with pytest.raises(SettingsError, match="0 of the configured places fit account 210987654321"):
        ask.for_form(read.settings, form(account="210987654321", **WINDOW), "repair")
    other = ARN.replace("us-east-1", "eu-west-1")
    with pytest.raises(SettingsError, match="does not name"):
        ask.for_form(read.settings, form(table=other, **WINDOW), "repair")


def test_without_a_bucket_nothing_is_asked_for(read, monkeypatch, tmp_path):
    path = tmp_path / "dynatrail.yaml"
    path.write_text(CONFIG.partition("exports:")[0])
    monkeypatch.setenv("DYNATRAIL_CONFIG", str(path))
    with pytest.raises(SettingsError, match=r"Set `exports\.bucket`"):
        ask.for_form(read.settings, form(**WINDOW), "repair")


def test_table_without_recovery_cannot_be_exported(read):
    setting = {"TableName": NAME, "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": False}}
    read.dynamodb.update_continuous_backups(**setting)
    with pytest.raises(SourceError, match=r"recovery of .* is off"):
        ask.for_form(read.settings, form(**{"from": iso(at(1)), "to": iso(at(1) + timedelta(minutes=20))}), "repair")


def test_gap_of_a_table_that_is_gone_or_not_configured_is_left_and_said(read):
    read.dynamodb.delete_table(TableName=NAME)
    elsewhere = ARN.replace("us-east-1", "eu-west-1")
    for arn in (ARN, elsewhere):
        gap = streams.Gap("streams", arn, f"{arn}/stream/x", None, None, at(1), at(2), "never_read", "A test.")
        assert streams.record(gap)
    asked = read.ask()
    assert (asked.exports, asked.failed) == ([], [])
    assert [("is gone" in said, "does not name" in said) for said in asked.left] == [(False, True), (True, False)]
