import json
import random

import pyarrow as pa
import pytest
from stdnum import luhn

from dynatrail.errors import SourceError
from dynatrail.privacy import discovery


def cards(count, start="4"):
    rng = random.Random(5)
    bodies = [start + "".join(rng.choices("0123456789", k=14)) for _ in range(count)]
    return [body + luhn.calc_check_digit(body) for body in bodies]


def numbers(count, places, first="1"):
    rng = random.Random(places)
    return [first + "".join(rng.choices("0123456789", k=places - 1)) for _ in range(count)]


def classes(**values):
    return {
        (one.path, one.detected_class)
        for one in discovery.inspect({name: pa.array(held) for name, held in values.items()})
    }


def test_counts_say_how_much_was_there_and_matched():
    held = pa.array(["a@example.com", "a@example.com", "b@example.com", "none", None])
    assert discovery.inspect({"k": held}) == [discovery.Found("k", "email", 0.99, 5, 3, 2)]


def test_checksums_tell_cards_from_numbers_that_look_like_cards():
    assert classes(one=cards(20), other=numbers(200, 16, "4")) == {("one", "payment_card")}


def test_one_number_with_a_right_checksum_is_no_proof_but_with_a_name_it_is():
    assert classes(k=cards(1), card_number=cards(1)) == {("card_number", "payment_card")}


def test_more_of_the_same_accident_is_no_proof():
    rng = random.Random(1)
    # Drawn so that the checksum passes a little more often than by lot.
    held = [text for text in numbers(8_000, 16, "4") if luhn.is_valid(text) or rng.random() < 0.8]
    assert classes(k=held) == set()


def test_numbers_with_equal_check_digits_share_the_odds():
    held = [body + luhn.calc_check_digit(body) for body in numbers(50, 8, "4")]
    (one,) = discovery.inspect({"k": pa.array(held)})
    assert (one.detected_class, one.confidence) == ("ca_sin", 0.33)
    assert classes(siren=held) == set()
    assert classes(employee_sin=held) == {("employee_sin", "ca_sin")}


def test_a_class_does_not_take_what_a_surer_one_has():
    assert classes(k=["536-90-4399", "219-44-1234", "123-45-6789"] * 3) == {("k", "us_ssn")}


def test_several_classes_are_found_within_one_text():
    text = "Please call Mrs. Meyer at +49 30 901820 or write to a@example.com"
    assert classes(note=[text]) == {("note", "person_name"), ("note", "phone"), ("note", "email")}


def test_names_of_attributes_decide_where_values_cannot():
    values = {"vorname": ["Anna", "Zoë"], "product": ["Anna", "Zoë"], "dob": ["1984-02-29"], "shipped": ["1984-02-29"]}
    assert classes(**values) == {("vorname", "person_name"), ("dob", "date_of_birth")}


def test_a_name_alone_is_not_enough_when_the_values_do_not_fit():
    assert classes(date_of_birth=["yes", "no"], email_template=["welcome"], password_changed_at=["2026-11-01"]) == set()


@pytest.mark.parametrize(
    "values",
    [{}, {"k": pa.array([], pa.string())}, {"k": pa.array([None], pa.string())}],
    ids=["none", "empty", "null"],
)
def test_nothing_to_look_at_is_nothing_found(values):
    assert discovery.inspect(values) == []


def test_paths_are_those_of_a_masking_policy():
    image = {
        "a": {"M": {"b.c": {"S": "x"}, "list": {"L": [{"M": {"n": {"N": "1"}}}, {"S": "y"}]}}},
        "set": {"SS": ["p", "q"]},
        "flag": {"BOOL": True},
        "none": {"NULL": True},
    }
    found = discovery.flatten([json.dumps(image), None])
    assert {path: values.to_pylist() for path, values in found.items()} == {
        'a."b.c"': ["x"],
        "a.list[]": ["y"],
        "a.list[].n": ["1"],
        "set": ["p", "q"],
    }


def test_binary_values_are_read_as_text_where_they_are_text():
    found = discovery.flatten([json.dumps({"b": {"B": "YUBleGFtcGxlLmNvbQ=="}}), json.dumps({"b": {"B": "/////w=="}})])
    assert found["b"].to_pylist() == ["a@example.com", None]


def test_names_of_members_that_are_values_stay_out_of_paths():
    images = [json.dumps({"by": {"M": {f"u{n}@example.com": {"N": "1"}}}}) for n in range(3)]
    flat = discovery.flatten(images)
    assert {path: len(values) for path, values in flat.items()} == {"by": 3, "by.*": 3}
    assert [(one.path, one.detected_class) for one in discovery.inspect(flat)] == [("by", "email")]


def test_a_map_with_countless_names_is_one_path():
    flat = discovery.flatten(
        [json.dumps({"m": {"M": {f"k{chr(97 + n % 26)}{chr(97 + n // 26)}": {"S": "v"}}}}) for n in range(300)]
    )
    assert set(flat) == {"m", "m.*"}


@pytest.mark.parametrize(
    "image",
    ["", "[1]", '{"k":"PLANTED"}',
     '{"k":{"S":["PLANTED"]}}', '{"k":{"X":"PLANTED"}}', '{"k":{"S":"PLANTED","N":"1"}}', '{"k":{"S":"PLANTED"'],
    ids=["empty", "list", "untyped", "wrong", "unknown", "two", "cut"],
)  # fmt: skip
def test_what_is_no_image_is_refused_without_its_content(image):
    with pytest.raises(SourceError, match="Image 1 is no item") as raised:
        discovery.flatten(['{"k":{"S":"x"}}', image])
    assert "PLANTED" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_findings_are_the_same_for_any_order_of_values():
    held = [*cards(30), *numbers(30, 16, "4"), "a@example.com"]
    one = discovery.inspect({"k": pa.array(held), "l": pa.array(held[:5])})
    assert one == discovery.inspect({"l": pa.array(held[4::-1]), "k": pa.array(held[::-1])})
