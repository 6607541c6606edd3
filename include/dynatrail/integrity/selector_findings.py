"""Findings on what trails leave out (`completeness.selectors_narrowed`): since when, by whom, and who can hide."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.dataset as pads

from dynatrail import clock
from dynatrail.arns import place_of
from dynatrail.integrity import findings, narrowings
from dynatrail.integrity.findings import Finding
from dynatrail.integrity.narrowings import Narrowing, Pair
from dynatrail.integrity.operations import CONTROL_PLANE, operations
from dynatrail.integrity.selectors import Gap
from dynatrail.integrity.selectors_text import gap_text, identities_text
from dynatrail.integrity.trail_history import SelectorHistory
from dynatrail.warehouse.store import Warehouse

if TYPE_CHECKING:
    from dynatrail.settings import Settings

PRODUCER = "selectors"
RULE = "completeness.selectors_narrowed"
_SHOWN = 5
"""Names that a list shows before it says how many more there are."""


def find(source: "Settings | Warehouse", start: datetime, end: datetime) -> list[Finding]:
    """Every narrowing that lies in [start, end) or reaches into it, in order of time.

    Raises:
        SettingsError: the configuration is wrong.
        WarehouseError: the warehouse cannot be read.
    """
    return [one for one in _all(source) if one.event_time < end and (one.ends_at is None or one.ends_at > start)]


def write(settings: "Settings", hours: Collection[datetime]) -> int:
    """State the findings that these hours bear on: those that begin in them, and those that reach into them.

    A finding lies in the hour in which it began, so that hour is written too. What this producer found before and does
    not find now goes, wherever it lies: an older snapshot that arrives may move a beginning.

    Returns:
        Rows written.

    Raises:
        SettingsError: the configuration is wrong.
        WarehouseError: the warehouse cannot be read or written.
    """
    if not hours:
        return 0
    warehouse = Warehouse.from_settings(settings)
    found = _all(warehouse, settings)
    present = warehouse.dataset("finding").to_table(
        columns=["account_id", "region", "event_hour"], filter=pads.field("producer") == PRODUCER
    )
    touched: dict[tuple[str, str], set[datetime]] = {}
    for row in present.to_pylist():
        touched.setdefault((row["account_id"], row["region"]), set()).add(row["event_hour"])
    for one in found:
        touched.setdefault((one.account_id, one.region), set()).add(clock.hour_of(one.event_time))
    written = 0
    for (account, region), starts in sorted(touched.items()):
        here = [one for one in found if (one.account_id, one.region) == (account, region)]
        written += findings.write(warehouse, PRODUCER, account, region, sorted(starts), here)
    return written


def _all(source: "Settings | Warehouse", settings: "Settings | None" = None) -> list[Finding]:
    warehouse = source if isinstance(source, Warehouse) else Warehouse.from_settings(source)
    history = SelectorHistory.load(settings or source)
    found = narrowings.of(history, history.rows.places, _tables(warehouse))
    counts = _missing_calls(warehouse, found)
    return [_finding(one, counts[place]) for place, one in enumerate(found)]


def _tables(warehouse: Warehouse) -> list[str]:
    """ARNs of the tables that the last look still saw."""
    rows = warehouse.dataset("table_config").to_table(
        columns=["resource_arn", "captured_at", "status"],
        filter=(pads.field("resource_type") == "AWS::DynamoDB::Table") & (pads.field("aspect") == "DescribeTable"),
    )
    last: dict[str, tuple[datetime, str]] = {}
    for row in rows.to_pylist():
        seen = (row["captured_at"], row["status"])
        last[row["resource_arn"]] = max(last.get(row["resource_arn"], seen), seen)
    return sorted(arn for arn, (_, status) in last.items() if status != "gone" and ":table/" in arn)


def _missing_calls(warehouse: Warehouse, found: Sequence[Narrowing]) -> list[int | None]:
    """Per narrowing, the calls that CloudWatch counted and the trail lacks; None: nothing was held against each other.

    A call counts once: for the latest narrowing that its table and operation were in.
    """
    counts: list[float | None] = [None] * len(found)
    if not found:
        return []
    spans: dict[Pair, list[tuple[datetime, datetime | None, int]]] = {}
    for place, narrowing in enumerate(found):
        for span in narrowing.spans:
            spans.setdefault(span.pair, []).append((span.start, span.end, place))
    rows = warehouse.dataset("reconciliation").to_table(
        columns=["bin_start", "bin_s", "account_id", "region", "table_name", "operation", "verdict", "difference"],
        filter=(pads.field("measure") == "requests")
        & pads.field("verdict").isin(["missing", "agrees", "extra"])
        & (pads.field("event_hour") >= min(clock.hour_of(one.start) for one in found)),
    )
    by_name = {(*place_of(arn), operation): (arn, operation) for arn, operation in spans}
    for row in rows.to_pylist():
        pair = by_name.get((row["account_id"], row["region"], row["table_name"], row["operation"]))
        touching = [one for one in spans.get(pair, ()) if _overlaps(row, one[0], one[1])] if pair else []
        if touching:
            place = max(touching, key=lambda one: one[0])[2]
            lacking = row["difference"] if row["verdict"] == "missing" else 0
            counts[place] = (counts[place] or 0) + (lacking or 0)
    return [None if one is None else round(one) for one in counts]


def _overlaps(row: dict[str, Any], start: datetime, end: datetime | None) -> bool:
    begins: datetime = row["bin_start"]
    return (end is None or begins < end) and begins + timedelta(seconds=row["bin_s"]) > start


def _finding(one: Narrowing, missing: int | None) -> Finding:
    arns = {span.pair[0] for span in one.spans if span.pair[1] != CONTROL_PLANE}
    only = next(iter(arns)) if len(arns) == 1 and not _has_control_plane(one) else None
    account, region = _place(one)
    return Finding(
        rule_id=RULE,
        severity=findings.HIGH,
        kind="completeness",
        event_time=one.start,
        ends_at=one.end,
        account_id=account,
        region=region,
        subject="\n".join(map(str, one.key)),
        table_name=only.split("/", 1)[1] if only else None,
        table_arn=only,
        actor=", ".join(sorted({cause.actor for cause in one.causes if cause.actor})) or None,
        title=_title(one),
        explanation=" ".join(_sentences(one, missing)),
        how_many=missing,
        evidence_ids=tuple(cause.event_id for cause in (*one.causes, *one.healed)) or tuple(one.trails),
    )


def _place(one: Narrowing) -> tuple[str, str]:
    """Where it lies: at home with the trail that was changed, else with the first table that it touches."""
    arn = min((cause.trail for cause in one.causes), default=None) or min(span.pair[0] for span in one.spans)
    return place_of(arn)[:2]


def _title(one: Narrowing) -> str:
    """One line: what no trail selects, and of which tables."""
    gaps, pairs = _by_size(one)[0]
    more = " and more" if len(one.what) > 1 or len(gaps) > 1 else ""
    return f"Trails leave out {gap_text(gaps[0])}: {_where(pairs)}{more}"


def _sentences(one: Narrowing, missing: int | None) -> Iterable[str]:
    yield _since(one)
    for gaps, pairs in _by_size(one):
        yield f"Left out, of {_where(pairs)}: {'; '.join(sorted(map(gap_text, gaps)))}."
    if hiding := sorted({identities_text(who) for gaps in one.what for gap in gaps for who in gap.identities}):
        yield (
            f"That is a hiding place for {_short(hiding)}: what they do there leaves no event in any trail that "
            "Dynatrail reads."
        )
    if one.elsewhere:
        yield f"{'; '.join(sorted(one.elsewhere))}.".capitalize()
    yield _until(one)
    if missing is not None:
        yield f"CloudWatch counted {missing} calls in that time that the trail lacks."
    yield (
        "Ask who changed it why, and look at the item changes, the CloudWatch counts and the sessions of that time for "
        "what was done."
    )


def _by_size(one: Narrowing) -> list[tuple[tuple[Gap, ...], set[Pair]]]:
    """What is left out, that of most tables and operations first."""
    return sorted(one.what.items(), key=lambda item: (-len(item[1]), repr(item[0])))


def _since(one: Narrowing) -> str:
    at = clock.iso(one.start)
    if one.causes:
        events = "; ".join(
            f"{cause.event_name} by {cause.actor or 'somebody whom the record does not name'} on trail "
            f"{cause.trail.rpartition('/')[2]}"
            for cause in one.causes
        )
        return f"At {at}: {events}. AWS applies it within minutes."
    if one.after is not None:
        return (
            f"The selection was narrowed between {clock.iso(one.after)} and {at}: two looks at the configuration "
            "differ, and no event tells when and by whom."
        )
    return f"It was so when the configuration is first known, at {at}."


def _until(one: Narrowing) -> str:
    if one.end is None:
        return "It is so still: select it again with PutEventSelectors, or start a trail."
    healed = "; ".join(sorted(f"{cause.event_name} by {cause.actor or 'somebody'}" for cause in one.healed))
    return f"It ended at {clock.iso(one.end)}{f' ({healed})' if healed else ''}."


def _where(pairs: Collection[Pair]) -> str:
    """Tables and operations in few words."""
    names = sorted({arn.split("/", 1)[1] for arn, operation in pairs if operation != CONTROL_PLANE})
    calls = sorted({operation for _, operation in pairs if operation != CONTROL_PLANE})
    data = [name for name in operations() if name != CONTROL_PLANE]
    parts = []
    if names:
        which = "all data operations" if len(calls) == len(data) else _short(calls)
        parts.append(f"{which} of {_short(names)}")
    if _control_plane_in(pairs):
        parts.append("the control plane")
    return " and ".join(parts)


def _short(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_SHOWN])} and {more} more"


def _has_control_plane(one: Narrowing) -> bool:
    return _control_plane_in([span.pair for span in one.spans])


def _control_plane_in(pairs: Iterable[Pair]) -> bool:
    return any(operation == CONTROL_PLANE for _, operation in pairs)
