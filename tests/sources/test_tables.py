"""Finding tables: a small server speaks DynamoDB's API over HTTP, so that boto3, its paging and its errors are real."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.config import Config

from dynatrail.config import Account, Target
from dynatrail.errors import SourceError
from dynatrail.settings import settings
from dynatrail.sources import aws, tables

ACCOUNT = "123456789012"
REGION = "eu-central-1"
REFUSAL = "User: arn:aws:iam::123456789012:user/x is not authorized to perform: dynamodb:{} on resource: pat-4711"


class DynamoDb:
    """Tables by name, with what DescribeTable adds; faults by call, and by call and table."""

    def __init__(self):
        self.tables = {}
        self.tags = {}
        self.faults = {}
        self.asked = []

    def answer(self, call, asked):
        name = asked.get("TableName") or asked.get("ResourceArn", "").rpartition("/")[2]
        self.asked.append((call, name))
        if fault := self.faults.get((call, name)) or self.faults.get(call):
            code, message = fault
            return 400, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}
        if call == "ListTables":
            names = sorted(self.tables)
            start = asked.get("ExclusiveStartTableName", "")
            page = [name for name in names if name > start][:2]
            more = {"LastEvaluatedTableName": page[-1]} if page and page[-1] != names[-1] else {}
            return 200, {"TableNames": page, **more}
        if call == "ListTagsOfResource":
            return 200, {"Tags": [{"Key": key, "Value": value} for key, value in self.tags.get(name, {}).items()]}
        return 200, {"Table": description(name) | self.tables[name]}


def description(name):
    return {
        "TableName": name,
        "TableArn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}",
        "TableStatus": "ACTIVE",
        "KeySchema": [{"AttributeName": "at", "KeyType": "RANGE"}, {"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [
            {"AttributeName": "at", "AttributeType": "N"},
            {"AttributeName": "email", "AttributeType": "S"},
            {"AttributeName": "id", "AttributeType": "S"},
        ],
    }


def handler_of(server):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = server.answer(self.headers["X-Amz-Target"].partition(".")[2], asked)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


@pytest.fixture
def dynamodb(monkeypatch, tmp_path):
    made = DynamoDb()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(made))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    extra = {"endpoint_url": f"http://127.0.0.1:{server.server_port}", "region_name": REGION}
    connection = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "example", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DYNATRAIL_CONFIG", str(tmp_path / "dynatrail.yaml"))
    (tmp_path / "dynatrail.yaml").write_text("tables: [{match: Pat*, purpose: treatment, sensitivity: restricted}]")
    monkeypatch.setattr(aws, "_CONFIG", Config(retries={"mode": "standard", "total_max_attempts": 1}))
    aws.forget()
    yield made
    server.shutdown()
    server.server_close()
    aws.forget()


def target(**account):
    return Target(Account(id=ACCOUNT, regions=(REGION,), **account), REGION)


def found(**account):
    return tables.of(settings(), target(**account))


def test_every_page_is_described_in_the_order_of_names(dynamodb):
    dynamodb.tables = {name: {} for name in ("Clinics", "Analyses", "Events", "Bills", "Doctors")}
    assert [table.name for table in found()] == ["Analyses", "Bills", "Clinics", "Doctors", "Events"]


def test_key_types_are_those_of_the_tables_key_partition_key_first(dynamodb):
    dynamodb.tables = {"Patients": {}}
    (table,) = found()
    assert list(table.key_schema.items()) == [("id", "S"), ("at", "N")]
    assert (table.arn, table.account_id, table.region) == (description("Patients")["TableArn"], ACCOUNT, REGION)


def test_note_of_the_configuration_comes_along(dynamodb):
    dynamodb.tables = {"Patients": {}, "Sessions": {}}
    patients, sessions = found()
    assert (patients.note.purpose, patients.note.sensitivity) == ("treatment", "restricted")
    assert sessions.note.match == "Sessions"


def test_stream_that_was_switched_off_keeps_its_arn_and_is_not_enabled(dynamodb):
    arn = f"{description('Old')['TableArn']}/stream/2026-11-01T00:00:00.000"
    dynamodb.tables = {
        "Old": {"LatestStreamArn": arn},
        "Now": {"LatestStreamArn": arn, "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}},
        "Without": {},
    }
    on, old, without = found()
    assert (old.latest_stream_arn, old.stream_enabled) == (arn, False)
    assert (on.latest_stream_arn, on.stream_view_type) == (arn, "NEW_IMAGE")
    assert (without.latest_stream_arn, without.stream_enabled) == (None, False)


def test_only_names_that_match_are_described(dynamodb):
    dynamodb.tables = {name: {} for name in ("Patients", "PatientsOld", "Sessions", "Invoices")}
    assert [table.name for table in found(tables=("Patients*", "?nvoices"))] == ["Invoices", "Patients", "PatientsOld"]
    assert ("DescribeTable", "Sessions") not in dynamodb.asked


def test_only_tables_with_all_the_tags_are_found(dynamodb):
    dynamodb.tables = {name: {} for name in ("both", "none", "one", "other")}
    dynamodb.tags = {
        "both": {"stage": "prod", "team": "a"},
        "one": {"stage": "prod"},
        "other": {"stage": "prod", "team": "b"},
    }
    assert [table.name for table in found(tags={"stage": "prod", "team": "a"})] == ["both"]


def test_tags_are_not_asked_for_without_a_filter(dynamodb):
    dynamodb.tables = {"Patients": {}}
    found()
    assert [call for call, _ in dynamodb.asked] == ["ListTables", "DescribeTable"]


@pytest.mark.parametrize("call", ["DescribeTable", "ListTagsOfResource"])
def test_table_deleted_meanwhile_is_left_out_with_the_reason(call, dynamodb, caplog):
    dynamodb.tables = {"Gone": {}, "Patients": {}}
    dynamodb.tags = {"Patients": {"stage": "prod"}}
    dynamodb.faults[call, "Gone"] = ("ResourceNotFoundException", "Requested resource not found")
    seen = tables.discover(settings(), target(tags={"stage": "prod"}))
    assert [table.name for table in seen.tables] == ["Patients"]
    assert seen.left_out == {"Gone": "it was deleted after ListTables had named it"}
    assert [table.name for table in found(tags={"stage": "prod"})] == ["Patients"]
    assert "Table Gone of 123456789012 in eu-central-1 is left out" in caplog.text


@pytest.mark.parametrize("call", ["ListTables", "DescribeTable", "ListTagsOfResource"])
def test_missing_permission_names_the_action_and_nothing_that_was_sent(call, dynamodb):
    dynamodb.tables = {"Patients": {}}
    dynamodb.faults[call] = ("AccessDeniedException", REFUSAL.format(call))
    with pytest.raises(SourceError) as error:
        found(tags={"stage": "prod"})
    assert f"AWS answered AccessDeniedException to dynamodb:{call}. The connection's identity" in str(error.value)
    assert "4711" not in str(error.value)


def test_no_table_is_no_error(dynamodb):
    assert found() == []


def test_tables_of_another_account_than_the_targets_are_refused(dynamodb):
    dynamodb.tables = {"Patients": {}}
    with pytest.raises(SourceError, match="account 210987654321 leads into 123456789012"):
        tables.of(settings(), Target(Account(id="210987654321", regions=(REGION,)), REGION))
