"""`erase_subject` as Airflow runs it, with somebody who answers what it asks."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from dynatrail.privacy import secret_keys
from dynatrail.privacy.subjects import SubjectKeys
from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Warehouse

pytestmark = pytest.mark.slow

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
ANNA = "t1:" + "a" * 32
FORM = {"subject": ANNA, "reason": "request 17", "confirm": "ERASE"}


def change(keys):
    values = {
        "change_id": "c-1",
        "event_time": NOON,
        "event_hour": NOON,
        "event_date": NOON.date(),
        "account_id": "123456789012",
        "region": "eu-west-1",
        "table_name": "Invoices",
        "table_arn": "arn:aws:dynamodb:eu-west-1:123456789012:table/Invoices",
        "item_key_token": "t1:" + "b" * 32,
        "key_attributes": ["invoice"],
        "change_type": "INSERT",
        "view_type": "NEW_AND_OLD_IMAGES",
        "new_image": json.dumps({"diagnosis": {"S": keys.encrypt(ANNA, ("diagnosis",), "S", "flu")}}),
        "change_origin": "stream",
        "reconstructed": False,
        "source_uri": "stream",
        "source_position": "1",
    }
    return pa.Table.from_pylist(
        [dict.fromkeys(TABLES["item_change"].schema.names) | values], TABLES["item_change"].schema
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory, airflow_env):
    """What happened at each step; and the home."""
    folder = tmp_path_factory.mktemp("erasure")
    home = folder / "home"
    key = secret_keys.load("key", "DYNATRAIL_WRAPPING_KEY", "", home / "wrapping.key")
    keys = SubjectKeys(key, f"sqlite:///{home / 'state.db'}")
    Warehouse(str(home / "warehouse")).replace("item_change", change(keys), hours=[NOON])
    steps = {
        "unconfirmed": {"conf": FORM | {"confirm": None}},
        "rejected": {"conf": FORM, "answer": "Reject"},
        "own_approval": {"conf": FORM, "answer": "Approve", "by": "dag_test"},
        "approved": {"conf": FORM, "answer": "Approve"},
        "again": {"conf": FORM, "answer": "Approve"},
    }
    told = folder / "steps.json"
    builds = [{"dag": "build_trail"}]
    told.write_text(json.dumps([{"dag": "erase_subject"} | step for step in steps.values()] + builds))
    (folder / "masking").mkdir()
    env = airflow_env | {"DYNATRAIL_HOME": str(home), "DYNATRAIL_MASKING": str(folder / "masking")}
    driver = [sys.executable, str(Path(__file__).with_name("drive.py")), str(told)]
    done = subprocess.run(driver, env=env, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(told.with_suffix(".told.json").read_text())
    return dict(zip([*steps, "built"], found, strict=True)) | {"home": home}


def test_form_without_the_word_of_confirmation_is_refused_before_anybody_is_asked(ran):
    assert ran["unconfirmed"]["state"] == "failed"
    assert ran["unconfirmed"]["tasks"]["count[-1]"] == "failed"
    assert ran["unconfirmed"]["tasks"]["approve[-1]"] == "upstream_failed"


def test_rejected_erasure_does_nothing(ran):
    step = ran["rejected"]
    assert (step["state"], step["tasks"]["erase[-1]"]) == ("success", "skipped")
    assert step["results"]["count"] == {"rows": {"Invoices": 1}}
    assert "privacy_event" not in step["versions"]


def test_who_triggered_the_run_cannot_approve_it(ran):
    step = ran["own_approval"]
    assert (step["state"], step["tasks"]["erase[-1]"]) == ("failed", "failed")
    assert "privacy_event" not in step["versions"]


def test_approved_erasure_names_its_hour_and_leaves_the_tables_as_they_were(ran):
    step = ran["approved"]
    assert step["state"] == "success"
    assert step["results"]["erase"]["erased_before"] is False
    assert step["events"] == [{"hours": step["results"]["erase"]["hours"]}]
    assert step["digests"]["item_change"] == ran["rejected"]["digests"]["item_change"]
    assert step["versions"]["item_change"] == ran["rejected"]["versions"]["item_change"]


def test_erasing_again_changes_nothing(ran):
    assert ran["again"]["state"] == "success"
    assert ran["again"]["results"]["erase"]["erased_before"] is True
    assert ran["again"]["results"]["erase"]["erased_at"] == ran["approved"]["results"]["erase"]["erased_at"]
    assert ran["again"]["digests"] == ran["approved"]["digests"]


def test_record_and_timeline_name_who_asked_and_who_approved(ran):
    warehouse = Warehouse(str(ran["home"] / "warehouse"))
    (event,) = warehouse.dataset("privacy_event").to_table().to_pylist()
    assert (event["actor"], event["approved_by"], event["subject"]) == ("dag_test", "privacy officer", ANNA)
    (record,) = [r for r in warehouse.dataset("audit_record").to_table().to_pylist() if r["kind"] == "privacy_event"]
    assert record["event_time"] == event["event_time"]
    assert "approved by privacy officer" in record["detail"]
