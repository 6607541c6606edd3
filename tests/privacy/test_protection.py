"""How well an action hides a class, and which one is proposed."""

import pytest

from dynatrail.privacy import protection
from dynatrail.privacy.detectors import BUILT_IN
from dynatrail.privacy.policy import Doing

CASES = [
    ("phone", {"action": "keep"}, "clear"),
    ("phone", {"action": "redact"}, "hidden"),
    ("phone", {"action": "drop"}, "hidden"),
    ("phone", {"action": "encrypt"}, "hidden"),
    ("phone", {"action": "token"}, "hidden"),
    ("gender", {"action": "token"}, "weak"),
    ("payment_card", {"action": "partial", "keep_first": 6, "keep_last": 4}, "hidden"),
    ("payment_card", {"action": "partial", "keep_first": 8, "keep_last": 4}, "weak"),
    ("us_ssn", {"action": "partial", "keep_last": 5}, "weak"),
    ("password", {"action": "partial", "keep_last": 2}, "weak"),
    ("date_of_birth", {"action": "generalise", "to": "year"}, "hidden"),
    ("date_of_birth", {"action": "generalise", "to": "month"}, "weak"),
    ("ip_address", {"action": "generalise", "to": "prefix"}, "hidden"),
    ("ip_address", {"action": "generalise", "to": "prefix", "ipv4": 30}, "weak"),
    ("phone", {"action": "generalise", "to": "bucket", "size": 10}, "weak"),
]


@pytest.mark.parametrize(("name", "doing", "expected"), CASES, ids=[f"{c[0]}-{n}" for n, c in enumerate(CASES)])
def test_action_hides_the_class(name, doing, expected):
    mask = Doing.model_validate(doing).mask
    assert protection.of(mask, name, in_names=False, distinct=50, matched=100) == expected


@pytest.mark.parametrize("action", ["redact", "token", "encrypt", "keep"])
def test_only_dropping_hides_values_that_are_names(action):
    mask = Doing(action=action).mask
    assert protection.of(mask, "email", in_names=True, distinct=50, matched=100) == "clear"


def test_tokens_of_few_values_are_told_apart_by_their_number():
    mask = Doing(action="token").mask
    assert protection.of(mask, "phone", in_names=False, distinct=3, matched=100) == "weak"
    assert protection.of(mask, "phone", in_names=False, distinct=3, matched=4) == "hidden"


@pytest.mark.parametrize("name", sorted({one.name for one in BUILT_IN} | {"patient_number"}))
@pytest.mark.parametrize("distinct", [1, 50])
@pytest.mark.parametrize("in_names", [False, True], ids=["values", "names"])
def test_what_is_proposed_hides_the_class(name, distinct, in_names):
    sample = {"in_names": in_names, "distinct": distinct, "matched": 100}
    doing = protection.best(name, confidence=0.9, **sample)
    assert protection.of(doing.mask, name, **sample) == "hidden"


def test_where_it_is_unsure_what_it_is_nothing_of_it_is_shown():
    doing = protection.best("payment_card", confidence=0.33, in_names=False, distinct=50, matched=100)
    assert doing == Doing(action="redact")
