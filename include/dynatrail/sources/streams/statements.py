"""What DynamoDB Streams or Kinesis can say of an hour of a table: `source_statement`, from checkpoints and gaps alone.

An hour is complete when all that happened in it was read and no gap touches it. It is stated as soon as every shard has
been read past it, and stated again when a gap is found or closed; the same checkpoints and gaps give the same rows.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.dataset as pads

from dynatrail import clock
from dynatrail.arns import place_of
from dynatrail.clock import HOUR
from dynatrail.config import Target
from dynatrail.settings import Settings
from dynatrail.sources.streams.lineage import LAG, RETENTION, began_at, replaced
from dynatrail.state import streams as state
from dynatrail.state.models import StreamGap, StreamShard
from dynatrail.warehouse.schema import INSTANT, SOURCE_STATEMENT
from dynatrail.warehouse.store import Warehouse

SOURCE = "streams"
ORIGINS = {"streams": "stream", "kinesis": "kinesis"}
"""Source -> `change_origin` of the rows that it gives."""

NO_STREAM = "no_stream"
NOT_READABLE = "not_readable"
BEGAN = "reading_began"
KEPT_OUT = "quarantined"

_Statement = tuple[str, list[str] | None]
"""Status, and the reasons why it is not complete; None: it is."""
_Place = tuple[str, str, str]
"""Account, region and source."""


class Named(Protocol):
    """A table as this module needs it: WatchedTable and ChangedTable both are."""

    @property
    def name(self) -> str: ...
    @property
    def arn(self) -> str: ...
    @property
    def account_id(self) -> str: ...
    @property
    def region(self) -> str: ...


def rebuild(settings: Settings, table: Named, hours: Collection[datetime]) -> list[datetime]:
    """State these hours of one table anew; returns those that could be stated, in order.

    An hour that has not been read past yet keeps the statement that it has, if it has one.

    Raises:
        WarehouseError, StateError: the statements cannot be read or written.
    """
    stated: set[datetime] = set()
    for place, arns in sorted(_places([table.arn]).items()):
        stated |= {hour for _, hour in _state(settings, place, arns, hours)}
    return sorted(stated)


def rebuild_all(settings: Settings, hours: Collection[datetime]) -> int:
    """State these hours anew for every table of which a shard is known; returns the hours that could be stated."""
    return sum(len(_state(settings, place, arns, hours)) for place, arns in sorted(_places(()).items()))


def without_stream(settings: Settings, target: Target, tables: Iterable[Named]) -> None:
    """Say of each hour that is over, and that nothing else is said of, that these tables have no stream to read."""
    not_assessable(settings, target, {table.name: NO_STREAM for table in tables})


def unreadable(settings: Settings, target: Target, tables: Mapping[str, str]) -> None:
    """Say of each hour that is over, and that nothing else is said of, that these tables' streams cannot be read.

    `tables` maps names to the error that met them; what it says goes into the log, not into the statement.
    """
    not_assessable(settings, target, dict.fromkeys(tables, NOT_READABLE))


def statement(
    hour: datetime,
    streams: Mapping[str, Sequence[StreamShard]],
    gaps: Sequence[StreamGap],
    kept_out: Collection[tuple[str, datetime]] = (),
) -> _Statement | None:
    """What can be said of one hour of a table: status and reasons, as its row has them; None: not yet read past.

    Args:
        hour: its start.
        streams: the table's streams, old ones too: ARN -> shards.
        gaps: the table's gaps, closed ones too.
        kept_out: streams and hours of which records are in quarantine.
    """
    end = hour + HOUR
    began = _began(streams) if streams else None
    if began is None or end <= began or any(_touches(gap, hour) for gap in _unrecorded(streams, gaps)):
        return None
    for arn, following in recorders(hour, streams):
        until = began_at(following) if following else None
        if following is not None and all(row.status in ("drained", "lost") for row in streams[arn]):
            continue  # what lies between it and the next is a gap
        point = state.read_point(streams[arn])
        if point is None or point < (min(end, until) if until else end) + LAG:
            return None
    reasons = {BEGAN} if began > hour else set()
    reasons |= {KEPT_OUT for arn in streams if (arn, hour) in kept_out}
    repaired = set()
    for gap in gaps:
        if any(start < end and hour < stop for start, stop in _spans(gap.remaining or ())):
            reasons.add(gap.reason)
        elif _touches(gap, hour):
            repaired.add(gap.reason)
    if reasons:
        return "incomplete", sorted(reasons)
    return ("reconstructed", sorted(repaired)) if repaired else ("complete", None)


def recorders(hour: datetime, streams: Mapping[str, Sequence[StreamShard]]) -> Iterator[tuple[str, str | None]]:
    """Which of a table's streams an hour lies in, as far as they were watched, each with the one that followed it."""
    arns = sorted(streams)
    began = _began(streams) if arns else hour + HOUR
    if hour + HOUR <= began:
        return
    for arn, following in zip(arns, [*arns[1:], None], strict=True):
        until = began_at(following) if following else None
        if (began_at(arn) or began) < hour + HOUR and (until is None or hour < until):
            yield arn, following  # else another stream's hour


