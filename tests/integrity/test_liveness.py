"""What is found where something no longer arrives, and that it goes when it has."""

from datetime import timedelta

import pytest

from dynatrail.clock import DAY, HOUR
from dynatrail.integrity import liveness
from dynatrail.settings import settings
from dynatrail.warehouse.store import Warehouse

from .rows import ACCOUNT, MINUTE, PLACE, REGION, START, digest, file, put, said

NEWEST = START + 30 * MINUTE
UNTIL = START + 2 * DAY


@pytest.fixture
def warehouse(tmp_path, monkeypatch):
    """A digest an hour for two days, up to half past three."""
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path))
    made = Warehouse.from_settings(settings())
    put(made, "trail_digest", [digest(NEWEST - n * HOUR) for n in range(48)])
    return made


def spoken(warehouse, until, source="cloudwatch"):
    put(warehouse, "source_statement", [said(until - HOUR, source=source)])


def found(warehouse, *names):
    rows = warehouse.dataset("finding").to_table().sort_by("event_time").to_pylist()
    return [tuple(row[name] for name in names) for row in rows]


def find(until=UNTIL):
    return liveness.find(settings(), until)


def logging(warehouse, says):
    document = f'{{"IsLogging":{says}}}'
    put(
        warehouse,
        "trail_config",
        [
            PLACE
            | {
                "captured_at": START,
                "event_hour": START,
                "resource_type": "AWS::CloudTrail::Trail",
                "resource_arn": f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/trail",
                "aspect": "GetTrailStatus",
                "document": document,
                "status": "present",
            }
        ],
    )


def test_pause_up_to_the_usual_one_is_no_finding(warehouse):
    spoken(warehouse, START + 2 * HOUR)
    assert find() == 0


def test_trail_that_is_further_behind_than_ever_is_found_from_its_newest_delivery_on(warehouse):
    spoken(warehouse, START + 4 * HOUR)

    assert find() == 1
    assert found(warehouse, "rule_id", "severity", "event_time", "account_id", "region", "how_many") == [
        ("completeness.delivery_lag", "Medium", NEWEST, ACCOUNT, REGION, 3)
    ]


def test_silence_of_a_trail_that_says_it_logs_is_critical(warehouse):
    spoken(warehouse, START + 6 * HOUR)
    logging(warehouse, "true")

    find()
    assert found(warehouse, "rule_id", "severity", "title") == [
        ("completeness.audit_stopped", "Critical", f"The trail of {REGION} has gone silent")
    ]


def test_silence_while_cloudwatch_counts_requests_is_critical(warehouse):
    spoken(warehouse, START + 6 * HOUR)
    point = PLACE | {
        "event_time": START + 2 * HOUR,
        "event_hour": START + 2 * HOUR,
        "namespace": "AWS/DynamoDB",
        "metric_name": "SuccessfulRequestLatency",
        "table_name": "Patients",
        "operation": "GetItem",
        "dimensions": "{}",
        "statistic": "SampleCount",
        "period_s": 60,
        "value": 40.0,
    }
    put(warehouse, "metric", [point])

    find()
    ((rule, explanation),) = found(warehouse, "rule_id", "explanation")
    assert rule == "completeness.audit_stopped"
    assert "counted 40 requests since then" in explanation


def test_trail_that_was_switched_off_is_not_late(warehouse):
    spoken(warehouse, START + 6 * HOUR)
    logging(warehouse, "false")
    assert find() == 0


def test_silence_that_a_truncated_chain_explains_is_its_finding_alone(warehouse):
    spoken(warehouse, START + 6 * HOUR)
    tail = PLACE | {
        "finding_id": "00",
        "event_time": NEWEST,
        "event_hour": START,
        "producer": "digests",
        "kind": "integrity",
        "rule_id": "integrity.chain_truncated_tail",
        "severity": "High",
        "title": "t",
        "explanation": "e",
    }
    put(warehouse, "finding", [tail])
    assert find() == 0
    assert len(found(warehouse, "rule_id")) == 1


def test_finding_goes_once_the_next_delivery_has_come(warehouse):
    spoken(warehouse, START + 4 * HOUR)
    find()
    put(warehouse, "log_file", [file(START + 3 * HOUR)])

    assert find() == 0
    assert found(warehouse, "rule_id") == []


def test_run_for_a_window_of_the_past_speaks_up_to_its_end(warehouse):
    spoken(warehouse, START + 6 * HOUR)
    assert find(START + HOUR) == 0


def test_without_digests_a_quiet_night_is_known_by_the_nights_before(warehouse):
    days = [file(START - n * DAY, source_uri=f"s3://trail.example.com/day-{n}") for n in range(5)]
    warehouse.replace("trail_digest", lambda present: present.slice(0, 0), hours=[START - n * HOUR for n in range(49)])
    put(warehouse, "log_file", days)
    spoken(warehouse, START + 20 * HOUR)
    assert find() == 0
    spoken(warehouse, START + 30 * HOUR)
    assert find() == 1


def test_without_digests_and_history_nothing_is_called_late(warehouse):
    warehouse.replace("trail_digest", lambda present: present.slice(0, 0), hours=[START - n * HOUR for n in range(49)])
    put(warehouse, "log_file", [file(START, source_uri="a"), file(START - HOUR, source_uri="b")])
    spoken(warehouse, START + 20 * HOUR)
    assert find() == 0


def test_source_that_no_longer_speaks_is_found(warehouse):
    spoken(warehouse, START - 12 * HOUR, source="streams")

    find(START + timedelta(hours=1))
    assert found(warehouse, "rule_id", "severity", "title", "how_many") == [
        ("completeness.delivery_lag", "Medium", f"streams of {REGION} is behind", 12)
    ]
