"""How many of each class of changes go to each class of requests, and what else would have been possible.

A matching of members is a flow over classes. The nearest are taken first; where that leaves a change over, augmenting
paths make room (Dinic's algorithm, `scipy.sparse.csgraph.maximum_flow`). Two maximum flows differ by circulations of
what one of them leaves open, so an edge without flow can have some exactly when it lies on a cycle there: when its two
ends are in one strongly connected component (Régin, "A filtering algorithm for constraints of difference", 1994).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, maximum_flow

from dynatrail.trail.alignment_classes import EARLIEST_S, HIDDEN_KEY, LATEST_S, Graph

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

USUAL_SHARE = 0.02
"""In a table that lacks requests, a time between change and request is believed if so many pairs without any
alternative have it: what is rarer would as often be another change's request."""

USUAL_PAIRS = 10
"""And at least so many pairs: one alone shows no habit."""

TIMES = np.arange(EARLIEST_S, LATEST_S + 1)
"""Seconds between change and request at which one is believed to have made the other."""

USUAL_LAGS = (0, 1)
"""Always believed: an answer takes milliseconds, which may reach over the end of a second."""


@dataclass(frozen=True, slots=True)
class Begun:
    """As many changes as possible with a request, and what that tells of their tables.

    Attributes:
        amount: of each edge, how many go along it.
        unmatched: of each class of changes, how many have no request.
        alone: how often each time between change and request occurs in pairs that have no alternative: one row per
            number of a table, one column per time of TIMES.
    """

    amount: Ints
    unmatched: Ints
    alone: Ints


@dataclass(frozen=True, slots=True)
class Flow:
    """What goes where.

    Attributes:
        amount: of each edge.
        possible: edges that have flow in some explanation.
        unmatched: of each class of changes, how many have no request.
        explained: of each class of changes, whether all changes of its table can have requests at once.
    """

    amount: Ints
    possible: Bools
    unmatched: Ints
    explained: Bools


def begin(graph: Graph, groups: int) -> Begun:
    """A largest matching of near changes and requests; tables are numbered from 0 to less than `groups`."""
    amount = _augmented(graph, _nearest(graph, graph.near))
    unmatched = graph.change_count - _sums(graph.of_change, amount, len(graph.change_count))
    return Begun(amount, unmatched, _alone(graph, groups))


def finish(graph: Graph, begun: Begun, lacking: Bools, alone: Ints) -> Flow:
    """The flow of each table: complete where that is possible, else of what is near.

    Args:
        graph: what `begun` was made of.
        begun: of these classes.
        lacking: of each table, whether the trail lacks requests of it.
        alone: as in Begun, of all that is known of each table.
    """
    explained = ~lacking[graph.change_group]
    amount = begun.amount
    possible = _possible(graph, amount, explained)
    if not explained.all():
        of_lacking = ~explained[graph.of_change]
        believed = of_lacking & _usual(graph, alone)
        amount = np.where(of_lacking, _nearest(graph, believed), amount)
        possible |= believed
    unmatched = graph.change_count - _sums(graph.of_change, amount, len(graph.change_count))
    return Flow(amount, possible, unmatched, explained)


def components(graph: Graph) -> tuple[Ints, Ints]:
    """Of each class of changes and of each of requests, the number of its component, by all edges."""
    component = _components(graph, np.ones(len(graph.of_change), np.bool_))
    return component[: len(graph.change_count)], component[len(graph.change_count) :]


def _nearest(graph: Graph, edges: Bools) -> Ints:
    """Take edge by edge in order of rank, then of least surplus, as much as there is left at both ends."""
    amount = np.zeros(len(graph.of_change), np.int64)
    changes, requests = graph.change_count.copy(), graph.request_count.copy()
    usable = np.flatnonzero(edges)
    order = usable[
        np.lexsort((graph.of_request[usable], graph.of_change[usable], graph.surplus[usable], graph.rank[usable]))
    ]
    first_of_change, first_of_request = np.empty(len(changes), np.int64), np.empty(len(requests), np.int64)
    for rank in np.unique(graph.rank[order]).tolist():
        alive = order[graph.rank[order] == rank]
        # An edge that comes first at both of its ends is taken in whatever order the others are looked at, so all of
        # them are taken together; the outcome is that of going through the edges one by one.
        while True:
            of, to = graph.of_change[alive], graph.of_request[alive]
            open_ = (changes[of] > 0) & (requests[to] > 0)
            alive, of, to = alive[open_], of[open_], to[open_]
            if not len(alive):
                break
            places = np.arange(len(alive))
            first_of_change[of[::-1]] = places[::-1]
            first_of_request[to[::-1]] = places[::-1]
            first = (first_of_change[of] == places) & (first_of_request[to] == places)
            taken, of, to = alive[first], of[first], to[first]
            much = np.minimum(changes[of], requests[to])
            amount[taken] = much
            changes[of] -= much
            requests[to] -= much
    return amount


