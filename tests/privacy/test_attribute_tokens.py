import hashlib
import hmac
import json

from hypothesis import given
from hypothesis import strategies as st

from dynatrail.privacy.tokens import Tokenizer

names = st.text('abcé"\\', max_size=5)
paths = st.tuples(names) | st.tuples(names, names | st.just(0))


@given(path=paths, kind=st.sampled_from(["S", "N", "SS", "?"]), text=st.text(st.characters(codec="utf-8")))
def test_token_of_an_attribute_is_an_hmac_of_its_place_and_text(path, kind, text):
    key = bytes(range(32))
    place = json.dumps([*path, kind], separators=(",", ":"), ensure_ascii=False)
    message = b"attribute\0" + place.encode() + b"\0" + text.encode()
    assert Tokenizer(key).attribute(path, kind, text) == "t1:" + hmac.new(key, message, hashlib.sha256).hexdigest()[:32]


def test_places_cannot_be_mistaken_for_each_other(tokens):
    made = {
        tokens.attribute(("a",), "S", "x"),
        tokens.attribute(("a", "b"), "S", "x"),
        tokens.attribute(("a", 0), "S", "x"),
        tokens.attribute(("a", "0"), "S", "x"),
        tokens.attribute(("ab",), "S", "x"),
        tokens.attribute(("a",), "SS", "x"),
        tokens.attribute(("a\0",), "S", "x"),
        tokens.value("x"),
        tokens.item([("a", "x")]),
    }
    assert len(made) == 9
