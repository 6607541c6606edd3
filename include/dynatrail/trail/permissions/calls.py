"""Which permission decided a call: what AWS says of denied ones, for allowed ones the statements that were in force.

Calls that asked for the same under the same policies were decided by the same statements. So calls are put into groups
by who asked for what (`sql/permission/calls.sql`), a group's calls into the stretches of time between two changes of
the policies that count for it, and a stretch's calls apart by those columns only that conditions of matching statements
hang on. One of each is decided; the rest is arrays.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from dynatrail.clock import DAY, HOUR, hour_of, plain
from dynatrail.errors import WarehouseError
from dynatrail.trail.permissions import asking, deciding, facts
from dynatrail.trail.permissions.asking import Ask, State
from dynatrail.trail.permissions.context import LATE_COLUMNS
from dynatrail.trail.permissions.explaining import Explanation
from dynatrail.trail.permissions.sources import Book
from dynatrail.warehouse import engine
from dynatrail.warehouse.schema import INSTANT

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_TEXT = pa.dictionary(pa.int32(), pa.string())
DECIDED = pa.schema(
    [
        ("event_id", pa.string()),
        ("recipient_account_id", pa.string()),
        ("region", pa.string()),
        ("event_time", INSTANT),
        ("verdict", _TEXT),
        ("label", _TEXT),
        ("standing", _TEXT),
        ("conditions", _TEXT),
        ("sentence", _TEXT),
        ("explanation", _TEXT),
    ]
)
"""One row per call; `explanation` is the JSON of an `Explanation`. A text that many rows share is held once."""

_FAR = timedelta(days=400)
"""How far changes are looked for where no look tells how things were."""

CHOSEN = pa.schema([("event_id", pa.string())])
"""The relation `chosen` of `sql/permission/calls.sql`; without rows: all events."""


def decided(
    connection: "DuckDBPyConnection",
    start: datetime,
    end: datetime,
    *,
    event_ids: Collection[str] | None = None,
) -> pa.Table:
    """Which permission decided each DynamoDB call, and each denied call, of [start, end).

    Args:
        connection: an engine over the warehouse.
        start: beginning of the half-open window of event time.
        end: its end.
        event_ids: only these events of the window, whatever service they are of.

    Returns:
        Rows in order of time, of the schema `DECIDED`.

    Raises:
        WarehouseError: a table cannot be read.
    """
    if event_ids is not None and not event_ids:
        return DECIDED.empty_table()
    start, end = plain(start), plain(end)
    decider = load(connection, start, end)
    with _chosen(connection, event_ids or ()):
        tables = [decider.decide(rows) for rows in _calls(connection, start, end)]
    return pa.concat_tables(tables).unify_dictionaries() if tables else DECIDED.empty_table()


def explain_event(connection: "DuckDBPyConnection", event_id: str) -> Explanation:
    """Which permission decided one event.

    Raises:
        WarehouseError: there is no such event, or it is a forged one.
    """
    times = engine.run_file(connection, "permission/event_times.sql", event_id=event_id)["event_time"].to_pylist()
    if not times:
        raise WarehouseError(
            f"There is no event {event_id!r} in api_event that could be trusted: look for it with "
            f"`python -m dynatrail query`, or run extract_cloudtrail over its hour."
        )
    instant = plain(times[0])
    until = instant + timedelta(microseconds=1)
    decider = load(connection, instant, until)
    with _chosen(connection, [event_id]):
        (rows,) = _calls(connection, instant, until)
    return decider.explain_rows(rows)[0][0]


def sentence(connection: "DuckDBPyConnection", event_id: str) -> str:
    """The same in a few words: `allowed by statement ClinicWrites of policy X (recomputed)`.

    Raises:
        WarehouseError: as `explain_event`.
    """
    return explain_event(connection, event_id).sentence


def load(connection: "DuckDBPyConnection", start: datetime, end: datetime) -> "Decider":
    """Everything known of policies in [start, end): snapshots of all times, and changes between the looks around it."""
    snapshots = engine.run_file(connection, "permission/snapshots.sql").to_pylist()
    looks = engine.run_file(connection, "permission/looks.sql").to_pylist()
    since, until = _reach(snapshots, looks, start, end)
    changes = engine.run_file(connection, "permission/changes.sql", start=since, end=until).to_pylist()
    return Decider(Book(facts.histories(snapshots, looks, changes)))


def _reach(
    snapshots: Iterable[dict[str, Any]], looks: list[dict[str, Any]], start: datetime, end: datetime
) -> tuple[datetime, datetime]:
    """The span whose changes count: a look before it knows what came before, one after it hides what came later."""
    places = {(row["source"], row["account_id"], row["region"]) for row in snapshots}
    before, after = dict.fromkeys(places, start - _FAR), dict.fromkeys(places, end + _FAR)
    for row in looks:  # ascending within a place
        place, hour = (row["source"], row["account_id"], row["region"]), plain(row["event_hour"])
        if place in places and hour <= start:
            before[place] = hour
        elif place in places and hour >= end:
            after[place] = min(after[place], hour + HOUR)
    return min(before.values(), default=start - _FAR), max(after.values(), default=end + _FAR)


@contextmanager
def _chosen(connection: "DuckDBPyConnection", event_ids: Iterable[str]) -> Iterator[None]:
    """The relation `chosen` while it lasts."""
    connection.register("chosen", pa.table([pa.array(sorted(event_ids), pa.string())], schema=CHOSEN))
    try:
        yield
    finally:
        connection.unregister("chosen")


def _calls(connection: "DuckDBPyConnection", start: datetime, end: datetime) -> Iterator[pa.Table]:
    """The calls, a day at a time, so that a long window needs no more memory than a day."""
    at = start
    while at < end:
        until = min(hour_of(at).replace(hour=0) + DAY, end)
        rows = engine.run_file(connection, "permission/calls.sql", start=at, end=until)
        if rows.num_rows:
            yield rows
        at = until


@dataclass(slots=True)
class _Group:
    """One ask, when the policies that count for it change (µs since 1970), and what was found out of each stretch."""

    asked: Ask
    instants: "np.ndarray[Any, np.dtype[np.int64]]"
    states: dict[int, "_Stretch"] = field(default_factory=dict)
    found: dict[tuple[Any, ...], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The policies of a group between two changes, the late columns that conditions hang on, how time is cut (µs)."""

    state: State
    late: tuple[str, ...]
    cuts: "np.ndarray[Any, np.dtype[np.int64]] | None"