def _augmented(graph: Graph, amount: Ints) -> Ints:
    """A maximum flow that begins with `amount`, in the components where it leaves a change over."""
    count = len(graph.change_count)
    left = graph.change_count - _sums(graph.of_change, amount, count)
    spare = graph.request_count - _sums(graph.of_request, amount, len(graph.request_count))
    if not left.any() or not len(amount):
        return amount
    component = _components(graph, graph.near)
    size = int(component.max()) + 1
    wanting = _sums(component[:count], left, size) > 0
    offering = _sums(component[count:], spare, size) > 0
    edges = np.flatnonzero((wanting & offering)[component[graph.of_change]] & graph.near)
    if not len(edges):
        return amount
    left_ids, of = np.unique(graph.of_change[edges], return_inverse=True)
    right_ids, to = np.unique(graph.of_request[edges], return_inverse=True)
    of, to = of.ravel() + 1, to.ravel() + 1 + len(left_ids)
    sink = 1 + len(left_ids) + len(right_ids)
    capacity = np.minimum(graph.change_count[graph.of_change[edges]], graph.request_count[graph.of_request[edges]])
    rows = np.concatenate((np.zeros(len(left_ids), np.int64), of, to, 1 + len(left_ids) + np.arange(len(right_ids))))
    columns = np.concatenate((1 + np.arange(len(left_ids)), to, of, np.full(len(right_ids), sink)))
    data = np.concatenate((left[left_ids], capacity - amount[edges], amount[edges], spare[right_ids]))
    network = csr_matrix((data.astype(np.int32), (rows, columns)), shape=(sink + 1, sink + 1))
    found = maximum_flow(network, 0, sink).flow
    result = amount.copy()
    result[edges] += np.asarray(found[of, to]).ravel().astype(np.int64)
    return result


def _possible(graph: Graph, amount: Ints, explained: Bools) -> Bools:
    """Edges of explained tables that have flow in some maximum flow."""
    chosen = explained[graph.of_change]
    possible = (amount > 0) & chosen
    edges = np.flatnonzero(chosen)
    if not len(edges):
        return possible
    count = len(graph.change_count)
    of, to = graph.of_change[edges], graph.of_request[edges] + count
    sink = count + len(graph.request_count)
    capacity = np.minimum(graph.change_count[graph.of_change[edges]], graph.request_count[graph.of_request[edges]])
    forward, backward = amount[edges] < capacity, amount[edges] > 0
    used = _sums(graph.of_request, amount, len(graph.request_count))
    spare, busy = np.flatnonzero(used < graph.request_count), np.flatnonzero(used > 0)
    rows = np.concatenate((of[forward], to[backward], spare + count, np.full(len(busy), sink)))
    columns = np.concatenate((to[forward], of[backward], np.full(len(spare), sink), busy + count))
    residual = csr_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(sink + 1, sink + 1))
    _, part = connected_components(residual, directed=True, connection="strong")
    possible[edges] |= part[of] == part[to]
    return possible


def _alone(graph: Graph, groups: int) -> Ints:
    """How often each time occurs in pairs that have no alternative; one row per table."""
    near = np.flatnonzero(graph.near)
    of, to = graph.of_change[near], graph.of_request[near]
    ones = np.ones(len(near), np.int64)
    alone = _sums(of, ones, len(graph.change_count))[of] == 1
    alone &= _sums(to, ones, len(graph.request_count))[to] == 1
    alone &= graph.rank[near] < HIDDEN_KEY
    cells = graph.change_group[of] * len(TIMES) + (graph.lag[near] - EARLIEST_S)
    return np.bincount(cells[alone], minlength=groups * len(TIMES)).reshape(groups, len(TIMES)).astype(np.int64)


def _usual(graph: Graph, alone: Ints) -> Bools:
    """Edges whose time between change and request is usual in their table."""
    usual = alone >= np.maximum(USUAL_SHARE * alone.sum(axis=1, keepdims=True), USUAL_PAIRS)
    usual[:, np.isin(TIMES, USUAL_LAGS)] = True
    result = np.zeros(len(graph.of_change), np.bool_)
    near = np.flatnonzero(graph.near)
    result[near] = usual[graph.change_group[graph.of_change[near]], graph.lag[near] - EARLIEST_S]
    return result


def _components(graph: Graph, edges: Bools) -> Ints:
    """Of each class of changes, then of each of requests, the number of its component, connected by some edges."""
    count = len(graph.change_count)
    size = count + len(graph.request_count)
    of, to = graph.of_change[edges], graph.of_request[edges]
    links = csr_matrix((np.ones(len(of), np.int8), (of, to + count)), shape=(size, size))
    _, component = connected_components(links, directed=False)
    return np.asarray(component, np.int64)


def _sums(of: Ints, values: Ints, size: int) -> Ints:
    return np.bincount(of, values, minlength=size).astype(np.int64)
