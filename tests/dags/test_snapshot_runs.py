"""The snapshot DAGs as Airflow runs them, over the sandbox, whose tables nobody touches meanwhile."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dynatrail.sandbox import Sandbox

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(tmp_path_factory, airflow_env):
    """What happened at each step."""
    folder = tmp_path_factory.mktemp("snapshots")
    steps = folder / "steps.json"
    dags = ("snapshot_configuration", "snapshot_configuration", "snapshot_iam")
    steps.write_text(json.dumps([{"dag": name} for name in dags]))
    with Sandbox(folder / "sandbox") as sandbox:
        played = sandbox.play("tiny", end=datetime(2026, 11, 23, tzinfo=UTC))
        auditor = sandbox.auditor
        connection = {
            "conn_type": "aws",
            "login": auditor.access_key_id,
            "password": auditor.secret_access_key,
            "extra": {"region_name": "us-east-1", "endpoint_url": sandbox.endpoint_url},
        }
        env = airflow_env | {
            "DYNATRAIL_HOME": str(folder / "home"),
            "DYNATRAIL_TRAIL_BUCKET": played.trail_bucket,
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
        }
        driver = [sys.executable, str(Path(__file__).with_name("drive.py")), str(steps)]
        done = subprocess.run(driver, env=env, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(steps.with_suffix(".told.json").read_text())


def test_runs_are_green_and_say_what_they_saw(told):
    assert [step["state"] for step in told] == ["success"] * 3
    for step in told:
        assert step["results"]["summarize"]["seen"] > 40
        assert step["results"]["summarize"]["missed"] == []


def test_rows_are_announced_by_their_hour_and_no_rows_are_not(told):
    first, second, identities = told
    (event,) = first["events"]
    assert event["hours"] == first["results"]["announce"]
    assert len(event["hours"]) == 1
    assert second["events"] == []
    assert second["tasks"]["announce[-1]"] == "skipped"
    assert len(identities["events"]) == 1


def test_second_run_over_the_same_settings_writes_nothing(told):
    first, second, _ = told
    for table in ("table_config", "trail_config"):
        assert first["digests"][table] == second["digests"][table]
        assert first["versions"][table] == second["versions"][table]
