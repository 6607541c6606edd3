from datetime import UTC, datetime, timedelta

import pytest

from dynatrail.cli import doctor_proof
from dynatrail.integrity import findings
from dynatrail.integrity.findings import CRITICAL, HIGH, LOW, Finding
from dynatrail.settings import settings
from dynatrail.state import pending
from dynatrail.state.database import session
from dynatrail.warehouse.store import Warehouse

NOW = datetime(2026, 11, 9, 3, tzinfo=UTC)
HOUR = datetime(2026, 11, 8, 3, tzinfo=UTC)


def found(rule_id, severity, at=HOUR, ends_at=None):
    return Finding(
        rule_id=rule_id,
        severity=severity,
        event_time=at,
        ends_at=ends_at,
        account_id="123456789012",
        region="eu-west-1",
        title="t",
        explanation="e",
        subject=str(at),
    )


def write(*those):
    warehouse = Warehouse.from_settings(settings())
    findings.write(warehouse, "digests", "123456789012", "eu-west-1", {one.event_time for one in those} | {HOUR}, those)


@pytest.mark.usefixtures("home")
def test_findings_that_are_high_or_critical_and_recent_are_counted_by_rule():
    old = HOUR - timedelta(days=30)
    write(
        found("integrity.log_file_forged", CRITICAL),
        found("integrity.log_file_missing", HIGH),
        found("integrity.log_file_missing", HIGH, HOUR - timedelta(hours=1)),
        found("completeness.count_surplus", LOW),
        found("completeness.selectors_narrowed", HIGH, old, NOW),
        found("completeness.stream_gap", HIGH, old, old),
    )

    (one,) = doctor_proof.findings(settings(), NOW)
    assert one.state == (
        "4 high or critical in the last 7 days: integrity.log_file_missing 2, completeness.selectors_narrowed 1, "
        "integrity.log_file_forged 1"
    )
    assert one.ok
    assert one.advice


@pytest.mark.usefixtures("home")
def test_without_findings_it_says_so_and_without_any_statement_nothing():
    assert doctor_proof.findings(settings(), NOW) == []
    write(found("completeness.count_surplus", LOW))

    (one,) = doctor_proof.findings(settings(), NOW)
    assert (one.state, one.advice) == ("none that is high or critical in the last 7 days", "")


@pytest.mark.usefixtures("home")
def test_hours_that_wait_to_be_stated_are_a_note():
    assert doctor_proof.unstated() == []
    with session() as opened:
        pending.mark(opened, pending.PROVE, [HOUR, NOW])

    (one,) = doctor_proof.unstated()
    assert one.state == "2 hours to be stated, the oldest 2026-11-08T03:00:00Z"
    assert "prove_trail" in one.advice
