import json

import pytest

from dynatrail.cli import permission
from dynatrail.trail.permissions.explaining import Candidate, Explanation

HOSTILE = "[red]bold[/] \x1b]0;owned\x07"


def candidate(**overrides):
    defaults = {
        "effect": "Allow",
        "action": "dynamodb:GetItem",
        "resource": "arn:aws:dynamodb:eu-west-1:123456789012:table/Music",
        "policy": "inline policy work of anna",
        "policy_type": "inline",
        "policy_arn": None,
        "holder": "anna",
        "sid": "Reads",
        "statement": 1,
        "matched": "yes",
        "condition": "none",
        "grants_to": None,
        "standing": "in_force",
        "seen_at": "2026-11-01T06:00:00Z",
        "event_id": None,
        "why": None,
    }
    return Candidate(**(defaults | overrides))


def explanation(**overrides):
    defaults = {
        "verdict": "identity_policy",
        "label": "recomputed",
        "standing": "in_force",
        "conditions": "holds",
        "said": None,
        "statements": (candidate(),),
        "against": (),
        "contradictions": (),
        "unreadable": (),
        "limits": ("No later look.",),
        "sentence": "allowed by statement Reads of inline policy work of anna (recomputed)",
    }
    return Explanation(**(defaults | overrides))


def shown(capsys, **overrides):
    permission._show(explanation(**overrides))
    return " ".join(capsys.readouterr().out.split())


def test_the_verdict_comes_first_then_statements_and_limits(capsys):
    told = shown(capsys)
    assert told.startswith("identity_policy: allowed by statement Reads of inline policy work of anna (recomputed)")
    assert "Allow: statement Reads" in told
    assert told.endswith("limits No later look.")


def test_what_speaks_against_it_is_told_apart(capsys):
    told = shown(capsys, against=(candidate(effect="Deny", sid="Never"),), contradictions=("A Deny matches.",))
    assert told.index("speaking against it") < told.index("Deny: statement") < told.index("contradictions")


@pytest.mark.parametrize("name", ["sid", "policy", "why"])
def test_names_of_policies_do_nothing_to_a_terminal(capsys, name):
    permission._show(explanation(statements=(candidate(**{name: HOSTILE}),)))
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "[red]" in "".join(told.split())


def test_an_explanation_is_canonical_json():
    told = json.loads(explanation().json())
    assert list(told) == sorted(told)
    assert told["statements"][0]["sid"] == "Reads"
