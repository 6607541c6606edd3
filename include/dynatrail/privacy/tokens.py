"""Keyed tokens that stand for item keys and other sensitive values.

A token is HMAC-SHA-256 (RFC 2104) under a secret key, cut to 128 bits: equal values give equal tokens, so joins still
work, and nobody without the key can test a guess. CloudTrail writes key values in clear but without their type
(`"id": "7"` for both S and N), while a stream record keeps it (`{"N": "7"}`). The canonical form is therefore the bare
text, and numbers are brought to the one notation DynamoDB itself stores where the attribute is known to be a number.
"""

import hashlib
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from dynatrail.errors import SettingsError
from dynatrail.privacy import secret_keys
from dynatrail.settings import Settings

PREFIX = "t1:"
"""Version of the token form and key; every token starts with it."""

ITEM = b"item\0"
"""What the message of an item key begins with, so that it is not that of any other value."""

_BLOCK = 64  # of SHA-256, bytes
_SMALLEST, _LARGEST = -130, 125  # powers of ten ("Naming rules and data types", DynamoDB developer guide)
_MEMO_LIMIT = 200_000  # about 40 MB; a hot key is met again long before the memo is dropped
_ATTRIBUTE_LIMIT = 50_000  # about 25 MB
_encode = msgspec.json.Encoder().encode


def canonical_number(text: str) -> str:
    """The notation in which DynamoDB stores a number: plain digits, no leading or trailing zeros, up to 38 digits.

    `text` that is no number within DynamoDB's range comes back as it is: CloudTrail records what the client sent, and
    written out, `1E999999999` would be a gigabyte.
    """
    stored = stored_number(text)
    return text if stored is None else stored


def stored_number(text: str) -> str | None:
    """The same, but None for what is no number within DynamoDB's range."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if not number.is_finite() or (number and not _SMALLEST <= number.adjusted() <= _LARGEST):
        return None
    if not number:
        return "0"
    plain = format(number, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return plain


class Tokenizer:
    """Makes tokens under one key and remembers the ones it made lately."""

    def __init__(self, key: bytes) -> None:
        if len(key) < secret_keys.BYTES:
            raise SettingsError(
                f"The masking key has {len(key)} bytes; it needs {secret_keys.BYTES}. Make one with "
                "`python -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())'` "
                "and store it where DYNATRAIL_TOKEN_KEY points."
            )
        block = key if len(key) <= _BLOCK else hashlib.sha256(key).digest()
        block = block.ljust(_BLOCK, b"\0")
        # RFC 2104 with both padded key blocks hashed once: a third of the time of a whole HMAC per value.
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))
        self._tokens: dict[bytes, str] = {}
        self._attributes: dict[tuple[tuple[str | int, ...], str, str], str] = {}

    def value(self, text: str) -> str:
        """The token of one value, given as bare text."""
        return self._made([b"value\0" + text.encode("utf-8", "surrogatepass")])[0]

    def values(self, texts: Iterable[str]) -> list[str]:
        """As `value`, for many at once."""
        return self._made([b"value\0" + text.encode("utf-8", "surrogatepass") for text in texts])

    def item(self, key: Iterable[tuple[str, str]]) -> str:
        """The token of an item key: its attributes' names and canonical texts, in any order.

        The canonical form is the compact JSON array of [name, text] pairs sorted by name. The table is not part of it:
        (`table_arn`, token) names an item, and a token alone finds the same key in every table.
        """
        return self._made([ITEM + _encode(sorted(key))])[0]

    def items(self, messages: Sequence[bytes]) -> list[str]:
        """As `item`, for many at once: each is `ITEM` and the canonical form of a key."""
        return self._made(messages)

    def image(self, canonical: bytes) -> str:
        """The token of a whole item: equal items have one, whatever the masking policy lets be seen of them.

        Args:
            canonical: the item's canonical JSON.
        """
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(b"image\0" + canonical)
        outer.update(inner.digest())
        return PREFIX + outer.hexdigest()[:32]

    def attribute(self, path: tuple[str | int, ...], kind: str, text: str) -> str:
        """The token of a scalar in an item image, bound to where it lies, so that attributes do not correlate.

        Args:
            path: the attribute's name, then those of the maps around the value; 0 for any place in a list.
            kind: its DynamoDB type; of a set's member that of the set.
            text: its canonical text.
        """
        place = (path, kind, text)
        token = self._attributes.get(place)
        if token is None:
            if len(self._attributes) >= _ATTRIBUTE_LIMIT:
                self._attributes.clear()
            inner, outer = self._inner.copy(), self._outer.copy()
            # JSON escapes NUL, so the second one in the message ends the place.
            inner.update(b"attribute\0" + _encode((*path, kind)) + b"\0" + text.encode("utf-8", "surrogatepass"))
            outer.update(inner.digest())
            token = self._attributes[place] = PREFIX + outer.hexdigest()[:32]
        return token

    def _made(self, messages: Sequence[bytes]) -> list[str]:
        memo = self._tokens
        if len(memo) >= _MEMO_LIMIT:
            memo.clear()
        inner_of_key, outer_of_key = self._inner.copy, self._outer.copy
        tokens: list[Any] = list(map(memo.get, messages))
        for at, token in enumerate(tokens):
            if token is None:
                message, inner, outer = messages[at], inner_of_key(), outer_of_key()
                inner.update(message)
                outer.update(inner.digest())
                tokens[at] = memo[message] = PREFIX + outer.hexdigest()[:32]
        return tokens


def load_key(settings: Settings) -> bytes:
    """The masking key: from the Airflow Variable that the settings name, else from a generated local file.

    Raises:
        SettingsError: the Variable is absent or not base64, or the file can be read by others.
    """
    return secret_keys.load("masking key", "DYNATRAIL_TOKEN_KEY", settings.token_key, settings.home / "token.key")
