"""An hour's new content is what is there and what came, without duplicates.

CloudTrail may deliver an event more than once, and an `addendum` record replaces the event it names. One row stays per
event: the latest addendum, else the delivery whose position (object, index) sorts first; a genuine one before one in a
forged or altered file. The positions of the others are kept in `copies`, so that they are counted. The outcome depends
on the set of deliveries only, not on their order.

Rows of objects that are taken again are replaced whole: what a better parser gives is what stays.
"""

from collections.abc import Collection
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

Position = tuple[str, int]


def merge_events(
    present: pa.Table,
    came: pa.Table,
    taken: Collection[str],
    lost: set[str] | None = None,
    doubted: Collection[str] = (),
) -> pa.Table:
    """The rows of `api_event` after the objects `taken` brought `came` to a slice that held `present`.

    A delivery in one of the objects `doubted` (forged or altered) never wins over one in another.

    Where an object that is taken again no longer has an event, and another one still holds a copy, that one is added to
    `lost`: of a copy only the position is known, so it must be taken again too.
    """
    stale = pc.is_in(present["source_uri"], pa.array(taken, pa.string()))
    kept = present.filter(pc.invert(stale))
    rows = _together(kept, came)
    keys = _keys(rows)
    if present["copies"].null_count == len(present) and pc.count_distinct(keys).as_py() == len(rows):
        return rows
    again = frozenset(taken)
    best, others = _best(rows, keys, doubted)
    for key, copies in zip(_keys(present).to_pylist(), present["copies"].to_pylist(), strict=True):
        left = {position for position in copies or () if position.rpartition("#")[0] not in again}
        if key in others:
            others[key] |= left
        elif lost is not None:
            lost |= {position.rpartition("#")[0] for position in left}
    copies = [sorted(others[key] - {_name(position)}) or None for key, (position, _) in best.items()]
    chosen = rows.take(pa.array([row for _, row in best.values()], pa.int64()))
    at = chosen.schema.get_field_index("copies")
    return chosen.set_column(at, chosen.schema.field(at), pa.array(copies, chosen.schema.field(at).type))


def merge_items(present: pa.Table, came: pa.Table, taken: Collection[str], doubted: Collection[str] = ()) -> pa.Table:
    """As `merge_events` for `api_event_item`: the items of one delivery of each event stay."""
    kept = present.filter(pc.invert(pc.is_in(present["source_uri"], pa.array(taken, pa.string()))))
    rows = _together(kept, came)
    keys = _keys(rows)
    distinct = pa.table({"key": keys, "ordinal": rows["ordinal"]}).group_by(["key", "ordinal"]).aggregate([])
    if len(distinct) == len(rows):
        return rows
    best, _ = _best(rows, keys, doubted)
    positions = zip(keys.to_pylist(), rows["source_uri"].to_pylist(), rows["source_index"].to_pylist(), strict=True)
    return rows.filter(pa.array([best[key][0] == (uri, index) for key, uri, index in positions], pa.bool_()))


def _best(
    rows: pa.Table, keys: pa.ChunkedArray, doubted: Collection[str]
) -> tuple[dict[str, tuple[Position, int]], dict[str, set[str]]]:
    """Per event the position and first row of the delivery that stays, and the positions of all its deliveries."""
    best: dict[str, tuple[Position, int]] = {}
    addenda: dict[str, bool] = {}
    seen: dict[str, set[str]] = {}
    columns: Any = (keys, rows["source_uri"], rows["source_index"], rows["original_event_id"])
    for row, (key, uri, index, original) in enumerate(zip(*(c.to_pylist() for c in columns), strict=True)):
        position, addendum = (uri, index), original is not None
        seen.setdefault(key, set()).add(_name(position))
        if key in best:
            held = best[key][0]
            later = position > held if addendum else position < held
            wins = addendum if addendum != addenda[key] else later
            if (uri in doubted) != (held[0] in doubted):
                wins = held[0] in doubted
            if not wins:
                continue
        best[key], addenda[key] = (position, row), addendum
    return best, seen


def _keys(rows: pa.Table) -> pa.ChunkedArray:
    return pc.coalesce(rows["original_event_id"], rows["event_id"])


def _name(position: Position) -> str:
    return f"{position[0]}#{position[1]}"


def _together(kept: pa.Table, came: pa.Table) -> pa.Table:
    """Both in one table; dictionary-encoded columns stay so while there is nothing to bring them together with."""
    if not len(kept):
        return came
    return pa.concat_tables([kept, came.select(kept.column_names).cast(kept.schema)])
