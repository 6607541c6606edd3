"""What shard lineage, checkpoints and sequence numbers prove of each hour of each stream: `sequence_proof`.

DynamoDB puts each change into its stream exactly once, in order within a shard and from a shard to its children
("Change data capture for DynamoDB Streams", DynamoDB developer guide). So an hour is proven when every shard that may
have been alive in it is known with its parent, was read in that order and past the hour's end, no gap touches the hour,
and the rows are those that were read: none of an unknown shard, none outside of its shard's numbers or beyond its
checkpoint, none twice, as many as when the hour was stated. Numbers have holes, so they do not prove by themselves that
nothing lies between two of them; that the rows were counted when they were read, and an export that was compared, do.

Into a Kinesis stream DynamoDB writes what it can, and numbers nothing itself: there it can only be shown that something
is wrong.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads

from dynatrail.arns import place_of
from dynatrail.clock import HOUR
from dynatrail.integrity import lineage
from dynatrail.settings import Settings
from dynatrail.sources.exports import compare
from dynatrail.sources.streams import statements
from dynatrail.state import exports, pending
from dynatrail.state import streams as state
from dynatrail.state.models import PitrExport, StreamGap, StreamShard
from dynatrail.warehouse import engine
from dynatrail.warehouse.schema import INSTANT, SEQUENCE_PROOF
from dynatrail.warehouse.store import Warehouse

PROVEN, BROKEN, NOT_ASSESSABLE = "proven", "broken", "not_assessable"

CONTRADICTIONS = {
    **lineage.CONTRADICTIONS,
    "foreign_rows": "rows name a shard that was never read",
    "rows_outside_shard": "rows have a sequence number that lies outside of their shard's",
    "rows_beyond_checkpoint": "rows have a sequence number beyond the last one that was read of their shard",
    "number_repeated": "a sequence number occurs more than once in a shard",
    "rows_missing": "there are fewer rows than were counted when the hour was read",
    "rows_added": "there are more rows than were counted when the hour was read",
    "export_differs": "the folded rows differ from an export of DynamoDB itself (verify_changes)",
}
"""Reason code -> what it says. Any of these, or an open gap's own reason, breaks a proof."""

OPEN_QUESTIONS = {
    "not_read_past": "not everything up to the hour's end, and a little later, was read yet",
    "not_restated": "rows came since the hour was stated; extract_streams states it anew",
    "reading_began": "reading the stream began within the hour",
    "quarantined": "records of the hour could not be read and lie in quarantine",
    "reconstructed": "a gap was repaired: its rows sum up what happened, and the export vouches for them",
    "stream_forgotten": "the Kinesis stream was made anew, and the checkpoints that speak for the rows went with it",
    "delivery_not_numbered": "DynamoDB does not number what it writes into Kinesis, so what it left out does not show",
}
"""Reason code -> what it says. With any of these, and nothing worse, nothing is proven and nothing is wrong."""

HOURS_AT_ONCE = 24
"""Bounds memory; each such portion is one commit."""

_SOURCES = {origin: source for source, origin in statements.ORIGINS.items()}

_UNCLEAR = {statements.BEGAN, statements.KEPT_OUT}

_Key = tuple[str, str, datetime]
"""Table ARN, stream ARN, hour."""
_Rows = list[dict[str, Any]]
"""What `prove/stream_rows.sql` gives of one of these: a row a shard."""


def prove(settings: Settings, hours: Collection[datetime]) -> int:
    """Write `sequence_proof` of these hours, of all streams whose shards are known or whose rows are there.

    Returns:
        Rows written; 0 where all was said before.

    Raises:
        WarehouseError, StateError: tables or state cannot be read or written. Hours before the failing ones are done.
    """
    warehouse = Warehouse.from_settings(settings)
    wanted = sorted(set(hours))
    portions = [wanted[at : at + HOURS_AT_ONCE] for at in range(0, len(wanted), HOURS_AT_ONCE)]
    # Anew for each attempt: of two runs that prove one hour, the one that commits last has seen what the other had.
    return sum(
        warehouse.replace("sequence_proof", lambda _, own=own: _rows(warehouse, own), hours=own)  # type: ignore[misc]
        for own in portions
    )


@dataclass(slots=True)
class _Known:
    """What is known beside rows and shards.

    Attributes:
        due: hours that are to be stated anew.
        counted: (account, region, table, source, hour) -> rows when it was stated.
        exported: (account, region, table, hour) -> reasons of the statement that an export's comparison left.
        kept_out: streams and hours with records in quarantine.
        exports: those whose use has ended.
    """

    due: set[datetime]
    counted: dict[tuple[str, str, str, str, datetime], int] = field(default_factory=dict)
    exported: dict[tuple[str, str, str, datetime], list[str]] = field(default_factory=dict)
    kept_out: set[tuple[str, datetime]] = field(default_factory=set)
    exports: list[PitrExport] = field(default_factory=list)


