"""What differs between two images of an item: masked DynamoDB JSON, compared by path.

Two values that are equal have equal tokens at one path, so a path that is not named did not change.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

_ABSENT: Any = object()
_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder().decode


class Difference(NamedTuple):
    """One place that differs.

    Attributes:
        path: the attribute's name, `.name` for each map's member, `[n]` for each list's; names with such characters are
            quoted as in JSON.
        before, after: the typed value there, canonical JSON; None: it is not there.
    """

    path: str
    before: str | None
    after: str | None


def differences(old: str | None, new: str | None) -> list[Difference]:
    """The places that differ, in order of their paths: from nothing to all where one image is None."""
    before, after = ({} if image is None else _decode(image) for image in (old, new))
    return list(_members(before, after, ""))


def _members(before: dict[str, Any], after: dict[str, Any], path: str) -> Iterator[Difference]:
    for name in sorted(before.keys() | after.keys()):
        place = f"{path}.{_name(name)}" if path else _name(name)
        yield from _values(before.get(name, _ABSENT), after.get(name, _ABSENT), place)


def _values(before: Any, after: Any, path: str) -> Iterator[Difference]:
    if before == after:
        return
    if _both(before, after, "M"):
        yield from _members(before["M"], after["M"], path)
    elif _both(before, after, "L"):
        one, other = before["L"], after["L"]
        for at in range(max(len(one), len(other))):
            left, right = (side[at] if at < len(side) else _ABSENT for side in (one, other))
            yield from _values(left, right, f"{path}[{at}]")
    else:
        yield Difference(path, _text(before), _text(after))


def _both(before: Any, after: Any, kind: str) -> bool:
    return before is not _ABSENT and after is not _ABSENT and list(before) == list(after) == [kind]


def _text(value: Any) -> str | None:
    return None if value is _ABSENT else _encode(value).decode()


def _name(name: str) -> str:
    return name if name and not set(name) & set('.[]"\\ ') and name.isprintable() else _encode(name).decode()
