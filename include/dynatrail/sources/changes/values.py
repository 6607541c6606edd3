"""Attribute values in DynamoDB JSON: their canonical form, their masked form, and whether two of them are equal.

An image is a map from attribute name to the bytes of its value as AWS wrote them (`{"N":"7"}`). Most values are met
again (the unchanged attributes of the old and the new image, a status, a flag), so what is made of the bytes is kept.

Masked images keep names, types and structure; what becomes of each scalar is the masking policy's to say
(`privacy/policy.py`). By default it is a token that is bound to the attribute's path and type: equal values of one
attribute compare equal, the same value in two attributes does not. Attributes that the policy keeps have their
canonical value: numbers as DynamoDB stores them, sets sorted, binary as base64.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from dynatrail.privacy.actions import REDACTED, masked
from dynatrail.privacy.policy import TableMasks
from dynatrail.privacy.subjects import SubjectKeys
from dynatrail.privacy.tokens import Tokenizer, canonical_number

Image = dict[str, Raw]
"""Attribute name -> its value, as the JSON that the source gave."""

_KEPT = 20_000
_KEPT_BYTES = 256
"""Values kept, and the size up to which one is: together some 15 MB."""

_TYPE = re.compile(r"[A-Z]{1,10}")
_decode = msgspec.json.Decoder(float_hook=str).decode
_encode = msgspec.json.Encoder(order="sorted").encode

Path = tuple[str | int, ...]


class UnknownTypeError(Exception):
    """The value is none of the ten types that DynamoDB has."""


class KeyFormError(Exception):
    """An item key is no map of S, N and B."""


class _Value(NamedTuple):
    """What is made of one value.

    Attributes:
        canonical: bytes to compare.
        shown: `"name":masked`; None where it is dropped.
        known: whether its type is.
    """

    canonical: bytes
    shown: bytes | None
    known: bool


class Values:
    """Reads the images of one table.

    Args:
        tokens: makes the tokens.
        masks: what is done with the table's values.
        subjects: the keys of subjects; where there are none, what should be encrypted is redacted.
        double_base64: binary values are encoded twice, as a Kinesis destination has them.
    """

    def __init__(
        self,
        tokens: Tokenizer,
        masks: TableMasks | None = None,
        subjects: SubjectKeys | None = None,
        *,
        double_base64: bool = False,
    ) -> None:
        self._tokens = tokens
        self._masks = masks or TableMasks()
        self._subjects = subjects
        self._encrypts = self._masks.encrypts
        self._binary = _base64_twice if double_base64 else _base64
        self._subject: str | None = None  # of the image that is being masked
        self._kept: dict[tuple[str | None, str, bytes], _Value] = {}

    def key(self, keys: Image) -> tuple[str, list[str]]:
        """The token of an item's key, as `api_event_item` has it, and its attributes, sorted.

        Raises:
            KeyFormError: there is no attribute, or one that is not S, N or B.
        """
        pairs = []
        for name, raw in keys.items():
            try:
                ((kind, text),) = canonical(_decode(raw), self._binary).items()
            except (UnknownTypeError, msgspec.DecodeError, ValueError):
                raise KeyFormError from None
            if kind not in ("S", "N", "B"):
                raise KeyFormError
            pairs.append((name, text))
        if not pairs:
            raise KeyFormError
        return self._tokens.item(pairs), sorted(keys)

    def mask(self, image: Image) -> str:
        """The image as masked, canonical DynamoDB JSON."""
        value, self._subject = self._value, self._subject_of(image) if self._encrypts else None
        shown = [value(name, image[name]).shown for name in sorted(image)]
        return (b"{" + b",".join([member for member in shown if member is not None]) + b"}").decode()

    def token(self, image: Image) -> str:
        """The token of the whole image: of two that are equal, attribute by attribute, it is one."""
        value = self._value
        members = [_encode(name) + b":" + value(name, image[name]).canonical for name in sorted(image)]
        return self._tokens.image(b"{" + b",".join(members) + b"}")

    def unknown(self, image: Image) -> list[str]:
        """The attributes whose type is none that is known; they are masked as a whole."""
        return sorted(name for name, raw in image.items() if not self._value(name, raw).known)

    def changed(self, old: Image, new: Image) -> list[str]:
        """The top-level attributes that differ, sorted; sets compare as sets and numbers as numbers, exactly."""
        differ = [name for name in old.keys() | new.keys() if name not in old or name not in new]
        for name in old.keys() & new.keys():
            before, after = bytes(old[name]), bytes(new[name])
            if before != after and self._value(name, before).canonical != self._value(name, after).canonical:
                differ.append(name)
        return sorted(differ)

    def anything(self, value: Any, path: Path = ()) -> Any:
        """Any decoded JSON with a token in the place of every scalar; for pieces whose form is not known."""
        if isinstance(value, dict):
            return {name: self.anything(inner, (*path, name)) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.anything(inner, (*path, 0)) for inner in value]
        if value is None:
            return None
        text = value if isinstance(value, str) else _encode(value).decode()
        return self._tokens.attribute(path, "?", text)

    def _subject_of(self, image: Image) -> str | None:
        """The token of whom the image is about; None where it does not say."""
        said = self._masks.subject
        if said is None or said.attribute not in image:
            return None
        try:
            ((kind, text),) = canonical(_decode(image[said.attribute]), self._binary).items()
        except UnknownTypeError:
            return None
        return self._tokens.item([(said.name or said.attribute, text)]) if kind in ("S", "N", "B") else None

    def _value(self, name: str, raw: Raw | bytes) -> _Value:
        place = (self._subject, name, bytes(raw))
        known = self._kept.get(place)
        if known is None:
            known = self._made(name, place[2])
            if len(place[2]) <= _KEPT_BYTES:
                if len(self._kept) >= _KEPT:
                    self._kept.clear()
                self._kept[place] = known
        return known

    def _made(self, name: str, raw: bytes) -> _Value:
        start = _encode(name) + b":"
        value = _decode(raw)
        try:
            exact = canonical(value, self._binary)
        except UnknownTypeError:
            whole = _encode(value)
            kind = next(iter(value)) if isinstance(value, dict) and len(value) == 1 else ""
            kind = kind if _TYPE.fullmatch(kind) else "?"
            action = self._masks.at((name,)).action
            if action == "drop":
                return _Value(whole, None, known=False)
            # What is not understood is never shown, not even where the policy keeps the attribute.
            hides = action in ("redact", "partial", "generalise", "encrypt")
            text = REDACTED if hides else self._tokens.attribute((name,), "?", whole.decode())
            return _Value(whole, start + _encode({kind: text}), known=False)
        encoded = _encode(exact)
        mask = self._masked(exact, (name,))
        return _Value(encoded, None if mask is None else start + _encode(mask), known=True)

    def _masked(self, value: dict[str, Any], path: Path) -> dict[str, Any] | None:
        """A canonical value as the policy has it, None where it is dropped; members of a list share one path."""
        ((kind, held),) = value.items()
        if kind == "M":
            inner = {name: self._masked(one, (*path, name)) for name, one in held.items()}
            return self._unless_dropped("M", {name: one for name, one in inner.items() if one is not None}, path)
        if kind == "L":
            members = [self._masked(one, (*path, 0)) for one in held]
            return self._unless_dropped("L", [one for one in members if one is not None], path)
        mask = self._masks.at(path)
        if mask.action == "drop":
            return None
        if kind == "NULL" or mask.action == "keep":
            return value
        if kind in ("SS", "NS", "BS"):
            return {kind: sorted({self._scalar(kind, member, path) for member in held})}
        if kind == "BOOL":
            return {kind: self._scalar(kind, "true" if held else "false", path)}
        return {kind: self._scalar(kind, held, path)}

    def _scalar(self, kind: str, text: str, path: Path) -> str:
        mask, token = self._masks.at(path), self._tokens.attribute
        if mask.action == "encrypt":
            if self._subjects is None or self._subject is None:
                return REDACTED
            return self._subjects.encrypt(self._subject, path, kind, text)
        member = kind[0] if kind in ("SS", "NS", "BS") else kind
        return masked(mask, member, text, lambda: token(path, kind, text))

    def _unless_dropped(self, kind: str, left: Any, path: Path) -> dict[str, Any] | None:
        return {kind: left} if left or self._masks.at(path).action != "drop" else None


def canonical(value: Any, binary: Callable[[str], str]) -> dict[str, Any]:
    """One attribute value in its one notation; `binary` brings base64 text into its own.

    Raises:
        UnknownTypeError: it, or a value in it, has a type that DynamoDB's API of today does not have.
    """
    if not isinstance(value, dict) or len(value) != 1:
        raise UnknownTypeError
    ((kind, held),) = value.items()
    if kind in ("S", "N", "B") and isinstance(held, str):
        return {kind: _scalar(kind, held, binary)}
    if kind in ("SS", "NS", "BS") and isinstance(held, list) and all(isinstance(member, str) for member in held):
        members = {_scalar(kind[0], member, binary) for member in held}
        return {kind: sorted(members, key=_number_order) if kind == "NS" else sorted(members)}
    if kind == "BOOL" and isinstance(held, bool):
        return value
    if kind == "NULL":
        return {"NULL": True}
    if kind == "M" and isinstance(held, dict):
        return {"M": {name: canonical(inner, binary) for name, inner in held.items()}}
    if kind == "L" and isinstance(held, list):
        return {"L": [canonical(inner, binary) for inner in held]}
    raise UnknownTypeError


def image_of(attributes: Iterable[tuple[str, Any]]) -> Image:
    """An image of values that are decoded already, as boto3 gives them (binary as bytes)."""
    return {name: Raw(_encode(value)) for name, value in attributes}


def _scalar(kind: str, text: str, binary: Callable[[str], str]) -> str:
    if kind == "N":
        return canonical_number(text)
    return binary(text) if kind == "B" else text


def _number_order(text: str) -> tuple[int, Decimal, str]:
    try:
        return (0, Decimal(text), "")
    except InvalidOperation:
        return (1, Decimal(0), text)


def _base64(text: str) -> str:
    """Base64 with the padding that it should have; what is no base64 stays as it is."""
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode()
    except (binascii.Error, ValueError):
        return text


def _base64_twice(text: str) -> str:
    try:
        return _base64(base64.b64decode(text, validate=True).decode("ascii"))
    except (binascii.Error, ValueError):
        return _base64(text)
