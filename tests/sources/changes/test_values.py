import base64
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from dynatrail.privacy.actions import KEEP, REDACT, Mask
from dynatrail.privacy.actions import TOKEN as TOKENS
from dynatrail.privacy.policy import TableMasks, steps
from dynatrail.privacy.requests import DataRequests
from dynatrail.privacy.tokens import Tokenizer
from dynatrail.sources.changes.values import KeyFormError, Values

TOKEN = re.compile(r"t1:[0-9a-f]{32}")
KEY = bytes(range(32))


def image(**values):
    return {name: Raw(json.dumps(value).encode()) for name, value in values.items()}


def masked(values, **attributes):
    return json.loads(values.mask(image(**attributes)))


@pytest.fixture
def values(tokens):
    return Values(tokens, TableMasks(((("status",), KEEP),), otherwise=TOKENS))


SCALARS = {"S": "Jane", "N": "41.50", "B": "AAE=", "BOOL": True}


@pytest.mark.parametrize("kind", SCALARS)
def test_a_scalar_becomes_a_token_of_its_type(values, kind):
    shown = masked(values, name={kind: SCALARS[kind]})["name"]
    assert list(shown) == [kind]
    assert TOKEN.fullmatch(shown[kind])


def test_null_stays(values):
    assert masked(values, name={"NULL": True}) == {"name": {"NULL": True}}


def test_structure_and_names_stay(values):
    shown = masked(values, address={"M": {"city": {"S": "Ulm"}, "lines": {"L": [{"S": "a"}, {"NULL": True}]}}})
    city = shown["address"]["M"]["city"]["S"]
    line = shown["address"]["M"]["lines"]["L"][0]["S"]
    assert shown == {"address": {"M": {"city": {"S": city}, "lines": {"L": [{"S": line}, {"NULL": True}]}}}}
    assert TOKEN.fullmatch(city)
    assert TOKEN.fullmatch(line)


def test_equal_values_of_one_attribute_have_one_token_and_of_two_have_two(values):
    shown = masked(values, name={"S": "x"}, nick={"S": "x"}, list={"L": [{"S": "x"}, {"S": "x"}]})
    assert shown["name"] == masked(values, name={"S": "x"})["name"]
    assert shown["name"] != shown["nick"]
    assert shown["list"]["L"][0] == shown["list"]["L"][1]


def test_equal_texts_of_two_types_have_two_tokens(values):
    texts = [masked(values, a={kind: "7"})["a"][kind] for kind in ("S", "N", "B")]
    assert len(set(texts)) == 3


def test_a_token_in_an_image_is_not_that_of_a_request(values, tokens):
    assert masked(values, id={"S": "pat-1"})["id"]["S"] != tokens.value("pat-1")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"N": "00120.500"}, {"N": "120.5"}),
        ({"N": "1E37"}, {"N": "1" + 37 * "0"}),
        ({"N": "0.1234567890123456789012345678901234567800"}, {"N": "0.12345678901234567890123456789012345678"}),
        ({"SS": ["b", "a"]}, {"SS": ["a", "b"]}),
        ({"NS": ["10", "9.0", "-1"]}, {"NS": ["-1", "9", "10"]}),
        ({"BS": ["AQ==", "AA=="]}, {"BS": ["AA==", "AQ=="]}),
        ({"M": {"n": {"N": "1.0"}}}, {"M": {"n": {"N": "1"}}}),
        ({"BOOL": False}, {"BOOL": False}),
    ],
)
def test_a_clear_attribute_shows_its_canonical_value(values, given, shown):
    assert masked(values, status=given) == {"status": shown}


def test_a_nested_attribute_is_not_clear_because_of_its_name(values):
    assert TOKEN.fullmatch(masked(values, a={"M": {"status": {"S": "on"}}})["a"]["M"]["status"]["S"])


def test_members_of_a_set_are_sorted_so_that_order_tells_nothing(values):
    one, other = masked(values, a={"SS": ["x", "y"]}), masked(values, a={"SS": ["y", "x"]})
    assert one == other
    assert one["a"]["SS"] == sorted(one["a"]["SS"])


