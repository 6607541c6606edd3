"""FilterSpecification of an export, as far as the sandbox evaluates one: equalities joined by AND.

For an incremental export the newest image decides, the old one for an item that was deleted ("Filtering a table
export").
"""

import re
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

_EQUALITY = re.compile(r"^\s*(#?[\w.-]+)\s*=\s*(:\w+)\s*$")
_NAMES = re.compile(r"^\s*#?[\w-]+(\s*,\s*#?[\w-]+)*\s*$")


class UnsupportedFilterError(ValueError):
    """The sandbox does not evaluate such an expression; the message says which."""


class Filter:
    """Decides which items an export has, and which of their attributes.

    Raises:
        UnsupportedFilterError: anything but equalities joined by AND, or a projection of nested attributes.
    """

    def __init__(self, specification: Mapping[str, Any]) -> None:
        self._names = specification.get("ExpressionAttributeNames") or {}
        self._values = specification.get("ExpressionAttributeValues") or {}
        self._wanted: Json = {}
        for field in ("KeyConditionExpression", "FilterExpression"):
            if text := specification.get(field):
                self._wanted |= self._equalities(field, text)
        projection = specification.get("ProjectionExpression")
        if projection and not _NAMES.match(projection):
            raise UnsupportedFilterError(f"ProjectionExpression {projection!r}: the sandbox projects whole attributes.")
        self._projected = [self._name(part.strip()) for part in projection.split(",")] if projection else None

    def takes(self, image: Mapping[str, Any]) -> bool:
        return all(image.get(name) == value for name, value in self._wanted.items())

    def project(self, image: Json) -> Json:
        if self._projected is None:
            return image
        return {name: image[name] for name in self._projected if name in image}

    def _equalities(self, field: str, text: str) -> Json:
        wanted = {}
        for part in re.split(r"\s+AND\s+", text, flags=re.IGNORECASE):
            found = _EQUALITY.match(part)
            if not found or found[2] not in self._values:
                raise UnsupportedFilterError(f"{field}: the sandbox evaluates `name = :value` joined by AND only.")
            wanted[self._name(found[1])] = self._values[found[2]]
        return wanted

    def _name(self, name: str) -> str:
        return str(self._names.get(name, name))
