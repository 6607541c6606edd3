"""Which request made which change: the pure matching, on arrays, in any number of tables and items at once.

A change of an item and a request that names the item may belong together where the times, the operation and the
attributes allow it (`alignment_classes`). Each change has at most one request and each request makes at most one change
of an item, so an explanation of all that happened is a matching; many may be possible. A table whose changes can all be
matched at once is explained, and what every complete matching says is certain: by flows over classes of changes and
requests that nothing tells apart, and the strongly connected components of what such a flow leaves open
(`alignment_flow`), in time that grows with the number of rows, however many writes one item has.

A table with a change that finds no request lacks requests, so no matching is known to be the true one. There the
nearest requests are taken, only as far away as is usual in this table, nothing is said to be certain, and what is left
over stays without a request. The same holds where something else says that requests are missing.

What is certain is held against more than what is believed: a request that is a little too far away in time to be taken
for the one that made a change still is another possibility.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from dynatrail.trail import alignment_classes, alignment_flow, alignment_order, alignment_parts

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

INSERT, MODIFY, REMOVE = range(3)
"""Kinds of change; a request's `makes` has the bit `1 << kind` of each that it can make."""

NONE, AMBIGUOUS, PROBABLE, IDENTITY_CERTAIN, CERTAIN = range(5)
"""How sure an answer is."""

NO_KEY = alignment_classes.NO_KEY
UNKNOWN = -1

MOST_RIVALS = 20

ROWS_AT_ONCE = 250_000
"""Changes and requests that are looked at together, more where they cannot be told apart; about 200 bytes each."""


class _Columns:
    def take(self, order: Ints) -> Self:
        """The same rows in another order."""
        return type(self)(**{field.name: getattr(self, field.name)[order] for field in fields(self)})  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Changes(_Columns):
    """Changes, one array a column.

    Attributes:
        group: number of the table: what is explained as a whole.
        key: number of the item; items of different tables have different numbers.
        second: when it was made, whole seconds.
        kind: INSERT, MODIFY or REMOVE.
        names: number of the set of attributes that changed, in `sets`; UNKNOWN: any.
        order: the stream's order; no two are equal.
        unasked: whether it may have come about without a request, though there are requests that fit.
        doubted: whether requests of its table are known to be missing at that time.
    """

    group: Ints
    key: Ints
    second: Ints
    kind: Ints
    names: Ints
    order: Ints
    unasked: Bools
    doubted: Bools


@dataclass(frozen=True, slots=True)
class Requests(_Columns):
    """Items that successful requests write, one array a column.

    Attributes:
        group: number of the table.
        key: number of the item; NO_KEY where the record hides it; less than that for any item without a change.
        second: when the request completed, whole seconds.
        makes: bits of the kinds of change that it can make.
        names: number of the set of attributes that it can change, in `sets`; UNKNOWN: any.
        principal: number of who made it; UNKNOWN where nobody is named.
        order: by time and name; no two are equal.
    """

    group: Ints
    key: Ints
    second: Ints
    makes: Ints
    names: Ints
    principal: Ints
    order: Ints


@dataclass(frozen=True, slots=True)
class Alignment:
    """For each change, as they were given, what was found.

    Attributes:
        request: place of its request; -1: none.
        confidence: NONE to CERTAIN.
        candidates: how many requests could have made it, looked at alone.
        rivals: places of the other requests that remain possible, those of change n at `starts[n]:starts[n + 1]`, in
            order of `Requests.order`, at most MOST_RIVALS of each change.
        explained: whether its table has a request for every change.
    """

    request: Ints
    confidence: Ints
    candidates: Ints
    rivals: Ints
    starts: Ints
    explained: Bools


def align(
    changes: Changes, requests: Requests, sets: Sequence[frozenset[str]], *, at_once: int = ROWS_AT_ONCE
) -> Alignment:
    """Match changes with requests. The rows may come in any order; the answer does not depend on it, nor on `at_once`.

    Args:
        changes: what was changed.
        requests: what could have; of each change, all requests within the limits of `alignment_classes` must be there.
        sets: the sets of attributes that `names` number.
        at_once: about how many rows are looked at together.
    """
    by_change, by_request = np.argsort(changes.order), np.argsort(requests.order)
    found = _Aligned(changes.take(by_change), requests.take(by_request), alignment_classes.Fits(sets), at_once)
    found.align()
    back = np.empty(len(changes), np.int64)
    back[by_change] = np.arange(len(changes))
    lengths = found.rivals_of[back]
    starts = np.concatenate(([0], np.cumsum(lengths)))
    places = np.append(by_request, -1)
    rivals = np.empty(int(starts[-1]), np.int64)
    for mine, theirs in found.rivals:
        each = found.rivals_of[mine]
        to = np.repeat(starts[by_change[mine]] - (np.cumsum(each) - each), each) + np.arange(len(theirs))
        rivals[to] = places[theirs]
    return Alignment(
        request=places[found.request][back],
        confidence=found.confidence[back],
        candidates=found.candidates[back],
        rivals=rivals,
        starts=starts,
        explained=found.explained[back],
    )