def _unrecorded(streams: Mapping[str, Sequence[StreamShard]], gaps: Sequence[StreamGap]) -> Iterator[state.Gap]:
    """Between two streams, where the run that read the old one to its end died before it recorded what lies behind."""
    recorded = {gap.gap_id for gap in gaps}
    for old, new in pairwise(sorted(streams)):
        began = began_at(new)
        if began and all(row.status in ("drained", "lost") for row in streams[old]):
            gap = replaced(streams[old], new, began)
            if gap and gap.gap_id not in recorded:
                yield gap


def _touches(gap: StreamGap | state.Gap, hour: datetime) -> bool:
    return gap.starts_at < hour + HOUR and hour < gap.ends_at


def _began(streams: Mapping[str, Sequence[StreamShard]]) -> datetime:
    """From when on the oldest known stream of a table had been watched: a day before it was met, or its beginning.

    A Kinesis stream keeps as long as it is told to, and does not say since when the table's changes go to it: so since
    the oldest one that was read.
    """
    arn, *_ = sorted(streams)
    if streams[arn][0].source == "kinesis":
        rows = [row for shards in streams.values() for row in shards]
        return min([row.oldest_event_at or row.first_seen_at for row in rows])
    met = min(row.first_seen_at for row in streams[arn]) - RETENTION
    label = began_at(arn)
    return max(met, label) if label else met


def _spans(remaining: Iterable[str]) -> Iterable[tuple[datetime, datetime]]:
    for span in remaining:
        start, _, stop = span.partition("/")
        yield clock.parse_instant(start), clock.parse_instant(stop)


def known(tables: Collection[str]) -> dict[tuple[str, str], tuple[dict[str, list[StreamShard]], list[StreamGap]]]:
    """(table, source) -> its streams' shards, and its gaps; of these tables (ARNs; empty: all)."""
    found: dict[tuple[str, str], tuple[dict[str, list[StreamShard]], list[StreamGap]]] = {}
    for row in state.shards(tables=tables):
        found.setdefault((row.table_arn, row.source), ({}, []))[0].setdefault(row.stream_arn, []).append(row)
    for gap in state.gaps(tables):
        if (gap.table_arn, gap.source) in found:
            found[gap.table_arn, gap.source][1].append(gap)
    return found


def not_assessable(settings: Settings, target: Target, reasons: Mapping[str, str], source: str = SOURCE) -> None:
    """Say of each hour of the last day, where nothing else is said, that these tables (name -> reason) gave nothing."""
    if not reasons:
        return
    now = clock.now()
    hours = set(clock.hours_between(clock.hour_of(now - RETENTION), clock.hour_of(now - LAG)))
    where = {"account_id": target.account_id, "region": target.region, "source": source}

    def merge(present: pa.Table) -> pa.Table:
        said = set(zip(present["table_name"].to_pylist(), present["event_hour"].to_pylist(), strict=True))
        new = {
            (name, hour): ("not_assessable", [reason])
            for name, reason in reasons.items()
            for hour in hours
            if (name, hour) not in said
        }
        return pa.concat_tables([present, _rows((target.account_id, target.region, source), new, {})])

    Warehouse.from_settings(settings).replace("source_statement", merge, hours=hours, where=where)


