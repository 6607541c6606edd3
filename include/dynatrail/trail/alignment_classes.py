"""Classes of changes and of requests that nothing tells apart, and which of them may belong together.

Changes of one item in one second, of one kind and with the same attributes changed, form a class; so do one principal's
requests of one item in one second that write the same way. A busy item has few classes a second however many writes it
has, so that the number of edges does not grow with the square of the writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from dynatrail.trail.alignment import Changes, Requests

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

EARLIEST_S = -1
"""Request less change, at least. A request completes after its change, and both times are cut to the second, so that 0
is the least; clocks of two hosts may differ by a second ("eventTime", CloudTrail record contents)."""

LATEST_S = 3
"""Request less change, at most: an answer takes two seconds in all but broken calls, and clocks may differ by one."""

SUREST_S = (-3, 8)
"""Request less change, seconds between which a request must be ruled out before another one is called certain: clocks
that differ by more, and answers that take longer, do happen, if seldom."""

PREFERENCE = (0, 1, -1, 2, 3)
"""Seconds between change and request, the most usual first: an answer takes milliseconds."""

HIDDEN_KEY = 10
"""Added to the rank of a request that does not say which item it wrote: those that do come first."""

NO_KEY = -1
"""Number of the item that a request wrote and does not say."""

_RANK = np.full(LATEST_S - EARLIEST_S + 1, -1)
_RANK[np.array(PREFERENCE) - EARLIEST_S] = np.arange(len(PREFERENCE))
_UNSPECIFIC = 1000
_FEW_SETS = 1000


@dataclass(frozen=True, slots=True)
class Graph:
    """Classes and the edges between them.

    Attributes:
        change_class, request_class: of each change and request, its class.
        change_count, request_count: of each class, how many there are.
        change_group, request_principal: of each class, its table and who.
        change_members, request_members: changes and requests by class, and in each class by their order.
        of_change, of_request: of each edge, its classes; edges are in order of `of_change`.
        rank: of each edge, how unusual its time is; 0 is most usual.
        lag: of each edge, request less change, seconds.
        surplus: of each edge, how many attributes the request can change that the changes did not.
        near: of each edge, whether its time is one at which a request is believed to have made a change at all.
    """

    change_class: Ints
    request_class: Ints
    change_count: Ints
    request_count: Ints
    change_group: Ints
    request_principal: Ints
    change_members: Ints
    request_members: Ints
    of_change: Ints
    of_request: Ints
    rank: Ints
    lag: Ints
    surplus: Ints
    near: Bools


class Fits:
    """Whether a set of changed attributes lies within what a request can change; each pair is looked at once."""

    def __init__(self, sets: Sequence[frozenset[str]]) -> None:
        self._sets = sets
        self._known: dict[int, int] = {}

    def surplus(self, changed: Ints, able: Ints) -> Ints:
        """How many attributes more the request can change, element by element; -1 where the change is beyond it."""
        result = np.full(len(changed), _UNSPECIFIC)
        known = np.flatnonzero((changed >= 0) & (able >= 0))
        if len(known):
            codes = changed[known] * len(self._sets) + able[known]
            if len(self._sets) <= _FEW_SETS:
                # Faster than sorting the codes.
                seen = np.zeros(len(self._sets) ** 2, np.bool_)
                seen[codes] = True
                pairs = np.flatnonzero(seen)
                of = np.cumsum(seen)[codes] - 1
            else:
                pairs, of = np.unique(codes, return_inverse=True)
            each = np.array([self._surplus(pair) for pair in pairs.tolist()], np.int64)
            result[known] = each[of.ravel()]
        return result

    def _surplus(self, pair: int) -> int:
        if pair not in self._known:
            small, large = self._sets[pair // len(self._sets)], self._sets[pair % len(self._sets)]
            self._known[pair] = min(len(large) - len(small), _UNSPECIFIC - 1) if small <= large else -1
        return self._known[pair]


def rank(lag: Ints, hidden: Bools) -> Ints:
    """How unusual a time between change and request is; `hidden`: the request does not say which item it wrote."""
    within = (lag >= EARLIEST_S) & (lag <= LATEST_S)
    found: Ints = np.where(within, _RANK[np.where(within, lag - EARLIEST_S, 0)], len(PREFERENCE)) + HIDDEN_KEY * hidden
    return found


def graph(changes: "Changes", requests: "Requests", fits: Fits) -> Graph:
    """The classes of rows that are in their order, and the edges that times, kinds and attributes allow."""
    first_change, change_class, change_count = _classes(
        changes.key, changes.second, changes.kind, changes.names, changes.group
    )
    first_request, request_class, request_count = _classes(
        requests.key, requests.second, requests.makes, requests.names, requests.principal, requests.group
    )
    left, right = changes.take(first_change), requests.take(first_request)
    keyed = np.flatnonzero(right.key >= 0)
    hidden = np.flatnonzero(right.key == NO_KEY)
    pairs = [
        _near(left.key, left.second, right.key[keyed], right.second[keyed], keyed),
        _near(left.group, left.second, right.group[hidden], right.second[hidden], hidden),
    ]
    of_change = np.concatenate([pair[0] for pair in pairs])
    of_request = np.concatenate([pair[1] for pair in pairs])
    able = (right.makes[of_request] >> left.kind[of_change]) & 1 == 1
    of_change, of_request = of_change[able], of_request[able]
    surplus = fits.surplus(left.names[of_change], right.names[of_request])
    order = np.flatnonzero(surplus >= 0)
    order = order[np.argsort(of_change[order] * max(len(first_request), 1) + of_request[order])]
    of_change, of_request, surplus = of_change[order], of_request[order], surplus[order]
    lag = right.second[of_request] - left.second[of_change]
    return Graph(
        change_class=change_class,
        request_class=request_class,
        change_count=change_count,
        request_count=request_count,
        change_group=left.group,
        request_principal=right.principal,
        change_members=np.argsort(change_class, kind="stable"),
        request_members=np.argsort(request_class, kind="stable"),
        of_change=of_change,
        of_request=of_request,
        rank=rank(lag, right.key[of_request] == NO_KEY),
        lag=lag,
        surplus=surplus,
        near=(lag >= EARLIEST_S) & (lag <= LATEST_S),
    )


def _near(place: Ints, second: Ints, other_place: Ints, other_second: Ints, names: Ints) -> tuple[Ints, Ints]:
    """Pairs of one place that lie within the limits of time; `names` are the others' numbers."""
    if not len(place) or not len(other_place):
        empty = np.empty(0, np.int64)
        return empty, empty
    earliest, latest = SUREST_S
    base = min(int(second.min()), int(other_second.min())) + earliest
    span = max(int(second.max()), int(other_second.max())) + latest - base + 1
    codes = other_place * span + (other_second - base)
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    mine = place * span + (second - base)
    low = np.searchsorted(codes, mine + earliest, side="left")
    high = np.searchsorted(codes, mine + latest, side="right")
    count = high - low
    of = np.repeat(np.arange(len(place)), count)
    at = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
    return of, names[order[at]]


def _classes(*columns: Ints) -> tuple[Ints, Ints, Ints]:
    """The first row of each distinct tuple of values, of each row its tuple's number, and how many rows each has."""
    codes = columns[0] - columns[0].min() if len(columns[0]) else columns[0]
    bound = int(codes.max(initial=0)) + 1
    for column in columns[1:]:
        values = column - column.min() if len(column) else column
        width = int(values.max(initial=0)) + 1
        if bound * width >= 1 << 62:
            _, codes = np.unique(codes, return_inverse=True)
            bound = int(codes.max(initial=0)) + 1
        if bound * width >= 1 << 62:
            distinct, values = np.unique(values, return_inverse=True)
            width = len(distinct)
        codes, bound = codes * width + values, bound * width
    _, first, of, count = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
    return first, of.ravel().astype(np.int64), count.astype(np.int64)
