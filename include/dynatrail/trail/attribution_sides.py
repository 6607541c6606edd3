"""Reads the two sides of attribution, changes and requests, and gives each row the numbers that `alignment` takes.

Text that few rows differ in is kept as dictionaries, so that a busy hour needs little memory. Numbers follow from what
the texts say, not from which other rows there are: an hour comes out the same alone and with others.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.trail import alignment
from dynatrail.warehouse import engine

if TYPE_CHECKING:
    from datetime import datetime

    from duckdb import DuckDBPyConnection

Ints = npt.NDArray[np.int64]

NOWHERE = -2
"""Number of an item of which there is no change."""

_UNIQUE = ("change_id", "event_id", "item_key_token")
"""Columns of text in which nearly every row differs."""

_SEPARATOR = "\0"
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


def changes(connection: "DuckDBPyConnection", start: "datetime", end: "datetime") -> pa.Table:
    """The rows of `sql/trail/attributable_changes.sql`, compact."""
    return _compact(engine.batches(connection, "trail/attributable_changes.sql", start=start, end=end))


def requests(connection: "DuckDBPyConnection", start: "datetime", end: "datetime", *, of: pa.Table) -> pa.Table:
    """The rows of `sql/trail/write_requests.sql` that concern a table of the changes `of`, compact."""
    tables = plain(pc.unique(of["table_arn"]))
    batches = engine.batches(connection, "trail/write_requests.sql", start=start, end=end)
    return _compact(batch.filter(pc.is_in(batch["table_arn"], value_set=tables)) for batch in batches)


def numbered(
    changes: pa.Table, requests: pa.Table
) -> tuple[alignment.Changes, alignment.Requests, list[frozenset[str]]]:
    """Both sides as numbers, row by row, and the sets of attributes that they number."""
    hours = _together(changes["unit_hour"].cast(pa.int64()), requests["unit_hour"].cast(pa.int64()))
    tables = _together(changes["table_arn"], requests["table_arn"])
    width = int(max((side.max(initial=0) for side in tables), default=0)) + 1
    groups = [hour * width + table for hour, table in zip(hours, tables, strict=True)]
    # Requests without a key are held against several items: there the order of items must not depend on the others.
    tokens, height = _tokens(changes["item_key_token"], requests["item_key_token"])
    keys = [np.where(token < 0, token, group * height + token) for group, token in zip(groups, tokens, strict=True)]
    changed, able, sets = _name_sets(changes["changed_attributes"], requests["attribute_names"])
    (who,) = _together(requests["who"])
    left = alignment.Changes(
        group=groups[0],
        key=keys[0],
        second=_seconds(changes["event_time"]),
        kind=np.asarray(pc.index_in(plain(changes["change_type"]), value_set=_KINDS)).astype(np.int64),
        names=changed,
        order=np.arange(changes.num_rows),
        unasked=np.asarray(changes["may_be_unasked"]),
        doubted=np.asarray(changes["is_doubted"]),
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


def _compact(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches([_encoded(batch) for batch in batches]).unify_dictionaries().combine_chunks()


def _encoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = []
    for name, values in zip(batch.schema.names, batch.columns, strict=True):
        column = pc.binary_join(values, _SEPARATOR) if pa.types.is_list(values.type) else values
        if pa.types.is_string(column.type) and name not in _UNIQUE:
            column = column.dictionary_encode()
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _together(*columns: pa.ChunkedArray) -> list[Ints]:
    """The values of all columns as numbers from one vocabulary, in order of the values; NULL is -1."""
    encoded = [dictionary(column) for column in columns]
    words = pc.unique(pa.chunked_array([each.dictionary for each in encoded]))
    words = words.take(pc.sort_indices(words))
    numbers = []
    for each in encoded:
        place = np.append(np.asarray(pc.index_in(each.dictionary, value_set=words)).astype(np.int64), -1)
        numbers.append(place[np.asarray(pc.fill_null(each.indices.cast(pa.int64()), -1))])
    return numbers


def dictionary(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """The column as one dictionary array."""
    whole = column.combine_chunks()
    whole = whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole
    return whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without a dictionary."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _tokens(changed: pa.ChunkedArray, asked: pa.ChunkedArray) -> tuple[list[Ints], int]:
    """Items as numbers, and their bound: NO_KEY where a request names none, NOWHERE where none of its item changed."""
    encoded = dictionary(changed)
    items = encoded.dictionary
    mine = np.asarray(encoded.indices).astype(np.int64)
    theirs = np.asarray(pc.fill_null(pc.index_in(asked, value_set=items), NOWHERE)).astype(np.int64)
    hidden = np.asarray(pc.is_null(asked))
    if hidden.any():
        rank = np.asarray(pc.rank(items, tiebreaker="first")).astype(np.int64) - 1
        mine, theirs = rank[mine], np.where(theirs < 0, theirs, rank[np.maximum(theirs, 0)])
    return [mine, np.where(hidden, alignment.NO_KEY, theirs)], len(items) + 1


def _name_sets(changed: pa.ChunkedArray, able: pa.ChunkedArray) -> tuple[Ints, Ints, list[frozenset[str]]]:
    """Sets of attributes as numbers; UNKNOWN where a set is not known, or holds what is no plain name."""
    encoded = [dictionary(column) for column in (changed, able)]
    texts = pc.unique(pa.chunked_array([each.dictionary for each in encoded]))
    texts = texts.take(pc.sort_indices(texts))
    sets = [frozenset(text.split(_SEPARATOR)) if text else frozenset() for text in texts.to_pylist()]
    # A placeholder that the record does not resolve, or a path: what it stands for is not known.
    unknown = [any(name[:1] == "#" or "[" in name for name in names) for names in sets]
    mine, theirs = _together(changed, able)
    return mine, np.where(np.array([*unknown, False])[theirs], alignment.UNKNOWN, theirs), sets


def _makes(operation: pa.ChunkedArray, is_partiql: pa.ChunkedArray) -> Ints:
    encoded, partiql = dictionary(operation), np.asarray(is_partiql).astype(np.int64)
    names = encoded.dictionary.to_pylist()
    table = np.array([[_MAKES.get((name, way), 0) for way in (False, True)] for name in [*names, None]], np.int64)
    makes: Ints = table[np.asarray(pc.fill_null(encoded.indices.cast(pa.int64()), -1)), partiql]
    return makes


def _seconds(times: pa.ChunkedArray) -> Ints:
    seconds: Ints = np.asarray(times.cast(pa.int64())).astype(np.int64) // 1_000_000
    return seconds
