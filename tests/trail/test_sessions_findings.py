import json
from datetime import UTC, datetime, timedelta

import pytest

from dynatrail.clock import HOUR
from dynatrail.trail import sessions, sessions_findings
from dynatrail.warehouse.schema import FINDING, SESSION

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
ACCOUNT = "123456789012"
SECOND = timedelta(seconds=1)


def user(name):
    return f"arn:aws:iam::{ACCOUNT}:user/{name}"


@pytest.fixture
def issue(make_event):
    """AssumeRole by a user that issues a key."""

    def make(event_id, key, name="jane", at=NOON, **overrides):
        values = {
            "event_time": at,
            "event_source": "sts.amazonaws.com",
            "event_name": "AssumeRole",
            "principal_type": "IAMUser",
            "principal_arn": user(name),
            "principal_id": f"AIDA{name}",
            "access_key_id": f"AKIA{name}",
            "request_parameters": json.dumps({"roleArn": f"arn:aws:iam::{ACCOUNT}:role/R", "roleSessionName": "s"}),
            "response_elements": json.dumps({"credentials": {"accessKeyId": key}}),
        }
        return make_event(event_id, **(values | overrides))

    return make


@pytest.fixture
def findings(warehouse):
    return lambda: warehouse.dataset(FINDING.name).to_table().to_pylist()


def test_clean_sessions_have_no_finding(warehouse, write, issue, findings):
    write("api_event", [issue("e-1", "ASIA1"), issue("e-2", "ASIA2")])
    sessions.build(warehouse, [NOON])
    assert findings() == []


def test_key_issued_twice_is_found_with_both_events(warehouse, write, issue, findings):
    write("api_event", [issue("e-1", "ASIA1"), issue("e-2", "ASIA1", "ines", NOON + SECOND)])
    sessions.build(warehouse, [NOON])
    (finding,) = findings()
    assert (finding["rule_id"], finding["producer"], finding["severity"]) == (
        "identity.session_contradiction",
        "sessions",
        "High",
    )
    assert finding["evidence_ids"] == ["e-1", "e-2"]
    assert "python -m dynatrail session ASIA1" in finding["explanation"]


def test_building_again_changes_no_finding(warehouse, write, issue):
    write("api_event", [issue("e-1", "ASIA1"), issue("e-2", "ASIA1", "ines")])
    sessions.build(warehouse, [NOON])
    before = warehouse.digest(FINDING.name), warehouse.versions()
    sessions.build(warehouse, [NOON])
    assert (warehouse.digest(FINDING.name), warehouse.versions()) == before


def test_finding_goes_once_one_side_is_proven_forged(warehouse, write, issue, findings):
    write("api_event", [issue("e-1", "ASIA1"), issue("e-2", "ASIA1", "ines")])
    sessions.build(warehouse, [NOON])
    write("api_event", [issue("e-1", "ASIA1"), issue("e-2", "ASIA1", "ines", attestation="forged")])
    sessions.build(warehouse, [NOON])
    assert findings() == []
    assert warehouse.dataset(SESSION.name).to_table()["first_principal_arn"].to_pylist() == [user("jane")]


def test_finding_goes_with_the_place_that_it_was_in(warehouse, write, issue, findings):
    write("api_event", [issue("e-1", "ASIA1", region="us-east-1"), issue("e-2", "ASIA1", "ines", region="us-east-1")])
    sessions.build(warehouse, [NOON])
    assert [row["region"] for row in findings()] == ["us-east-1"]
    write("api_event", [issue("e-1", "ASIA1", region="eu-west-1")])
    sessions.build(warehouse, [NOON])
    assert findings() == []


def test_finding_of_a_neighbour_that_a_late_event_contradicts_is_stated(warehouse, write, issue, findings):
    write("api_event", [issue("e-1", "ASIA1")])
    sessions.build(warehouse, [NOON])
    write("api_event", [issue("e-2", "ASIA1", "ines", NOON + 3 * HOUR)])
    sessions.build(warehouse, [NOON + 3 * HOUR])
    assert [row["event_hour"] for row in findings()] == [NOON]


def test_findings_of_other_producers_stay(warehouse, write, issue, findings):
    write("api_event", [issue("e-1", "ASIA1")])
    other = sessions_findings.found(warehouse, [NOON]).schema.empty_table()
    assert other.schema.equals(FINDING.schema)
    row = dict.fromkeys(FINDING.schema.names) | {
        "finding_id": "f-1",
        "event_time": NOON,
        "account_id": ACCOUNT,
        "region": "eu-west-1",
        "producer": "digests",
        "kind": "integrity",
        "rule_id": "integrity.log_file_forged",
        "severity": "High",
        "title": "A file is forged",
        "explanation": "…",
    }
    write(FINDING.name, [row | {"event_hour": NOON, "event_date": NOON.date()}])
    sessions.build(warehouse, [NOON])
    assert [row["producer"] for row in findings()] == ["digests"]


def test_build_that_was_killed_before_its_findings_states_them_when_run_again(warehouse, write, issue, findings):
    write("api_event", [issue("e-1", "ASIA1"), issue("e-2", "ASIA1", "ines")])
    sessions.build(warehouse, [NOON])
    warehouse.replace(FINDING.name, FINDING.schema.empty_table(), hours=[NOON])
    assert sessions.build(warehouse, [NOON]) == 0
    assert len(findings()) == 1
