import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynatrail.trail.permissions.patterns import ABSENT, equals, every, like, matches, some

ALPHABET = st.text(alphabet="ab:/*?$\n", max_size=12)
NAMES = st.text(alphabet="ab/", max_size=6)


def slow_match(pattern: str, text: str) -> bool:
    """The definition: a star takes nothing, or one character and stays."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return slow_match(pattern[1:], text) or (bool(text) and slow_match(pattern, text[1:]))
    return bool(text) and pattern[0] in ("?", text[0]) and slow_match(pattern[1:], text[1:])


@given(pattern=ALPHABET, text=ALPHABET)
def test_wildcards_mean_what_their_definition_says(pattern, text):
    assert matches(pattern, text) == slow_match(pattern, text)


@given(text=ALPHABET)
def test_a_text_without_wildcards_matches_itself_alone(text):
    plain = re.sub(r"[*?]", "a", text)
    assert matches(plain, plain)
    assert not matches(plain, plain + "b")


def test_a_pattern_of_many_stars_does_not_take_long():
    assert not matches("*a" * 400 + "b", "a" * 2000)


@given(before=NAMES, value=NAMES, after=NAMES, text=ALPHABET)
def test_a_known_variable_is_its_text_without_wildcards(before, value, after, text):
    told = like(before + "${aws:username}" + after, text, {"aws:username": (value,)}.get)
    assert told == (text == before + value + after)


@given(before=NAMES, after=NAMES, text=ALPHABET)
def test_an_unknown_variable_rules_out_only_what_no_value_could_match(before, after, text):
    told = like(before + "${aws:username}" + after, text, lambda _key: None)
    possible = text.startswith(before) and text[len(before) :].endswith(after)
    assert told is (None if possible else False)


@pytest.mark.parametrize(
    ("pattern", "text", "values", "told"),
    [
        ("${aws:UserName}", "anna", {"aws:username": ("anna",)}, True),
        ("${aws:username, 'nobody'}", "nobody", {"aws:username": ABSENT}, True),
        ("${aws:username,'nobody'}", "anna", {"aws:username": ("anna",)}, True),
        ("${aws:username}", "", {"aws:username": ABSENT}, False),
        ("a${*}b", "a*b", {}, True),
        ("a${*}b", "aXb", {}, False),
        ("a${?}", "a?", {}, True),
        ("${$}{aws:username}", "${aws:username}", {}, True),
        ("${aws:username}/*", "*/x", {"aws:username": ("*",)}, True),
        ("${aws:username}/*", "anna/x", {"aws:username": ("*",)}, False),
        ("${unclosed", "${unclosed", {}, True),
        ("${aws:username}", "anna", {"aws:username": ("anna", "bert")}, None),
    ],
)
def test_variables_of_policies(pattern, text, values, told):
    assert like(pattern, text, values.get) is told


def test_before_2012_a_variable_is_plain_text():
    assert like("home/${aws:username}", "home/${aws:username}", None) is True
    assert like("home/${aws:username}", "home/anna", None) is False


def test_without_wildcards_a_star_is_a_star():
    assert equals("a*", "ab", {}.get) is False
    assert equals("a*", "a*", {}.get) is True
    assert equals("${aws:username}*", "anna*", {"aws:username": ("anna",)}.get) is True


@pytest.mark.parametrize(
    ("answers", "all_of_them", "any_of_them"),
    [
        ((), True, False),
        ((True, None), None, True),
        ((None, False), False, None),
        ((False, False), False, False),
        ((True, True), True, True),
        ((None, False, True), False, True),
    ],
    ids=str,
)
def test_what_cannot_be_told_counts_only_where_it_decides(answers, all_of_them, any_of_them):
    assert every(answers) is all_of_them
    assert some(answers) is any_of_them
