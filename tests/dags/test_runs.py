"""The DAGs as Airflow runs them, over a small copy of a trail's bucket."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ACCOUNT = "123456789012"
HOUR = "2026-11-01T03:00:00Z"
WINDOW = {"from": HOUR, "to": "2026-11-01T04:00:00Z"}


def record(number, region, **overrides):
    return {
        "eventVersion": "1.11",
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/jane", "accountId": ACCOUNT},
        "eventTime": "2026-11-01T03:04:05Z",
        "eventSource": "dynamodb.amazonaws.com",
        "eventName": "GetItem",
        "awsRegion": region,
        "sourceIPAddress": "192.0.2.10",
        "requestParameters": {"tableName": "Patients", "key": {"patient_id": f"pat-4711-{number}"}},
        "eventID": f"00000000-0000-4000-8000-{number:012d}",
        "readOnly": True,
        "eventCategory": "Data",
        "managementEvent": False,
        "recipientAccountId": ACCOUNT,
    } | overrides


@pytest.fixture(scope="module")
def told(tmp_path_factory, airflow_env):
    """What happened at each of these steps, and all that the process printed."""
    folder = tmp_path_factory.mktemp("runs")
    for region, first in (("eu-central-1", 1), ("us-east-1", 10)):
        logs = folder / f"bucket/AWSLogs/{ACCOUNT}/CloudTrail/{region}/2026/11/01"
        logs.mkdir(parents=True)
        records = [record(first + n, region) for n in range(3)] + ["pat-4711", record(99, region, eventTime="pat-4711")]
        name = f"{ACCOUNT}_CloudTrail_{region}_20261101T0305Z_AbCdEf0123456789.json.gz"
        (logs / name).write_bytes(gzip.compress(json.dumps({"Records": records}).encode()))
    steps = folder / "steps.json"
    extract = {"dag": "extract_cloudtrail", "conf": WINDOW}
    steps.write_text(
        json.dumps(
            [
                extract | {"spoil": "us-east-1"},
                {"dag": "build_trail"},
                extract,
                {"dag": "build_trail"},
                extract,
                extract | {"conf": WINDOW | {"retake": True}},
                {"dag": "build_trail"},
                {"dag": "build_trail", "conf": WINDOW},
                extract | {"conf": {"from": HOUR}},
                {"dag": "prove_trail", "conf": WINDOW},
                {"dag": "prove_trail", "conf": WINDOW},
            ]
        )
    )
    env = airflow_env | {"DYNATRAIL_HOME": str(folder / "home"), "DYNATRAIL_TRAIL_BUCKET": (folder / "bucket").as_uri()}
    driver = [sys.executable, str(Path(__file__).with_name("drive.py")), str(steps)]
    done = subprocess.run(driver, env=env, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    names = ["spoilt", "built", "healed", "rebuilt", "idle", "retaken", "unchanged", "by_hand", "half_a_window"]
    names += ["proven", "proven_again"]
    steps = json.loads(steps.with_suffix(".told.json").read_text())
    return dict(zip(names, steps, strict=True)) | {"printed": done.stdout + done.stderr}


def test_failing_batch_leaves_the_run_red_and_the_others_hours_announced(told):
    step = told["spoilt"]
    assert step["state"] == "failed"
    assert {step["tasks"]["take[0]"], step["tasks"]["take[1]"]} == {"success", "failed"}
    assert step["tasks"]["announce[-1]"] == "success"
    assert step["events"] == [{"hours": [HOUR]}]


def test_named_hours_are_built_and_no_longer_pending(told):
    assert told["spoilt"]["pending"] == ["2026-11-01T03:00:00+00:00"]
    assert told["built"]["state"] == "success"
    results = told["built"]["results"]
    # Three events, and the findings that nothing vouches for the log files of the two regions.
    assert results["build_audit_record"] == {"hours": 3, "rows_written": 3 + 2}
    assert list(results["build_sessions"]["due"]) == [HOUR]
    ((event),) = told["built"]["events"]
    # And the hours before and after, whose changes may be of requests of this one.
    assert {"2026-11-01T02:00:00Z", HOUR, "2026-11-01T04:00:00Z"} <= set(event["hours"])
    assert told["built"]["pending"] == []


def test_next_run_takes_what_failed_and_only_that(told):
    assert told["healed"]["state"] == "success"
    summary = told["healed"]["results"]["summarize"]
    assert (summary["objects"], summary["events"], summary["quarantined"], summary["unread"]) == (1, 3, 2, [])
    # And the findings that nothing vouches for the log files of the two regions.
    assert told["rebuilt"]["results"]["build_audit_record"]["rows_written"] == 6 + 2


def test_run_without_new_files_succeeds_and_announces_nothing(told):
    step = told["idle"]
    assert (step["state"], step["tasks"]["announce[-1]"], step["events"]) == ("success", "skipped", [])
    assert step["results"]["discover"] == []
    assert step["results"]["summarize"]["objects"] == 0


def test_taking_again_and_rebuilding_change_no_version_and_no_digest(told):
    assert told["retaken"]["state"] == "success"
    assert told["retaken"]["results"]["summarize"]["objects"] == 2
    assert told["retaken"]["events"] == [{"hours": [HOUR]}]
    for name in ("retaken", "unchanged", "by_hand"):
        assert told[name]["versions"] == told["rebuilt"]["versions"]
        assert told[name]["digests"] == told["rebuilt"]["digests"]
    assert told["unchanged"]["results"]["build_audit_record"] == {"hours": 3, "rows_written": 0}


def test_window_is_rebuilt_by_hand(told):
    assert told["by_hand"]["state"] == "success"
    assert told["by_hand"]["results"]["build_audit_record"]["hours"] == 3


def test_half_a_window_fails_with_what_to_give(told):
    assert told["half_a_window"]["state"] == "failed"
    assert "Give both ends of the window" in told["printed"]


def test_hours_that_are_due_are_stated_with_their_neighbours_and_announced(told):
    step = told["proven"]
    assert step["state"] == "success"
    (coverage, finding) = step["events"]
    assert coverage == finding
    assert {"2026-11-01T02:00:00Z", HOUR, "2026-11-01T04:00:00Z"} <= set(coverage["hours"])
    assert step["results"]["announce"]["hours"] == len(coverage["hours"])
    assert step["results"]["announce"]["statements"] > 0


def test_proving_again_from_the_same_rows_changes_no_version_and_no_digest(told):
    first, second = told["proven"], told["proven_again"]
    assert second["state"] == "success"
    assert second["results"]["announce"]["statements"] == 0
    for table in ("coverage", "reconciliation", "finding"):
        assert second["versions"].get(table) == first["versions"].get(table)
        assert second["digests"][table] == first["digests"][table]


def test_log_of_all_tasks_shows_no_key(told):
    assert "pat-4711" not in told["printed"]
    assert "take" in told["printed"]
