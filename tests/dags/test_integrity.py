"""What Airflow sees of the DAG files, and what they may cost it."""

import os
import subprocess
import sys

import pytest

from dynatrail.settings import PROJECT

HEAVY = ["pandas", "duckdb", "boto3", "botocore", "pyarrow", "deltalake", "great_expectations", "sqlalchemy", "numpy"]
FILES = [
    "build_trail",
    "discover_sensitive_data",
    "erase_subject",
    "extract_cloudtrail",
    "extract_cloudwatch",
    "extract_kinesis",
    "extract_streams",
    "maintain_warehouse",
    "prove_trail",
    "publish_evidence",
    "repair_changes",
    "snapshot_configuration",
    "snapshot_iam",
    "verify_changes",
    "verify_trail",
]
WINDOW = {"from": None, "to": None}
DISCOVERY = {"table": None, "items": 1000, "scan": True, "scan_capacity": 500, "scan_rate": 25, "ask": True}
ERASURE = {"subject": None, "reason": None, "confirm": None}
EXPORT = WINDOW | {"table": None, "account": None, "region": None, "export": None, "reason": None}

pytestmark = pytest.mark.slow


def test_exactly_these_dags_and_no_error(parsed):
    assert parsed["errors"] == {}
    assert {name: dag["file"] for name, dag in parsed["dags"].items()} == {name: name for name in FILES}
    assert sorted(path.stem for path in (PROJECT / "dags").glob("*.py")) == FILES


@pytest.mark.parametrize("name", FILES)
def test_dag_tells_an_operator_what_it_is(name, parsed):
    dag = parsed["dags"][name]
    for part in ("**Runs**", "**If it is red**", "**Owner**"):
        assert part in dag["doc"]
    assert dag["owner"] == "dynatrail"
    assert "dynatrail" in dag["tags"]
    assert len(dag["tags"]) == 2
    assert dag["undocumented"] == []


@pytest.mark.parametrize("name", FILES)
def test_dag_retries_and_does_not_run_beside_itself(name, parsed):
    dag = parsed["dags"][name]
    assert set(dag["retries"].values()) == {3}
    # A person may take days to approve.
    timeout = 6 * 24 * 3600 if name in {"discover_sensitive_data", "erase_subject"} else 6 * 3600
    assert (dag["max_active_runs"], dag["catchup"], dag["timeout"]) == (1, False, timeout)


@pytest.mark.parametrize("name", ["extract_cloudtrail", "extract_cloudwatch", "publish_evidence", "maintain_warehouse"])
def test_what_runs_by_time_has_intervals_and_can_be_backfilled(name, parsed):
    assert parsed["dags"][name]["timetable"] == "CronDataIntervalTimetable"


def test_trail_is_built_when_an_asset_changes(parsed):
    assert parsed["dags"]["build_trail"]["timetable"] == "AssetTriggeredTimetable"


@pytest.mark.parametrize("name", FILES)
def test_params_are_these(name, parsed):
    # A stream has no window to read again, so there is nothing to ask for.
    of_the_present = {"extract_kinesis", "extract_streams", "snapshot_configuration", "snapshot_iam"}
    of_exports = {"repair_changes", "verify_changes"}
    expected = {} if name in of_the_present else EXPORT if name in of_exports else WINDOW
    expected = DISCOVERY if name == "discover_sensitive_data" else expected
    expected = ERASURE if name == "erase_subject" else expected
    expected = expected | ({"retake": False} if name == "extract_cloudtrail" else {})
    assert parsed["dags"][name]["defaults"] == expected
    for schema in parsed["dags"][name]["params"].values():
        assert schema["title"]
        assert schema["description"]
        assert schema["type"]


def test_extract_announces_whatever_happened_and_is_red_when_a_batch_is(parsed):
    dag = parsed["dags"]["extract_cloudtrail"]
    assert dag["tasks"] == {
        "discover": ["take", "verify_digests"],
        "verify_digests": ["take"],
        "take": ["attest", "summarize"],
        "attest": ["announce", "summarize"],
        "announce": [],
        "summarize": [],
    }
    rules = {name: dag["rules"][name] for name in ("attest", "announce", "summarize")}
    assert rules == {"attest": "all_done", "announce": "all_done", "summarize": "none_failed"}
    assert dag["outlets"] == ["api_event"]


def test_metrics_are_announced_whatever_happened(parsed):
    dag = parsed["dags"]["extract_cloudwatch"]
    assert dag["tasks"] == {"discover": ["take"], "take": ["announce", "summarize"], "announce": [], "summarize": []}
    assert (dag["rules"]["announce"], dag["rules"]["summarize"]) == ("all_done", "none_failed")
    assert dag["outlets"] == ["metric"]


def test_streams_are_stated_and_announced_whatever_happened(parsed):
    dag = parsed["dags"]["extract_streams"]
    assert dag["tasks"] == {
        "discover": ["read"],
        "read": ["state", "summarize"],
        "state": ["announce"],
        "announce": [],
        "summarize": [],
    }
    assert (dag["rules"]["state"], dag["rules"]["announce"], dag["rules"]["summarize"]) == (
        "all_done",
        "all_done",
        "none_failed",
    )
    assert dag["outlets"] == ["item_change"]
    assert dag["timetable"] == "CronDataIntervalTimetable"


