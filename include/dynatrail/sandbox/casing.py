"""From the API's names and values to those that CloudTrail writes.

Only the first letter is lowered, so `SSESpecification` becomes `sSESpecification`; map keys stay; times become text
such as `Dec 28, 2020, 7:35:21 AM`; secrets are left out (aws-facts a4, the CreateTable record of 2020).
"""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

_NEVER = frozenset({"ResponseMetadata", "SecretAccessKey"})

TimeMap = Callable[[datetime], datetime]


def lowered(name: str) -> str:
    """`TableName` → `tableName`."""
    return name[:1].lower() + name[1:]


def instant_text(instant: datetime) -> str:
    """`Jul 10, 2023, 1:23:45 PM`, as CloudTrail writes times inside parameters and responses."""
    hour = instant.hour % 12 or 12
    half = "PM" if instant.hour >= 12 else "AM"  # noqa: PLR2004
    return f"{instant:%b} {instant.day}, {instant.year}, {hour}:{instant:%M:%S} {half}"


def camel(value: Any, shape: Shape | None, at: TimeMap) -> Any:
    """Rewrite an API structure; `at` maps the simulated account's real time to sandbox time."""
    if value is None or shape is None:
        return value
    if isinstance(shape, StructureShape):
        return {
            lowered(name): camel(member, shape.members.get(name), at)
            for name, member in value.items()
            if name not in _NEVER and member is not None
        }
    if isinstance(shape, ListShape):
        return [camel(member, shape.member, at) for member in value]
    if isinstance(shape, MapShape):
        return {name: camel(member, shape.value, at) for name, member in value.items()}
    if shape.type_name == "timestamp":
        return instant_text(at(_instant(value)))
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _instant(value: Any) -> datetime:
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    instant: datetime = value
    return instant.astimezone(UTC)
