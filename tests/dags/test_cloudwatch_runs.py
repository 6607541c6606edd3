"""`extract_cloudwatch` as Airflow runs it, over the sandbox."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dynatrail import clock
from dynatrail.local import environment
from dynatrail.sandbox import Sandbox

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(tmp_path_factory, airflow_env):
    """What happened in a run over the hours of all accounts and regions, and in one as the schedule makes it."""
    folder = tmp_path_factory.mktemp("cloudwatch")
    end = clock.hour_of(datetime.now(UTC))  # CloudWatch forgets, counted from now
    window = {"from": clock.iso(end - timedelta(hours=21)), "to": clock.iso(end)}
    steps = folder / "steps.json"
    scheduled = {"dag": "extract_cloudwatch", "logical_date": clock.iso(end)}
    steps.write_text(json.dumps([{"dag": "extract_cloudwatch", "conf": window}, scheduled]))
    with Sandbox(folder / "sandbox") as sandbox:
        sandbox.play("tiny", end=end)
        connection, names = environment.sandbox_access(sandbox)
        env = airflow_env | names | {"DYNATRAIL_HOME": str(folder / "home")}
        env |= {"AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection)}
        driver = [sys.executable, str(Path(__file__).with_name("drive.py")), str(steps)]
        done = subprocess.run(driver, env=env, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(steps.with_suffix(".told.json").read_text())


def test_every_account_and_region_is_taken(told):
    first, _ = told

    assert first["state"] == "success"
    assert [first["tasks"][f"take[{n}]"] for n in range(3)] == ["success"] * 3
    assert first["results"]["discover"] == [
        "123456789012/us-east-1",
        "123456789012/eu-west-1",
        "210987654321/us-east-1",
    ]
    assert first["results"]["summarize"]["datapoints"] > 100
    assert first["results"]["summarize"]["hours"] == 3 * 24


def test_hours_that_hold_datapoints_are_announced(told):
    first, _ = told
    (event,) = first["events"]

    assert event["hours"] == first["results"]["announce"]
    assert 3 < len(event["hours"]) <= 24


def test_a_run_without_a_form_takes_its_data_interval(told):
    """Airflow gives the interval in its own type of instant."""
    _, scheduled = told

    assert scheduled["state"] == "success"
    assert scheduled["results"]["summarize"]["hours"] == 3 * 4  # its hour and the three before, of each place
