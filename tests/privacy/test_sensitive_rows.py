"""Rows of what was found, against the look before, and findings of what lies in clear."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from dynatrail.config import Account, TableNote, Target
from dynatrail.privacy import discovery, sensitive_rows
from dynatrail.privacy.policy import Policy, PolicyFile
from dynatrail.privacy.sensitive_rows import Look
from dynatrail.sources.tables import WatchedTable
from dynatrail.warehouse.store import Warehouse

AT = datetime(2026, 11, 2, 8, 15, tzinfo=UTC)
WEEK = timedelta(weeks=1)
TARGET = Target(Account(id="123456789012", regions=("us-east-1",)), "us-east-1")
ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/Patients"
PATIENTS = WatchedTable(
    "Patients",
    ARN,
    "123456789012",
    "us-east-1",
    TableNote(match="*"),
    None,
    None,
    {"id": "S"},
    {"TableName": "Patients"},
)
KEEPS = PolicyFile.model_validate(
    {"version": 1, "tables": [{"match": "*", "attributes": [{"path": "mail", "do": {"action": "keep"}}]}]}
)
MAILS = [f"u{n}@example.com" for n in range(40)]


class Looks:
    """Looks at samples of one table, one after the other, as the task takes them."""

    def __init__(self, folder):
        self.warehouse = Warehouse(str(folder))

    def take(self, at, values, *, masked):
        flat = {path: pa.array(held, pa.string()) for path, held in values.items()}
        known = sensitive_rows.latest(self.warehouse, before=at).get(ARN, [])
        found = discovery.inspect(flat)
        rows = list(sensitive_rows.of(PATIENTS, Look(flat, 40, ["stream"]), found, known, masked, at))
        sensitive_rows.write(self.warehouse, TARGET, at, [ARN], rows)
        return sensitive_rows.state_findings(self.warehouse, TARGET, [ARN], masked, at)

    def told(self, *names):
        return [tuple(row[name] for name in names) for row in sensitive_rows.latest(self.warehouse).get(ARN, [])]

    def findings(self):
        return self.warehouse.dataset("finding").to_table().to_pylist()


@pytest.fixture
def looks(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path))
    return Looks(tmp_path / "warehouse")


@pytest.fixture
def keeps():
    return Policy(KEEPS.tables, {})


@pytest.fixture
def hides():
    return Policy()


def test_what_is_new_is_known_the_next_time_and_gone_when_its_values_are(looks, hides):
    looks.take(AT, {"mail": MAILS}, masked=hides)
    assert looks.told("path", "status", "previous_confidence") == [("mail", "new", None)]
    looks.take(AT + WEEK, {"mail": MAILS}, masked=hides)
    assert looks.told("path", "status", "previous_confidence") == [("mail", "known", 0.99)]
    looks.take(AT + 2 * WEEK, {"mail": ["none"] * 40}, masked=hides)
    assert looks.told("status", "confidence", "sampled", "matched") == [("gone", None, 40, 0)]
    looks.take(AT + 3 * WEEK, {"mail": MAILS}, masked=hides)
    assert looks.told("status", "previous_confidence") == [("new", None)]


def test_a_sample_without_the_path_says_nothing_of_it(looks, keeps):
    looks.take(AT, {"mail": MAILS}, masked=keeps)
    assert looks.take(AT + WEEK, {"city": ["Berlin"] * 40}, masked=keeps) == 1
    assert looks.told("status", "confidence", "matched") == [("unseen", 0.99, 40)]


def test_a_look_again_at_the_same_instant_gives_the_same_rows(looks, keeps):
    looks.take(AT, {"mail": MAILS}, masked=keeps)
    looks.take(AT + WEEK, {"mail": MAILS}, masked=keeps)
    digest = looks.warehouse.digest("sensitive_attribute"), looks.warehouse.digest("finding")
    looks.take(AT + WEEK, {"mail": MAILS}, masked=keeps)
    assert (looks.warehouse.digest("sensitive_attribute"), looks.warehouse.digest("finding")) == digest


def test_a_look_that_comes_after_a_later_one_writes_nothing(looks, hides):
    looks.take(AT + WEEK, {"mail": MAILS}, masked=hides)
    digest = looks.warehouse.digest("sensitive_attribute")
    looks.take(AT, {"mail": MAILS}, masked=hides)
    assert looks.warehouse.digest("sensitive_attribute") == digest


def test_what_lies_in_clear_is_a_finding_since_it_was_first_seen_until_the_policy_hides_it(looks, keeps, hides):
    looks.take(AT, {"mail": MAILS}, masked=keeps)
    looks.take(AT + WEEK, {"mail": MAILS}, masked=keeps)
    (one,) = looks.findings()
    assert (one["rule_id"], one["severity"], one["event_time"]) == ("privacy.sensitive_in_clear", "Medium", AT)
    assert one["title"] == "The masking policy keeps email in mail of Patients in clear"
    looks.take(AT + 2 * WEEK, {"mail": MAILS}, masked=hides)
    assert looks.findings() == []


def test_a_change_of_the_policy_is_a_change_of_the_row(looks, keeps, hides):
    looks.take(AT, {"mail": MAILS}, masked=keeps)
    looks.take(AT + WEEK, {"mail": MAILS}, masked=hides)
    assert looks.told("status", "action", "protection") == [("changed", "redact", "hidden")]


def test_what_is_unsure_is_no_finding(looks, keeps):
    sins = [f"{n:09d}" for n in range(732_000_000, 732_000_400) if _luhn(f"{n:09d}")]
    assert looks.take(AT, {"mail": sins}, masked=keeps) == 0
    assert {sure < 0.5 for (sure,) in looks.told("confidence")} == {True}


def _luhn(digits):
    doubled = [int(d) * (1 + at % 2) for at, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def test_no_value_is_in_rows_or_findings(looks, keeps):
    looks.take(AT, {"mail": MAILS}, masked=keeps)
    told = repr([looks.findings(), sensitive_rows.latest(looks.warehouse)])
    assert not any(mail in told for mail in MAILS)
