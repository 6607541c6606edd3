"""Which request made each item change, and how sure that is: the table `attribution`.

No field joins a change to its request: a stream record names no caller, and a CloudTrail record no change. So the two
sequences are aligned, hour by hour with a margin on both sides, as `alignment` says.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.clock import HOUR, by_date, hour_of
from dynatrail.trail import alignment, sessions
from dynatrail.warehouse import engine
from dynatrail.warehouse.portions import portions
from dynatrail.warehouse.schema import ATTRIBUTION, INSTANT, ITEM_CHANGE

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from dynatrail.warehouse.store import Warehouse

Ints = npt.NDArray[np.int64]

CHANGES_AT_ONCE = 500_000
"""Hours of one date are done together up to about this many changes, which bounds memory; an hour is never cut."""

_CONFIDENCE = pa.array(["none", "ambiguous", "probable", "identity_certain", "certain"])
_KINDS = pa.array(["INSERT", "MODIFY", "REMOVE"])
_BITS = {"INSERT": 1 << alignment.INSERT, "MODIFY": 1 << alignment.MODIFY, "REMOVE": 1 << alignment.REMOVE}
_MAKES = {
    ("Put", False): _BITS["INSERT"] | _BITS["MODIFY"],
    ("Update", False): _BITS["INSERT"] | _BITS["MODIFY"],
    ("Delete", False): _BITS["REMOVE"],
    # PartiQL's INSERT fails where there is an item, its UPDATE where there is none.
    ("Put", True): _BITS["INSERT"],
    ("Update", True): _BITS["MODIFY"],
    ("Delete", True): _BITS["REMOVE"],
}


def around(hours: Iterable[datetime]) -> set[datetime]:
    """The hours whose attribution may change when what happened in `hours` does: they and their neighbours."""
    return {hour_of(hour) + n * HOUR for hour in hours for n in (-1, 0, 1)}


@dataclass(frozen=True, slots=True)
class Built:
    """What a build wrote.

    Attributes:
        rows: how many rows were written.
        hours: UTC hours of which rows came, went or became others: what is derived from `attribution` is to be rebuilt
            for exactly these. Hours that came out as they were are not named, also where others were written with them.
    """

    rows: int = 0
    hours: frozenset[datetime] = frozenset()


def build(warehouse: "Warehouse", hours: Iterable[datetime], *, break_glass: Sequence[str] = ()) -> Built:
    """Replace the rows of `attribution` of exactly these hours by what changes, requests and sessions say now.

    What an hour's rows are does not depend on which other hours are built with it.

    Args:
        warehouse: read and written.
        hours: instants; the UTC hour of each is rebuilt. Any order, gaps and repetitions allowed.
        break_glass: ARN patterns of roles and users for emergencies, as for `sessions.build`.

    Returns:
        Rows written and the hours that became others; nothing if every hour already held exactly these rows.

    Raises:
        WarehouseError: a table cannot be read or written. Hours before the failing ones are done; run again.
    """
    parts = [
        _build_together(warehouse, together, break_glass)
        for of_date in by_date(hours)
        for together in portions(warehouse, ITEM_CHANGE.name, of_date, rows=CHANGES_AT_ONCE)
    ]
    return Built(sum(part.rows for part in parts), frozenset().union(*(part.hours for part in parts)))


def derive(warehouse: "Warehouse", hours: Collection[datetime], *, break_glass: Sequence[str] = ()) -> pa.Table:
    """The rows of `attribution` for these UTC hours, computed and not written."""
    start, end = min(hours) - HOUR, max(hours) + 2 * HOUR
    touched = {"touched_hour": pa.table({"event_hour": pa.array(sorted(hours), INSTANT)})}
    with engine.connect(warehouse, extra=touched) as connection:
        changes = engine.run_file(connection, "trail/attributable_changes.sql", start=start, end=end)
        if not pc.any(changes["is_own"]).as_py():
            return ATTRIBUTION.schema.empty_table()
        connection.register("write_caller", sessions.write_callers(connection, hours, break_glass=break_glass))
        requests = engine.run_file(connection, "trail/write_requests.sql", start=start, end=end)
    return _attributed(changes, requests)


class Exceptions(NamedTuple):
    """What attribution leaves over.

    Attributes:
        changes: item changes that no recorded request explains: `sql/report/changes_without_request.sql`.
        requests: items of requests that no change shows: `sql/report/requests_without_change.sql`.
    """

    changes: pa.Table
    requests: pa.Table


def exceptions(connection: "DuckDBPyConnection", start: datetime, end: datetime) -> Exceptions:
    """Both lists of what attribution leaves over in [start, end), one row per item, each with its reason, by time.

    Args:
        connection: an engine over the warehouse.
        start: of the events and changes.
        end: the same; not included.

    Raises:
        WarehouseError: a table cannot be read.
    """
    return Exceptions(
        *(
            engine.run_file(connection, f"report/{name}.sql", start=start, end=end)
            for name in ("changes_without_request", "requests_without_change")
        )
    )


def _build_together(warehouse: "Warehouse", hours: list[datetime], break_glass: Sequence[str]) -> Built:
    changed: set[datetime] = set()

    def current(present: pa.Table) -> pa.Table:
        rows = derive(warehouse, hours, break_glass=break_glass)
        # Called again when another build commits these hours first.
        changed.clear()
        changed.update(hour for hour in hours if _differ(present, rows, hour))
        return rows

    return Built(warehouse.replace(ATTRIBUTION.name, current, hours=hours), frozenset(changed))


def _differ(present: pa.Table, rows: pa.Table, hour: datetime) -> bool:
    before, after = (table.filter(pc.field("event_hour") == pa.scalar(hour, INSTANT)) for table in (present, rows))
    if len(before) != len(after):
        return True
    # No two rows have one natural key, so that this order is total.
    order = [(name, "ascending") for name in ATTRIBUTION.natural_key]
    before, after = before.sort_by(order), after.sort_by(order)
    return not before.equals(after)


def _attributed(changes: pa.Table, requests: pa.Table) -> pa.Table:
    """Rows of `attribution` of the hours' own changes, from both sides with their margins."""
    open_ = np.asarray(pc.is_null(changes["origin"]))
    places = np.flatnonzero(open_)
    to_align = changes.take(pa.array(places))
    left, right, sets = _numbered(to_align, requests)
    found = alignment.align(left, right, sets)
    count = changes.num_rows
    request, confidence, candidates = np.full(count, -1), np.zeros(count, np.int64), np.zeros(count, np.int64)
    request[places], confidence[places], candidates[places] = found.request, found.confidence, found.candidates
    lengths = np.zeros(count, np.int64)
    lengths[places] = np.diff(found.starts)
    own = np.flatnonzero(np.asarray(changes["is_own"]))
    rivals = _rivals(requests, found.rivals, lengths).take(pa.array(own))
    mine = changes.take(pa.array(own))
    asked = requests.take(pa.array(request[own], mask=request[own] < 0))
    lag = pc.subtract(
        asked["event_time"].cast(pa.int64()),
        pc.floor_temporal(mine["event_time"], unit="second").cast(pa.int64()),
    )
    method = pc.if_else(pa.array(request[own] >= 0), "alignment", pc.coalesce(mine["origin"], "no_request"))
    columns = {name: mine[name] for name in mine.column_names if name in ATTRIBUTION.schema.names}
    columns |= {
        name: asked[name]
        for name in (
            *("event_id", "ordinal", "principal_arn", "access_key_id", "first_principal_arn"),
            "principal_class",
        )
    }
    columns |= {
        "event_date": mine["event_hour"].cast(pa.date32()),
        "method": method,
        "confidence": _CONFIDENCE.take(pa.array(confidence[own])),
        "candidates": pa.array(candidates[own]).cast(pa.int32()),
        "rivals": rivals,
        "time_delta_s": pc.divide(lag.cast(pa.float64()), 1e6),
    }
    rows = pa.table([columns[name] for name in ATTRIBUTION.schema.names], names=ATTRIBUTION.schema.names)
    return rows.cast(ATTRIBUTION.schema)


