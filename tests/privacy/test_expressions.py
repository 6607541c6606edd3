import pytest

from dynatrail.privacy import expressions


@pytest.mark.parametrize(
    ("expression", "safe"),
    [
        ("SET #a = :a, b.c[4711] = if_not_exists(b, :zero)", None),
        ("attribute_exists(patient_id) AND size(#n) > :n", None),
        ("SET a = 'pat-4711'", "SET a = ***"),
        ("SET a = 'unterminated", "SET a = ***"),
        ('a = "pat-4711" AND b = :b', "a = *** AND b = :b"),
        ("a = `pat-4711`", "a = ***"),
        ("a > 4711", "a > ***"),
        ("a > -47.11e10", "a > ***"),
        ("a > .4711", "a > ***"),
        ("a = 2026-11-01", "a = ***"),
    ],
)
def test_literals_are_masked_and_nothing_else(expression, safe):
    assert expressions.without_literals(expression) == (safe or expression)


def test_placeholders_become_the_names_they_stand_for():
    assert expressions.resolve("SET #a = :a, #ab = :b", {"#a": "ward", "#ab": "name"}) == "SET ward = :a, name = :b"


def test_a_placeholder_without_a_name_stays():
    assert expressions.resolve("SET #a = :a", {}) == "SET #a = :a"


@pytest.mark.parametrize(
    ("expression", "targets"),
    [
        ("SET a = :a", ["a"]),
        ("set a = :a, b=:b remove c, d[0] add e :e delete f :f", ["a", "b", "c", "d", "e", "f"]),
        ("SET #p.city = list_append(if_not_exists(x, :e), :l), q = :q", ["place", "q"]),
        ("SET a = :a, a.b = :c", ["a"]),
        ("", []),
    ],
)
def test_update_expression_names_what_it_writes(expression, targets):
    assert expressions.update_targets(expression, {"#p": "place"}) == targets


def test_projection_names_top_level_attributes_once():
    assert expressions.projection("#n.first, #n.last , ward", {"#n": "name"}) == ["name", "ward"]
