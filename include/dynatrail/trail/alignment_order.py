"""From flows between classes to single changes and requests, in the order of the stream."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dynatrail.trail.alignment_classes import EARLIEST_S, LATEST_S, Fits, Graph

if TYPE_CHECKING:
    from dynatrail.trail.alignment import Changes, Requests
    from dynatrail.trail.alignment_flow import Flow

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def individuals(graph: Graph, flow: "Flow") -> Ints:
    """Of each change the place of its request, or -1: the first members of a class go to the earliest of its others."""
    request = np.full(len(graph.change_class), -1)
    used = np.flatnonzero(flow.amount)
    amount = flow.amount[used]
    unit_start = np.cumsum(amount) - amount

    def members(of: Ints, other: Ints, count: Ints, member: Ints) -> Ints:
        """By unit of flow, the member that it takes; `other` orders the edges at one class."""
        order = np.lexsort((other, of))
        length = amount[order]
        units = np.repeat(unit_start[order] - (np.cumsum(length) - length), length) + np.arange(int(length.sum()))
        sorted_of = np.repeat(of[order], length)
        begins = np.searchsorted(sorted_of, sorted_of, side="left")
        starts = np.cumsum(count) - count
        taken = np.empty(len(units), np.int64)
        taken[units] = member[starts[sorted_of] + np.arange(len(units)) - begins]
        return taken

    of, to = graph.of_change[used], graph.of_request[used]
    # Numbers of classes rise with item, then second, so that they stand for time here.
    changed = members(of, to, graph.change_count, graph.change_members)
    asked = members(to, of, graph.request_count, graph.request_members)
    request[changed] = asked
    return request


def uncross(changes: "Changes", requests: "Requests", request: Ints, fits: Fits) -> Ints:
    """Exchange the requests of changes of one item until none come in the wrong order that need not.

    The sum of times stays or shrinks. Changes and requests are in their order, so places stand for it.
    """
    request = request.copy()
    matched = np.flatnonzero(request >= 0)
    if not len(matched):
        return request
    by_key = matched[np.lexsort((matched, changes.key[matched]))]
    _sort_alike(changes, requests, request, by_key)
    parity = quiet = 0
    keys = changes.key[by_key]
    neighbours = np.flatnonzero(keys[:-1] == keys[1:])
    # By its place within the item, so that an item comes out the same whatever others there are.
    place = neighbours - np.searchsorted(keys, keys[neighbours], side="left")
    rounds = [neighbours[place % 2 == 0], neighbours[place % 2 == 1]]
    while quiet < len(rounds):
        pairs = rounds[parity]
        first, second = by_key[pairs], by_key[pairs + 1]
        crossed = np.flatnonzero(requests.second[request[first]] > requests.second[request[second]])
        first, second = first[crossed], second[crossed]
        able = _admissible(changes, requests, fits, first, request[second])
        able &= _admissible(changes, requests, fits, second, request[first])
        first, second = first[able], second[able]
        request[first], request[second] = request[second], request[first]
        quiet = 0 if len(first) else quiet + 1
        parity = 1 - parity
    return request


def _sort_alike(changes: "Changes", requests: "Requests", request: Ints, by_key: Ints) -> None:
    """Bring the requests of changes of one item that are alike but for their times into the order of the changes."""
    asked = request[by_key]
    alike = (
        requests.key[asked],
        requests.names[asked],
        requests.makes[asked],
        changes.names[by_key],
        changes.kind[by_key],
    )
    keys = (*alike, changes.key[by_key])
    places = np.lexsort((by_key, *keys))
    request[by_key[places]] = asked[np.lexsort((asked, *keys))]


def _admissible(changes: "Changes", requests: "Requests", fits: Fits, change: Ints, request: Ints) -> Bools:
    """Whether each of these changes may have been made by the request beside it; both are of one item."""
    lag = requests.second[request] - changes.second[change]
    able: Bools = (lag >= EARLIEST_S) & (lag <= LATEST_S)
    able &= (requests.makes[request] >> changes.kind[change]) & 1 == 1
    able &= fits.surplus(changes.names[change], requests.names[request]) >= 0
    return able


def rivals(graph: Graph, possible: Bools, request: Ints, most: int) -> tuple[Ints, Ints]:
    """Requests other than the chosen one that remain possible for each change, in their order, at most `most` of each.

    Returns:
        The rivals of all changes, one after another, and where those of each begin, with the end of all.
    """
    of, to = graph.of_change[possible], graph.of_request[possible]
    total = np.bincount(of, graph.request_count[to], minlength=len(graph.change_count)).astype(np.int64)
    # Where one request alone is possible, it is the chosen one, or a change that is left over has it as its rival.
    chosen = np.bincount(graph.change_class, request >= 0, minlength=len(graph.change_count)).astype(np.int64)
    several = ((total > 1) | (chosen < graph.change_count))[of]
    of, to = of[several], to[several]
    length = np.minimum(graph.request_count[to], most + 1)
    starts = np.cumsum(graph.request_count) - graph.request_count
    at = np.repeat(starts[to] - (np.cumsum(length) - length), length) + np.arange(int(length.sum()))
    of, asked = np.repeat(of, length), graph.request_members[at]
    order = np.lexsort((asked, of))
    of, asked = of[order], asked[order]
    begins = np.searchsorted(of, of, side="left")
    kept = np.arange(len(of)) - begins <= most
    of, asked = of[kept], asked[kept]
    # Every change has the list of its class, less its own request.
    per_class = np.bincount(of, minlength=len(graph.change_count))
    class_start = np.cumsum(per_class) - per_class
    count = per_class[graph.change_class]
    change = np.repeat(np.arange(len(request)), count)
    place = np.arange(len(change)) - np.repeat(np.cumsum(count) - count, count)
    each = asked[class_start[graph.change_class[change]] + place]
    other = each != request[change]
    change, each = change[other], each[other]
    lengths = np.bincount(change, minlength=len(request))
    rank = np.arange(len(change)) - (np.cumsum(lengths) - lengths)[change]
    kept = rank < most
    change, each = change[kept], each[kept]
    return each, np.concatenate(([0], np.cumsum(np.bincount(change, minlength=len(request)))))
