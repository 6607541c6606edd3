import json
import re
from collections import Counter
from datetime import timedelta

import pytest

from dynatrail.errors import WarehouseError
from dynatrail.settings import PROJECT
from dynatrail.trail import permissions
from dynatrail.trail.permissions import calls
from dynatrail.trail.permissions.context import TELLABLE

from .permission_world import (
    ACCOUNT,
    MONDAY,
    OTHER,
    REGION,
    ROLE,
    SESSION,
    TABLE,
    TUESDAY,
    USER,
    World,
    allow,
    deny,
    policy,
)

NOON = MONDAY + timedelta(hours=6)
READS = policy(allow("dynamodb:GetItem", TABLE, Sid="Reads"))
MANAGED = f"arn:aws:iam::{ACCOUNT}:policy/Readers"


@pytest.fixture
def world(tmp_path):
    found = World(tmp_path)
    for day in (MONDAY, TUESDAY):
        found.look(day)
        found.look(day, "configuration")
    return found


def names(explanation):
    return [
        f"{one.effect} {one.sid or one.statement} of {one.policy} ({one.policy_type})" for one in explanation.statements
    ]


def test_an_inline_policy_of_a_user(world):
    world.identity(USER, inline={"work": READS})
    world.table()
    world.call("e", NOON)
    found = world.explain("e")
    assert (found.verdict, found.label, found.standing, found.conditions) == (
        "identity_policy",
        "recomputed",
        "in_force",
        "holds",
    )
    assert found.sentence == "allowed by statement Reads of inline policy work of anna (recomputed)"
    assert names(found) == ["Allow Reads of inline policy work of anna (inline)"]


def test_policies_of_groups_and_managed_ones_are_candidates_too(world):
    aws = "arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess"
    group = f"arn:aws:iam::{ACCOUNT}:group/doctors"
    world.identity(
        USER, GroupList=["doctors"], AttachedManagedPolicies=[{"PolicyArn": MANAGED, "PolicyName": "Readers"}]
    )
    world.identity(group, inline={"own": READS}, AttachedManagedPolicies=[{"PolicyArn": aws, "PolicyName": "A"}])
    world.managed(MANAGED, READS)
    world.managed(aws, policy(allow("dynamodb:Get*")))
    world.call("e", NOON)
    assert names(world.explain("e")) == [
        "Allow Reads of policy own of group doctors (group_inline)",
        "Allow 1 of policy AmazonDynamoDBReadOnlyAccess of group doctors (group_managed)",
        "Allow Reads of policy Readers (managed)",
    ]


def test_a_managed_policy_whose_document_is_not_held_is_a_limit(world):
    world.identity(USER, AttachedManagedPolicies=[{"PolicyArn": MANAGED, "PolicyName": "Readers"}])
    world.call("e", NOON)
    found = world.explain("e")
    assert found.verdict == "not_explained"
    assert f"The document of {MANAGED} is not in any snapshot." in found.limits


def test_nothing_that_is_held_may_explain_a_call(world):
    world.identity(USER, inline={"work": policy(allow("dynamodb:PutItem"))})
    world.call("e", NOON)
    found = world.explain("e")
    assert (found.verdict, found.standing) == ("not_explained", None)
    assert found.sentence == "nothing that is held explains why it was allowed (recomputed)"


def test_a_principal_that_was_never_seen_has_no_snapshot(world):
    world.call("e", NOON)
    assert world.explain("e").verdict == "no_snapshot"


def test_root_needs_no_policy(world):
    world.call("e", NOON, principal_type="Root", principal_arn=f"arn:aws:iam::{ACCOUNT}:root", principal_id=ACCOUNT)
    assert world.explain("e").verdict == "root"


def test_a_service_linked_role_has_the_policy_that_aws_gave_it(world):
    role = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/dax.amazonaws.com/AWSServiceRoleForDAX"
    world.as_role("e", NOON, session_issuer_arn=role)
    assert world.explain("e").verdict == "service_linked"


