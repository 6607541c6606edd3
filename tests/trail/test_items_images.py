import json

import pytest

from dynatrail.trail.items_images import differences

OLD = {"name": {"S": "t1:a"}, "contact": {"M": {"phone": {"S": "t1:b"}, "zip": {"S": "t1:c"}}}}


def told(old, new):
    images = (None if image is None else json.dumps(image) for image in (old, new))
    return [tuple(one) for one in differences(*images)]


def test_equal_images_do_not_differ():
    assert told(OLD, OLD) == []


def test_a_value_that_changed_is_there_before_and_after():
    assert told(OLD, OLD | {"name": {"S": "t1:z"}}) == [("name", '{"S":"t1:a"}', '{"S":"t1:z"}')]


def test_a_value_of_another_type_differs():
    assert told({"n": {"N": "1"}}, {"n": {"S": "1"}}) == [("n", '{"N":"1"}', '{"S":"1"}')]


def test_maps_are_compared_member_by_member():
    new = {"name": {"S": "t1:a"}, "contact": {"M": {"phone": {"S": "t1:x"}, "fax": {"S": "t1:f"}}}}
    assert told(OLD, new) == [
        ("contact.fax", None, '{"S":"t1:f"}'),
        ("contact.phone", '{"S":"t1:b"}', '{"S":"t1:x"}'),
        ("contact.zip", '{"S":"t1:c"}', None),
    ]


def test_lists_are_compared_place_by_place():
    old = {"l": {"L": [{"S": "a"}, {"M": {"x": {"N": "1"}}}, {"S": "c"}]}}
    new = {"l": {"L": [{"S": "a"}, {"M": {"x": {"N": "2"}}}]}}
    assert told(old, new) == [("l[1].x", '{"N":"1"}', '{"N":"2"}'), ("l[2]", '{"S":"c"}', None)]


def test_a_set_is_one_value():
    assert told({"s": {"SS": ["a"]}}, {"s": {"SS": ["a", "b"]}}) == [("s", '{"SS":["a"]}', '{"SS":["a","b"]}')]


def test_a_map_in_the_place_of_a_value_is_whole():
    assert told({"a": {"S": "x"}}, {"a": {"M": {"b": {"S": "x"}}}}) == [
        ("a", '{"S":"x"}', '{"M":{"b":{"S":"x"}}}')
    ]  # fmt: skip


@pytest.mark.parametrize("gone", [True, False], ids=["new", "gone"])
def test_without_an_image_every_attribute_differs(gone):
    old, new = (None, OLD) if gone else (OLD, None)
    assert [path for path, *_ in told(old, new)] == ["contact", "name"]


def test_names_that_look_like_paths_are_quoted():
    assert [path for path, *_ in told({}, {"a.b": {"S": "x"}, "c": {"M": {"[0]": {"S": "y"}}}})] == ['"a.b"', "c"]
    old = {"c": {"M": {"[0]": {"S": "x"}, "plain": {"S": "x"}}}}
    new = {"c": {"M": {"[0]": {"S": "y"}, "plain": {"S": "y"}}}}
    assert [path for path, *_ in told(old, new)] == ['c."[0]"', "c.plain"]
