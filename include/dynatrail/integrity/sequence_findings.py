"""What must be looked at of item changes: open gaps, proofs that are broken, changes that no recorded write explains.

A finding lies in the hour in which what it is about began. So that it is found again, and goes when it is over, more
hours than those asked for are written: the beginnings of the gaps that touch them, and the stretches of broken or
unexplained hours that they lie in or border on.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads

from dynatrail.arns import place_of
from dynatrail.clock import HOUR, hour_of, hours_between, iso
from dynatrail.integrity import findings, sequences, unexplained
from dynatrail.integrity.findings import HIGH, Finding, runs
from dynatrail.settings import Settings
from dynatrail.sources.exports.windows import Span, merged
from dynatrail.state import streams as state
from dynatrail.state.models import StreamGap
from dynatrail.warehouse.schema import INSTANT
from dynatrail.warehouse.store import Warehouse

PRODUCER = "sequences"
GAP, BROKEN = "completeness.stream_gap", "completeness.sequence_broken"

LONGEST = timedelta(days=31)
"""How far before and after the asked hours one stretch of broken or unexplained hours is followed."""

_REPAIR = (
    "Trigger repair_changes with this window while point-in-time recovery covers it: at most 35 days, as set "
    "on the table."
)
_Stretch = list[dict[str, Any]]
"""Rows of one subject in hours that follow one another, in order."""


def find(settings: Settings, hours: Collection[datetime]) -> int:
    """Write the findings of these hours, from gaps, `sequence_proof` and `reconciliation` as they are now.

    Returns:
        Findings that there are in the hours that were looked at.

    Raises:
        WarehouseError, StateError: tables or state cannot be read or written.
    """
    if not hours:
        return 0
    warehouse = Warehouse.from_settings(settings)
    gaps = state.gaps()
    broken = list(_stretches(_broken(warehouse, hours), lambda row: (row["table_arn"], row["stream_arn"])))
    beyond = list(_stretches(unexplained.spans(settings, warehouse, _around(hours)), unexplained.place))
    looked_at = _looked_at(hours, gaps, [*broken, *beyond])
    found = [_of_gap(gap) for gap in gaps if gap.remaining]
    found += [_of_proof(stretch) for stretch in broken]
    found += unexplained.of(warehouse, [one for one in beyond if one[0]["event_hour"] in looked_at])
    found = [one for one in found if hour_of(one.event_time) in looked_at]
    places = {(one.account_id, one.region) for one in found} | _places(warehouse, looked_at)
    for account, region in sorted(places):
        own = [one for one in found if (one.account_id, one.region) == (account, region)]
        findings.write(warehouse, PRODUCER, account, region, looked_at, own)
    return len(found)


def _looked_at(hours: Collection[datetime], gaps: Iterable[StreamGap], stretches: Iterable[_Stretch]) -> set[datetime]:
    found = set(hours)
    around = found | {hour + step for hour in hours for step in (HOUR, -HOUR)}
    for gap in gaps:
        if not found.isdisjoint(hours_between(gap.starts_at, gap.ends_at)):
            found.add(hour_of(gap.starts_at))
    for stretch in stretches:
        own = {row["event_hour"] for row in stretch}
        if not own.isdisjoint(around):
            found |= own
    return found


def _stretches(rows: Iterable[dict[str, Any]], subject: Callable[[dict[str, Any]], Any]) -> Iterator[_Stretch]:
    for _, group in groupby(sorted(rows, key=lambda row: (subject(row), row["event_hour"])), subject):
        yield from runs(group, lambda before, row: row["event_hour"] - before["event_hour"] <= HOUR)


def _of_gap(gap: StreamGap) -> Finding:
    account, region, name = place_of(gap.table_arn)
    spans = merged(Span.read(text) for text in gap.remaining or ())
    left = " and ".join(f"from {iso(span.start)} to {iso(span.end)}" for span in spans)
    hours = {hour for span in spans for hour in hours_between(span.start, span.end)}
    return Finding(
        rule_id=GAP,
        severity=HIGH,
        kind="completeness",
        subject=gap.gap_id,
        event_time=gap.starts_at,
        ends_at=gap.ends_at,
        account_id=account,
        region=region,
        table_name=name,
        table_arn=gap.table_arn,
        title=f"Changes of {name} may be missing {left}"[:500],
        explanation=f"{gap.explanation} Stream: {gap.stream_arn}"
        + (f", shard {gap.shard_id}" if gap.shard_id else "")
        + f" ({gap.reason}). Still missing: {left}. {_REPAIR} Beyond that nobody can tell what changed.",
        how_many=len(hours),
        evidence_ids=(gap.gap_id, *(gap.repaired_by or ())),
    )


def _of_proof(stretch: _Stretch) -> Finding:
    first, last = stretch[0], stretch[-1]
    codes = sorted({code for row in stretch for code in row["reasons"] if code in sequences.CONTRADICTIONS})
    said = "; ".join(f"{sequences.CONTRADICTIONS[code]} ({code})" for code in codes)
    start, end = first["event_hour"], last["event_hour"] + HOUR
    return Finding(
        rule_id=BROKEN,
        severity=HIGH,
        kind="completeness",
        subject=f"{first['stream_arn']} {iso(start)}",
        event_time=start,
        ends_at=end,
        account_id=first["account_id"],
        region=first["region"],
        table_name=first["table_name"],
        table_arn=first["table_arn"],
        title=f"The changes of {first['table_name']} from {iso(start)} to {iso(end)} are not what its stream gave",
        explanation=f"Of {first['stream_arn']}: {said}. No recorded gap explains it, so rows of item_change or the "
        "state database were changed beside Dynatrail, or one of them was restored without the other. Compare the "
        "window with an export by verify_changes; bring back the one that was changed from its backup, or trigger "
        "repair_changes with the window.",
        how_many=len(stretch),
        evidence_ids=tuple(iso(row["event_hour"]) for row in stretch),
    )


def _broken(warehouse: Warehouse, hours: Collection[datetime]) -> list[dict[str, Any]]:
    """Broken proofs that more than a gap speaks for."""
    wanted = _around(hours) & (pads.field("status") == sequences.BROKEN)
    rows = warehouse.dataset("sequence_proof").to_table(filter=wanted).to_pylist()
    return [row for row in rows if not sequences.CONTRADICTIONS.keys().isdisjoint(row["reasons"] or ())]


def _places(warehouse: Warehouse, hours: Collection[datetime]) -> set[tuple[str, str]]:
    """Accounts and regions of what was found in these hours before."""
    wanted = _between(min(hours), max(hours)) & (pads.field("producer") == PRODUCER)
    found = warehouse.dataset("finding").to_table(columns=["account_id", "region"], filter=wanted)
    return set(zip(found["account_id"].to_pylist(), found["region"].to_pylist(), strict=True))


def _around(hours: Collection[datetime]) -> pads.Expression:
    return _between(min(hours) - LONGEST, max(hours) + LONGEST)


def _between(first: datetime, last: datetime) -> pads.Expression:
    return (
        (pads.field("event_date") >= pa.scalar(first.date(), pa.date32()))
        & (pads.field("event_date") <= pa.scalar(last.date(), pa.date32()))
        & (pads.field("event_hour") >= pa.scalar(first, INSTANT))
        & (pads.field("event_hour") <= pa.scalar(last, INSTANT))
    )
