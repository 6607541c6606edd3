import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from dynatrail.clock import HOUR, hour_of
from dynatrail.trail import sessions
from dynatrail.warehouse import engine
from dynatrail.warehouse.schema import SESSION
from dynatrail.warehouse.store import Warehouse

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
ACCOUNT = "123456789012"
JANE = f"arn:aws:iam::{ACCOUNT}:user/jane"
MINUTE = timedelta(minutes=1)


def role(name):
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


@pytest.fixture
def take(make_event):
    """AssumeRole in the form that CloudTrail gives it, by Jane or with a key issued before."""

    def make(key, name, at=NOON, by=None, **overrides):
        caller = {"principal_type": "IAMUser", "principal_arn": JANE, "principal_id": "AIDAJANE"}
        if by:
            arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{by[1]}/s"
            caller = {"principal_type": "AssumedRole", "principal_arn": arn, "principal_id": f"AROA{by[1]}:s"}
        answered = {
            "credentials": {"accessKeyId": key, "sessionToken": "***", "expiration": "Nov 1, 2026, 11:00:00 PM"},
            "assumedRoleUser": {
                "assumedRoleId": f"AROA{name}:s",
                "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/s",
            },
        }
        values = {
            "event_time": at,
            "event_source": "sts.amazonaws.com",
            "event_name": "AssumeRole",
            "access_key_id": by[0] if by else "AKIAJANE",
            "request_parameters": json.dumps({"roleArn": role(name), "roleSessionName": "s"}),
            "response_elements": json.dumps(answered),
            "management_event": True,
            "event_category": "Management",
        }
        return make_event(f"take-{key}", **(values | caller | overrides))

    return make


@pytest.fixture
def use(make_event):
    """A GetItem with the key of a role's session."""

    def make(event_id, key, name, at, created=NOON):
        return make_event(
            event_id,
            event_time=at,
            event_name="GetItem",
            principal_type="AssumedRole",
            principal_arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/s",
            principal_id=f"AROA{name}:s",
            access_key_id=key,
            session_issuer_arn=role(name),
            session_name="s",
            session_created_at=created,
            user_identity="{}",
        )

    return make


def built(warehouse):
    """Key -> row."""
    return {row["access_key_id"]: row for row in warehouse.dataset(SESSION.name).to_table().to_pylist()}


def test_build_twice_gives_the_same_digest_and_commits_once(warehouse, write, take, use):
    write("api_event", [take("ASIA1", "Reader"), use("u-1", "ASIA1", "Reader", NOON + MINUTE)])
    assert sessions.build(warehouse, [NOON]) == 1
    first = warehouse.digest(SESSION.name), warehouse.versions([SESSION.name])
    assert sessions.build(warehouse, [NOON]) == 0
    assert (warehouse.digest(SESSION.name), warehouse.versions([SESSION.name])) == first


def test_digest_does_not_depend_on_the_order_in_which_hours_come(tmp_path, rows_of, take, use):
    hours = {
        NOON: [take("ASIA1", "One")],
        NOON + HOUR: [take("ASIA2", "Two", NOON + HOUR, by=("ASIA1", "One")), use("u-1", "ASIA1", "One", NOON + HOUR)],
        NOON + 2 * HOUR: [use("u-2", "ASIA2", "Two", NOON + 2 * HOUR, NOON + HOUR)],
    }
    found = set()
    for name, order in (("forward", list(hours)), ("backward", list(hours)[::-1]), ("at_once", [list(hours)])):
        warehouse = Warehouse(str(tmp_path / name))
        for step in order:
            together = step if isinstance(step, list) else [step]
            for hour in together:
                warehouse.replace("api_event", rows_of("api_event", hours[hour]), hours=[hour])
            sessions.build(warehouse, together)
        found.add(warehouse.digest(SESSION.name))
    assert len(found) == 1


def test_late_issuing_event_gives_keys_used_before_their_beginning(warehouse, write, take, use):
    used = NOON + 5 * HOUR
    write("api_event", [use("u-1", "ASIA1", "Reader", used)])
    sessions.build(warehouse, [used])
    assert built(warehouse)["ASIA1"]["unresolved_reason"] == "issuer_not_seen"
    write("api_event", [take("ASIA1", "Reader")])
    told = []
    sessions.build(warehouse, [NOON], about_to_change=told.extend)
    assert told == [hour_of(used)]
    row = built(warehouse)["ASIA1"]
    assert (row["started_at"], row["first_principal_arn"], row["unresolved_reason"]) == (NOON, JANE, None)


def test_hours_in_which_a_key_was_used_follow_its_session(warehouse, write, take):
    first, again = NOON + HOUR, NOON + 9 * HOUR
    used = [take(f"ASIA2{at.hour}", "Two", at, by=("ASIA1", "One"), session_created_at=NOON) for at in (first, again)]
    write("api_event", used)
    sessions.build(warehouse, [first])
    write("api_event", [take("ASIA1", "One")])
    told = set()
    sessions.build(warehouse, [NOON], about_to_change=told.update)
    assert again in told
    told.clear()
    sessions.build(warehouse, [NOON], about_to_change=told.update)
    assert told == set()


