"""Who is behind each key, as `make run` finds it, against who really made the calls."""

import pytest

from dynatrail.sandbox.identity_center import user_id
from dynatrail.trail import sessions
from dynatrail.warehouse import engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def resolved(warehouse, truth):
    """(the call's actor, first principal, class, why there is none) of every event that a key signed."""
    actors = {call["event_id"]: call["actor"] for call in truth}
    asked = (
        "SELECT coalesce(original_event_id, event_id) AS caller_id, access_key_id, principal_type, principal_arn, "
        "session_issuer_arn, invoked_by, on_behalf_of_user_id FROM api_event "
        "WHERE access_key_id IS NOT NULL AND attestation NOT IN ('forged', 'altered')"
    )
    with engine.connect(warehouse) as connection:
        callers = engine.query(connection, asked).cast(sessions.CALLER)
        told = sessions.first_principals(connection, callers).to_pylist()
    return [
        (
            actors[row["caller_id"]],
            row["first_principal_arn"],
            row["principal_class"],
            row["unresolved_reason"] or row["conflict"],
        )
        for row in told
        if row["caller_id"] in actors
    ]


def test_every_key_resolves_without_contradiction(resolved):
    assert len(resolved) > 80
    assert [row for row in resolved if row[1] is None or row[3]] == []


def test_chains_of_users_begin_with_the_user_who_began_them(resolved):
    of_users = [row for row in resolved if ":user/" in next(iter(row[0]["chain"]), "")]
    assert {len(actor["chain"]) for actor, *_ in of_users} == {1, 2, 3}
    assert [(arn, kind) for _, arn, kind, _ in of_users] == [(actor["chain"][0], "person") for actor, *_ in of_users]


def test_identity_center_sessions_are_their_users(resolved):
    signed_in = [row for row in resolved if "AWSReservedSSO" in next(iter(row[0]["chain"]), "")]
    assert len(signed_in) > 10
    for actor, arn, kind, _ in signed_in:
        user = user_id(actor["name"].partition("@")[0])
        assert (arn, kind) == (f"arn:aws:identitystore:::user/{user}", "person")


def test_each_workload_is_one_principal_of_its_own(resolved):
    of_workloads = {(actor["name"], arn, kind) for actor, arn, kind, _ in resolved if actor["kind"] == "workload"}
    assert {kind for *_, kind in of_workloads} == {"workload"}
    assert len(of_workloads) == len({name for name, *_ in of_workloads}) == len({arn for _, arn, _ in of_workloads})