def test_export_is_waited_for_without_a_worker_and_each_by_itself(parsed):
    dag = parsed["dags"]["repair_changes"]
    assert dag["tasks"] == {
        "ask": ["exports", "summarize"],
        "exports": ["repair.load", "repair.wait"],
        "repair.wait": ["repair.load"],
        "repair.load": ["announce", "summarize"],
        "announce": [],
        "summarize": [],
    }
    assert (dag["rules"]["announce"], dag["rules"]["summarize"]) == ("all_done", "none_failed")
    assert dag["outlets"] == ["item_change"]


def test_verification_costs_nothing_until_somebody_asks_for_it(parsed):
    assert parsed["dags"]["verify_changes"]["timetable"] == "NullTimetable"


def test_timeline_is_built_of_the_hours_that_the_sessions_were_built_of(parsed):
    assert parsed["dags"]["build_trail"]["tasks"] == {
        "build_sessions": ["attribute_changes", "build_audit_record"],
        "attribute_changes": ["build_audit_record"],
        "build_audit_record": [],
    }


def test_timeline_is_woken_by_all_that_it_is_made_of_and_wakes_no_stage_that_wakes_it(parsed):
    tables = {"api_event", "item_change", "metric", "iam_snapshot", "table_config", "trail_config", "finding"}
    assert set(parsed["dags"]["build_trail"]["awaits"]) == tables | {"privacy_event"}
    assert "audit_record" not in parsed["dags"]["prove_trail"]["awaits"]


def test_later_stages_tell_what_they_touched(parsed):
    assert parsed["dags"]["build_trail"]["outlets"] == ["audit_record"]
    assert parsed["dags"]["publish_evidence"]["outlets"] == ["evidence"]


def test_proof_takes_its_steps_one_after_the_other(parsed):
    dag = parsed["dags"]["prove_trail"]
    steps = ["compare_counts", "prove_sequences", "judge_selectors", "state_coverage", "look_for_silence", "announce"]
    assert dag["tasks"]["name_hours"] == sorted(steps)
    assert [steps[at + 1] in dag["tasks"][step] for at, step in enumerate(steps[:-1])] == [True] * 5
    assert (dag["timetable"], dag["outlets"]) == ("AssetTriggeredTimetable", ["coverage", "finding"])


@pytest.mark.parametrize(
    ("name", "outlet"), [("snapshot_configuration", "table_config"), ("snapshot_iam", "iam_snapshot")]
)
def test_snapshots_announce_whatever_happened_and_are_red_when_a_look_is(name, outlet, parsed):
    dag = parsed["dags"][name]
    assert dag["timetable"] == "CronDataIntervalTimetable"
    assert dag["tasks"] == {
        "discover": ["capture"],
        "capture": ["announce", "summarize"],
        "announce": [],
        "summarize": [],
    }
    assert (dag["rules"]["announce"], dag["rules"]["summarize"]) == ("all_done", "none_failed")
    assert dag["outlets"] == [outlet]
    assert "**Backfill** is not possible" in dag["doc"]


def test_policy_is_written_only_behind_an_approval_and_looks_do_not_wait_for_it(parsed):
    dag = parsed["dags"]["discover_sensitive_data"]
    assert dag["tasks"] == {
        "discover": ["look"],
        "look": ["announce", "propose", "summarize"],
        "announce": [],
        "summarize": [],
        "propose": ["approve", "write_policy"],
        "approve": ["write_policy"],
        "write_policy": [],
    }
    assert dag["rules"]["write_policy"] == "all_success"
    assert dag["outlets"] == ["finding"]


def test_erasure_waits_for_an_approval_and_by_hand_alone(parsed):
    dag = parsed["dags"]["erase_subject"]
    assert dag["tasks"] == {"count": ["approve"], "approve": ["erase"], "erase": []}
    assert (dag["timetable"], dag["rules"]["erase"]) == ("NullTimetable", "all_success")
    assert dag["outlets"] == ["privacy_event"]


def test_parsing_a_file_takes_little_of_a_processor(parsed):
    assert max(parsed["seconds"].values()) < 2


@pytest.mark.parametrize("name", FILES)
def test_importing_a_file_loads_nothing_heavy_that_airflow_does_not(name):
    program = (
        "import sys, airflow.sdk\n"
        "before = set(sys.modules)\n"
        f"sys.path.insert(0, {str(PROJECT / 'dags')!r})\n"
        f"import {name}\n"
        f"print(sorted({{m.partition('.')[0] for m in set(sys.modules) - before}} & set({HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_files_keep_airflows_own_rules():
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "AIR", str(PROJECT / "dags")]
    done = subprocess.run(ruff, capture_output=True, text=True, check=False, env=os.environ | {"NO_COLOR": "1"})
    assert (done.returncode, done.stdout.strip()) == (0, "All checks passed!")