@dataclass(slots=True)
class _Hour:
    """One row to come.

    Attributes:
        read_past: everything up to the hour's end was read.
    """

    table_arn: str
    source: str
    stream_arn: str
    hour: datetime
    reasons: set[str] = field(default_factory=set)
    broken: bool = False
    read_past: bool = False
    shards: int = 0
    rows: _Rows = field(default_factory=list)

    @property
    def changes(self) -> int:
        return sum(row["changes"] for row in self.rows)

    def contradict(self, codes: Iterable[str]) -> None:
        given = set(codes)
        self.reasons |= given
        self.broken |= bool(given)


def _rows(warehouse: Warehouse, hours: list[datetime]) -> pa.Table:
    # In this order, while others read streams: a statement may be older than the rows, and rows than the shards.
    known = _beside(warehouse, hours)
    given = _given(warehouse, hours)
    known.due |= set(pending.hours(state.STATEMENTS))
    tables = statements.known(())
    found: dict[_Key, _Hour] = {}
    for (table_arn, source), (streams, gaps) in tables.items():
        for hour in hours:
            said = statements.statement(hour, streams, gaps, known.kept_out)
            recorders = {arn for arn, _ in statements.recorders(hour, streams)}
            for arn in sorted(recorders | {arn for arn in streams if (table_arn, arn, hour) in given}):
                one = found[table_arn, arn, hour] = _Hour(table_arn, source, arn, hour)
                _follow(one, streams[arn], gaps, said, watched=arn in recorders)
    shards = {arn: own for streams, _ in tables.values() for arn, own in streams.items()}
    for (table_arn, arn, hour), rows in given.items():
        source = _SOURCES[rows[0]["change_origin"]]
        one = found.setdefault((table_arn, arn, hour), _Hour(table_arn, source, arn, hour))
        one.rows = rows
        if source == "kinesis" and arn not in shards:
            one.reasons.add("stream_forgotten")
        _hold_against_shards(one, {row.shard_id: row for row in shards.get(arn, ())})
    _count(found.values(), known)
    return pa.Table.from_pylist([_row(one, known) for _, one in sorted(found.items())], SEQUENCE_PROOF.schema)


def _follow(
    one: _Hour,
    shards: Sequence[StreamShard],
    gaps: Sequence[StreamGap],
    said: tuple[str, list[str] | None] | None,
    *,
    watched: bool,
) -> None:
    """What lineage, checkpoints and gaps say of an hour, without a look at its rows."""
    alive = lineage.alive(shards, one.hour)
    one.shards = len(alive)
    one.contradict(lineage.contradictions(shards, alive, gaps))
    if one.source == "kinesis":
        one.reasons.add("delivery_not_numbered" if watched else "stream_forgotten")
    if said is None:
        one.reasons.add("not_read_past")
        return
    status, reasons = said[0], set(said[1] or ())
    one.read_past = True
    if status == "reconstructed":
        one.reasons.add("reconstructed")
    else:
        one.reasons |= reasons & _UNCLEAR
        one.contradict(reasons - _UNCLEAR)


def _hold_against_shards(one: _Hour, shards: Mapping[str, StreamShard]) -> None:
    if one.source == "kinesis" and one.reasons & {"stream_forgotten", "stream_replaced"}:
        return  # its shards may bear the names of those of another stream, with other numbers
    for rows in one.rows:
        if rows["repeated"]:
            one.contradict(["number_repeated"])
        shard = shards.get(rows["shard_id"])
        if shard is None:
            one.contradict(["foreign_rows"])
            continue
        if rows["unnumbered"] or not _within(shard, rows):
            one.contradict(["rows_outside_shard"])
        # Rows are written before their checkpoint is: of an hour that was not read past they may lie beyond it.
        if one.read_past and _number(rows["last_sequence_number"], -1) > _number(shard.sequence_number, -1):
            one.contradict(["rows_beyond_checkpoint"])


def _within(shard: StreamShard, rows: Mapping[str, Any]) -> bool:
    first, last = _number(rows["first_sequence_number"], 0), _number(rows["last_sequence_number"], 0)
    return _number(shard.starting_sequence_number, first) <= first and last <= _number(
        shard.ending_sequence_number, last
    )