class _Aligned:
    """The answer for rows in their order, part by part.

    A table may lie in several parts, and whether it lacks requests shows only when all of them are known: a part whose
    answer that would change is looked at once more.
    """

    def __init__(self, changes: Changes, requests: Requests, fits: alignment_classes.Fits, at_once: int) -> None:
        groups = np.unique(changes.group)
        place = np.minimum(np.searchsorted(groups, requests.group), max(len(groups) - 1, 0))
        known = groups[place] == requests.group if len(groups) else np.zeros(len(requests), np.bool_)
        self._changes = replace(changes, group=np.searchsorted(groups, changes.group))
        # Requests of tables without a change stand behind all others.
        self._requests = replace(requests, group=np.where(known, place, len(groups)))
        self._fits, self._at_once = fits, at_once
        self._lacking = np.zeros(len(groups), np.bool_)
        self._lacking[self._changes.group[changes.doubted]] = True
        self._alone = np.zeros((len(groups), len(alignment_flow.TIMES)), np.int64)
        count = len(changes)
        count = len(changes)
        self.request, self.confidence = np.full(count, -1), np.zeros(count, np.int64)
        self.candidates, self.explained = np.zeros(count, np.int64), np.zeros(count, np.bool_)
        self.rivals_of = np.zeros(count, np.int64)
        self._rivals: dict[int, tuple[Ints, Ints]] = {}

    @property
    def rivals(self) -> Iterable[tuple[Ints, Ints]]:
        """Changes, and the rivals of all of them one after another, of each part."""
        return self._rivals.values()

    def align(self) -> None:
        parts = list(alignment_parts.parts(self._changes, self._requests, self._at_once))
        groups = [np.unique(self._changes.group[part.changes]) for part in parts]
        spread = np.bincount(np.concatenate([*groups, [0]]).astype(np.int64), minlength=len(self._lacking)) > 1
        groups = [of[spread[of]] for of in groups]
        told: dict[int, Bools] = {}
        for number, (part, of) in enumerate(zip(parts, groups, strict=True)):
            begun = self._begun(part)
            self._lacking[begun.graph.change_group[begun.flow.unmatched > 0]] = True
            self._alone += begun.flow.alone
            # Of a table that lacks requests it must be known first which times are usual in all of it.
            if not self._lacking[of].any():
                told[number] = self._lacking[of]
                self._finish(number, part, begun)
        for number, (part, of) in enumerate(zip(parts, groups, strict=True)):
            if number not in told or (told[number] != self._lacking[of]).any():
                self._finish(number, part, self._begun(part))

    def _begun(self, part: alignment_parts.Part) -> "_Begun":
        changes, requests = self._changes.take(part.changes), self._requests.take(part.requests)
        graph = alignment_classes.graph(changes, requests, self._fits)
        return _Begun(changes, requests, graph, alignment_flow.begin(graph, len(self._lacking)))

    def _finish(self, number: int, part: alignment_parts.Part, begun: "_Begun") -> None:
        changes, requests, graph = begun.changes, begun.requests, begun.graph
        flow = alignment_flow.finish(graph, begun.flow, self._lacking, self._alone)
        request = alignment_order.individuals(graph, flow)
        request = alignment_order.uncross(changes, requests, request, self._fits)
        rivals, starts = alignment_order.rivals(graph, flow.possible, request, MOST_RIVALS)
        of, to = graph.of_change[graph.near], graph.of_request[graph.near]
        candidates = np.bincount(of, graph.request_count[to], minlength=len(graph.change_count)).astype(np.int64)
        self.request[part.changes] = np.append(part.requests, -1)[request]
        self.confidence[part.changes] = _Confidence(changes, requests, graph, flow, request).of_changes()
        self.candidates[part.changes] = candidates[graph.change_class]
        self.explained[part.changes] = flow.explained[graph.change_class]
        self.rivals_of[part.changes] = np.diff(starts)
        self._rivals[number] = part.changes, part.requests[rivals]


