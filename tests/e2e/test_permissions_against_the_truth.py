"""Which permission decided each call of `make run`, against the policies that the sandbox's house really made."""

import json
from fnmatch import fnmatchcase

import pytest

from dynatrail.clock import parse_instant
from dynatrail.sandbox.scenarios import house
from dynatrail.trail import permissions
from dynatrail.warehouse import engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def decided(warehouse, rows, truth):
    """Every decided call with its event; the scenario's day, and what was seen of the account after it."""
    times = [parse_instant(call["event_time"]) for call in truth]
    events = {row["event_id"]: row for row in rows("SELECT * FROM api_event").to_pylist()}
    with engine.connect(warehouse) as connection:
        start, end = min(times).replace(minute=0, second=0), max(times).replace(hour=23, minute=59)
        found = permissions.decided(connection, start, end).to_pylist()
    return [(events[row["event_id"]], row | {"explanation": json.loads(row["explanation"])}) for row in found]


@pytest.fixture(scope="module")
def allowed(decided):
    return [(event, row) for event, row in decided if row["verdict"] != "denied"]


def given_to(holder):
    """The statements that the house gives a user or role, as (actions, resource patterns)."""
    name = next((one for one in house._POLICIES if one in holder and (one in house.ROLES or "SSO" in holder)), None)
    statements = house._POLICIES[name] if name else house._USER_POLICIES[holder]
    return [(actions, [arn for thing in things for arn in house._arns(thing)]) for actions, things in statements]


def test_every_allowed_call_is_explained(allowed):
    assert len(allowed) > 70
    unexplained = [
        (event["event_name"], row["sentence"]) for event, row in allowed if row["verdict"] == "not_explained"
    ]
    assert unexplained == []
    assert {row["verdict"] for _, row in allowed} == {"identity_policy", "service_linked"}


def test_each_is_explained_by_a_statement_that_the_sandbox_gives_its_principal(allowed):
    for event, row in allowed:
        own = (event["session_issuer_arn"] or event["principal_arn"]).rsplit("/", 1)[-1]
        for one in row["explanation"]["statements"]:
            assert one["holder"] == own
            if "inline policy temporary" in one["policy"]:
                assert own == "SupportRole"
                continue
            assert any(
                any(fnmatchcase(one["action"].lower(), action.lower()) for action in actions)
                and any(fnmatchcase(one["resource"], pattern) for pattern in patterns)
                for actions, patterns in given_to(own)
            ), (event["event_name"], one)


def test_what_was_seen_only_after_the_day_is_labelled_so(allowed):
    sure = {row["sentence"] for _, row in allowed if row["standing"] == "in_force"}
    assert sure == {"allowed by statement 1 of inline policy temporary of SupportRole (recomputed)"}
    assert {row["standing"] for _, row in allowed} == {"in_force", "seen_later", None}


def test_a_policy_that_somebody_gave_themselves_is_known_by_the_event_that_made_it(allowed, rows):
    (put,) = rows("SELECT event_id FROM api_event WHERE event_name = 'PutRolePolicy'").to_pylist()
    granted = [row["explanation"] for _, row in allowed if row["standing"] == "in_force"]
    assert {one["event_id"] for explanation in granted for one in explanation["statements"]} == {put["event_id"]}


def test_denied_calls_say_what_aws_says(decided):
    denied = [(event, row) for event, row in decided if row["verdict"] == "denied"]
    assert len(denied) > 5
    for event, row in denied:
        said = row["explanation"]["said"]
        assert row["label"] == "said_by_aws"
        assert (said["action"], said["resource"]) == (event["denied_action"], event["denied_resource_arn"])
        assert (said["kind"], said["policy_type"]) == ("implicit", "identity-based policy")
        assert f"no {said['policy_type']} allows the {said['action']} action" in event["error_message"]
        assert row["explanation"]["contradictions"] == []


def test_the_command_tells_one_call(dynatrail, home, allowed):
    event, row = allowed[0]
    told = dynatrail(home, "permission", event["event_id"])
    assert told.returncode == 0, told.stderr
    assert row["sentence"] in told.stdout.replace("\n", "")
    as_json = dynatrail(home, "permission", event["event_id"], "--json")
    assert json.loads(as_json.stdout) == row["explanation"]