def _places(tables: Collection[str]) -> dict[_Place, list[str]]:
    """The tables of which a shard is known, by place."""
    places: dict[_Place, list[str]] = {}
    for arn, source in known(tables):
        account, region, _ = place_of(arn)
        places.setdefault((account, region, source), []).append(arn)
    return places


def _state(
    settings: Settings, place: _Place, arns: Collection[str], hours: Collection[datetime]
) -> dict[tuple[str, datetime], _Statement]:
    """State hours of tables of one place; returns what could be stated, by table name and hour."""
    warehouse = Warehouse.from_settings(settings)
    account, region, source = place
    stated: dict[tuple[str, datetime], _Statement] = {}

    def merge(present: pa.Table) -> pa.Table:
        # Looked up here: of two tasks that state one hour, the one that commits last has seen what the other had.
        stated.clear()
        kept_out = quarantined(warehouse, place, hours)
        for (arn, of), (streams, gaps) in known(arns).items():
            if of == source:
                for hour in hours:
                    if said := statement(hour, streams, gaps, kept_out):
                        stated[place_of(arn).name, hour] = said
        have = zip(present["table_name"].to_pylist(), present["event_hour"].to_pylist(), strict=True)
        others = present.filter(pa.array([key not in stated for key in have], pa.bool_()))
        return pa.concat_tables([others, _rows(place, stated, _counts(warehouse, place, hours))])

    if hours:
        where = {"account_id": account, "region": region, "source": source}
        warehouse.replace("source_statement", merge, hours=hours, where=where)
    return stated


def _rows(
    place: _Place,
    stated: Mapping[tuple[str, datetime], _Statement],
    counts: Mapping[tuple[str, datetime], int],
) -> pa.Table:
    rows: list[dict[str, Any]] = [
        {
            "event_hour": hour,
            "event_date": hour.date(),
            "account_id": place[0],
            "region": place[1],
            "source": place[2],
            "table_name": name,
            "status": status,
            "reasons": reasons,
            "records": None if status == "not_assessable" else counts.get((name, hour), 0),
        }
        for (name, hour), (status, reasons) in sorted(stated.items())
    ]
    return pa.Table.from_pylist(rows, SOURCE_STATEMENT.schema)


def _counts(warehouse: Warehouse, place: _Place, hours: Collection[datetime]) -> dict[tuple[str, datetime], int]:
    """Changes that the source gave, by table and hour."""
    account, region, source = place
    first, last = min(hours), max(hours)
    wanted = (
        (pads.field("event_date") >= pa.scalar(first.date(), pa.date32()))
        & (pads.field("event_date") <= pa.scalar(last.date(), pa.date32()))
        & pads.field("event_hour").isin(pa.array(sorted(hours), INSTANT))
        & (pads.field("account_id") == account)
        & (pads.field("region") == region)
        & (pads.field("change_origin") == ORIGINS[source])
    )
    found = warehouse.dataset("item_change").to_table(columns=["table_name", "event_hour"], filter=wanted)
    counted = found.group_by(["table_name", "event_hour"]).aggregate([([], "count_all")])
    columns = (counted[name].to_pylist() for name in ("table_name", "event_hour", "count_all"))
    return {(name, hour): count for name, hour, count in zip(*columns, strict=True)}


def quarantined(warehouse: Warehouse, place: _Place, hours: Collection[datetime]) -> set[tuple[str, datetime]]:
    """Streams and hours of which records are in quarantine."""
    account, region, source = place
    first, last = min(hours), max(hours)
    wanted = (
        (pads.field("event_date") >= pa.scalar(first.date(), pa.date32()))
        & (pads.field("event_date") <= pa.scalar(last.date(), pa.date32()))
        & pads.field("event_hour").isin(pa.array(sorted(hours), INSTANT))
        & (pads.field("account_id") == account)
        & (pads.field("region") == region)
        & (pads.field("source") == source)
    )
    found = warehouse.dataset("quarantine").to_table(columns=["source_uri", "event_hour"], filter=wanted)
    uris = (uri.rpartition("/")[0] for uri in found["source_uri"].to_pylist())
    return set(zip(uris, found["event_hour"].to_pylist(), strict=True))
