"""What the DAG's tasks call, through an Airflow connection to a server that speaks AWS's API."""

import json
from dataclasses import asdict

import pytest

from dynatrail.errors import SourceError
from dynatrail.settings import settings
from dynatrail.sources import aws
from dynatrail.sources.streams import extract

from .server import ACCOUNT, REGION


@pytest.fixture(autouse=True)
def connected(server, home, monkeypatch):
    config = home / "dynatrail.yaml"
    config.write_text(
        f'version: 1\naccounts: [{{id: "{ACCOUNT}", regions: [{REGION}]}}]\n'
        "tables: [{match: Kinesis*, changes_from: kinesis}, {match: Patients}]\n"
    )
    (home / "masking").mkdir()
    (home / "masking" / "policy.yaml").write_text(
        "version: 1\ntables: [{match: Patients, attributes: [{path: status, do: {action: keep}}]}]\n"
    )
    monkeypatch.setenv("DYNATRAIL_MASKING", str(home / "masking"))
    extra = {"region_name": REGION, "endpoint_url": server.url}
    connection = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "example", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("DYNATRAIL_CONFIG", str(config))
    aws._client.cache_clear()
    yield
    aws._client.cache_clear()


def named(batches):
    return [name for batch in batches for name in batch["tables"]]


def statements(reading):
    rows = reading.warehouse.dataset("source_statement").to_table().to_pylist()
    return {(row["table_name"], row["status"], *(row["reasons"] or ())) for row in rows}


def run(number=0):
    return [extract.read(settings(), batch, number, run_id="run") for batch in extract.discover(settings())]


def test_tables_are_dealt_into_batches_of_an_account_and_region(server, monkeypatch):
    monkeypatch.setattr(extract, "BATCH_TABLES", 2)
    for name in ("Visits", "Patients", "Invoices", "KinesisOnly"):
        server.stream(name)
    batches = extract.discover(settings())
    assert [batch["tables"] for batch in batches] == [["Invoices", "Patients"], ["Visits"]]
    assert {(batch["account_id"], batch["region"]) for batch in batches} == {(ACCOUNT, REGION)}


def test_attributes_that_the_note_calls_clear_are_kept(server, reading):
    stream = server.stream("Patients")
    image = {"id": {"S": "pat-1"}, "status": {"S": "admitted"}}
    server.write(stream, "a", "pat-1", dynamodb={"NewImage": image})
    run()
    assert json.loads(reading.rows("new_image")[0])["status"] == {"S": "admitted"}


def test_a_deleted_table_is_read_to_its_end(server, reading):
    stream = server.stream("Patients")
    first = server.write(stream, "a", "pat-1")
    run()
    second = server.write(stream, "a", "pat-1")
    server.disable(stream)
    del server.tables["Patients"]
    assert named(extract.discover(settings())) == ["Patients"]
    run()
    assert reading.sequences() == [first, second]


def test_a_table_without_a_stream_is_not_assessable(server, reading):
    server.tables["Plain"] = None
    assert named(extract.discover(settings())) == ["Plain"]
    assert statements(reading) == {("Plain", "not_assessable", "no_stream")}


def test_a_refused_table_is_named_at_the_end_and_stated_while_the_rest_lands(server, reading):
    for name in ("Patients", "Visits"):
        server.write(server.stream(name), "a", "pat-1")
    server.denied.add("Visits")
    with pytest.raises(SourceError, match=r"1 of 2 tables could not be read.*Visits: .*AccessDenied"):
        run()
    assert reading.rows("table_name") == ["Patients"]
    assert statements(reading) == {("Visits", "not_assessable", "not_readable")}


def test_the_hours_of_a_run_are_stated_and_then_no_longer_due(server, reading):
    from datetime import timedelta

    stream = server.stream("Patients")
    server.write(stream, "a", "pat-1")
    server.now += timedelta(hours=2)
    run()
    assert extract.state_hours(settings()) == 1
    assert extract.state_hours(settings()) == 0
    assert statements(reading) == {("Patients", "complete")}


def test_summaries_add_up(server):
    server.write(server.stream("Patients"), "a", "pat-1")
    (summary,) = run()
    whole = extract.total([asdict(summary), asdict(summary)])
    assert (whole["changes"], whole["tables"], whole["warnings"]) == (2, 2, [])