def test_a_role_is_known_by_its_name_whatever_its_path(world):
    world.identity(f"arn:aws:iam::{ACCOUNT}:role/clinic/Ward", inline={"work": READS})
    world.as_role("e", NOON, session_issuer_arn=f"arn:aws:iam::{ACCOUNT}:role/clinic/Ward")
    assert world.explain("e").verdict == "identity_policy"


@pytest.mark.parametrize(
    ("principal", "verdict"),
    [
        ("*", "resource_policy"),
        ({"AWS": USER}, "resource_policy"),
        ({"AWS": ACCOUNT}, "not_explained"),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:user/bert"}, "not_explained"),
    ],
    ids=["everyone", "user", "account", "somebody else"],
)
def test_in_one_account_the_tables_policy_is_enough_unless_it_names_the_account(world, principal, verdict):
    world.identity(USER)
    world.table(policy(allow("dynamodb:GetItem", TABLE, Principal=principal)))
    world.call("e", NOON)
    assert world.explain("e").verdict == verdict


def test_both_policies_may_allow_a_call(world):
    world.identity(USER, inline={"work": READS})
    world.table(policy(allow("dynamodb:GetItem", TABLE, Principal={"AWS": USER})))
    world.call("e", NOON)
    assert world.explain("e").verdict == "both"


def test_a_tables_policy_covers_its_indexes_and_not_its_streams(world):
    world.identity(USER)
    world.table(policy(allow("dynamodb:*", [TABLE, f"{TABLE}/index/*"], Principal="*")))
    stream = f"{TABLE}/stream/2026-11-01T00:00:00.001"
    world.call("index", NOON, event_name="Query", index_name="ByYear")
    world.call(
        "stream", NOON, event_name="GetRecords", request_parameters=json.dumps({"shardIterator": f"{stream}|***"})
    )
    assert world.explain("index").verdict == "resource_policy"
    assert world.explain("stream").verdict == "not_explained"
    world.table(policy(allow("dynamodb:GetRecords", stream, Principal={"AWS": USER})), arn=stream)
    assert world.explain("stream").verdict == "resource_policy"


def from_outside(world, event_id="e"):
    world.call(event_id, NOON, account_id=OTHER, principal_arn=f"arn:aws:iam::{OTHER}:user/ines", principal_id="AIDAX")


def test_across_accounts_both_sides_are_needed(world):
    world.identity(f"arn:aws:iam::{OTHER}:user/ines", inline={"work": READS})
    world.table(policy(allow("dynamodb:GetItem", TABLE, Principal={"AWS": OTHER})))
    from_outside(world)
    found = world.explain("e")
    assert found.verdict == "both"
    assert len(found.statements) == 2


def test_across_accounts_an_identity_policy_alone_explains_nothing(world):
    world.identity(f"arn:aws:iam::{OTHER}:user/ines", inline={"work": READS})
    world.table()
    from_outside(world)
    assert world.explain("e").verdict == "not_explained"


def test_across_accounts_the_side_that_is_not_held_is_a_limit(world):
    world.table(policy(allow("dynamodb:GetItem", TABLE, Principal={"AWS": OTHER})))
    from_outside(world)
    found = world.explain("e")
    assert found.verdict == "resource_policy"
    assert f"Both accounts had to allow it; the policies of {OTHER} are in no snapshot." in found.limits


def test_a_permissions_boundary_must_allow_it_as_well(world):
    bound = f"arn:aws:iam::{ACCOUNT}:policy/Bound"
    world.identity(ROLE, inline={"work": READS}, PermissionsBoundary={"PermissionsBoundaryArn": bound})
    world.as_role("e", NOON)
    assert "The permissions boundary's document is not held." in world.explain("e").limits
    world.managed(bound, policy(allow("s3:*")))
    found = world.explain("e")
    assert found.verdict == "not_explained"
    assert found.contradictions == (
        "The permissions boundary allows no dynamodb:GetItem: it is not what was in force.",
    )
    world.managed(bound, policy(allow("dynamodb:*")), at=MONDAY + timedelta(seconds=1))
    assert world.explain("e").verdict == "identity_policy"


