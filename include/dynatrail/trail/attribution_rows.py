"""Makes the rows of `attribution` from both sides, once it is known which request made which change."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.trail import alignment, attribution_sides
from dynatrail.warehouse.schema import ATTRIBUTION

Ints = npt.NDArray[np.int64]

_CONFIDENCE = pa.array(["none", "ambiguous", "probable", "identity_certain", "certain"])
_METHODS = pa.array(["alignment", "expiry", "replication", "reconstructed", "bulk", "no_request"])
_ALIGNMENT, _BULK, _NO_REQUEST = 0, 4, 5
_OF_PLACE = ["unit_hour", "account_id", "region", "table_arn", "may_be_unasked", "is_vouched"]
_OF_REQUEST = ("event_id", "ordinal", "principal_arn", "access_key_id", "first_principal_arn", "principal_class")


def rows(changes: pa.Table, requests: pa.Table, *, rows_at_once: int) -> pa.Table:
    """Rows of `attribution` of the hours' own changes.

    Args:
        changes: as `attribution_sides.changes` reads them.
        requests: as `attribution_sides.requests` does.
        rows_at_once: as for `alignment.align`.
    """
    left, right, sets = attribution_sides.numbered(changes, requests)
    places = np.flatnonzero(np.asarray(pc.is_null(changes["origin"])))
    found = alignment.align(left.take(places), right, sets, at_once=rows_at_once)
    del left, right
    own = np.asarray(changes["is_own"])
    request, confidence = np.full(len(changes), -1), np.zeros(len(changes), np.int64)
    candidates, lengths = np.zeros(len(changes), np.int64), np.zeros(len(changes), np.int64)
    request[places], candidates[places] = found.request, found.candidates
    confidence[places] = _capped(changes.select(_OF_PLACE).take(pa.array(places)), found)
    lengths[places] = np.diff(found.starts)
    rivals = found.rivals[np.repeat(own, lengths)]
    mine = changes if own.all() else changes.filter(pa.array(own))
    request, lengths = request[own], lengths[own]
    method = _method(mine, request)
    asked = requests.select([*_OF_REQUEST, "event_time"]).take(pa.array(request, mask=request < 0))
    lag = pc.subtract(
        asked["event_time"].cast(pa.int64()),
        pc.floor_temporal(mine["event_time"], unit="second").cast(pa.int64()),
    )
    columns = {name: mine[name] for name in mine.column_names if name in ATTRIBUTION.schema.names}
    columns |= {name: asked[name] for name in _OF_REQUEST}
    columns |= {
        "event_date": mine["event_hour"].cast(pa.date32()),
        "method": pa.DictionaryArray.from_arrays(pa.array(method), _METHODS),
        "confidence": pa.DictionaryArray.from_arrays(pa.array(confidence[own]), _CONFIDENCE),
        "candidates": pa.array(candidates[own]).cast(pa.int32()),
        "rivals": _rivals(requests, rivals, lengths, mine["load_event_id"], method == _BULK),
        "time_delta_s": pc.divide(lag.cast(pa.float64()), 1e6),
    }
    return pa.table([columns[name] for name in ATTRIBUTION.schema.names], names=ATTRIBUTION.schema.names).cast(
        ATTRIBUTION.schema
    )


def _capped(changes: pa.Table, found: alignment.Alignment) -> Ints:
    """How sure each answer is, in view of the other tables of its account and region in the hour.

    Where one of them has changes with a request and changes without, calls were lost on their way. A table that seems
    whole may lack some too: the one that made a change, where another one that made none is taken for it. Only what is
    stated to be whole is believed then.
    """
    hours = _numbers(changes["unit_hour"])
    place = (hours * _bound(changes["account_id"]) + _numbers(changes["account_id"])) * _bound(changes["region"])
    place += _numbers(changes["region"])
    table = place * _bound(changes["table_arn"]) + _numbers(changes["table_arn"])
    lost = ~found.explained & (found.request < 0) & ~np.asarray(changes["may_be_unasked"])
    partly = np.isin(table, np.intersect1d(table[lost], table[found.request >= 0]))
    capped = np.isin(place, np.unique(place[partly])) & ~np.asarray(changes["is_vouched"])
    result: Ints = np.where(capped, np.minimum(found.confidence, alignment.PROBABLE), found.confidence)
    return result


def _numbers(column: pa.ChunkedArray) -> Ints:
    numbers: Ints = np.asarray(attribution_sides.dictionary(column).indices).astype(np.int64)
    return numbers


def _bound(column: pa.ChunkedArray) -> int:
    return len(attribution_sides.dictionary(column).dictionary) + 1


def _method(changes: pa.Table, request: Ints) -> Ints:
    """Of each change, the number of its method."""
    origin = pc.index_in(attribution_sides.plain(changes["origin"]), value_set=_METHODS)
    without = np.where(np.asarray(pc.is_valid(changes["load_event_id"])), _BULK, _NO_REQUEST)
    known = np.asarray(pc.fill_null(origin, -1)).astype(np.int64)
    result: Ints = np.where(request >= 0, _ALIGNMENT, np.where(known >= 0, known, without))
    return result


def _rivals(
    requests: pa.Table, places: Ints, lengths: Ints, load: pa.ChunkedArray, is_loaded: npt.NDArray[np.bool_]
) -> pa.ListArray:
    """The event ids of rivals, sorted, each once; of what a bulk load may have put, the load's too.

    Args:
        requests: what `places` names.
        places: rivals of all changes, one after another.
        lengths: how many each change has.
        load: of each change, the event of the load.
        is_loaded: which changes have it as a rival.
    """
    at = np.flatnonzero(is_loaded)
    of = np.concatenate((np.repeat(np.arange(len(lengths)), lengths), at))
    distinct, number = np.unique(places, return_inverse=True)
    names = pa.chunked_array(
        [
            *requests["event_id"].take(pa.array(distinct)).chunks,
            *attribution_sides.plain(load.take(pa.array(at))).chunks,
        ],
        pa.string(),
    )
    number = np.concatenate((number.ravel(), len(distinct) + np.arange(len(at))))
    encoded = attribution_sides.dictionary(names)
    rank = np.asarray(pc.rank(encoded.dictionary, tiebreaker="first")).astype(np.int64) - 1
    size = max(len(rank), 1)
    codes = np.sort(of * size + rank[np.asarray(encoded.indices)[number]])
    codes = codes[np.diff(codes, prepend=-1) != 0]
    by_rank = encoded.dictionary.take(pc.array_sort_indices(encoded.dictionary))
    offsets = np.concatenate(([0], np.cumsum(np.bincount(codes // size, minlength=len(lengths)))))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), by_rank.take(pa.array(codes % size)))
