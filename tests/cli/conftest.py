import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Warehouse

HOUR = datetime(2026, 11, 1, 3, tzinfo=UTC)
HOSTILE = "[red]bold[/] \x1b]0;owned\x07\x1b[2J \u202ereversed a,b\"c'"


def audit_row(number, **columns):
    row = {
        "record_id": f"{number:064d}",
        "event_time": HOUR + timedelta(seconds=number),
        "event_hour": HOUR,
        "event_date": HOUR.date(),
        "kind": "api_event",
        "account_id": "123456789012",
        "region": "eu-central-1",
        "table_name": "Patients",
        "operation": "Get",
        "actor": "arn:aws:iam::123456789012:user/jane",
        "activity": "Read",
        "outcome": "success",
        "detail": "jane read an item",
        "event_id": f"e{number}",
        "ocsf_category_uid": 6,
        "ocsf_class_uid": 6005,
        "ocsf_activity_id": 1,
        "ocsf_type_uid": 600501,
    }
    return dict.fromkeys(TABLES["audit_record"].schema.names) | row | columns


def event_row(number, **columns):
    row = {
        "event_id": f"e{number}",
        "event_time": HOUR + timedelta(seconds=number),
        "event_hour": HOUR,
        "event_date": HOUR.date(),
        "recipient_account_id": "123456789012",
        "region": "eu-central-1",
        "event_source": "dynamodb.amazonaws.com",
        "event_name": "GetItem",
        "source_uri": "s3://b/f",
        "source_sha256": "0" * 64,
        "source_index": number,
        "attestation": "attested",
        "ocsf_class_uid": 6005,
    }
    return dict.fromkeys(TABLES["api_event"].schema.names) | row | columns


@pytest.fixture(scope="session")
def make_event():
    return event_row


@pytest.fixture(scope="session")
def hostile():
    return HOSTILE


@pytest.fixture(scope="session")
def hour():
    return HOUR


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of the test's own, with nothing in it."""
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DYNATRAIL_TRAIL_BUCKET", raising=False)
    return tmp_path / "home"


@pytest.fixture
def trail(home):
    """Sixty records of one hour; the first has hostile text."""
    warehouse = Warehouse(str(home / "warehouse"))
    for table, make in (("audit_record", audit_row), ("api_event", event_row)):
        rows = [make(number, **({"user_agent": HOSTILE} if not number else {})) for number in range(60)]
        warehouse.replace(table, pa.Table.from_pylist(rows, schema=TABLES[table].schema), hours=[HOUR])
    return warehouse


@pytest.fixture
def cli(monkeypatch, capsys):
    """Run a command in this process; gives exit code, standard output and standard error."""

    def run(*arguments):
        from dynatrail.cli import app

        monkeypatch.setattr(sys, "argv", ["dynatrail", *arguments])
        try:
            app.main()
            code = 0
        except SystemExit as exit_:
            code = exit_.code or 0
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture
def process():
    """Run a command as a person does."""

    def run(*arguments, **env):
        import os

        return subprocess.run(
            [sys.executable, "-m", "dynatrail", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=os.environ | env,
        )

    return run


@pytest.fixture
def lines():
    return lambda text: [json.loads(line) for line in text.splitlines()]
