"""The reference policies fit into what IAM takes."""

import json
import re
from collections import Counter

import pytest

from dynatrail.sandbox.scenarios.house import auditor_policies, reference_policies

POLICIES = reference_policies("")
MANAGED = 6144
"""Characters of a managed policy, white space left out ("IAM and AWS STS quotas")."""


@pytest.mark.parametrize("name", POLICIES)
def test_each_fits_into_a_managed_policy(name):
    assert len(re.sub(r"\s", "", POLICIES[name])) <= MANAGED


def test_a_role_may_have_them_all_attached():
    assert len(POLICIES) <= 10


@pytest.mark.parametrize("name", POLICIES)
def test_each_statement_has_an_id_of_its_own(name):
    sids = Counter(statement["Sid"] for statement in json.loads(POLICIES[name])["Statement"])
    assert set(sids.values()) == {1}


def test_the_sandbox_grants_all_but_the_scan():
    assert POLICIES.keys() - auditor_policies("").keys() == {"discover_sensitive_data"}


@pytest.mark.parametrize("name", POLICIES)
def test_no_placeholder_is_left(name):
    assert "${" not in POLICIES[name]