def _numbered(
    changes: pa.Table, requests: pa.Table
) -> tuple[alignment.Changes, alignment.Requests, list[frozenset[str]]]:
    """Both sides as numbers, and the sets of attributes that they number."""
    hours = _together(changes["unit_hour"].cast(pa.int64()), requests["unit_hour"].cast(pa.int64()))
    tables = _together(changes["table_arn"], requests["table_arn"])
    tokens = _together(changes["item_key_token"], requests["item_key_token"])
    width = int(max((side.max(initial=0) for side in tables), default=0)) + 1
    groups = [hour * width + table for hour, table in zip(hours, tables, strict=True)]
    height = int(max((side.max(initial=0) for side in tokens), default=0)) + 1
    keys = [
        np.where(token < 0, alignment.NO_KEY, group * height + token)
        for group, token in zip(groups, tokens, strict=True)
    ]
    changed, able, sets = _name_sets(changes["changed_attributes"], requests["attribute_names"])
    (who,) = _together(requests["who"])
    left = alignment.Changes(
        group=groups[0],
        key=keys[0],
        second=_seconds(changes["event_time"]),
        kind=np.asarray(pc.index_in(changes["change_type"], value_set=_KINDS)).astype(np.int64),
        names=changed,
        order=np.arange(changes.num_rows),
    )
    right = alignment.Requests(
        group=groups[1],
        key=keys[1],
        second=_seconds(requests["event_time"]),
        makes=_makes(requests["operation"], requests["is_partiql"]),
        names=able,
        principal=who,
        order=np.arange(requests.num_rows),
    )
    return left, right, sets


