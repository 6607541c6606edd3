"""What an item was at an instant, from the changes before and after it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dynatrail.arns import place_of
from dynatrail.clock import HOUR, hour_of, iso
from dynatrail.trail import items_found, items_subject
from dynatrail.warehouse import engine

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from dynatrail.trail.items_subject import Item

SPAN = timedelta(days=400)
"""How far before and after an instant a change is looked for, unless said otherwise."""

_STEP = {"SECOND": timedelta(seconds=1), "MILLISECOND": timedelta(milliseconds=1)}
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class State:
    """What is known of an item at an instant.

    Attributes:
        at: the instant, UTC.
        existed: whether there was the item; None: not known.
        image: masked DynamoDB JSON; None: it did not exist, or what it was is not known (`reasons` says why).
        basis: `change_before` (the image after it), `change_after` (the image before it), or None.
        change_id: that change.
        changed_at: its time.
        certain: whether nothing speaks against it: no ambiguity, no contradiction, no hour whose changes were not all
            read.
        reasons: why it is not known, or not certain; sentences for a person.
    """

    at: datetime
    existed: bool | None
    image: str | None
    basis: str | None
    change_id: str | None
    changed_at: datetime | None
    certain: bool
    reasons: tuple[str, ...]


def state_at(
    connection: "DuckDBPyConnection",
    item: "Item",
    at: datetime,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
) -> State:
    """The item at an instant.

    Args:
        connection: an engine over the warehouse.
        item: which.
        at: the instant, UTC.
        start: from when on changes are looked for; default: 400 days before.
        end: until when; default: 400 days after.

    Raises:
        WarehouseError: a table cannot be read.
    """
    window = {
        "start": hour_of(min(start, at) if start else at - SPAN),
        "end": hour_of(max(end, at) if end else at + SPAN) + HOUR,
    }
    with items_found.registered(connection, {"wanted_item": items_subject.wanted([item])["wanted_item"]}):
        near = engine.run_file(connection, "items/state.sql", at=at, **window)
        wide = items_found.changes(connection, near.append_column("named_by", pa.repeat("change", near.num_rows)))
    rows = {row["change_id"]: row for row in wide.to_pylist()}
    sides: dict[str, list[dict[str, Any]]] = {"before": [], "after": []}
    for row in near.to_pylist():
        sides[row["side"]].append(rows[row["change_id"]])
    before, after = sides["before"], sides["after"][0] if sides["after"] else None
    if not before and after is None:
        said = f"No change of it is in the warehouse from {iso(window['start'])} to {iso(window['end'])}."
        return State(at, None, None, None, None, None, certain=False, reasons=(said,))
    found = _from_before(at, before, after) if before else _from_after(at, after)
    doubts = list(found.reasons)
    if found.existed is not None:
        doubts += _gaps(connection, item, *_hours_between(at, found.changed_at))
    return State(
        at, found.existed, found.image, found.basis, found.change_id, found.changed_at,
        certain=found.existed is not None and not doubts, reasons=tuple(doubts),
    )  # fmt: skip


def _from_before(at: datetime, before: list[dict[str, Any]], after: dict[str, Any] | None) -> State:
    """The newest change decides; where its second is the instant's own, some of them may have come later."""
    newest = before[-1]
    reasons = []
    step = _STEP.get(newest["time_precision"] or "")
    if step and at < newest["event_time"] + step:
        many = "One change of it is" if len(before) == 1 else f"{len(before)} changes of it are"
        reasons.append(
            f"{many} of {iso(newest['event_time'])}, told to the {newest['time_precision'].lower()}: whether before or "
            f"after {iso(at)} is not known. This is the state after all of them."
        )
    if newest["change_type"] == "REMOVE":
        existed, image, basis, change = False, None, "change_before", newest
    else:
        existed, image, basis, change = True, newest["new_image"], "change_before", newest
        if image is None and after is not None and after["old_image"] is not None:
            image, basis, change = after["old_image"], "change_after", after
        elif image is None:
            reasons.append(_no_image(newest, "after"))
    if after is not None:
        reasons += _contradiction(newest, after)
        reasons += _spanning(at, after)
    return State(
        at,
        existed,
        image,
        basis,
        change["change_id"],
        change["event_time"],
        certain=not reasons,
        reasons=tuple(reasons),
    )