@dataclass(slots=True)
class Decider:
    """Decides calls, and remembers what it has decided.

    Attributes:
        book: all histories.
        decisions: number of explanations that were computed.
    """

    book: Book
    groups: dict[str, _Group] = field(default_factory=dict)
    explanations: list[Explanation] = field(default_factory=list)
    decisions: int = 0
    _known: dict[Explanation, int] = field(default_factory=dict)

    def decide(self, rows: pa.Table) -> pa.Table:
        """The rows of `sql/permission/calls.sql`, decided: a table of the schema `DECIDED`, in the same order."""
        codes = self._codes(rows)
        used, local = np.unique(codes, return_inverse=True)
        chosen = [self.explanations[code] for code in used.tolist()]
        columns: list[pa.Array | pa.ChunkedArray] = [rows[name] for name in DECIDED.names[:4]]
        for name in DECIDED.names[4:]:
            texts = [one.json() if name == "explanation" else getattr(one, name) for one in chosen]
            columns.append(_dictionary(texts, local))
        return pa.table(columns, names=DECIDED.names).cast(DECIDED)

    def explain_rows(self, rows: pa.Table) -> list[tuple[Explanation, str]]:
        """Each row's explanation, and the account whose trail it is of."""
        accounts = rows["recipient_account_id"].to_pylist()
        return [
            (self.explanations[code], account)
            for code, account in zip(self._codes(rows).tolist(), accounts, strict=True)
        ]

    def _codes(self, rows: pa.Table) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """The explanation of each row, as its place in `explanations`."""
        combinations = rows["combination"].combine_chunks().dictionary_encode()
        group_of = combinations.indices.to_numpy()
        times = rows["event_time"].cast(INSTANT).cast(pa.int64()).to_numpy()
        order = np.argsort(group_of, kind="stable")
        bounds = np.searchsorted(group_of[order], np.arange(len(combinations.dictionary) + 1))
        codes = np.empty(rows.num_rows, np.int64)
        for number, combination in enumerate(combinations.dictionary.to_pylist()):
            members = order[bounds[number] : bounds[number + 1]]
            group = self._group(combination, rows, int(members[0]))
            stretches = np.searchsorted(group.instants, times[members], side="right")
            for stretch in np.unique(stretches).tolist():
                inside = members[stretches == stretch]
                codes[inside] = self._of_stretch(group, stretch, rows, inside)
        return codes

    def _group(self, combination: str, rows: pa.Table, at: int) -> _Group:
        if (group := self.groups.get(combination)) is None:
            asked = asking.ask(rows.slice(at, 1).to_pylist()[0])
            entities = [asked.principal] if asked.principal else []
            instants = {
                instant
                for entity in (*entities, *(("resource", "", arn) for arn in asked.resources()))
                for instant in self.book.instants(entity)
            }
            group = _Group(asked, np.array(sorted(_micros(one) for one in instants), np.int64))
            self.groups[combination] = group
        return group

    def _of_stretch(
        self, group: _Group, stretch: int, rows: pa.Table, members: "np.ndarray[Any, np.dtype[np.int64]]"
    ) -> "np.ndarray[Any, np.dtype[np.int64]] | int":
        """The explanations of a group's calls between two changes; one for all where no condition tells them apart."""
        if stretch not in group.states:
            instant = plain(rows["event_time"][int(members[0])].as_py())
            state = asking.state(self.book, group.asked, instant)
            cuts = asking.time_cuts(group.asked, state)
            micros = None if cuts is None else np.array([_micros(one) for one in cuts], np.int64)
            group.states[stretch] = _Stretch(state, asking.late_columns(group.asked, state), micros)
        at = group.states[stretch]
        if not at.late:
            return self._explained(group, stretch, at.state, (), {})
        values = rows.select(list(at.late)).take(pa.array(members)).to_pydict()
        keys = dict(values)
        if at.cuts is not None and "event_time" in values:
            times = rows["event_time"].cast(INSTANT).cast(pa.int64()).to_numpy()[members]
            keys["event_time"] = np.searchsorted(at.cuts, times, side="right").tolist()
        found = np.empty(len(members), np.int64)
        for n, key in enumerate(zip(*keys.values(), strict=True)):
            found[n] = self._explained(group, stretch, at.state, key, {name: values[name][n] for name in at.late})
        return found

    def _explained(self, group: _Group, stretch: int, state: State, key: tuple[Any, ...], late: dict[str, Any]) -> int:
        code = group.found.get((stretch, *key))
        if code is None:
            row = {name: group.asked.row[name] for name in LATE_COLUMNS} | late
            explanation = deciding.explain(group.asked, state, row)
            self.decisions += 1
            code = self._known.setdefault(explanation, len(self.explanations))
            if code == len(self.explanations):
                self.explanations.append(explanation)
            group.found[stretch, *key] = code
        return code


def _dictionary(texts: list[str | None], indices: "np.ndarray[Any, np.dtype[np.int64]]") -> pa.Array:
    """Texts by their place, each different one once."""
    distinct = {text: at for at, text in enumerate(dict.fromkeys(text for text in texts if text is not None))}
    places = pa.array([distinct[text] if text is not None else None for text in texts], pa.int32())
    return pa.DictionaryArray.from_arrays(places.take(pa.array(indices)), pa.array(list(distinct), pa.string()))


def _micros(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
