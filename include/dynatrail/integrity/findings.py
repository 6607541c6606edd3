"""Findings as rows of `finding`: each producer owns its rows of an hour, an account and a region.

A producer states all its findings of the hours that it looked at; what it found there before and does not find now is
gone with the same commit. A finding keeps its id as long as rule, place and subject stay the same.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import msgspec
import pyarrow as pa

from dynatrail.clock import hour_of
from dynatrail.state import pending
from dynatrail.state.database import session
from dynatrail.warehouse.schema import FINDING
from dynatrail.warehouse.store import Warehouse

_Thing = TypeVar("_Thing")

INFORMATIONAL, LOW, MEDIUM, HIGH, CRITICAL = "Informational", "Low", "Medium", "High", "Critical"
"""OCSF severities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding; the fields are those of the table `finding`.

    Attributes:
        subject: what tells it apart from others of its rule and place, such as an address or a span's start; a rule of
            one finding per place leaves it empty.
    """

    rule_id: str
    severity: str
    event_time: datetime
    account_id: str
    region: str
    title: str
    explanation: str
    kind: str = "integrity"
    subject: str = ""
    ends_at: datetime | None = None
    table_name: str | None = None
    table_arn: str | None = None
    actor: str | None = None
    how_many: int | None = None
    evidence_ids: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    attack_techniques: tuple[str, ...] = ()

    @property
    def finding_id(self) -> str:
        named = (self.rule_id, self.account_id, self.region, self.table_arn or self.table_name or "", self.subject)
        return hashlib.sha256(msgspec.json.encode(named)).hexdigest()


def runs(things: Iterable[_Thing], follows: Callable[[_Thing, _Thing], bool]) -> Iterator[list[_Thing]]:
    """What is one run, in order, where `follows` tells of two neighbours whether the second goes on with the first."""
    run: list[_Thing] = []
    for one in things:
        if run and not follows(run[-1], one):
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def table_of(producer: str, found: Iterable[Finding]) -> pa.Table:
    """Findings as rows of `finding`, each id once."""
    rows = {one.finding_id: one for one in found}
    return pa.Table.from_pylist([_row(producer, id_, one) for id_, one in sorted(rows.items())], FINDING.schema)


def write(
    warehouse: Warehouse,
    producer: str,
    account_id: str,
    region: str,
    hours: Collection[datetime],
    found: Iterable[Finding],
) -> int:
    """Replace what `producer` found in these hours of an account and region; a finding lies in the hour it began.

    Raises:
        WarehouseError: a finding lies outside of these hours, account or region; nothing was written.
    """
    where = {"producer": producer, "account_id": account_id, "region": region}
    rows = table_of(producer, found)
    return replace(warehouse, lambda _present: rows, hours=hours, where=where)


def replace(
    warehouse: Warehouse,
    rows: Callable[[pa.Table], pa.Table],
    *,
    hours: Collection[datetime],
    where: Mapping[str, str],
) -> int:
    """As `Warehouse.replace` of `finding`, and note which hours of the timeline that leaves behind.

    Raises:
        WarehouseError: the rows lie outside of hours or place; nothing was written.
    """
    if not hours:
        return 0
    changed: set[datetime] = set()

    def noting(present: pa.Table) -> pa.Table:
        wanted = rows(present)
        changed.clear()
        changed.update(_differing(present, wanted))
        # Before the rows: a crash in between rebuilds hours that did not change, never the other way round.
        if changed:
            pending.make_due(pending.TIMELINE, changed)
        return wanted

    written = warehouse.replace("finding", noting, hours=hours, where=where)
    # And after them: a build that ran in between took the hours for done without having seen the rows.
    if changed:
        with session() as opened:
            pending.mark(opened, pending.TIMELINE, changed)
    return written


def _differing(present: pa.Table, wanted: pa.Table) -> set[datetime]:
    """The hours in which a finding came, went or reads otherwise."""
    before, after = ({row["finding_id"]: row for row in rows.to_pylist()} for rows in (present, wanted))
    pairs = ((before.get(one), after.get(one)) for one in before.keys() | after.keys())
    return {row["event_hour"] for pair in pairs if pair[0] != pair[1] for row in pair if row}


def _row(producer: str, finding_id: str, one: Finding) -> dict[str, object]:
    hour = hour_of(one.event_time)
    return {
        "finding_id": finding_id,
        "event_time": one.event_time,
        "ends_at": one.ends_at,
        "event_hour": hour,
        "event_date": hour.date(),
        "account_id": one.account_id,
        "region": one.region,
        "producer": producer,
        "kind": one.kind,
        "rule_id": one.rule_id,
        "severity": one.severity,
        "table_name": one.table_name,
        "table_arn": one.table_arn,
        "actor": one.actor,
        "title": one.title,
        "explanation": one.explanation,
        "how_many": one.how_many,
        "evidence_ids": sorted(set(one.evidence_ids)) or None,
        "controls": sorted(set(one.controls)) or None,
        "attack_techniques": sorted(set(one.attack_techniques)) or None,
    }
