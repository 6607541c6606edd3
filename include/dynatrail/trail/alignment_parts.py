"""Cuts what is to be aligned into parts that have no pair in common, so that memory does not grow with a busy hour.

An item's changes only meet requests that name the item, and requests that hide which item they wrote. So items may be
looked at one after the other, but for those of a table that requests without a key may have written: they stay
together.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dynatrail.trail.alignment_classes import NO_KEY, SUREST_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dynatrail.trail.alignment import Changes, Requests

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Part:
    """Places of changes and requests, ascending, that are looked at together."""

    changes: Ints
    requests: Ints


def parts(changes: "Changes", requests: "Requests", at_once: int) -> "Iterator[Part]":
    """Parts of up to about `at_once` rows, more where an item has more, or a table those that a keyless request joins.

    Every change is in one part; requests that name an item without changes are in none.
    """
    if not len(changes):
        return
    keys, first, of_change = np.unique(changes.key, return_index=True, return_inverse=True)
    of_change = of_change.ravel()
    bundle = np.arange(len(keys))
    of_request = np.searchsorted(keys, requests.key)
    of_request[of_request == len(keys)] = 0
    named = keys[of_request] == requests.key
    of_request = np.where(named, of_request, -1)
    hidden = np.flatnonzero(requests.key == NO_KEY)
    if len(hidden):
        joined = np.zeros(len(keys), np.bool_)
        joined[of_change[_reached(changes, requests.take(hidden))]] = True
        members = np.flatnonzero(joined)
        groups, leader = np.unique(changes.group[first[members]], return_index=True)
        if len(groups):
            bundle[members] = members[leader][np.searchsorted(groups, changes.group[first[members]])]
            place = np.minimum(np.searchsorted(groups, requests.group[hidden]), len(groups) - 1)
            meets = groups[place] == requests.group[hidden]
            of_request[hidden[meets]] = members[leader][place[meets]]
    size = np.bincount(bundle[of_change], minlength=len(keys))
    asked = of_request >= 0
    size += np.bincount(bundle[of_request[asked]], minlength=len(keys))
    number = ((np.cumsum(size) - size) // max(at_once, 1))[bundle]
    yield from _split(number[of_change], np.where(asked, number[of_request], -1))


def _reached(changes: "Changes", hidden: "Requests") -> Bools:
    """Which changes a request without a key may have made, by table, time and kind."""
    reached = np.zeros(len(changes), np.bool_)
    earliest, latest = SUREST_S
    base = min(int(changes.second.min()), int(hidden.second.min())) + earliest
    span = max(int(changes.second.max()), int(hidden.second.max())) + latest - base + 1
    mine = changes.group * span + (changes.second - base)
    for makes in np.unique(hidden.makes).tolist():
        of_kind = hidden.makes == makes
        theirs = np.sort(hidden.group[of_kind] * span + (hidden.second[of_kind] - base))
        low, high = np.searchsorted(theirs, mine + earliest, "left"), np.searchsorted(theirs, mine + latest, "right")
        reached |= (low < high) & ((makes >> changes.kind) & 1 == 1)
    return reached


def _split(of_change: Ints, of_request: Ints) -> "Iterator[Part]":
    by_change, by_request = np.argsort(of_change, kind="stable"), np.argsort(of_request, kind="stable")
    for number in np.unique(of_change).tolist():
        low, high = np.searchsorted(of_change[by_change], (number, number + 1))
        start, end = np.searchsorted(of_request[by_request], (number, number + 1))
        yield Part(by_change[low:high], by_request[start:end])
