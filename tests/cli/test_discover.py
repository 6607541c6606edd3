"""`discover` on the command line."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from dynatrail.cli import discover
from dynatrail.errors import WarehouseError
from dynatrail.settings import settings
from dynatrail.warehouse.schema import SENSITIVE_ATTRIBUTE
from dynatrail.warehouse.store import Warehouse

HOUR = datetime(2026, 11, 2, 8, tzinfo=UTC)
ROW = {
    "captured_at": HOUR,
    "event_hour": HOUR,
    "event_date": HOUR.date(),
    "account_id": "123456789012",
    "region": "us-east-1",
    "table_name": "Patients",
    "table_arn": "arn:aws:dynamodb:us-east-1:123456789012:table/Patients",
    "path": '"phone[bold]"',
    "detected_class": "phone",
    "in_names": False,
    "confidence": 0.99,
    "sampled": 40,
    "matched": 40,
    "distinct_values": 30,
    "images": 40,
    "sampled_from": ["stream"],
    "status": "new",
    "action": "keep",
    "protection": "clear",
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path))
    masking = tmp_path / "masking"
    masking.mkdir()
    monkeypatch.setenv("DYNATRAIL_MASKING", str(masking))
    rows = pa.Table.from_pylist([ROW], SENSITIVE_ATTRIBUTE.schema)
    where = {"account_id": "123456789012", "region": "us-east-1"}
    Warehouse.from_settings(settings()).replace("sensitive_attribute", rows, hours=[HOUR], where=where)
    return masking


def test_what_the_policy_does_now_is_shown_not_what_it_did_then(home, capsys):
    discover.run(None, as_json=False)
    told = capsys.readouterr().out
    assert "redact" in told
    assert '"phone[bold]"' in told
    assert "nothing is proposed" in told


def test_json_has_what_was_found_and_what_is_proposed(home, capsys):
    (home / "tables.yaml").write_text(
        "version: 1\ntables: [{match: '*', attributes: [{path: '*', do: {action: keep}}]}]\n"
    )
    discover.run("Patients", as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert [(one["path"], one["protection"]) for one in told["found"]] == [('"phone[bold]"', "clear")]
    assert [one["table_name"] for one in told["proposed"]] == ["Patients"]


def test_a_table_that_was_never_seen_is_an_error_that_says_what_to_do(home):
    with pytest.raises(WarehouseError, match="Run the DAG discover_sensitive_data"):
        discover.run("Invoices", as_json=False)