def test_late_parent_heals_the_sessions_that_it_issued(warehouse, write, take):
    later = NOON + 30 * HOUR
    write("api_event", [take("ASIA2", "Two", later, by=("ASIA1", "One"), session_created_at=NOON)])
    sessions.build(warehouse, [later])
    assert built(warehouse)["ASIA2"]["principal_class"] == "unresolved"
    write("api_event", [take("ASIA1", "One")])
    sessions.build(warehouse, [NOON])
    assert built(warehouse)["ASIA2"]["first_principal_arn"] == JANE


def test_chain_that_began_two_days_before_is_walked_to_its_beginning(warehouse, write, take):
    steps = [NOON, NOON + 30 * HOUR, NOON + 41 * HOUR, *(NOON + n * HOUR for n in range(42, 49))]
    write("api_event", [take("ASIA0", "Role0", steps[0])])
    for n, at in enumerate(steps[1:], 1):
        write("api_event", [take(f"ASIA{n}", f"Role{n}", at, by=(f"ASIA{n - 1}", f"Role{n - 1}"))])
    sessions.build(warehouse, [steps[-1]])
    row = built(warehouse)["ASIA9"]
    assert (row["first_principal_arn"], len(row["chain"]), row["chain_proof"]) == (JANE, 10, "key")


def test_late_use_that_names_the_origin_completes_the_session_of_an_earlier_hour(warehouse, write, take, use):
    service = {"principal_type": "AWSService", "principal_arn": None, "principal_id": None, "access_key_id": None}
    write("api_event", [take("ASIA1", "Book", invoked_by="lambda.amazonaws.com", **service)])
    sessions.build(warehouse, [NOON])
    assert built(warehouse)["ASIA1"]["first_principal_arn"] == role("Book")
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:book"
    scope = json.dumps({"inScopeOf": {"issuerType": "AWS::Lambda::Function", "credentialsIssuedTo": function}})
    write("api_event", [use("u-1", "ASIA1", "Book", NOON + 2 * HOUR) | {"user_identity": scope}])
    sessions.build(warehouse, [NOON + 2 * HOUR])
    row = built(warehouse)["ASIA1"]
    assert (row["first_principal_arn"], row["origin_arn"], row["principal_class"]) == (function, function, "workload")


def test_forged_issuing_event_gives_nobody_a_beginning(warehouse, write, take, use):
    write("api_event", [take("ASIA1", "Reader", attestation="forged"), use("u-1", "ASIA1", "Reader", NOON + MINUTE)])
    sessions.build(warehouse, [NOON])
    assert built(warehouse)["ASIA1"]["unresolved_reason"] == "issuer_not_seen"


def test_denied_role_assumption_is_no_session(warehouse, write, take):
    write("api_event", [take("ASIA1", "Reader", error_code="AccessDenied")])
    assert sessions.build(warehouse, [NOON]) == 0


def test_break_glass_pattern_marks_the_role(warehouse, write, take):
    write("api_event", [take("ASIA1", "BreakGlass.Admin"), take("ASIA2", "BreakGlassXAdmin")])
    sessions.build(warehouse, [NOON], break_glass=["arn:aws:iam::*:role/BreakGlass.*"])
    assert [row["principal_class"] for row in built(warehouse).values()] == ["break_glass", "person"]


def test_hours_far_apart_are_built_by_themselves(warehouse, write, take):
    much_later = NOON + timedelta(days=90)
    write("api_event", [take("ASIA1", "Reader")])
    write("api_event", [take("ASIA2", "Reader", much_later)])
    assert sessions.build(warehouse, [much_later, NOON]) == 2


def test_no_hours_do_nothing(warehouse):
    assert sessions.build(warehouse, []) == 0
    assert warehouse.versions() == {}


def test_callers_get_their_first_principal(warehouse, write, take):
    write("api_event", [take("ASIA1", "Reader")])
    sessions.build(warehouse, [NOON])
    callers = [
        {"caller_id": "1", "access_key_id": "ASIA1", "principal_type": "AssumedRole"},
        {"caller_id": "2", "access_key_id": "AKIAJANE", "principal_type": "IAMUser", "principal_arn": JANE},
    ]
    with engine.connect(warehouse) as connection:
        told = sessions.first_principals(
            connection, pa.Table.from_pylist(callers, schema=sessions.CALLER), break_glass=[JANE]
        ).to_pylist()
    assert [(row["first_principal_arn"], row["principal_class"]) for row in told] == [
        (JANE, "break_glass"),
        (JANE, "break_glass"),
    ]
