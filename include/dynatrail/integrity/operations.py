"""The operations whose calls a trail may select: the one list, `include/integrity/operations.yaml`."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dynatrail.errors import SettingsError
from dynatrail.settings import PROJECT

FILE = PROJECT / "include" / "integrity" / "operations.yaml"

CONTROL_PLANE = "*control plane*"
"""All operations on tables themselves, which trails select as management events, as if they were one operation."""

TABLE, STREAM = "AWS::DynamoDB::Table", "AWS::DynamoDB::Stream"

ANY_OTHER = "\ue000"
"""Stands for every eventName that the file does not name: a character that no name has."""


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of record that calls of an operation leave.

    Attributes:
        category: eventCategory, Data or Management.
        resource: resource type of the operation; None: the control plane.
    """

    event_name: str
    read_only: bool
    category: str = "Data"
    resource: str | None = TABLE


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, and every kind of record that its calls may leave."""

    name: str
    calls: tuple[Call, ...]


@cache
def operations() -> dict[str, Operation]:
    """All operations by name: the data operations, and the control plane as one.

    Raises:
        SettingsError: see `read`.
    """
    return read(FILE)


def read(file: Path) -> dict[str, Operation]:
    """The same of any file.

    Raises:
        SettingsError: the file cannot be read, or an entry lacks something.
    """
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        found = {entry["eventName"]: _data(entry) for entry in document["data"]}
        managed = [
            Call(entry["eventName"], said, "Management", None)
            for entry in document["control_plane"]
            for said in _read_only(entry)
        ]
        others = (Call(ANY_OTHER, said, "Management", None) for said in (False, True))
        return found | {CONTROL_PLANE: Operation(CONTROL_PLANE, (*managed, *others))}
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise SettingsError(
            f"{file} cannot be used ({type(error).__name__}: {error}): each entry needs eventName and readOnly (true, "
            "false or unknown), and under `data` also resource."
        ) from None


def named(name: str) -> Operation:
    """An operation by its name; one that the file lacks is taken as a data operation of a table that may say either."""
    return operations().get(name) or Operation(name, (Call(name, read_only=False), Call(name, read_only=True)))


def _data(entry: dict[str, Any]) -> Operation:
    if entry["resource"] not in {TABLE, STREAM}:
        raise ValueError(f"resource of {entry['eventName']} is neither {TABLE} nor {STREAM}")
    name = str(entry["eventName"])
    return Operation(name, tuple(Call(name, said, "Data", entry["resource"]) for said in _read_only(entry)))


def _read_only(entry: dict[str, Any]) -> tuple[bool, ...]:
    said = entry["readOnly"]
    if said == "unknown":
        return (False, True)
    if not isinstance(said, bool):
        raise TypeError(f"readOnly of {entry['eventName']} is none of true, false and unknown")
    return (said,)