def test_a_boundary_binds_what_a_tables_policy_gives_to_a_role_but_not_to_a_session(world):
    bound = f"arn:aws:iam::{ACCOUNT}:policy/Bound"
    world.identity(ROLE, PermissionsBoundary={"PermissionsBoundaryArn": bound})
    world.managed(bound, policy(allow("s3:*")))
    world.as_role("e", NOON)
    world.table(policy(allow("dynamodb:*", TABLE, Principal={"AWS": ROLE})))
    assert world.explain("e").verdict == "not_explained"
    world.table(policy(allow("dynamodb:*", TABLE, Principal={"AWS": SESSION})), at=MONDAY + timedelta(seconds=1))
    assert world.explain("e").verdict == "resource_policy"


def test_a_boundary_whose_condition_cannot_be_told_leaves_the_verdict_unsure(world):
    bound = f"arn:aws:iam::{ACCOUNT}:policy/Bound"
    org = {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}
    world.identity(USER, inline={"work": READS}, PermissionsBoundary={"PermissionsBoundaryArn": bound})
    world.managed(bound, policy(allow("dynamodb:*", Condition=org)))
    world.call("e", NOON)
    found = world.explain("e")
    assert (found.verdict, found.conditions) == ("identity_policy", "cannot_be_told")
    assert found.sentence == (
        "allowed by statement Reads of inline policy work of anna "
        "(recomputed, the permissions boundary's condition cannot be told)"
    )


def test_a_boundary_that_was_seen_later_makes_the_verdict_no_surer(world):
    bound = f"arn:aws:iam::{ACCOUNT}:policy/Bound"
    world.identity(USER, inline={"work": READS}, PermissionsBoundary={"PermissionsBoundaryArn": bound})
    world.managed(bound, policy(allow("dynamodb:*")), at=TUESDAY)
    world.call("e", NOON)
    assert world.explain("e").standing == "seen_later"


def test_a_sure_deny_in_force_makes_what_is_held_unsure_and_is_named(world):
    world.identity(USER, inline={"work": READS, "no": policy(deny("dynamodb:*", Sid="Never"))})
    world.call("e", NOON)
    found = world.explain("e")
    assert found.standing == "may_have_differed"
    assert found.sentence == (
        "allowed by statement Reads of inline policy work of anna "
        "(recomputed, may have differed, though statement Never of inline policy no of anna denies it)"
    )


def test_a_deny_that_matches_an_allowed_call_is_a_contradiction(world):
    office = {"NotIpAddress": {"aws:SourceIp": "198.51.100.0/24"}}
    tagged = {"StringEquals": {"aws:ResourceTag/secret": "yes"}}
    denies = policy(deny("*", Sid="Office", Condition=office), deny("*", Sid="Tagged", Condition=tagged))
    world.identity(USER, inline={"work": READS, "denies": denies})
    world.call("e", NOON)
    found = world.explain("e")
    assert found.verdict == "identity_policy"
    assert [one.sid for one in found.against] == ["Office", "Tagged"]
    assert "it would have denied the call" in found.contradictions[0]
    assert "its condition, which cannot be told, did not hold" in found.contradictions[1]