@pytest.mark.parametrize(
    ("value", "shown"),
    [({"VEC": [1.5]}, "VEC"), ({"S": 7}, "S"), ({"S": "a", "N": "1"}, "?"), ("plain", "?"), ({"secret": 1}, "?")],
)
def test_an_unknown_type_is_masked_as_a_whole_and_named(values, value, shown):
    result = masked(values, odd=value, nested={"M": {"deep": {"NEW": "x"}}}, name={"S": "x"})
    assert list(result["odd"]) == [shown]
    assert TOKEN.fullmatch(result["odd"][shown])
    assert TOKEN.fullmatch(result["nested"]["M"])
    assert values.unknown(image(odd=value, nested={"M": {"deep": {"NEW": "x"}}}, name={"S": "x"})) == ["nested", "odd"]


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ({"S": "a"}, {"S": "b"}, True),
        ({"S": "a"}, {"S": "a"}, False),
        ({"S": "7"}, {"N": "7"}, True),
        ({"N": "7"}, {"N": "7.00"}, False),
        ({"N": "0.1234567890123456789012345678901234567"}, {"N": "0.1234567890123456789012345678901234568"}, True),
        ({"SS": ["a", "b"]}, {"SS": ["b", "a"]}, False),
        ({"NS": ["1", "2"]}, {"NS": ["2.0", "1"]}, False),
        ({"L": [{"S": "a"}, {"S": "b"}]}, {"L": [{"S": "b"}, {"S": "a"}]}, True),
        ({"M": {"a": {"N": "1"}, "b": {"S": ""}}}, {"M": {"b": {"S": ""}, "a": {"N": "1.0"}}}, False),
        ({"BOOL": True}, {"BOOL": False}, True),
        ({"NEW": 1}, {"NEW": 2}, True),
    ],
)
def test_attributes_differ_by_value(values, old, new, changed):
    assert values.changed(image(a=old), image(a=new)) == (["a"] if changed else [])


def test_added_and_removed_attributes_are_changed(values):
    assert values.changed(image(a={"S": "x"}, gone={"S": "x"}), image(a={"S": "x"}, came={"S": "x"})) == [
        "came",
        "gone",
    ]


@pytest.mark.parametrize("number", ["7", "7.00", "+7", "70E-1"])
def test_a_key_has_the_token_that_cloudtrail_gives_it(tokens, values, number):
    types = {"Visits": {"patient_id": "S", "at": "N", "blob": "B"}}
    clear = {"patient_id": "pat-1", "at": "7", "blob": "AAE="}
    request = json.dumps({"tableName": "Visits", "key": clear}).encode()
    (item,) = DataRequests(tokens, types).mask("GetItem", request).items
    token, names = values.key(image(patient_id={"S": "pat-1"}, at={"N": number}, blob={"B": "AAE="}))
    assert (token, names) == (item.token, item.key_attributes)


@pytest.mark.parametrize("key", [{}, {"id": {"M": {}}}, {"id": {"S": 7}}, {"id": "x"}, {"id": {"NULL": True}}])
def test_a_key_of_another_form_is_refused(values, key):
    with pytest.raises(KeyFormError):
        values.key(image(**key))


def test_binary_of_a_kinesis_destination_is_decoded_twice(tokens):
    once = base64.b64encode(b"\0\1").decode()
    twice = base64.b64encode(once.encode()).decode()
    kinesis = Values(tokens, TableMasks(((("a",), KEEP),), otherwise=TOKENS), double_base64=True)
    assert masked(kinesis, a={"B": twice}) == {"a": {"B": once}}
    assert kinesis.key(image(id={"B": twice})) == Values(tokens, TableMasks(otherwise=TOKENS)).key(
        image(id={"B": once})
    )


scalars = st.one_of(
    st.builds(lambda text: {"S": text}, st.text(st.characters(codec="utf-8"), max_size=8)),
    st.builds(lambda number: {"N": str(number)}, st.decimals(allow_nan=False, allow_infinity=False, places=3)),
    st.builds(lambda data: {"B": base64.b64encode(data).decode()}, st.binary(max_size=8)),
    st.builds(lambda flag: {"BOOL": flag}, st.booleans()),
    st.just({"NULL": True}),
)
attributes = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.builds(lambda items: {"L": items}, st.lists(inner, max_size=3)),
        st.builds(lambda items: {"M": items}, st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    ),
    max_leaves=6,
)


def leaves(value):
    ((kind, held),) = value.items()
    if kind == "L":
        for inner in held:
            yield from leaves(inner)
    elif kind == "M":
        for inner in held.values():
            yield from leaves(inner)
    elif kind != "NULL":
        yield held


