"""Which OCSF 1.8 class and activity a CloudTrail event is: `include/ocsf/activities.csv`, read here and nowhere else.

OCSF: https://schema.ocsf.io/1.8.0. The five classes of events are Datastore Activity (6005: DynamoDB data events), API
Activity (6003: control plane and everything else), Account Change (3001) and Entity Management (3004) for IAM, and
Authentication (3002) for sign-ins and for every STS call that issues credentials, as AWS's own mapping has it
(github.com/ocsf/examples, mappings/markdown/AWS/v1.5.0/CloudTrail). What is no event has Detection Finding (2004) and
Application Error (6008) beside those: docs/reference/ocsf.md.

Each row of the file names calls by `event_source` (or `*`) and `event_name` (exact, or a prefix ending in `*`), and
where `operation` is filled, only items that a call touches by that operation. The most exact row wins: a named source
before `*`, an operation before none, a whole name before a prefix, a longer prefix before a shorter one.
"""

import csv
import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from dynatrail.clock import HOUR, hours_between
from dynatrail.errors import SettingsError
from dynatrail.settings import PROJECT

if TYPE_CHECKING:
    import pyarrow as pa

    from dynatrail.warehouse.store import Warehouse

VERSION = "1.8.0"
_EXPORT_ROWS = 4096
_PORTION_ROWS = 50_000
ACTIVITIES_FILE = PROJECT / "include" / "ocsf" / "activities.csv"

DETECTION_FINDING = 2004
ACCOUNT_CHANGE = 3001
AUTHENTICATION = 3002
ENTITY_MANAGEMENT = 3004
API_ACTIVITY = 6003
DATASTORE_ACTIVITY = 6005
APPLICATION_ERROR = 6008

CLASS_NAMES = {
    DETECTION_FINDING: "Detection Finding",
    ACCOUNT_CHANGE: "Account Change",
    AUTHENTICATION: "Authentication",
    ENTITY_MANAGEMENT: "Entity Management",
    API_ACTIVITY: "API Activity",
    DATASTORE_ACTIVITY: "Datastore Activity",
    APPLICATION_ERROR: "Application Error",
}
OF_EVENTS = frozenset((ACCOUNT_CHANGE, AUTHENTICATION, ENTITY_MANAGEMENT, API_ACTIVITY, DATASTORE_ACTIVITY))
"""The classes that an event can have."""
CATEGORY_NAMES = {2: "Findings", 3: "Identity & Access Management", 6: "Application Activity"}
OTHER = 99
"""`activity_id` of what OCSF has no activity for; its activity name is then the API operation's."""

_NAMED_SOURCE, _NAMED_OPERATION, _WHOLE_NAME = 1000, 500, 400
"""Weights of what makes a row more exact; a prefix counts its length, which no API name takes near 400."""


@dataclass(frozen=True, slots=True)
class Activity:
    """One row of the mapping.

    Attributes:
        event_source: CloudTrail eventSource, or `*`.
        event_name: CloudTrail eventName, or its beginning where `is_prefix`.
        is_prefix: whether `event_name` was written with a `*` at its end.
        operation: operation on an item, or empty.
        class_uid: OCSF class.
        activity_id: OCSF activity of that class.
        activity: its caption.
        did: what the actor did, as a sentence goes on after the name; `{table}` stands for the table; may be empty.
        to_do: the same after "failed to" and "was not allowed to".
        specificity: the greatest of the rows that match wins.
    """

    event_source: str
    event_name: str
    is_prefix: bool
    operation: str
    class_uid: int
    activity_id: int
    activity: str
    did: str
    to_do: str
    specificity: int


