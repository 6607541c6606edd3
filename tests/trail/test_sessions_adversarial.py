"""Records that somebody forged, repeated or mangled: never a wrong person, never a crash, never a doubled row."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from dynatrail.clock import HOUR
from dynatrail.trail import sessions
from dynatrail.warehouse import engine
from dynatrail.warehouse.schema import FINDING, SESSION

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
ACCOUNT, OTHER = "123456789012", "210987654321"
SECOND = timedelta(seconds=1)
LONG = "x" * 2_000_000
ODD = "\u202e\u0000\x1b]0;owned\x07 🩺 \ud7ff' OR 1=1 --"


def user(name):
    return f"arn:aws:iam::{ACCOUNT}:user/{name}"


def issued(key, role="R", name="s"):
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}"
    answered = {
        "credentials": {"accessKeyId": key},
        "assumedRoleUser": {"assumedRoleId": f"AROA{role}:{name}", "arn": arn},
    }
    asked = {"roleArn": f"arn:aws:iam::{ACCOUNT}:role/{role}", "roleSessionName": name}
    return {"request_parameters": json.dumps(asked), "response_elements": json.dumps(answered)}


@pytest.fixture
def issue(make_event):
    """AssumeRole by a user, or by what the overrides say."""

    def make(event_id, key, name="jane", at=NOON, role="R", session="s", **overrides):
        caller = {"principal_type": "IAMUser", "principal_arn": user(name), "principal_id": f"AIDA{name}"}
        values = {"event_time": at, "event_source": "sts.amazonaws.com", "event_name": "AssumeRole"}
        return make_event(
            event_id, **(values | caller | {"access_key_id": f"AKIA{name}"} | issued(key, role, session) | overrides)
        )

    return make


@pytest.fixture
def use(make_event):
    def make(event_id, key, at=NOON + SECOND, role="R", session="s", **overrides):
        values = {
            "event_time": at,
            "principal_type": "AssumedRole",
            "principal_arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}",
            "principal_id": f"AROA{role}:{session}",
            "access_key_id": key,
            "session_issuer_arn": f"arn:aws:iam::{ACCOUNT}:role/{role}",
            "session_name": session,
            "session_created_at": NOON,
            "user_identity": "{}",
        }
        return make_event(event_id, **(values | overrides))

    return make


@pytest.fixture
def resolve(warehouse, write):
    """Key -> row; no key has two."""

    def run(*events, hours=(NOON,)):
        write("api_event", list(events))
        sessions.build(warehouse, hours)
        rows = warehouse.dataset(SESSION.name).to_table().to_pylist()
        assert max(Counter(row["access_key_id"] for row in rows).values(), default=1) == 1
        for row in rows:
            assert (row["first_principal_arn"] is None) == (row["principal_class"] == "unresolved")
            assert (row["first_principal_arn"] is None) == (row["unresolved_reason"] is not None)
        return {row["access_key_id"]: row for row in rows}

    return run


def nobody(row, reason="contradiction"):
    return (row["first_principal_arn"], row["unresolved_reason"]) == (None, reason)


def test_key_issued_twice_is_nobodys_and_so_is_what_it_issued(resolve, issue, warehouse):
    by_first = {
        "principal_type": "AssumedRole",
        "principal_arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/R/s",
        "principal_id": "AROAR:s",
        "access_key_id": "ASIA1",
    }
    rows = resolve(
        issue("e-1", "ASIA1"),
        issue("e-2", "ASIA1", "ines", NOON + SECOND),
        issue("e-3", "ASIA2", at=NOON + 2 * SECOND, role="S", **by_first),
    )
    assert nobody(rows["ASIA1"])
    assert nobody(rows["ASIA2"])
    assert rows["ASIA2"]["conflict"] is None
    assert warehouse.dataset(FINDING.name).count_rows() == 1


def test_key_used_by_another_principal_than_before_is_nobodys(resolve, issue, use):
    rows = resolve(issue("e-1", "ASIA1"), use("u-1", "ASIA1"), use("u-2", "ASIA1", NOON + 2 * SECOND, role="Other"))
    assert nobody(rows["ASIA1"])
    assert rows["ASIA1"]["conflict_event_ids"] == ["u-1", "u-2"]


def test_key_used_by_another_session_than_it_was_issued_for_is_nobodys(resolve, issue, use):
    rows = resolve(issue("e-1", "ASIA1"), use("u-1", "ASIA1", session="else"))
    assert nobody(rows["ASIA1"])


def test_long_term_key_cannot_be_issued(resolve, issue, make_event):
    rows = resolve(issue("e-1", "AKIAINES", "mallory"), make_event("u-1", access_key_id="AKIAINES"))
    assert rows == {}


def test_circle_of_issuing_events_is_nobodys(resolve, issue):
    def by(key):
        return {"principal_type": "AssumedRole", "principal_arn": "a", "principal_id": "AROAR:s", "access_key_id": key}

    rows = resolve(
        issue("e-1", "ASIA1", **by("ASIA3")), issue("e-2", "ASIA2", **by("ASIA1")), issue("e-3", "ASIA3", **by("ASIA2"))
    )
    assert all(nobody(row, "circle") for row in rows.values())


def test_key_that_issues_itself_is_nobodys(resolve, issue):
    own = {"principal_type": "AssumedRole", "principal_arn": "a", "principal_id": "AROAR:s", "access_key_id": "ASIA1"}
    assert nobody(resolve(issue("e-1", "ASIA1", **own))["ASIA1"], "circle")


@pytest.mark.parametrize("seconds", [1, 60], ids=["a second", "a minute"])
def test_clocks_that_differ_are_no_contradiction(resolve, issue, use, seconds):
    rows = resolve(issue("e-1", "ASIA1", at=NOON + seconds * SECOND), use("u-1", "ASIA1", NOON))
    assert rows["ASIA1"]["first_principal_arn"] == user("jane")


def test_key_used_long_before_it_was_issued_is_nobodys(resolve, issue, use):
    rows = resolve(issue("e-1", "ASIA1", at=NOON + HOUR / 2), use("u-1", "ASIA1", NOON))
    assert nobody(rows["ASIA1"])
    assert rows["ASIA1"]["conflict_event_ids"] == ["e-1", "u-1"]


def test_addendum_and_its_event_are_one_issue(resolve, issue):
    rows = resolve(
        issue("e-1", "ASIA1"), issue("e-2", "ASIA1", original_event_id="e-1", addendum_reason="UPDATED_DATA")
    )
    assert (rows["ASIA1"]["first_principal_arn"], rows["ASIA1"]["conflict"]) == (user("jane"), None)


def test_copies_of_one_event_in_two_accounts_are_one_issue(resolve, issue):
    stranger = {"principal_type": "AWSAccount", "principal_arn": None, "access_key_id": None}
    rows = resolve(
        issue("e-1", "ASIA1", shared_event_id="s-1", **stranger),
        issue("e-2", "ASIA1", shared_event_id="s-1", recipient_account_id=OTHER),
        issue("e-2", "ASIA1", shared_event_id="s-1", recipient_account_id=OTHER, region="us-east-1"),
    )
    assert (rows["ASIA1"]["first_principal_arn"], rows["ASIA1"]["conflict"]) == (user("jane"), None)


def test_copies_that_name_different_callers_are_nobodys(resolve, issue):
    rows = resolve(
        issue("e-1", "ASIA1", shared_event_id="s-1"),
        issue("e-2", "ASIA1", "ines", shared_event_id="s-1", recipient_account_id=OTHER),
    )
    assert nobody(rows["ASIA1"])


def test_service_cannot_take_over_a_key_that_sts_gave_to_a_user(resolve, issue):
    forged = {
        "event_source": "cognito-identity.amazonaws.com",
        "event_name": "GetCredentialsForIdentity",
        "principal_type": "Unknown",
        "response_elements": json.dumps({"credentials": {"accessKeyId": "ASIA1"}, "identityId": "us-east-1:0"}),
    }
    rows = resolve(issue("e-1", "ASIA1"), issue("e-2", "ASIA1", **forged))
    assert nobody(rows["ASIA1"])


def test_session_name_that_looks_like_an_arn_is_only_a_claim(resolve, issue, use):
    name = user("ines")
    rows = resolve(
        issue("e-1", "ASIA1", session=name), use("u-1", "ASIA1", session=name), use("u-2", "ASIA2", session=name)
    )
    assert (rows["ASIA1"]["first_principal_arn"], rows["ASIA1"]["claimed_name"]) == (user("jane"), name)
    assert nobody(rows["ASIA2"], "issuer_not_seen")


def test_two_callers_of_one_session_name_in_one_second_are_not_told_apart_by_guessing(resolve, issue, use):
    without = {"response_elements": None}
    rows = resolve(issue("e-1", "-", **without), issue("e-2", "-", "ines", **without), use("u-1", "ASIA1"))
    assert nobody(rows["ASIA1"])


@pytest.mark.parametrize("text", [ODD, LONG], ids=["odd", "long"])
def test_whatever_a_name_holds_nothing_breaks(resolve, issue, use, warehouse, text):
    rows = resolve(
        issue("e-1", "ASIA1", session=text),
        use("u-1", "ASIA1", session=text),
        issue("e-2", "ASIA2", name=text),
        issue("e-3", "ASIA3"),
        issue("e-4", "ASIA3", name=text),
        use("u-2", "ASIA4", source_identity=text, user_identity=text),
    )
    assert rows["ASIA1"]["first_principal_arn"] == user("jane")
    assert rows["ASIA2"]["first_principal_arn"] == user(text)
    assert nobody(rows["ASIA3"])
    (finding,) = warehouse.dataset(FINDING.name).to_table().to_pylist()
    assert len(finding["explanation"]) < 3_000


@pytest.mark.parametrize(
    "document",
    ["", "null", "[]", '"text"', "{", "[" * 5_000, '{"credentials": {"accessKeyId": 7}}', '{"credentials": []}'],
)
def test_documents_of_any_shape_break_nothing(resolve, issue, use, document):
    mangled = {"request_parameters": document, "response_elements": document, "additional_event_data": document}
    rows = resolve(issue("e-1", "-", user_identity=document, **mangled), use("u-1", "ASIA1", user_identity=document))
    assert nobody(rows["ASIA1"], "issuer_not_seen")


def test_key_issued_again_weeks_later_is_nobodys_where_callers_are_named(warehouse, write, issue):
    later = NOON + timedelta(days=20)
    write("api_event", [issue("e-1", "ASIA1")])
    write("api_event", [issue("e-2", "ASIA1", "ines", later)])
    sessions.build(warehouse, [NOON, later])
    with engine.connect(warehouse) as connection:
        callers = pa.Table.from_pylist(
            [{"caller_id": "1", "access_key_id": "ASIA1", "principal_type": "AssumedRole"}], schema=sessions.CALLER
        )
        (told,) = sessions.first_principals(connection, callers).to_pylist()
    assert (told["first_principal_arn"], told["principal_class"], told["unresolved_reason"]) == (
        None,
        "unresolved",
        "contradiction",
    )