@given(value=attributes)
def test_every_leaf_of_any_value_is_a_token(value):
    values = Values(Tokenizer(KEY), TableMasks(otherwise=TOKENS))
    assert all(TOKEN.fullmatch(leaf) for leaf in leaves(masked(values, a=value)["a"]))
    assert values.changed(image(a=value), image(a=value)) == []


@given(old=attributes, new=attributes)
def test_masked_images_are_equal_exactly_when_nothing_changed(old, new):
    values = Values(Tokenizer(KEY), TableMasks(otherwise=TOKENS))
    equal = values.mask(image(a=old)) == values.mask(image(a=new))
    assert equal == (values.changed(image(a=old), image(a=new)) == [])


def test_a_memo_that_is_full_changes_nothing(tokens, monkeypatch):
    monkeypatch.setattr("dynatrail.sources.changes.values._KEPT", 2)
    monkeypatch.setattr("dynatrail.privacy.tokens._ATTRIBUTE_LIMIT", 2)
    few = Values(Tokenizer(KEY), TableMasks(otherwise=TOKENS))
    for number in range(5):
        assert masked(few, a={"S": str(number)}) == masked(
            Values(tokens, TableMasks(otherwise=TOKENS)), a={"S": str(number)}
        )


def rules(*pairs, otherwise=REDACT):
    return TableMasks(tuple((steps(path), mask) for path, mask in pairs), otherwise)


def test_without_a_policy_no_value_is_shown(tokens):
    shown = masked(
        Values(tokens),
        a={"S": "x"},
        b={"N": "1"},
        c={"BOOL": True},
        d={"SS": ["x", "y"]},
        e={"M": {"f": {"L": [{"S": "x"}, {"NULL": True}]}}},
        g={"X": "of a type that is not known"},
    )
    assert shown == {
        "a": {"S": "***"},
        "b": {"N": "***"},
        "c": {"BOOL": "***"},
        "d": {"SS": ["***"]},
        "e": {"M": {"f": {"L": [{"S": "***"}, {"NULL": True}]}}},
        "g": {"X": "***"},
    }


def test_policy_reaches_into_maps_and_lists(tokens):
    policy = rules(("visits[].doctor", KEEP), ("visits[].at", Mask("generalise", to="year")), ("tags", KEEP))
    visit = {"M": {"doctor": {"S": "Ada"}, "at": {"S": "2026-11-01"}, "why": {"S": "pain"}}}
    shown = masked(Values(tokens, policy), visits={"L": [visit]}, tags={"SS": ["b", "a"]})
    assert shown["visits"] == {"L": [{"M": {"doctor": {"S": "Ada"}, "at": {"S": "2026"}, "why": {"S": "***"}}}]}
    assert shown["tags"] == {"SS": ["a", "b"]}


def test_what_is_dropped_leaves_no_trace_and_what_is_beside_it_stays(tokens):
    policy = rules(("notes", Mask("drop")), ("person", Mask("drop")), ("person.id", KEEP), ("list[]", Mask("drop")))
    values = Values(tokens, policy)
    shown = masked(
        values,
        notes={"M": {"a": {"S": "x"}}},
        person={"M": {"id": {"N": "7"}, "name": {"S": "x"}}},
        list={"L": [{"S": "x"}]},
        odd={"S": "y"},
    )
    assert shown == {"person": {"M": {"id": {"N": "7"}}}, "list": {"L": []}, "odd": {"S": "***"}}
    assert masked(Values(tokens, rules(("odd", Mask("drop")))), odd={"X": "not known"}) == {}


def test_value_of_a_type_that_is_not_known_is_never_kept(tokens):
    assert TOKEN.fullmatch(masked(Values(tokens, rules(("odd", KEEP))), odd={"X": "secret"})["odd"]["X"])


def test_token_of_an_image_is_that_of_its_values_whatever_is_shown(tokens):
    hiding, showing = Values(tokens), Values(tokens, TableMasks(otherwise=KEEP))
    first = image(a={"N": "1.0"}, b={"SS": ["y", "x"]})
    assert hiding.token(first) == showing.token(image(b={"SS": ["x", "y"]}, a={"N": "1"}))
    assert hiding.token(first) != hiding.token(image(a={"N": "1.1"}, b={"SS": ["y", "x"]}))
    assert hiding.token(first) != hiding.token(image(a={"N": "1"}))
    assert TOKEN.fullmatch(hiding.token(image()))
