"""What was in force when: looks before and after a call, and the changes between them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynatrail.trail.permissions.history import Fact, History, Token

from .permission_world import (
    ACCOUNT,
    MONDAY,
    ROLE,
    TABLE,
    TUESDAY,
    USER,
    WEDNESDAY,
    World,
    allow,
    policy,
)

READS = policy(allow("dynamodb:GetItem", TABLE, Sid="Reads"))
READS_ALL = policy(allow("dynamodb:Get*", "*", Sid="ReadsAll"))
WRITES = policy(allow("dynamodb:PutItem", TABLE, Sid="Writes"))
MANAGED = f"arn:aws:iam::{ACCOUNT}:policy/Readers"
NOON = MONDAY + timedelta(hours=6)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def stood(world, event_id="e"):
    """The verdict, how sure, and the standing of each candidate."""
    found = world.explain(event_id)
    return found.verdict, found.standing, [(one.sid, one.standing) for one in found.statements]


def test_the_same_at_the_looks_before_and_after_was_in_force(world):
    world.identity(ROLE, inline={"work": READS})
    world.look(TUESDAY)
    world.as_role("e", NOON)
    assert stood(world) == ("identity_policy", "in_force", [("Reads", "in_force")])


def test_seen_only_after_the_call_is_labelled(world):
    world.identity(ROLE, TUESDAY, inline={"work": READS})
    world.as_role("e", NOON)
    assert stood(world) == ("identity_policy", "seen_later", [("Reads", "seen_later")])
    assert world.explain("e").sentence.endswith("(recomputed, seen later)")


def test_another_one_at_the_next_look_may_have_differed(world):
    world.identity(ROLE, MONDAY, inline={"work": READS})
    world.identity(ROLE, TUESDAY, inline={"work": READS_ALL})
    world.as_role("e", NOON)
    verdict, standing, candidates = stood(world)
    assert (verdict, standing) == ("identity_policy", "may_have_differed")
    assert candidates == [("Reads", "may_have_differed"), ("ReadsAll", "seen_later")]
    assert "when it changed is not known" in world.explain("e").statements[0].why


def test_a_look_without_a_change_in_between_narrows_when_it_changed(world):
    world.identity(ROLE, MONDAY, inline={"work": READS})
    world.look(TUESDAY)
    world.identity(ROLE, WEDNESDAY, inline={"work": READS_ALL})
    world.as_role("e", NOON)
    world.as_role("f", TUESDAY + timedelta(hours=6))
    assert stood(world)[1] == "in_force"
    assert stood(world, "f")[1] == "may_have_differed"


def test_a_change_that_is_recorded_tells_the_very_time(world):
    world.identity(ROLE, MONDAY, inline={"work": READS})
    world.change("put", NOON, "PutRolePolicy", roleName="Ward", policyName="work", policyDocument=WRITES)
    world.identity(ROLE, TUESDAY, inline={"work": WRITES})
    world.as_role("before", NOON - MINUTE)
    world.as_role("after", NOON + 2 * MINUTE, event_name="PutItem")
    world.as_role("no_longer", NOON + 2 * MINUTE)
    assert stood(world, "before")[:2] == ("identity_policy", "in_force")
    assert stood(world, "after")[:2] == ("identity_policy", "in_force")
    assert world.explain("after").statements[0].event_id == "put"
    assert stood(world, "no_longer")[0] == "not_explained"


def test_what_a_change_took_away_may_count_for_some_seconds_more(world):
    world.identity(ROLE, MONDAY, inline={"work": READS})
    world.change("delete", NOON, "DeleteRolePolicy", roleName="Ward", policyName="work")
    world.as_role("at_once", NOON + timedelta(seconds=5))
    world.as_role("later", NOON + 2 * MINUTE)
    assert stood(world, "at_once")[:2] == ("identity_policy", "may_have_differed")
    assert "delete" in world.explain("at_once").statements[0].why
    assert stood(world, "later")[0] == "not_explained"


def test_a_change_whose_content_is_not_recorded_may_have_differed(world):
    world.identity(ROLE, MONDAY, inline={"work": READS})
    world.change("put", NOON, "PutRolePolicy", roleName="Ward", policyName="work")
    world.as_role("e", NOON + 5 * MINUTE)
    found = world.explain("e")
    assert (found.verdict, found.standing) == ("identity_policy", "may_have_differed")
    assert "event put" in found.statements[0].why
    assert any("event put (PutRolePolicy" in one for one in found.limits)


def test_a_policy_that_an_event_made_after_the_call_is_no_candidate(world):
    world.change("put", NOON, "PutRolePolicy", roleName="Ward", policyName="temporary", policyDocument=READS)
    world.identity(ROLE, TUESDAY, inline={"temporary": READS, "work": WRITES})
    world.as_role("e", NOON - MINUTE)
    found = world.explain("e")
    assert (found.verdict, found.statements) == ("not_explained", ())
    assert any("before event put" in one for one in found.limits)


def test_a_look_may_have_seen_what_was_only_made_after_its_instant(world):
    world.identity(ROLE, MONDAY, inline={"work": READS})
    world.change("put", MONDAY + MINUTE, "PutRolePolicy", roleName="Ward", policyName="work", policyDocument=READS)
    world.as_role("e", MONDAY + MINUTE / 2)
    assert stood(world)[1] == "may_have_differed"


def test_a_role_that_was_made_anew_has_nothing_of_the_old_one(world):
    world.identity(ROLE, MONDAY, inline={"work": READS})
    world.change("delete", NOON, "DeleteRole", roleName="Ward")
    world.change("create", NOON + MINUTE, "CreateRole", {"role": {"roleId": "AROANEW"}}, roleName="Ward")
    world.as_role("e", NOON + 5 * MINUTE, principal_id="AROANEW:anna")
    assert stood(world)[0] == "not_explained"


def test_a_principal_of_another_unique_id_is_not_surely_the_same(world):
    world.identity(ROLE, MONDAY, inline={"work": READS})
    world.look(TUESDAY)
    world.as_role("e", NOON, principal_id="AROAANOTHER:anna")
    assert stood(world)[1] == "may_have_differed"
    assert any("unique id" in one for one in world.explain("e").limits)


def test_attachments_and_detachments(world):
    world.identity(ROLE, MONDAY)
    world.managed(MANAGED, READS)
    world.change("attach", NOON, "AttachRolePolicy", roleName="Ward", policyArn=MANAGED)
    world.change("detach", NOON + timedelta(hours=1), "DetachRolePolicy", roleName="Ward", policyArn=MANAGED)
    world.as_role("before", NOON - MINUTE)
    world.as_role("between", NOON + 5 * MINUTE)
    world.as_role("after", NOON + timedelta(hours=2))
    assert [stood(world, one)[0] for one in ("before", "between", "after")] == [
        "not_explained",
        "identity_policy",
        "not_explained",
    ]


def test_groups_joined_and_left(world):
    world.identity(USER, MONDAY)
    world.identity(f"arn:aws:iam::{ACCOUNT}:group/readers", MONDAY, inline={"own": READS})
    world.change("join", NOON, "AddUserToGroup", groupName="readers", userName="anna")
    world.change("leave", NOON + timedelta(hours=1), "RemoveUserFromGroup", groupName="readers", userName="anna")
    world.call("between", NOON + 5 * MINUTE)
    world.call("after", NOON + timedelta(hours=2))
    assert [stood(world, one)[0] for one in ("between", "after")] == ["identity_policy", "not_explained"]


def test_versions_of_a_managed_policy(world):
    world.identity(ROLE, MONDAY, AttachedManagedPolicies=[{"PolicyArn": MANAGED, "PolicyName": "Readers"}])
    world.managed(MANAGED, WRITES, v7=READS)
    world.change("v7", NOON, "SetDefaultPolicyVersion", policyArn=MANAGED, versionId="v7")
    world.change(
        "v8",
        NOON + timedelta(hours=1),
        "CreatePolicyVersion",
        {"policyVersion": {"versionId": "v8"}},
        policyArn=MANAGED,
        policyDocument=WRITES,
        setAsDefault=True,
    )
    world.change(
        "v9",
        NOON + timedelta(hours=2),
        "CreatePolicyVersion",
        {"policyVersion": {"versionId": "v9"}},
        policyArn=MANAGED,
        policyDocument=READS,
        setAsDefault=False,
    )
    for event_id, hours in (("v1", -0.5), ("v7_too", 0.5), ("v8_too", 1.5), ("v8_still", 2.5)):
        world.as_role(f"call_{event_id}", NOON + timedelta(hours=hours))
    found = {one: stood(world, f"call_{one}")[0] for one in ("v1", "v7_too", "v8_too", "v8_still")}
    assert found == {
        "v1": "not_explained",
        "v7_too": "identity_policy",
        "v8_too": "not_explained",
        "v8_still": "not_explained",
    }


def test_a_tables_policy_put_and_deleted(world):
    world.identity(USER, MONDAY)
    world.table(None, MONDAY)
    open_to_all = policy(allow("dynamodb:GetItem", TABLE, Principal="*"))
    world.change("put", NOON, "PutResourcePolicy", resourceArn=TABLE, policy=open_to_all)
    world.change("delete", NOON + timedelta(hours=1), "DeleteResourcePolicy", resourceArn=TABLE)
    world.call("before", NOON - MINUTE)
    world.call("between", NOON + 5 * MINUTE)
    world.call("after", NOON + timedelta(hours=2))
    assert [stood(world, one)[0] for one in ("before", "between", "after")] == [
        "not_explained",
        "resource_policy",
        "not_explained",
    ]


def test_what_is_gone_allows_nothing_and_what_is_unreadable_says_nothing(world):
    world.identity(ROLE, MONDAY, inline={"work": READS})
    world.identity(ROLE, TUESDAY, status="unreadable")
    world.identity(ROLE, WEDNESDAY, status="gone")
    world.as_role("unreadable", TUESDAY + timedelta(hours=1))
    world.as_role("gone", WEDNESDAY + timedelta(hours=1))
    assert stood(world, "unreadable")[:2] == ("identity_policy", "may_have_differed")
    assert any("could not be read" in one for one in world.explain("unreadable").limits)
    assert stood(world, "gone")[0] == "not_explained"


def test_without_a_later_look_nothing_confirms_what_was_seen(world):
    unsure = "No later look tells whether Ward still had these policies."
    world.identity(ROLE, MONDAY, inline={"work": READS})
    world.as_role("e", NOON)
    assert unsure in world.explain("e").limits
    world.look(TUESDAY)
    assert unsure not in world.explain("e").limits


def test_the_wording_of_a_document_is_no_change(world):
    one_action = {"Statement": {"Resource": TABLE, "Action": ["dynamodb:GetItem"], "Effect": "Allow", "Sid": "Reads"}}
    world.identity(ROLE, MONDAY, inline={"work": READS})
    world.identity(ROLE, TUESDAY, inline={"work": one_action | {"Version": "2012-10-17"}})
    world.as_role("e", NOON)
    assert stood(world)[1] == "in_force"


VALUES = st.sampled_from(["a", "b", None, Token.UNKNOWN])
TOLD = st.tuples(st.integers(0, 20), VALUES, st.booleans())
SLOT = ("inline", "work")


@given(told=st.lists(TOLD, max_size=6), looks=st.lists(st.integers(0, 20), max_size=3), at=st.integers(0, 20))
def test_between_two_instants_of_change_nothing_changes(told, looks, at):
    def hour(n):
        return MONDAY + timedelta(hours=n)

    facts = [
        Fact(hour(n), {SLOT: value}, event_id=f"e-{k}" if by_event else None, event_name="PutRolePolicy")
        for k, (n, value, by_event) in enumerate(told)
        if by_event or value is not Token.UNKNOWN
    ]
    history = History(tuple(hour(n) for n in sorted(looks)), facts)
    history.close()
    instants = sorted(history.instants())
    begins = max((one for one in instants if one <= hour(at)), default=hour(-1))
    assert history.at(SLOT, hour(at)) == history.at(SLOT, begins)
