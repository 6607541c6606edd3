"""When each trail was logging, with log file validation or without, and who changed that.

Two witnesses: CloudTrail's own management events (StartLogging and its relatives), which name who it was, and snapshots
of the configuration, which also see what happened before the trail was read or while it was off. Events of forged or
altered files are no witnesses: whoever deletes digests could forge the StopLogging that explains it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow.compute as pc
import pyarrow.dataset as pads

from dynatrail.integrity.trail_facts import Change, LoggingSpan
from dynatrail.integrity.words import FileStatus
from dynatrail.warehouse.store import Warehouse

CLOUDTRAIL = "cloudtrail.amazonaws.com"
CHANGES = ("CreateTrail", "DeleteTrail", "StartLogging", "StopLogging", "UpdateTrail")
_UNTRUSTED = (FileStatus.FORGED, FileStatus.ALTERED)
_ARN_PARTS = 6


@dataclass(frozen=True, slots=True, order=True)
class TrailId:
    """A trail: its owner's account, its name and its home region."""

    account_id: str
    trail_name: str
    home_region: str


@dataclass(slots=True)
class _Seen:
    """One observation of a trail; None: it says nothing of that."""

    change: Change
    logging: bool | None = None
    validation: bool | None = None
    organization: bool | None = None
    before: "_Seen | None" = None


@dataclass(slots=True)
class History:
    """What was observed of the trails, and their ARNs."""

    spans: list[LoggingSpan] = field(default_factory=list)
    arns: dict[tuple[str, str], str] = field(default_factory=dict)


def load(warehouse: Warehouse) -> History:
    """What the warehouse knows of every trail: the spans in which it logged, and its ARN by (name, home region).

    Raises:
        WarehouseError: a table cannot be read.
    """
    seen: dict[TrailId, list[_Seen]] = defaultdict(list)
    history = History()
    for event in _events(warehouse):
        for trail, one in _of_event(event):
            seen[trail].append(one)
    for row in _snapshots(warehouse):
        trail_or_none = _of_arn(row["resource_arn"])
        if trail_or_none is None:
            continue
        history.arns[trail_or_none.trail_name, trail_or_none.home_region] = row["resource_arn"]
        seen[trail_or_none].append(_of_snapshot(row))
    for trail, observations in sorted(seen.items()):
        history.spans += _spans(trail, observations)
    return history


def _events(warehouse: Warehouse) -> Iterable[dict[str, Any]]:
    wanted = (
        (pads.field("event_source") == CLOUDTRAIL)
        & pads.field("event_name").isin(CHANGES)
        & pc.is_null(pads.field("error_code"))
        & ~pads.field("attestation").isin(list(_UNTRUSTED))
    )
    columns = ["event_time", "event_id", "event_name", "recipient_account_id", "region", "principal_arn"]
    columns += ["session_issuer_arn", "request_parameters", "response_elements"]
    rows = warehouse.dataset("api_event").to_table(columns=columns, filter=wanted)
    return rows.sort_by([("event_time", "ascending"), ("event_id", "ascending")]).to_pylist()  # type: ignore[no-any-return]


def _snapshots(warehouse: Warehouse) -> Iterable[dict[str, Any]]:
    wanted = pads.field("aspect").isin(["DescribeTrails", "GetTrailStatus"]) & (
        pads.field("resource_type") == "AWS::CloudTrail::Trail"
    )
    columns = ["captured_at", "resource_arn", "aspect", "document", "status", "sha256"]
    rows = warehouse.dataset("trail_config").to_table(columns=columns, filter=wanted)
    order = [("captured_at", "ascending"), ("resource_arn", "ascending"), ("aspect", "ascending")]
    return rows.sort_by(order).to_pylist()  # type: ignore[no-any-return]


def _of_event(event: Mapping[str, Any]) -> Iterator[tuple[TrailId, _Seen]]:
    sent, answer = _json(event["request_parameters"]), _json(event["response_elements"])
    named = str(answer.get("trailARN") or sent.get("name") or "")
    trail = _of_arn(named) or (TrailId(event["recipient_account_id"], named, event["region"]) if named else None)
    if trail is None:
        return
    change = Change(
        at=event["event_time"],
        event_name=event["event_name"],
        event_id=event["event_id"],
        actor=event["session_issuer_arn"] or event["principal_arn"],
    )
    validation = answer.get("logFileValidationEnabled", sent.get("enableLogFileValidation"))
    organization = answer.get("isOrganizationTrail", sent.get("isOrganizationTrail"))
    match event["event_name"]:
        case "CreateTrail":
            seen = _Seen(change, False, bool(validation), bool(organization), _Seen(change, False))
        case "StartLogging":
            seen = _Seen(change, True, before=_Seen(change, False))
        case "StopLogging" | "DeleteTrail":
            seen = _Seen(change, False, before=_Seen(change, True))
        case _:
            was = None if validation is None else not validation
            seen = _Seen(change, None, validation, organization, _Seen(change, None, was))
    yield trail, seen


def _of_snapshot(row: Mapping[str, Any]) -> _Seen:
    change = Change(at=row["captured_at"], event_name="snapshot", event_id=row["sha256"])
    if row["status"] == "gone":
        return _Seen(change, False)
    document = _json(row["document"])
    if row["aspect"] == "GetTrailStatus":
        return _Seen(change, document.get("IsLogging"))
    return _Seen(
        change,
        validation=document.get("LogFileValidationEnabled", False) if document else None,
        organization=document.get("IsOrganizationTrail"),
    )


def _spans(trail: TrailId, seen: list[_Seen]) -> Iterator[LoggingSpan]:
    """The spans of one trail. What it was before anything was observed follows from the first that says so."""
    # At one instant a snapshot sees what the event has done.
    ordered = sorted(seen, key=lambda one: (one.change.at, one.change.event_name == "snapshot"))
    logging = _first(ordered, "logging")
    validation = _first(ordered, "validation")
    organization = any(one.organization for one in ordered)
    accounts = None if organization else frozenset({trail.account_id})

    def span(began: Change | None, ended: Change | None) -> LoggingSpan:
        return LoggingSpan(
            trail_name=trail.trail_name,
            home_region=trail.home_region,
            account_ids=accounts,
            start=began.at if began else None,
            end=ended.at if ended else None,
            validation=validation is not False,
            began=began,
            ended=ended,
        )

    began: Change | None = None
    for one in ordered:
        now_logging = logging if one.logging is None else one.logging
        now_validation = validation if one.validation is None else one.validation
        if (now_logging, now_validation) == (logging, validation):
            continue
        if logging:
            yield span(began, one.change)
        began, logging, validation = one.change, now_logging, now_validation
    if logging:
        yield span(began, None)


def _first(ordered: list[_Seen], name: str) -> bool | None:
    """What held before the first observation: what an event changed it from, or what a snapshot found."""
    for one in ordered:
        told = one if one.before is None else one.before
        value: bool | None = getattr(told, name)
        if value is None:
            value = getattr(one, name)
        if value is not None:
            return value
    return None


def _of_arn(text: str) -> TrailId | None:
    parts = text.split(":")
    if len(parts) != _ARN_PARTS or parts[2] != "cloudtrail" or not parts[5].startswith("trail/"):
        return None
    return TrailId(parts[4], parts[5].removeprefix("trail/"), parts[3])


def _json(text: str | None) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text or "null")
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}
