"""Item images taken apart: for each attribute path all values that were there, as text.

A path is written as a masking policy writes it (`contact.phones[].number`). Names of maps' members may be values
themselves (`{"by_email": {"a@example.com": …}}`): names that look like values, names that only one item has, and more
names than people give to attributes, become `*`, and the names are kept as values of the map around them, so that no
path ever shows one.
"""

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from dynatrail.errors import SourceError
from dynatrail.privacy.detectors import BUILT_IN
from dynatrail.privacy.detectors.base import taken
from dynatrail.privacy.policy import ANY

MOST_NAMES = {True: 1000, False: 200}
"""Different names beside each other that still are names; of an item's own attributes, and of a map's members."""

ENOUGH_IMAGES = 10
"""Images of a map from which on a member that a single one has is no attribute but somebody's name, or the like."""

_VALUE_LIKE = re.compile(
    r"@|(?:\d\D{0,2}){5}"  # digits of any script
    r"|[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}"
    r"|^\d{1,3}(?:\.\d{1,3}){3}$|:[0-9a-fA-F]{0,4}:|^(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}$"  # addresses
    r"|^[^\W_]{25}|^.{65}",  # no word is that long; a key may be
    re.DOTALL,
)
_NOT_IN_A_MEMBER = re.compile(r"[\s,;:|/\\'\"`<>{}()\[\]]")
"""What attributes' names hardly have and texts do. An item's own attributes may be called like columns of a sheet."""

_PLAIN_NAME = re.compile(r'[^.\[\]"*]+')
_decode = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


@dataclass(slots=True)
class _Place:
    values: list[str | None] = field(default_factory=list)
    members: dict[str, "_Place"] = field(default_factory=dict)
    items: "_Place | None" = None
    images: int = 0
    last: int = -1

    def met(self, position: int) -> "_Place":
        """Count the image, once."""
        if self.last != position:
            self.images, self.last = self.images + 1, position
        return self


def flatten(images: Iterable[str | None]) -> Mapping[str, pa.StringArray]:
    """Every scalar of the images by its path.

    Args:
        images: items in DynamoDB JSON with types, in clear: `{"id":{"S":"…"}}`; None is passed over.

    Returns:
        Paths in order, to arrays of text: strings as they are, numbers as DynamoDB writes them, binary values as their
        UTF-8 text and null where they are none. Members of a set stand at the set's own path. Booleans and nulls are
        left out.

    Raises:
        SourceError: an image is no DynamoDB JSON; says which one, and nothing of what it holds.
    """
    root = _Place()
    for position, image in enumerate(images):
        if image is None:
            continue
        try:
            for name, value in _decode(image).items():
                _add(root.members.setdefault(name, _Place()).met(position), value, position)
        except (msgspec.DecodeError, _NoImageError, UnicodeError, RecursionError):
            raise SourceError(
                f"Image {position} is no item in DynamoDB JSON with types, so nothing was looked at. "
                'Give items as streams and exports have them: {"name":{"S":"…"}}.'
            ) from None
    found: dict[str, list[str | None]] = {}
    _write(root, "", found, _of_a_class(_names(root)), outermost=True)
    return {path: pa.array(found[path], pa.string()) for path in sorted(found)}


class _NoImageError(Exception):
    pass


def _add(place: _Place, value: Any, position: int) -> None:
    if not isinstance(value, dict) or len(value) != 1:
        raise _NoImageError
    ((kind, held),) = value.items()
    if kind in ("S", "N") and isinstance(held, str):
        place.values.append(held)
    elif kind == "M" and isinstance(held, dict):
        for name, inner in held.items():
            _add(place.members.setdefault(name, _Place()).met(position), inner, position)
    elif kind == "L" and isinstance(held, list):
        place.items = place.items or _Place()
        for inner in held:
            _add(place.items.met(position), inner, position)
    elif kind == "B" and isinstance(held, str):
        place.values.append(_text(held))
    elif kind in ("SS", "NS", "BS") and isinstance(held, list) and all(isinstance(one, str) for one in held):
        place.values += [_text(one) for one in held] if kind == "BS" else held
    elif kind not in ("BOOL", "NULL"):
        raise _NoImageError


def _text(encoded: str) -> str | None:
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _names(place: _Place) -> Iterator[str]:
    """Of all members at any depth."""
    yield from place.members
    for inner in (*place.members.values(), *filter(None, [place.items])):
        yield from _names(inner)


def _of_a_class(names: Iterable[str]) -> frozenset[str]:
    """Names that are sensitive values by their form, such as keys and tokens."""
    texts = pa.array(sorted(set(names)), pa.string())
    found: set[str] = set()
    for detector in BUILT_IN:
        if not detector.needs_name:
            fitting = taken(texts, detector.candidates(texts))
            found |= set(taken(fitting, np.flatnonzero(detector.matched(fitting))).to_pylist())
    return frozenset(found)


def _write(
    place: _Place, path: str, found: dict[str, list[str | None]], values: frozenset[str], *, outermost: bool = False
) -> None:
    if place.values:
        found.setdefault(path, []).extend(place.values)
    if place.items is not None:
        _write(place.items, f"{path}[]", found, values)
    all_of_them = len(place.members) > MOST_NAMES[outermost]
    for name, inner in place.members.items():
        lonely = not outermost and inner.images == 1 and place.images >= ENOUGH_IMAGES
        if all_of_them or lonely or name in values or _is_a_value(name, outermost=outermost):
            # An item has no path of its own, so its attributes' names stand with their values.
            found.setdefault(_below(path, ANY) if outermost else path, []).append(name)
            _write(inner, _below(path, ANY), found, values)
        else:
            _write(inner, _below(path, _quoted(name)), found, values)


def _is_a_value(name: str, *, outermost: bool) -> bool:
    plain = unicodedata.normalize("NFKC", name)
    if not name.isprintable() or not plain or _VALUE_LIKE.search(plain) or _VALUE_LIKE.search(name):
        return True
    return bool(_NOT_IN_A_MEMBER.search(plain) if not outermost else re.search(r"[`<>{}|]", plain))


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _quoted(name: str) -> str:
    if _PLAIN_NAME.fullmatch(name):
        return name
    return '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
