import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynatrail.trail.permissions.policies import Caller, Policy, Unreadable, names_caller, read

ACCOUNT, OTHER = "123456789012", "210987654321"
USER = f"arn:aws:iam::{ACCOUNT}:user/anna"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/Ward"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/Ward/anna"
TABLE = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/Music"
ANNA = Caller(ACCOUNT, USER, None, "AIDAEXAMPLE0000000001")
WARD = Caller(ACCOUNT, SESSION, ROLE, "AROAEXAMPLE0000000001")
FOREIGN = Caller(OTHER)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
ELEMENTS = st.sampled_from(
    ["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition"]
)


def nothing(_key):
    return None


def statement(**elements):
    defaults = {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}
    elements = {name: value for name, value in (defaults | elements).items() if value is not None}
    policy = read({"Version": "2012-10-17", "Statement": [elements]})
    assert isinstance(policy, Policy), policy
    return policy.statements[0]


@given(document=VALUES | st.fixed_dictionaries({"Statement": VALUES | st.dictionaries(ELEMENTS, VALUES)}))
def test_whatever_a_document_is_reading_it_never_fails(document):
    assert isinstance(read(document), Policy | Unreadable)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("text", "it is no object"),
        ({}, "statement 1 is no object"),
        ({"Version": "2013-01-01", "Statement": []}, "Version"),
        ({"Statement": [{"Action": "*", "Resource": "*"}]}, "statement 1 has no Effect"),
        ({"Statement": [{"Effect": "Allow", "Resource": "*"}]}, "statement 1 has no Action"),
        ({"Statement": [{"Effect": "Allow", "Action": 7, "Resource": "*"}]}, "Action is no text"),
        ({"Statement": [{"Effect": "Allow", "Action": [], "Resource": "*"}]}, "Action is no text"),
        ({"Statement": [{"Effect": "Allow", "Action": "*", "NotAction": "x:Y"}]}, "both Action and NotAction"),
        ({"Statement": [{"Effect": "Allow", "Action": "*", "Condition": {"Bool": "x"}}]}, "Condition"),
        ({"Statement": [{"Effect": "Allow", "Action": "*", "Condition": {"Bool": {"k": [{}]}}}]}, "Condition"),
        ({"Statement": [{"Effect": "Allow", "Action": "*", "Principal": 7}]}, "statement 1"),
    ],
    ids=str,
)
def test_a_document_that_iam_would_not_take_is_unreadable_as_a_whole(document, reason):
    found = read(document)
    assert isinstance(found, Unreadable)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("elements", "action", "told"),
    [
        ({"Action": "dynamodb:GetItem"}, "dynamodb:GetItem", True),
        ({"Action": "DynamoDB:getitem"}, "dynamodb:GetItem", True),
        ({"Action": "dynamodb:Get*"}, "dynamodb:GetItem", True),
        ({"Action": "dynamodb:?etItem"}, "dynamodb:GetItem", True),
        ({"Action": "*"}, "dynamodb:GetItem", True),
        ({"Action": ["s3:*", "dynamodb:Put*"]}, "dynamodb:GetItem", False),
        ({"Action": None, "NotAction": "dynamodb:Delete*"}, "dynamodb:GetItem", True),
        ({"Action": None, "NotAction": ["dynamodb:get*"]}, "dynamodb:GetItem", False),
        ({"Action": None, "NotAction": "iam:*"}, "dynamodb:GetItem", True),
    ],
    ids=str,
)
def test_actions_in_any_case(elements, action, told):
    assert statement(**elements).has_action(action) is told


@pytest.mark.parametrize(
    ("elements", "resource", "told"),
    [
        ({"Resource": TABLE}, TABLE, True),
        ({"Resource": TABLE.replace("Music", "music")}, TABLE, False),
        ({"Resource": "arn:aws:dynamodb:*:*:table/*"}, TABLE, True),
        ({"Resource": "arn:aws:dynamodb:*:*:table/M?sic"}, TABLE, True),
        ({"Resource": TABLE}, f"{TABLE}/index/ByYear", False),
        ({"Resource": f"{TABLE}*"}, f"{TABLE}/index/ByYear", True),
        ({"Resource": f"{TABLE}/stream/*"}, f"{TABLE}/stream/2026-11-01T00:00:00.001", True),
        ({"Resource": "arn:aws:dynamodb:*"}, TABLE, True),
        ({"Resource": "arn:aws:dynamodb:*:*:table/*"}, "*", False),
        ({"Resource": "*"}, "*", True),
        ({"Resource": None, "NotResource": TABLE}, TABLE, False),
        ({"Resource": None, "NotResource": f"{TABLE}x"}, TABLE, True),
        ({"Resource": "*"}, None, True),
        ({"Resource": TABLE}, None, None),
        ({"Resource": None}, TABLE, True),
        ({"Resource": "arn:aws:dynamodb:*:*:table/${aws:username}"}, TABLE, None),
        ({"Resource": "arn:aws:dynamodb:*:*:table/X${aws:username}"}, TABLE, False),
    ],
    ids=str,
)
def test_resources_as_they_are_written(elements, resource, told):
    assert statement(**elements).has_resource(resource, nothing) is told


@pytest.mark.parametrize(
    ("principal", "caller", "told"),
    [
        ("*", ANNA, (True, "everyone")),
        ({"AWS": "*"}, FOREIGN, (True, "everyone")),
        ({"AWS": ACCOUNT}, ANNA, (True, "account")),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, WARD, (True, "account")),
        ({"AWS": f"arn:aws:iam::{OTHER}:root"}, WARD, (False, "principal")),
        ({"AWS": USER}, ANNA, (True, "principal")),
        ({"AWS": ROLE}, WARD, (True, "role")),
        ({"AWS": SESSION}, WARD, (True, "principal")),
        ({"AWS": [ROLE, SESSION]}, WARD, (True, "principal")),
        ({"AWS": "AIDAEXAMPLE0000000001"}, ANNA, (True, "principal")),
        ({"AWS": "AIDAEXAMPLE0000000002"}, ANNA, (False, "principal")),
        ({"AWS": f"arn:aws:iam::{OTHER}:user/bert"}, FOREIGN, (None, "principal")),
        ({"AWS": USER}, FOREIGN, (False, "principal")),
        ({"Service": "replication.dynamodb.amazonaws.com"}, ANNA, (False, "principal")),
        (
            {"Service": "redshift.amazonaws.com"},
            Caller(None, service="redshift.amazonaws.com"),
            (True, "service"),
        ),
        ({"Federated": "cognito-identity.amazonaws.com"}, ANNA, (False, "principal")),
    ],
    ids=str,
)
def test_principals_of_resource_policies(principal, caller, told):
    assert names_caller(statement(Principal=principal), caller) == told


@pytest.mark.parametrize(
    ("named", "caller", "told"),
    [
        ([USER, ACCOUNT], ANNA, False),
        ([USER], ANNA, None),
        ([f"arn:aws:iam::{OTHER}:root"], ANNA, True),
        ([ROLE, ACCOUNT], WARD, None),
        ([ROLE, SESSION, f"arn:aws:iam::{ACCOUNT}:root"], WARD, False),
    ],
    ids=str,
)
def test_a_principal_is_left_out_only_with_all_that_stands_for_it(named, caller, told):
    left_out = statement(Effect="Deny", NotPrincipal={"AWS": named})
    assert names_caller(left_out, caller)[0] is told


def test_an_identity_policy_has_no_principal():
    assert names_caller(statement(), ANNA) == (False, "")
