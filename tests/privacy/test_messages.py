import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynatrail.privacy.messages import mask_message, mask_values, sketch


@pytest.mark.parametrize(
    "message",
    [
        "The conditional request failed",
        "Transaction cancelled, please refer cancellation reasons for specific reasons [ConditionalCheckFailed, None]",
        "Statement wasn't well formed, can't be processed: Unexpected keyword",
        "Requested resource not found: Table: Patients not found",
    ],
)
def test_message_without_values_stays(message):
    assert mask_message(mask_values(message, {"x": "t1:x", "on": "t1:on"})) == message


@pytest.mark.parametrize(
    "message",
    [
        "Invalid token 'pat-4711' near it",
        'Syntax error; token: "pat-4711", near: "= pat-4711 AND"',
        "Statement wasn't well formed: unexpected 'pat-4711' there",
        "Value 'a' b pat-4711 ' is wrong",
        "cut off inside 'pat-4711",
        "Value `pat-4711` is wrong",
        "no item 4711123 here",
        "no item 4711.123 here",
        "no item -4711e10 here",
    ],
)
def test_quoted_text_and_long_numbers_are_masked(message):
    masked = mask_message(message)
    assert "4711" not in masked
    assert "***" in masked


def test_known_values_are_replaced_by_their_tokens_longest_first():
    values = {"pat-4711": "t1:long", "pat-": "t1:short"}
    assert mask_values("pat-4711 and pat-4712", values) == "t1:long and t1:short4712"


def test_a_token_that_was_put_in_is_not_masked_again():
    assert mask_values("pat-4711", {"pat-4711": "t1:aaaa", "aaaa": "t1:b", "t1": "t1:c"}) == "t1:aaaa"


def test_a_short_value_is_replaced_only_as_a_word():
    assert mask_values("7 of 17 failed", {"7": "t1:x"}) == "t1:x of 17 failed"


def test_account_ids_in_arns_stay():
    message = "no policy for arn:aws:dynamodb:eu-west-1:123456789012:table/Patients"
    assert mask_message(message) == message


@given(value=st.text(min_size=4), before=st.text(), after=st.text())
def test_a_known_value_is_left_nowhere(value, before, after):
    masked = mask_values(f"{before}{value}{after}", {value: "\N{REPLACEMENT CHARACTER}"})
    assert "\N{REPLACEMENT CHARACTER}" in masked


def test_sketch_shows_the_shape_of_input_only():
    assert sketch(b'{"Records": [4711, "j\xc3\xa4ne@example.com", true]}') == (
        '{"aaaaaaa": [9999, "a??aa?aaaaaaa?aaa", aaaa]}'
    )


def test_sketch_of_long_input_says_that_it_is_cut():
    assert sketch(b"x" * 1000) == "a" * 240 + "…"


@given(st.binary(max_size=300))
def test_sketch_holds_nothing_but_marks(data):
    assert set(sketch(data)) <= set('a9?{}[]",: …')