@dataclass(frozen=True, slots=True)
class _Begun:
    """One part, and what can be said of it before its tables are known as a whole."""

    changes: Changes
    requests: Requests
    graph: alignment_classes.Graph
    flow: alignment_flow.Begun


class _Confidence:
    """How sure the answer is, from what remains possible for each class of changes."""

    def __init__(
        self,
        changes: Changes,
        requests: Requests,
        graph: "alignment_classes.Graph",
        flow: "alignment_flow.Flow",
        request: Ints,
    ) -> None:
        self._changes, self._requests = changes, requests
        self._graph, self._flow, self._request = graph, flow, request

    def of_changes(self) -> Ints:
        graph, flow = self._graph, self._flow
        of = graph.change_class
        matched = self._request >= 0
        single, one_principal = self._unanimous()
        confidence = np.where(matched, PROBABLE, NONE)
        confidence[matched & self._contested()] = AMBIGUOUS
        sure = matched & flow.explained[of]
        confidence[sure & one_principal[of]] = IDENTITY_CERTAIN
        confidence[sure & single[of]] = CERTAIN
        if self._changes.unasked.any():
            confidence = np.minimum(confidence, np.where(self._tainted(), PROBABLE, CERTAIN))
        return confidence

    def _tainted(self) -> Bools:
        """Of each change, whether it or one that could have had its request may have come about without any."""
        component, _ = alignment_flow.components(self._graph)
        tainted = np.zeros(int(component.max(initial=-1)) + 1, np.bool_)
        tainted[component[self._graph.change_class[self._changes.unasked]]] = True
        result: Bools = tainted[component[self._graph.change_class]]
        return result

    def _unanimous(self) -> tuple[Bools, Bools]:
        """Of each class of changes: whether one request alone remains possible, and whether one principal does."""
        graph = self._graph
        count = len(graph.change_count)
        of, to = graph.of_change[self._flow.possible], graph.of_request[self._flow.possible]
        edges = np.bincount(of, minlength=count)
        alone = np.bincount(of, graph.request_count[to] == 1, minlength=count) > 0
        single = (graph.change_count == 1) & (edges == 1) & alone
        who = graph.request_principal[to]
        lowest, highest = np.full(count, np.iinfo(np.int64).max), np.full(count, np.iinfo(np.int64).min)
        np.minimum.at(lowest, of, who)
        np.maximum.at(highest, of, who)
        return single, (lowest == highest) & (lowest != UNKNOWN)

    def _contested(self) -> Bools:
        """Of each matched change: whether another principal's request, or another change, is as good in this place."""
        graph, flow = self._graph, self._flow
        of_class = graph.change_class
        taken = np.maximum(self._request, 0)
        if not len(self._requests):
            return np.zeros(len(of_class), np.bool_)
        hidden = self._requests.key[taken] == NO_KEY
        rank = alignment_classes.rank(self._requests.second[taken] - self._changes.second, hidden)
        who = self._requests.principal[taken]
        best, best_principal, other = self._two_best()
        rival = np.where(best_principal[of_class] == who, other[of_class], best[of_class])
        contested = rival <= rank
        # Without an explanation of all, a change that is left over might have the request as well.
        left_over = flow.unmatched > 0
        contested |= left_over[of_class]
        wanting = left_over[graph.of_change] & graph.near
        wanted = np.full(len(graph.request_count), np.iinfo(np.int64).max)
        np.minimum.at(wanted, graph.of_request[wanting], graph.rank[wanting])
        contested |= wanted[graph.request_class[taken]] <= rank
        result: Bools = contested
        return result

    def _two_best(self) -> tuple[Ints, Ints, Ints]:
        """Of each class of changes: the rank of the best possible request, whose it is, and the best of another's."""
        graph, possible = self._graph, self._flow.possible
        of, rank = graph.of_change[possible], graph.rank[possible]
        who = graph.request_principal[graph.of_request[possible]]
        far = np.iinfo(np.int64).max
        best = np.full(len(graph.change_count), far)
        np.minimum.at(best, of, rank)
        principal = np.full(len(graph.change_count), np.iinfo(np.int64).min)
        leads = rank == best[of]
        np.maximum.at(principal, of[leads], who[leads])
        other = np.full(len(graph.change_count), far)
        differs = who != principal[of]
        np.minimum.at(other, of[differs], rank[differs])
        return best, principal, other