def read_activities(path: Path = ACTIVITIES_FILE) -> tuple[Activity, ...]:
    """Read a mapping file.

    Raises:
        SettingsError: the file is missing or a row is wrong; the message names the line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return tuple(_activity(row, path.name, number) for number, row in enumerate(csv.DictReader(file), start=2))
    except OSError as error:
        raise SettingsError(
            f"Cannot read the OCSF mapping {path}: {error.strerror}. Restore it from the repository."
        ) from error


def _activity(row: dict[str, str], name: str, line: int) -> Activity:
    try:
        _check(row)
        prefix = row["event_name"].removesuffix("*")
        is_prefix = prefix != row["event_name"]
        return Activity(
            event_source=row["event_source"],
            event_name=prefix,
            is_prefix=is_prefix,
            operation=row["operation"],
            class_uid=int(row["class_uid"]),
            activity_id=int(row["activity_id"]),
            activity=row["activity"],
            did=row["did"],
            to_do=row["to_do"],
            specificity=_NAMED_SOURCE * (row["event_source"] != "*")
            + _NAMED_OPERATION * bool(row["operation"])
            + (len(prefix) if is_prefix else _WHOLE_NAME),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError(f"{name} line {line} is no mapping: {error}. See docs/reference/ocsf.md.") from None


def _check(row: dict[str, str]) -> None:
    if int(row["class_uid"]) not in OF_EVENTS:
        raise ValueError(f"class_uid is one of {', '.join(map(str, sorted(OF_EVENTS)))}, not {row['class_uid']}")
    if not (row["event_source"] and row["event_name"] and row["activity"]):
        raise ValueError("event_source, event_name and activity are needed")
    if bool(row["did"]) != bool(row["to_do"]):
        raise ValueError("did and to_do go together")


@cache
def activities() -> tuple[Activity, ...]:
    """The project's mapping, read once per process."""
    return read_activities()


@lru_cache(maxsize=65_536)
def class_uid(event_source: str, event_name: str, event_category: str | None, management_event: bool | None) -> int:
    """OCSF class of an event, by what the record says: whether it is a data event, then who was called and for what.

    Records older than `managementEvent` and `eventCategory` (versions before 1.06 and 1.07) say neither; then the
    operation's name decides.
    """
    is_data = (
        event_category == "Data" if event_category else (None if management_event is None else not management_event)
    )
    best = None
    for row in activities():
        if row.operation or row.event_source not in {event_source, "*"}:
            continue
        if not (event_name.startswith(row.event_name) if row.is_prefix else event_name == row.event_name):
            continue
        # A record that says it is no data event is none, whatever its name; one that says nothing needs a whole name.
        if row.class_uid == DATASTORE_ACTIVITY and (is_data is False or (is_data is None and row.is_prefix)):
            continue
        if best is None or row.specificity > best.specificity:
            best = row
    return best.class_uid if best else API_ACTIVITY


def activity_table() -> "pa.Table":
    """The mapping as the relation `ocsf_activity` of `sql/trail/audit_record/`; its columns are `Activity`'s."""
    import pyarrow as pa

    columns = {name: [getattr(row, name) for row in activities()] for name in Activity.__slots__}
    for name in ("did", "to_do"):
        columns[name] = [text or None for text in columns[name]]
    schema = pa.schema(
        [
            ("event_source", pa.string()),
            ("event_name", pa.string()),
            ("is_prefix", pa.bool_()),
            ("operation", pa.string()),
            ("class_uid", pa.int32()),
            ("activity_id", pa.int32()),
            ("activity", pa.string()),
            ("did", pa.string()),
            ("to_do", pa.string()),
            ("specificity", pa.int32()),
        ]
    )
    return pa.table(columns, schema=schema)


def export(warehouse: "Warehouse", start: datetime, end: datetime, out: BinaryIO) -> int:
    """Write the timeline of the half-open window [start, end) as OCSF: UTF-8, one JSON object with sorted names a line.

    The same tables give the same bytes: records lie in the order of time and record id.

    Returns:
        Lines written.

    Raises:
        WarehouseError: a table cannot be read.
    """
    import msgspec

    from dynatrail.trail import ocsf_objects, ocsf_others
    from dynatrail.warehouse import engine
    from dynatrail.warehouse.portions import portions

    encoder = msgspec.json.Encoder(order="sorted", decimal_format="number")
    lines = 0
    with engine.connect(warehouse) as connection:
        # Portions bound memory; one connection sees one state of the tables for all of them.
        for hours in portions(warehouse, "audit_record", list(hours_between(start, end)), rows=_PORTION_ROWS):
            window = {"start": max(start, hours[0]), "end": min(end, hours[-1] + HOUR)}
            parts = [
                _events(engine.run_file(connection, "trail/ocsf_requests.sql", **window), ocsf_objects.event),
                _events(engine.run_file(connection, "trail/ocsf_others.sql", **window), ocsf_others.event),
            ]
            for _, event in heapq.merge(*parts, key=itemgetter(0)):
                out.write(encoder.encode(event) + b"\n")
                lines += 1
    return lines


def _events(
    rows: "pa.Table", event: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> Iterator[tuple[tuple[datetime, str], dict[str, Any]]]:
    """Each row's place in the order of the export, and its event."""
    for batch in rows.to_batches(max_chunksize=_EXPORT_ROWS):
        for row in batch.to_pylist():
            yield (row["event_time"], row["record_id"]), event(row)