def _from_after(at: datetime, after: dict[str, Any] | None) -> State:
    assert after is not None
    reasons = _spanning(at, after)
    existed = after["change_type"] != "INSERT"
    if existed and after["old_image"] is None:
        reasons.append(_no_image(after, "before"))
    return State(
        at, existed, after["old_image"] if existed else None, "change_after", after["change_id"], after["event_time"],
        certain=not reasons, reasons=tuple(reasons),
    )  # fmt: skip


def _no_image(change: dict[str, Any], side: str) -> str:
    return (
        f"It existed, but what it was is not known: the {change['change_origin']} gives {change['view_type']}, so the "
        f"change of {iso(change['event_time'])} has no image of {side}."
    )


def _contradiction(newest: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Two changes that follow each other meet in one image; where they do not, a change between them is missing."""
    left, right = newest["new_image"], after["old_image"]
    meets = (newest["change_type"] == "REMOVE") == (after["change_type"] == "INSERT")
    if meets and (left is None or right is None or left == right):
        return []
    said = (
        f"The change of {iso(newest['event_time'])} and the next one, of {iso(after['event_time'])}, do not fit: at "
        "least one between them is missing, and may have come before this instant."
    )
    return [said]


def _spanning(at: datetime, after: dict[str, Any]) -> list[str]:
    if not after["reconstructed"] or after["reconstructed_from"] is None or after["reconstructed_from"] > at:
        return []
    said = (
        f"The next change sums up what an export shows between {iso(after['reconstructed_from'])} and "
        f"{iso(after['reconstructed_to'])}: the item may have changed in that span before this instant too."
    )
    return [said]


def _hours_between(at: datetime, changed_at: datetime | None) -> tuple[datetime, datetime]:
    other = changed_at or at
    return hour_of(min(at, other)), hour_of(max(at, other)) + HOUR


def _gaps(connection: "DuckDBPyConnection", item: "Item", start: datetime, end: datetime) -> list[str]:
    """Hours of the table between change and instant of which not all changes were read."""
    said = incomplete(connection, item, start, end)
    return [f"Between the change and this instant {one}" for one in said]


def incomplete(connection: "DuckDBPyConnection", item: "Item", start: datetime, end: datetime) -> list[str]:
    """What the sources of changes lack of the item's table in a window: clauses that end a sentence."""
    place = place_of(item.table_arn)
    rows = engine.run_file(
        connection, "items/stated.sql", start=hour_of(start), end=items_found.hour_after(end),
        account_id=place.account_id, region=place.region, table_name=place.name,
    ).to_pylist()  # fmt: skip
    stated = rows[0]["hours"]
    hours = (items_found.hour_after(end) - hour_of(start)) // HOUR
    said = []
    if not stated:
        return ["no source states that it read the table's changes: it may have no stream, or was not read."]
    if stated < hours:
        missing = hours - stated
        said.append(f"no source states anything of {missing:,} of {hours:,} hours: changes of them may be missing.")
    lacking: dict[str, list[datetime]] = {}
    for row in rows[1:]:
        lacking.setdefault(row["reasons"] or row["status"], []).append(row["event_hour"])
    for reason, of in sorted(lacking.items()):
        times = ", ".join(iso(hour) for hour in of[:_EXAMPLES])
        more = f" and {len(of) - _EXAMPLES:,} more" if len(of) > _EXAMPLES else ""
        said.append(f"not all changes of the table were read ({reason}) in the hours of {times}{more}.")
    return said