def test_a_deny_whose_condition_does_not_hold_contradicts_nothing(world):
    office = {"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
    world.identity(USER, inline={"work": READS, "denies": policy(deny("*", Condition=office))})
    world.call("e", NOON)
    found = world.explain("e")
    assert (found.against, found.contradictions) == ((), ())


@pytest.mark.parametrize(
    ("condition", "call", "conditions"),
    [
        ({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, {}, "holds"),
        ({"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}, {}, None),
        (
            {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}},
            {"source_ip_address": "athena.amazonaws.com"},
            "cannot_be_told",
        ),
        ({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, {"vpc_endpoint_id": "vpce-1"}, None),
        ({"StringEquals": {"aws:SourceVpce": "vpce-1"}}, {"vpc_endpoint_id": "vpce-1"}, "holds"),
        ({"StringEquals": {"aws:SourceVpce": "vpce-1"}}, {}, None),
        ({"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}, {"event_version": "1.03"}, "cannot_be_told"),
        ({"StringEquals": {"aws:username": "anna"}}, {}, "holds"),
        ({"StringEquals": {"aws:userid": "AIDAEXAMPLE0000000001"}}, {}, "holds"),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/a*"}}, {}, "holds"),
        ({"Bool": {"aws:SecureTransport": "true"}}, {}, "holds"),
        ({"Bool": {"aws:SecureTransport": "true"}}, {"tls_version": None}, "cannot_be_told"),
        ({"Bool": {"aws:MultiFactorAuthPresent": "true"}}, {}, None),
        ({"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}}, {}, "holds"),
        (
            {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
            {"access_key_id": "ASIA1", "mfa_authenticated": True},
            "holds",
        ),
        ({"DateLessThan": {"aws:CurrentTime": "2026-12-01T00:00:00Z"}}, {}, "holds"),
        ({"DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}, {}, None),
        ({"StringLike": {"aws:UserAgent": "aws-cli/*"}}, {}, "holds"),
        ({"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}, {}, "holds"),
        ({"Bool": {"aws:ViaAWSService": "true"}}, {}, None),
        ({"StringEquals": {"aws:PrincipalTag/team": "ward"}}, {}, "holds"),
        ({"StringEquals": {"aws:PrincipalTag/rank": "1"}}, {}, None),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, {}, "cannot_be_told"),
        ({"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["${aws:userid}"]}}, {}, "cannot_be_told"),
        ({"StringEquals": {"dynamodb:Select": "COUNT"}}, {}, "cannot_be_told"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else str(value),
)
def test_conditions_are_held_against_what_the_record_has(world, condition, call, conditions):
    tags = [{"Key": "Team", "Value": "ward"}]
    world.identity(USER, inline={"work": policy(allow("dynamodb:GetItem", Condition=condition))}, Tags=tags)
    world.call("e", NOON, **call)
    found = world.explain("e")
    assert (found.verdict, found.conditions) == ("identity_policy" if conditions else "not_explained", conditions)


def test_a_condition_on_transactions_holds_in_transactions_only(world):
    only = {"ForAnyValue:StringEquals": {"dynamodb:EnclosingOperation": ["TransactWriteItems", "TransactGetItems"]}}
    world.identity(
        USER, inline={"work": policy(allow(["dynamodb:PutItem", "dynamodb:ConditionCheckItem"], Condition=only))}
    )
    members = [("Put", TABLE), ("ConditionCheck", TABLE)]
    world.call("transaction", NOON, event_name="TransactWriteItems", members=members)
    world.call("single", NOON, event_name="PutItem")
    assert world.explain("transaction").verdict == "identity_policy"
    assert world.explain("single").verdict == "not_explained"


def test_every_member_of_a_transaction_must_be_allowed(world):
    world.identity(USER, inline={"work": policy(allow("dynamodb:PutItem", TABLE))})
    other = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Other"
    world.call("one", NOON, event_name="TransactWriteItems", members=[("Put", TABLE)])
    world.call("two", NOON, event_name="TransactWriteItems", members=[("Put", TABLE), ("Put", other)])
    assert world.explain("one").verdict == "identity_policy"
    assert world.explain("two").verdict == "not_explained"


def test_partiql_is_allowed_by_its_own_actions(world):
    world.identity(USER, inline={"work": policy(allow("dynamodb:PartiQLSelect", TABLE))})
    world.call("read", NOON, event_name="ExecuteStatement", statement="SELECT * FROM Music WHERE k = 't1'")
    world.call("write", NOON, event_name="ExecuteStatement", statement="INSERT INTO Music VALUE {'k': ***(Redacted)}")
    assert world.explain("read").verdict == "identity_policy"
    assert world.explain("write").verdict == "not_explained"


def test_a_policy_of_2008_knows_no_variables(world):
    own = allow("dynamodb:GetItem", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/${{aws:username}}")
    mine = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/anna"
    world.identity(USER, inline={"work": policy(own)})
    world.call("e", NOON, table_arns=[mine], table_names=["anna"])
    assert world.explain("e").verdict == "identity_policy"
    world.identity(USER, MONDAY + timedelta(seconds=1), inline={"work": policy(own, version="2008-10-17")})
    assert world.explain("e").verdict == "not_explained"


@pytest.mark.parametrize(
    "document",
    [
        "no JSON",
        {"Statement": 7},
        {"Version": "2012-10-17", "Statement": [{"Effect": "Perhaps", "Action": "*", "Resource": "*"}]},
        [],
        None,
    ],
    ids=str,
)
def test_a_policy_that_cannot_be_read_is_named_and_stops_nothing(world, document):
    world.identity(USER, inline={"broken": document, "work": READS})
    world.call("e", NOON)
    found = world.explain("e")
    assert found.verdict == "identity_policy"
    assert [one.partition(":")[0] for one in found.unreadable] == ["inline policy broken of anna"]


@pytest.mark.parametrize("document", ["{", "7", '{"UserPolicyList": 7, "GroupList": "x", "Tags": [1]}'], ids=str)
def test_a_snapshot_that_is_none_stops_nothing(world, document):
    world.identity(USER)
    world.rows["iam_snapshot"][0]["document"] = document
    world.call("e", NOON)
    assert world.explain("e").verdict in ("not_explained", "no_snapshot")


def test_a_deny_that_aws_names_is_said_by_aws(world):
    scp = "arn:aws:organizations::123456789012:policy/o-1/service_control_policy/p-1"
    told = "an explicit deny in a service control policy: " + scp
    world.identity(USER, inline={"work": READS})
    denied = {"error_code": "AccessDenied", "denied_action": "dynamodb:GetItem", "denied_resource_arn": TABLE}
    world.call("scp", NOON, **denied, denied_by=told, table_arns=None, table_names=None)
    found = world.explain("scp")
    assert (found.verdict, found.label) == ("denied", "said_by_aws")
    assert (found.said.kind, found.said.policy_type, found.said.policy_arn) == (
        "explicit",
        "service control policy",
        scp,
    )
    assert found.sentence.startswith("denied: an explicit deny of dynamodb:GetItem in a service control policy arn:")
    assert found.contradictions == ()


def test_a_denial_that_the_snapshot_does_not_explain_is_a_contradiction(world):
    world.identity(USER, inline={"work": READS})
    denied = {"error_code": "AccessDenied", "denied_action": "dynamodb:GetItem", "denied_resource_arn": TABLE}
    world.call("e", NOON, **denied, denied_by="no identity-based policy")
    found = world.explain("e")
    assert found.sentence == "denied: no identity-based policy allows dynamodb:GetItem (said by AWS)"
    assert "it would have been allowed" in found.contradictions[0]


def test_a_denial_names_the_denies_that_may_have_decided(world):
    world.identity(USER, inline={"work": policy(deny("dynamodb:*", Sid="Never"))})
    denied = {"error_code": "AccessDenied", "denied_action": "dynamodb:GetItem", "denied_resource_arn": TABLE}
    world.call("e", NOON, **denied, denied_by="an explicit deny in an identity-based policy")
    found = world.explain("e")
    assert names(found) == ["Deny Never of inline policy work of anna (inline)"]
    assert "in an identity-based policy" in found.sentence


def test_a_denial_without_a_reason_says_so(world):
    world.call("e", NOON, error_code="AccessDeniedException")
    assert "which policy decided is not said" in world.explain("e").sentence


def test_an_error_that_may_come_before_permissions_is_a_limit(world):
    world.identity(USER, inline={"work": READS})
    world.call("e", NOON, error_code="ValidationException")
    world.call("f", NOON, error_code="ConditionalCheckFailedException")
    assert any("ValidationException" in one for one in world.explain("e").limits)
    assert not any("failed with" in one for one in world.explain("f").limits)


def test_calls_of_other_services_are_not_assessed(world):
    world.call("e", NOON, event_source="iam.amazonaws.com", event_name="PutRolePolicy")
    assert world.explain("e").verdict == "not_assessed"


def test_an_event_that_does_not_exist_is_refused(world):
    with pytest.raises(WarehouseError, match="no event 'nobody'"):
        world.explain("nobody")


def test_many_calls_are_decided_like_each_of_them(world):
    office = {"IpAddress": {"aws:SourceIp": "192.0.2.0/28"}}
    world.identity(USER, inline={"work": policy(allow("dynamodb:GetItem", Condition=office))})
    world.identity(ROLE, inline={"work": READS})
    world.change("put", NOON + timedelta(minutes=5), "DeleteRolePolicy", roleName="Ward", policyName="work")
    for n in range(40):
        at = NOON + timedelta(minutes=n)
        world.call(f"user-{n}", at, source_ip_address=f"192.0.2.{n}")
        world.as_role(f"role-{n}", at, principal_arn=f"{SESSION}-{n}", principal_id=f"AROAEXAMPLE0000000001:{n}")
    table = world.decided()
    assert table.schema == permissions.DECIDED
    rows = table.to_pylist()
    assert [row["event_time"] for row in rows] == sorted(row["event_time"] for row in rows)
    for row in rows[3::11]:
        assert row["explanation"] == world.explain(row["event_id"]).json()
    users = Counter(row["verdict"] for row in rows if row["event_id"].startswith("user"))
    assert users == {"identity_policy": 16, "not_explained": 24}
    roles = [row["verdict"] for row in rows if row["event_id"].startswith("role")]
    assert roles == ["identity_policy"] * 6 + ["not_explained"] * 34


def test_alike_calls_are_decided_once(world):
    world.identity(ROLE, inline={"work": READS})
    for n in range(30):
        world.as_role(f"e-{n}", NOON + timedelta(seconds=n), principal_arn=f"{SESSION}-{n}")
    with world._connect() as connection:
        start, end = NOON, NOON + timedelta(hours=1)
        decider = permissions.load(connection, start, end)
        with calls._chosen(connection, ()):
            (rows,) = calls._calls(connection, start, end)
        assert decider.decide(rows).num_rows == 30
    assert decider.decisions == 1


def test_chosen_events_alone(world):
    world.identity(USER, inline={"work": READS})
    world.call("a", NOON)
    world.call("b", NOON)
    assert world.decided(event_ids=["b"])["event_id"].to_pylist() == ["b"]
    assert world.decided(event_ids=[]).num_rows == 0


def test_the_same_window_twice_gives_the_same_rows(world):
    world.identity(USER, inline={"work": READS, "more": policy(allow("*"))})
    world.call("a", NOON)
    assert world.decided().equals(world.decided())


def test_the_page_names_the_keys_that_can_be_told():
    page = (PROJECT / "docs" / "reference" / "permissions.md").read_text(encoding="utf-8")
    conditions = page.partition("## Conditions")[2].partition("## What is not known")[0]
    named = {key.lower() for key in re.findall(r"`((?:aws|dynamodb):\w+)`", conditions.partition("Everything else")[0])}
    assert named == TELLABLE


def test_a_limit_of_time_is_told_to_the_second_for_many_calls_as_for_one(world):
    until = {"DateLessThan": {"aws:CurrentTime": "2026-11-02T12:00:10Z"}}
    since = {"NumericGreaterThanEquals": {"aws:EpochTime": "1793620815"}}  # five seconds later
    world.identity(USER, inline={"work": policy(allow("*", Condition=until), allow("*", Condition=since))})
    for n in range(20):
        world.call(f"e-{n:02}", NOON + timedelta(seconds=n))
    rows = world.decided().to_pylist()
    told = [row["conditions"] or row["verdict"] for row in rows]
    assert told == ["holds"] * 8 + ["cannot_be_told"] * 10 + ["holds"] * 2
    for row in rows[7:16]:
        assert row["explanation"] == world.explain(row["event_id"]).json()


def test_a_time_that_is_held_against_a_pattern_is_told_of_each_call(world):
    odd = {"StringLike": {"aws:CurrentTime": "*:?1Z"}}
    world.identity(USER, inline={"work": policy(allow("*", Condition=odd))})
    for n in range(4):
        world.call(f"e-{n}", NOON + timedelta(seconds=n))
    assert world.decided()["verdict"].to_pylist() == ["not_explained", "identity_policy", *["not_explained"] * 2]
