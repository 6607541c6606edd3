"""Examples of "IAM JSON policy elements: Condition operators", "Multivalued context keys" and "Null"."""

import pytest

from dynatrail.trail.permissions.conditions import holds, line_holds
from dynatrail.trail.permissions.patterns import ABSENT
from dynatrail.trail.permissions.policies import Line

UNKNOWN = None

CASES = [
    # operator, key's values in the policy, what the request holds, the answer
    ("StringEquals", ("JohnDoe",), ("JohnDoe",), True),
    ("StringEquals", ("JohnDoe",), ("johndoe",), False),
    ("StringEquals", ("a", "b"), ("b",), True),
    ("StringEquals", ("a*",), ("ab",), False),
    ("StringNotEquals", ("a", "b"), ("b",), False),
    ("StringNotEquals", ("a", "b"), ("c",), True),
    ("StringEqualsIgnoreCase", ("JohnDoe",), ("johndoe",), True),
    ("StringNotEqualsIgnoreCase", ("JohnDoe",), ("johndoe",), False),
    ("StringLike", ("J*n?oe",), ("JohnDoe",), True),
    ("StringNotLike", ("J*n?oe",), ("JohnDoe",), False),
    ("NumericLessThanEquals", ("10",), ("10",), True),
    ("NumericLessThan", ("10",), ("10",), False),
    ("NumericGreaterThan", ("9.5",), ("10",), True),
    ("NumericGreaterThanEquals", ("10",), ("9",), False),
    ("NumericEquals", ("10.0",), ("10",), True),
    ("NumericNotEquals", ("10",), ("10",), False),
    ("NumericEquals", ("ten",), ("10",), None),
    ("DateGreaterThan", ("2020-04-01T00:00:00Z",), ("2026-11-01T12:00:00Z",), True),
    ("DateLessThan", ("2020-04-01T00:00:00Z",), ("2026-11-01T12:00:00Z",), False),
    ("DateLessThan", ("1793534400",), ("2026-11-01T11:59:00Z",), True),
    ("DateGreaterThan", ("2026-11-01",), ("2026-11-01T12:00:00Z",), True),
    ("DateLessThanEquals", ("2026-11-01T12:00:01Z",), ("2026-11-01T12:00:00Z",), None),
    ("DateLessThan", ("soon",), ("2026-11-01T12:00:00Z",), None),
    ("Bool", ("true",), ("true",), True),
    ("Bool", ("false",), ("true",), False),
    ("BinaryEquals", ("QmluYXJ5",), ("QmluYXJ5",), True),
    ("IpAddress", ("203.0.113.0/24", "2001:DB8:1234:5678::/64"), ("203.0.113.9",), True),
    ("IpAddress", ("203.0.113.0/24",), ("192.0.2.1",), False),
    ("IpAddress", ("2001:DB8:1234:5678::/64",), ("2001:db8:1234:5678::1",), True),
    ("IpAddress", ("203.0.113.9",), ("203.0.113.9",), True),
    ("NotIpAddress", ("203.0.113.0/24",), ("192.0.2.1",), True),
    ("IpAddress", ("everywhere",), ("192.0.2.1",), None),
    ("ArnEquals", ("arn:aws:iam::*:role/A*",), ("arn:aws:iam::123456789012:role/Ab",), True),
    ("ArnLike", ("arn:aws:sns:*:123456789012:topic",), ("arn:aws:sns:eu-west-1:123456789012:topic",), True),
    ("ArnLike", ("arn:*",), ("arn:aws:sns:eu-west-1:123456789012:topic",), None),
    ("ArnNotLike", ("arn:aws:iam::123456789012:role/A",), ("arn:aws:iam::123456789012:role/A",), False),
    ("ArnLike", ("arn:aws:iam::123456789012:role/A",), ("no arn",), False),
    # A key that the request lacks.
    ("StringEquals", ("a",), ABSENT, False),
    ("StringLike", ("*",), ABSENT, False),
    ("StringNotEquals", ("a",), ABSENT, True),
    ("NotIpAddress", ("203.0.113.0/24",), ABSENT, True),
    ("Bool", ("false",), ABSENT, False),
    ("BoolIfExists", ("true",), ABSENT, True),
    ("BoolIfExists", ("true",), ("false",), False),
    ("StringEqualsIfExists", ("a",), ("b",), False),
    ("Null", ("true",), ABSENT, True),
    ("Null", ("false",), ABSENT, False),
    ("Null", ("true",), ("a",), False),
    ("Null", ("false",), ("a",), True),
    ("Null", ("true",), UNKNOWN, None),
    # Several values of a key.
    ("ForAllValues:StringEquals", ("a", "b"), ("a", "b"), True),
    ("ForAllValues:StringEquals", ("a", "b"), ("a", "c"), False),
    ("ForAllValues:StringEquals", ("a",), ABSENT, True),
    ("ForAnyValue:StringEquals", ("a", "b"), ("c", "b"), True),
    ("ForAnyValue:StringEquals", ("a", "b"), ("c",), False),
    ("ForAnyValue:StringEquals", ("a",), ABSENT, False),
    ("ForAnyValue:StringNotEquals", ("a",), ABSENT, False),
    ("ForAllValues:StringNotEquals", ("a",), ("b", "c"), True),
    ("ForAllValues:StringNotEquals", ("a",), ("a", "c"), False),
    ("ForAnyValue:StringNotEquals", ("a",), ("a", "c"), True),
    ("StringEquals", ("a",), ("a", "b"), None),
    # What cannot be told.
    ("StringEquals", ("a",), UNKNOWN, None),
    ("StringNotEquals", ("a",), UNKNOWN, None),
    ("BoolIfExists", ("true",), UNKNOWN, None),
    ("ForAllValues:StringEquals", ("a",), UNKNOWN, None),
    ("StringResembles", ("a",), ("a",), None),
]


@pytest.mark.parametrize(
    ("operator", "wanted", "held", "told"), CASES, ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)]
)
def test_operators_as_aws_documents_them(operator, wanted, held, told):
    known = {"k": held}.get
    assert line_holds(Line(operator, "k", wanted), known, known) is told


def test_all_lines_must_hold_and_one_that_does_not_decides():
    lines = (Line("StringEquals", "a", ("1",)), Line("StringEquals", "b", ("1",)))
    assert holds(lines, {"a": ("1",), "b": ("1",)}.get, variables=True) is True
    assert holds(lines, {"a": ("1",), "b": UNKNOWN}.get, variables=True) is None
    assert holds(lines, {"a": ("2",), "b": UNKNOWN}.get, variables=True) is False


def test_values_of_conditions_may_be_variables():
    line = Line("StringLike", "dynamodb:leadingkeys", ("${aws:userid}*",))
    known = {"dynamodb:leadingkeys": ("AIDA1-x",), "aws:userid": ("AIDA1",)}.get
    assert holds((line,), known, variables=True) is True
    assert holds((line,), known, variables=False) is False
    arn = Line("ArnEquals", "aws:principalarn", ("arn:aws:iam::123456789012:user/${aws:username}",))
    known = {"aws:principalarn": ("arn:aws:iam::123456789012:user/anna",), "aws:username": ("anna",)}.get
    assert holds((arn,), known, variables=True) is True


def test_a_variable_is_compared_in_any_case_where_the_operator_does():
    line = Line("StringEqualsIgnoreCase", "k", ("${aws:username}",))
    assert holds((line,), {"k": ("ANNA",), "aws:username": ("Anna",)}.get, variables=True) is True