def _together(*columns: pa.ChunkedArray) -> list[Ints]:
    """The values of all columns as numbers from one vocabulary; NULL is -1."""
    kind = columns[0].type
    chunks = [chunk for column in columns for chunk in column.cast(kind).chunks]
    encoded = pa.chunked_array(chunks, kind).combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    numbers = np.asarray(pc.fill_null(encoded.indices, -1)).astype(np.int64)
    return np.split(numbers, np.cumsum([len(column) for column in columns])[:-1])


def _name_sets(changed: pa.ChunkedArray, able: pa.ChunkedArray) -> tuple[Ints, Ints, list[frozenset[str]]]:
    """Sets of attributes as numbers; -1 where a set is not known, or holds what is no plain name."""
    texts = [pc.binary_join(column, "\0") for column in (changed, able)]
    numbers = _together(*texts)
    size = int(max((side.max(initial=-1) for side in numbers), default=-1)) + 1
    sets: list[frozenset[str]] = [frozenset()] * size
    unknown = np.zeros(size + 1, np.bool_)
    for column, side in zip((changed, able), numbers, strict=True):
        known, first = np.unique(side, return_index=True)
        for number, names in zip(known.tolist(), column.take(pa.array(first)).to_pylist(), strict=True):
            if number >= 0:
                sets[number] = frozenset(names)
                # A placeholder that the record does not resolve, or a path: what it stands for is not known.
                unknown[number] |= any(name[:1] == "#" or "[" in name for name in names)
    return numbers[0], np.where(unknown[numbers[1]], alignment.UNKNOWN, numbers[1]), sets


def _makes(operation: pa.ChunkedArray, is_partiql: pa.ChunkedArray) -> Ints:
    names, partiql = np.asarray(operation), np.asarray(is_partiql)
    makes = np.zeros(len(names), np.int64)
    for (name, by_statement), bits in _MAKES.items():
        makes[(names == name) & (partiql == by_statement)] = bits
    return makes


def _seconds(times: pa.ChunkedArray) -> Ints:
    seconds: Ints = np.asarray(times.cast(pa.int64())).astype(np.int64) // 1_000_000
    return seconds


def _rivals(requests: pa.Table, places: Ints, lengths: Ints) -> Any:
    """The event ids of rivals, sorted, each once; `lengths` says how many each change has."""
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    if not len(places):
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array([], pa.string()))
    ids = requests["event_id"].combine_chunks().dictionary_encode()
    ids = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    rank = np.asarray(pc.rank(ids.dictionary, tiebreaker="dense")).astype(np.int64)
    by_rank = pc.array_sort_indices(ids.dictionary)
    of = np.repeat(np.arange(len(lengths)), lengths)
    codes = np.unique(of * (len(rank) + 1) + rank[np.asarray(ids.indices)[places]])
    of, sorted_rank = codes // (len(rank) + 1), codes % (len(rank) + 1) - 1
    names = ids.dictionary.take(by_rank.take(pa.array(sorted_rank)))
    offsets = np.concatenate(([0], np.cumsum(np.bincount(of, minlength=len(lengths)))))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), names)