def _number(text: str | None, missing: int) -> int:
    return int(text) if text is not None else missing


def _count(found: Iterable[_Hour], known: _Known) -> None:
    """Hold the rows of each table and hour against what they were when the hour was stated."""
    together: dict[tuple[str, str, str, str, datetime], list[_Hour]] = {}
    for one in found:
        together.setdefault((*place_of(one.table_arn), one.source, one.hour), []).append(one)
    for key, own in together.items():
        counted, there = known.counted.get(key), sum(one.changes for one in own)
        if counted is None or counted == there:
            continue
        for one in own:
            if one.hour in known.due:
                one.reasons.add("not_restated")
            else:
                one.contradict(["rows_missing" if there < counted else "rows_added"])


def _row(one: _Hour, known: _Known) -> dict[str, Any]:
    account, region, name = place_of(one.table_arn)
    reasons = known.exported.get((account, region, name, one.hour))
    covering = None if reasons is None else _export(known.exports, one.table_arn, one.hour)
    equal = None
    if covering is not None and reasons is not None:
        equal = False if compare.DIFFER in reasons else None if reasons else True
    if equal is False:
        one.contradict(["export_differs"])
    status = BROKEN if one.broken else NOT_ASSESSABLE if one.reasons else PROVEN
    return {
        "event_hour": one.hour,
        "event_date": one.hour.date(),
        "account_id": account,
        "region": region,
        "table_name": name,
        "table_arn": one.table_arn,
        "source": one.source,
        "stream_arn": one.stream_arn,
        "shards": one.shards,
        "changes": one.changes,
        "first_sequence_number": min(_numbers(one, "first_sequence_number"), key=int, default=None),
        "last_sequence_number": max(_numbers(one, "last_sequence_number"), key=int, default=None),
        "status": status,
        "reasons": sorted(one.reasons) or None,
        "export_arn": covering.export_arn if covering else None,
        "net_equal": equal,
    }


def _numbers(one: _Hour, column: str) -> list[str]:
    return [row[column] for row in one.rows if row[column] is not None]


def _given(warehouse: Warehouse, hours: list[datetime]) -> dict[_Key, _Rows]:
    """What the rows of `item_change` show, by table, stream and hour."""
    asked = {"asked_hour": pa.table({"event_hour": pa.array(hours, INSTANT)})}
    with engine.connect(warehouse, extra=asked) as connection:
        bounds = {"start": hours[0] - HOUR, "end": hours[-1] + 2 * HOUR}
        found = engine.run_file(connection, "prove/stream_rows.sql", **bounds).to_pylist()
    given: dict[_Key, _Rows] = {}
    for row in found:
        given.setdefault((row["table_arn"], row["stream_arn"], row["event_hour"]), []).append(row)
    return given


def _beside(warehouse: Warehouse, hours: list[datetime]) -> _Known:
    known = _Known(set(pending.hours(state.STATEMENTS)))
    for row in _statements(warehouse, hours):
        name = (row["account_id"], row["region"], row["table_name"])
        if row["source"] == compare.SOURCE:
            known.exported[(*name, row["event_hour"])] = row["reasons"] or []
        elif row["records"] is not None:
            known.counted[(*name, row["source"], row["event_hour"])] = row["records"]
    places = {(*place_of(arn)[:2], source) for arn, source in statements.known(())}
    for place in sorted(places):
        known.kept_out |= statements.quarantined(warehouse, place, hours)
    if known.exported:
        known.exports = exports.of(statuses=["loaded"])
    return known


def _statements(warehouse: Warehouse, hours: list[datetime]) -> Iterator[dict[str, Any]]:
    wanted = (
        (pads.field("event_date") >= pa.scalar(hours[0].date(), pa.date32()))
        & (pads.field("event_date") <= pa.scalar(hours[-1].date(), pa.date32()))
        & pads.field("event_hour").isin(pa.array(hours, INSTANT))
        & pads.field("source").isin([*statements.ORIGINS, compare.SOURCE])
    )
    columns = ["account_id", "region", "table_name", "source", "event_hour", "reasons", "records"]
    yield from warehouse.dataset("source_statement").to_table(columns=columns, filter=wanted).to_pylist()


def _export(known: Sequence[PitrExport], table_arn: str, hour: datetime) -> PitrExport | None:
    """The export that the hour was compared with last; one that was asked for to verify, if there is any."""
    covering = [
        row for row in known if row.table_arn == table_arn and row.starts_at <= hour and hour + HOUR <= row.ends_at
    ]
    return max(covering, key=lambda row: (row.purpose == "verify", row.requested_at, row.export_arn), default=None)
