"""One trail over time: what was seen of it (snapshots) and done to it (events), and so what it was in between.

What an event set holds until the next event. What a look saw holds after it until an event, and before it back to the
event that set it, or to where nothing is known. Two looks that differ without an event between leave what was in
between unknown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec

from dynatrail import clock
from dynatrail.integrity import selectors
from dynatrail.integrity.selectors import Selector

CHANGES = frozenset(("CreateTrail", "UpdateTrail", "DeleteTrail", "StartLogging", "StopLogging", "PutEventSelectors"))
"""Events that change what a trail delivers."""

_SETTINGS = {
    "multi_region": "IsMultiRegionTrail",
    "organization": "IsOrganizationTrail",
    "bucket": "S3BucketName",
    "prefix": "S3KeyPrefix",
}
_DEFAULTS: dict[str, Any] = {"multi_region": False, "organization": False, "bucket": "", "prefix": ""}
_KEYS = ("exists", *_SETTINGS, "logging", "selectors")
_SAME = timedelta(minutes=5)
"""How far the time that GetTrailStatus tells of a change may lie from that of its event."""


@dataclass(frozen=True, slots=True)
class Cause:
    """An event that changed a trail.

    Attributes:
        actor: ARN of who did it, or what else the record tells of them.
    """

    at: datetime
    trail: str
    event_name: str
    event_id: str
    actor: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """What one look or event tells of a trail: values by name; `cause` is None where it was a look."""

    at: datetime
    values: Mapping[str, Any]
    cause: Cause | None = None
    is_event: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """A trail at a time; None: not known.

    Attributes:
        arn: trail.
        selectors: its selectors, basic ones as advanced.
    """

    arn: str
    exists: bool | None
    multi_region: bool | None
    organization: bool | None
    bucket: str | None
    prefix: str | None
    logging: bool | None
    selectors: tuple[Selector, ...] | None

    @property
    def home_region(self) -> str:
        return self.arn.split(":")[3]

    @property
    def account_id(self) -> str:
        return self.arn.split(":")[4]

    @property
    def name(self) -> str:
        return self.arn.rpartition("/")[2]


@dataclass(slots=True)
class Line:
    """Everything that is told of one trail.

    Attributes:
        looks: instants of further looks that found nothing new, sorted.
        seen_by: accounts that DescribeTrails showed it to.
    """

    arn: str
    told: list[Told] = field(default_factory=list)
    looks: Sequence[datetime] = ()
    seen_by: set[str] = field(default_factory=set)

    def causes(self) -> list[Cause]:
        return [one.cause for one in self.told if one.cause is not None]

    def states(self) -> list[tuple[datetime | None, State]]:
        """What it was from each instant on (None: from ever), until the next."""
        pieces = {key: self._pieces(key) for key in _KEYS}
        instants = sorted({at for piece in pieces.values() for at, _ in piece if at is not None})
        return [
            (at, State(self.arn, **{key: _at(piece, at) for key, piece in pieces.items()})) for at in (None, *instants)
        ]

    def _pieces(self, key: str) -> list[tuple[datetime | None, Any]]:
        told = sorted((one for one in self.told if key in one.values), key=lambda one: (one.at, not one.is_event))
        if not told:
            return [(None, None)]
        first = told[0]
        found: list[tuple[datetime | None, Any]] = [(None, _before(key, first)), (first.at, first.values[key])]
        for earlier, later in pairwise(told):
            was, value = earlier.values[key], later.values[key]
            if later.is_event or was == value:
                found.append((later.at, value))
                continue
            unchanged = [one for one in self.looks if earlier.at <= one < later.at]
            found += [(max(unchanged, default=earlier.at), None), (later.at, value)]
        return found


def looked(aspect: str, at: datetime, status: str, document: str | None) -> list[Told]:
    """What a row of `trail_config` tells."""
    if status == "gone":
        return [Told(at, {"exists": False})] if aspect == "DescribeTrails" else []
    if status != "present" or document is None:
        return []
    said = msgspec.json.decode(document)
    if aspect == "DescribeTrails":
        values = {key: said.get(name, _DEFAULTS[key]) for key, name in _SETTINGS.items()}
        return [Told(at, {"exists": True, **values, "prefix": values["prefix"].strip("/")})]
    if aspect == "GetEventSelectors":
        return [Told(at, {"selectors": _selectors(said)})]
    if aspect == "GetTrailStatus" and "IsLogging" in said:
        switched = (("StartLoggingTime", True), ("StopLoggingTime", False))
        times = [
            Told(_instant(said[name]), {"logging": on}, None, is_event=True) for name, on in switched if said.get(name)
        ]
        return [*(one for one in times if one.at <= at), Told(at, {"logging": said["IsLogging"]})]
    return []


def done(cause: Cause, parameters: str | None) -> Told | None:
    """What an event set; None where its record does not tell."""
    values: dict[str, Any] = {}
    match cause.event_name:
        case "StartLogging" | "StopLogging":
            values = {"logging": cause.event_name == "StartLogging"}
        case "DeleteTrail":
            values = {"exists": False}
        case "CreateTrail" | "UpdateTrail":
            said = _lowered(parameters)
            values = {key: said[name.lower()] for key, name in _SETTINGS.items() if name.lower() in said}
            if cause.event_name == "CreateTrail":
                start = {"exists": True, "logging": False, "selectors": _selectors({})}
                values = {**_DEFAULTS, **start, **values}
            if "prefix" in values:
                values["prefix"] = (values["prefix"] or "").strip("/")
        case "PutEventSelectors":
            values = {"selectors": _selectors(_lowered(parameters)) if parameters else None}
    return Told(cause.at, values, cause, is_event=True) if values else None


def settle(line: Line) -> None:
    """Leave out the times that GetTrailStatus told of changes whose events are there, which say more."""
    events = [(one.at, one.values["logging"]) for one in line.told if one.cause and "logging" in one.values]
    line.told = [
        one
        for one in line.told
        if not one.is_event
        or one.cause
        or not any(abs(one.at - at) <= _SAME and one.values["logging"] == on for at, on in events)
    ]


def _before(key: str, first: Told) -> Any:
    """What it was before the first that is told of it."""
    if not first.is_event:
        return first.values[key]
    if key == "exists":
        return not first.values[key]
    return None


def _at(pieces: Iterable[tuple[datetime | None, Any]], at: datetime | None) -> Any:
    value = None
    for since, one in pieces:
        if since is None or (at is not None and since <= at):
            value = one
    return value


def _selectors(said: Mapping[str, Any]) -> tuple[Selector, ...]:
    """Selectors of GetEventSelectors' answer or PutEventSelectors' parameters; a trail has one kind or the other."""
    lowered = {name.lower(): value for name, value in said.items()}
    if found := lowered.get("advancedeventselectors"):
        return selectors.advanced(found)
    return selectors.basic(lowered.get("eventselectors") or [{"ReadWriteType": "All", "IncludeManagementEvents": True}])


def _lowered(parameters: str | None) -> dict[str, Any]:
    said = msgspec.json.decode(parameters) if parameters else {}
    return {name.lower(): value for name, value in said.items()} if isinstance(said, dict) else {}


def _instant(said: str) -> datetime:
    return clock.parse_instant(said)
