"""Typed DynamoDB values: sameness, size, and boto3's form."""

import pytest

from dynatrail.sandbox.journal_values import for_boto3, same, size


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ({"a": {"SS": ["x", "y"]}}, {"a": {"SS": ["y", "x"]}}, True),
        ({"a": {"NS": ["1", "2.50"]}}, {"a": {"NS": ["2.5", "1"]}}, True),
        ({"a": {"L": [{"N": "1.0"}]}}, {"a": {"L": [{"N": "1"}]}}, True),
        ({"a": {"L": [{"S": "x"}, {"S": "y"}]}}, {"a": {"L": [{"S": "y"}, {"S": "x"}]}}, False),
        ({"a": {"BS": ["eA==", "eQ=="]}}, {"a": {"BS": ["eQ==", "eA=="]}}, True),
        ({"N": {"S": "1.0"}}, {"N": {"S": "1"}}, False),
        ({"a": {"N": "9007199254740993"}}, {"a": {"N": "9007199254740992"}}, False),
        ({"a": {"M": {"N": {"S": "1.0"}}}}, {"a": {"M": {"N": {"S": "1"}}}}, False),
    ],
    ids=[
        "string-set",
        "number-set",
        "number-in-list",
        "list-order",
        "binary-set",
        "attribute-named-n",
        "large",
        "member-named-n",
    ],
)
def test_images_are_the_same_as_dynamodb_sees_them(one, other, alike):
    assert same(one, other) is alike


@pytest.mark.parametrize(
    ("item", "bytes_"),
    [
        ({"id": {"S": "Fred"}}, 6),
        ({"id": {"S": "é"}}, 4),
        ({"n": {"N": "12345"}}, 1 + 4),
        ({"n": {"N": "-1.50"}}, 1 + 3),
        ({"n": {"N": "1000"}}, 1 + 2),
        ({"b": {"B": "AAAAAAA="}}, 1 + 5),
        ({"t": {"BOOL": True}, "z": {"NULL": True}}, 4),
        ({"m": {"M": {"a": {"S": "x"}}}}, 1 + 3 + 1 + 2),
        ({"l": {"L": [{"S": "x"}]}}, 1 + 3 + 1 + 1),
    ],
    ids=["text", "utf-8", "number", "negative", "trailing-zeros", "binary", "one-byte", "map", "list"],
)
def test_an_item_is_as_large_as_the_developer_guide_says(item, bytes_):
    assert size(item) == bytes_


def test_boto3_gets_bytes_at_any_depth():
    item = {"a": {"B": "eA=="}, "b": {"BS": ["eA=="]}, "c": {"L": [{"M": {"d": {"B": "eA=="}}}]}, "e": {"N": "1"}}
    found = for_boto3(item)
    assert found["a"] == {"B": b"x"}
    assert found["b"] == {"BS": [b"x"]}
    assert found["c"] == {"L": [{"M": {"d": {"B": b"x"}}}]}
    assert found["e"] == {"N": "1"}
