"""What must be looked at of item changes: open gaps, proofs that are broken, changes that no recorded write explains.

A finding lies in the hour in which what it is about began. So that it is found again, and goes when it is over, more
hours than those asked for are written: the beginnings of the gaps that touch them, and the stretches of broken or
unexplained hours that they lie in or border on.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads

from dynatrail.clock import HOUR, hour_of, hours_between, iso
from dynatrail.integrity import findings, sequences
from dynatrail.integrity.findings import HIGH, Finding
from dynatrail.settings import Settings
from dynatrail.sources.exports.windows import Span, merged
from dynatrail.state import streams as state
from dynatrail.state.models import StreamGap
from dynatrail.warehouse import engine
from dynatrail.warehouse.schema import INSTANT
from dynatrail.warehouse.store import Warehouse

PRODUCER = "sequences"
GAP, BROKEN, UNEXPLAINED = (
    "completeness.stream_gap",
    "completeness.sequence_broken",
    "completeness.unexplained_changes",
)

LONGEST = timedelta(days=31)
"""How far before and after the asked hours one stretch of broken or unexplained hours is followed."""

NAMED_CHANGES = 20

_MARGIN = timedelta(minutes=5)
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
    unexplained = list(_stretches(_unexplained(warehouse, hours), _table))
    looked_at = _looked_at(hours, gaps, [*broken, *unexplained])
    found = [_of_gap(gap) for gap in gaps if gap.remaining]
    found += [_of_proof(stretch) for stretch in broken]
    found += _of_changes(warehouse, [one for one in unexplained if one[0]["event_hour"] in looked_at])
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
        stretch: _Stretch = []
        for row in group:
            if stretch and row["event_hour"] - stretch[-1]["event_hour"] > HOUR:
                yield stretch
                stretch = []
            stretch.append(row)
        yield stretch


def _of_gap(gap: StreamGap) -> Finding:
    _, _, _, region, account, rest = gap.table_arn.split(":", 5)
    name = rest.partition("/")[2]
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


def _of_changes(warehouse: Warehouse, stretches: Sequence[_Stretch]) -> list[Finding]:
    if not stretches:
        return []
    shown = _shown(warehouse, stretches)
    return [_of_table(stretch, shown) for stretch in stretches]


def _of_table(stretch: _Stretch, shown: dict[tuple[Any, datetime], _Stretch]) -> Finding:
    start = min(row["bin_start"] for row in stretch)
    end = max(row["bin_start"] + timedelta(seconds=row["bin_s"]) for row in stretch)
    account, region, name = _table(stretch[0])
    changes = [change for row in stretch for change in shown.get((_table(row), row["bin_start"]), ())]
    changes = sorted(changes, key=lambda row: (row["is_named"], row["event_time"], row["change_id"]))[:NAMED_CHANGES]
    unnamed = sum(not row["is_named"] for row in changes)
    written = sum(row["trail_count"] or 0 for row in stretch)
    changed = int(sum(row["witness_count"] or 0 for row in stretch))
    beyond = round(sum(abs(row["difference"]) for row in stretch))
    return Finding(
        rule_id=UNEXPLAINED,
        severity=HIGH,
        kind="completeness",
        subject=iso(start),
        event_time=start,
        ends_at=end,
        account_id=account,
        region=region,
        table_name=name,
        table_arn=changes[0]["table_arn"] if changes else None,
        title=f"{beyond} changes of {name} between {iso(start)} and {iso(end)} have no recorded write",
        explanation=f"The stream of {name} gave {changed} changes where CloudTrail recorded {written} written items, "
        "five minutes on either side included in what is tolerated. A change without a recorded write means that "
        "events are missing: a selector leaves the writer out, log files are missing, or the writer's events go to "
        "another account only. "
        + (
            f"The items of {unnamed} of the {len(changes)} changes named here are in no recorded write of the time. "
            if changes
            else ""
        )
        + "Look up the selectors of the time, the findings on log files, and who holds dynamodb:PutItem, "
        "dynamodb:UpdateItem or dynamodb:DeleteItem on the table.",
        how_many=beyond,
        evidence_ids=tuple(row["change_id"] for row in changes),
    )


def _shown(warehouse: Warehouse, stretches: Sequence[_Stretch]) -> dict[tuple[Any, datetime], _Stretch]:
    """Up to twenty changes of each span, those of items that no recorded write names first."""
    rows = [row for stretch in stretches for row in stretch]
    spans = [
        {
            "account_id": row["account_id"],
            "region": row["region"],
            "table_name": row["table_name"],
            "starts_at": row["bin_start"],
            "ends_at": row["bin_start"] + timedelta(seconds=row["bin_s"]),
        }
        for row in rows
    ]
    extra = {"unexplained": pa.Table.from_pylist(spans, _SPANS)}
    bounds = {
        "start": min(span["starts_at"] for span in spans) - _MARGIN,
        "end": max(span["ends_at"] for span in spans) + _MARGIN,
    }
    shown: dict[tuple[Any, datetime], _Stretch] = {}
    with engine.connect(warehouse, extra=extra) as connection:
        for change in engine.run_file(connection, "prove/unexplained_changes.sql", **bounds).to_pylist():
            shown.setdefault((_table(change), change["starts_at"]), []).append(change)
    return shown


_SPANS = pa.schema(
    [
        *((name, pa.string()) for name in ("account_id", "region", "table_name")),
        *((name, INSTANT) for name in ("starts_at", "ends_at")),
    ]
)


def _broken(warehouse: Warehouse, hours: Collection[datetime]) -> list[dict[str, Any]]:
    """Broken proofs that more than a gap speaks for."""
    wanted = _around(hours) & (pads.field("status") == sequences.BROKEN)
    rows = warehouse.dataset("sequence_proof").to_table(filter=wanted).to_pylist()
    return [row for row in rows if not sequences.CONTRADICTIONS.keys().isdisjoint(row["reasons"] or ())]


def _unexplained(warehouse: Warehouse, hours: Collection[datetime]) -> list[dict[str, Any]]:
    """Spans in which there were more changes than recorded writes, and nothing known explains it."""
    wanted = (
        _around(hours)
        & (pads.field("measure") == "changes")
        & pads.field("verdict").isin(["missing", "extra"])
        & (pads.field("witness_count") > pads.field("trail_count"))
    )
    return list(warehouse.dataset("reconciliation").to_table(filter=wanted).to_pylist())


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


def _table(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["account_id"], row["region"], row["table_name"]
