"""One look at an account and region, through an Airflow connection to a server that speaks AWS's API."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import pytest
from tests.sources.streams.server import ACCOUNT, REGION, StreamsServer

from dynatrail.errors import SettingsError, SourceError
from dynatrail.privacy import sensitive
from dynatrail.privacy.sensitive import Form
from dynatrail.settings import settings
from dynatrail.sources import aws
from dynatrail.state import streams as state
from dynatrail.warehouse.store import Warehouse

AT = datetime(2026, 11, 2, 8, 15, tzinfo=UTC)


@pytest.fixture
def server(tmp_path, monkeypatch):
    made = StreamsServer()
    (tmp_path / "dynatrail.yaml").write_text(
        f'version: 1\naccounts: [{{id: "{ACCOUNT}", regions: [{REGION}]}}]\n'
        "tables: [{match: Scanned, sample_scan: true}, {match: Nothing, changes_from: none}]\n"
    )
    (tmp_path / "masking").mkdir()
    extra = {"region_name": REGION, "endpoint_url": made.url}
    connection = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "example", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("DYNATRAIL_CONFIG", str(tmp_path / "dynatrail.yaml"))
    monkeypatch.setenv("DYNATRAIL_MASKING", str(tmp_path / "masking"))
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path / "home"))
    aws.forget()
    yield made
    made.close()


def write_people(server, table):
    stream = server.stream(table)
    for n in range(5):
        image = {"id": {"S": f"i-{n}"}, "mail": {"S": f"planted{n}@example.com"}}
        server.write(stream, "a", f"i-{n}", dynamodb={"NewImage": image})
    return stream


def look(form=None):
    return sensitive.look(settings(), 0, AT, form or Form())


def rows():
    found = Warehouse.from_settings(settings()).dataset("sensitive_attribute").to_table().to_pylist()
    return [(row["table_name"], row["path"], row["detected_class"], row["sampled"]) for row in found]


def test_streams_are_sampled_without_a_checkpoint_or_a_change_in_the_state(server):
    write_people(server, "Patients")
    assert look().found == 1
    assert rows() == [("Patients", "mail", "email", 5)]
    assert state.shards() == []


def test_no_table_is_scanned_unless_its_note_allows_it(server):
    write_people(server, "Patients")
    look()
    assert "Scan" not in {operation for operation, _ in server.calls}


def test_a_scan_that_aws_refuses_is_told_and_the_stream_is_looked_at_all_the_same(server):
    write_people(server, "Scanned")
    server.faults.append(("Scan", 400, "AccessDeniedException"))
    summary = look()
    assert rows() == [("Scanned", "mail", "email", 5)]
    with pytest.raises(SourceError, match="of the table Scanned: AWS answered AccessDeniedException"):
        sensitive.complain(settings(), [asdict(summary)], Form())


def test_a_form_without_scans_scans_nothing(server):
    write_people(server, "Scanned")
    assert look(Form(scans=False)).planned == []
    assert "Scan" not in {operation for operation, _ in server.calls}


def test_a_table_that_gave_nothing_is_named_with_the_reason(server):
    server.tables["Patients"] = None
    assert look().unsampled == [
        f"Patients in {REGION}: no stream, and its note does not allow a Scan (sample_scan)",
    ]


def test_a_table_of_which_nothing_is_stored_is_not_looked_at(server):
    write_people(server, "Nothing")
    assert look().tables == 0
    assert rows() == []


def test_an_item_of_a_type_that_is_not_known_is_left_out_and_the_others_are_looked_at(server):
    stream = write_people(server, "Patients")
    server.write(stream, "a", "odd", dynamodb={"NewImage": {"mail": {"VECTOR": "PLANTED"}}})
    summary = look()
    assert rows() == [("Patients", "mail", "email", 5)]
    assert summary.warnings == ["Some items of Patients have types that are not known, and were left out."]


def test_a_table_that_is_not_watched_is_refused(server):
    write_people(server, "Patients")
    form = Form(table="Invoices")
    with pytest.raises(SettingsError, match="No table Invoices is watched"):
        sensitive.complain(settings(), [asdict(look(form))], form)


def test_the_summary_has_no_value(server, caplog):
    caplog.set_level("DEBUG", "dynatrail")
    write_people(server, "Patients")
    assert "planted" not in repr(look())
    assert "planted" not in caplog.text
