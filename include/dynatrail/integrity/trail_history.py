"""What the trails of all accounts selected, hour by hour: from snapshots of their configuration and the events between.

A trail counts for a table while it exists and is logging, covers the table's account and region, and delivers into a
bucket and prefix that Dynatrail's configuration reads. Answers are worked out once for each stretch of time in which
nothing changed, each operation, and each group of tables that the selectors treat alike.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from dynatrail import clock
from dynatrail.arns import place_of
from dynatrail.integrity import trail_rows
from dynatrail.integrity.operations import CONTROL_PLANE, named
from dynatrail.integrity.selectors import Answer, Selector, a_stream_of, decide
from dynatrail.integrity.selectors_text import excluded
from dynatrail.integrity.trail_rows import Reading, Rows
from dynatrail.integrity.trail_timeline import Cause, State
from dynatrail.integrity.words import Selection
from dynatrail.warehouse.schema import COVERAGE

if TYPE_CHECKING:
    from dynatrail.settings import Settings
    from dynatrail.warehouse.store import Warehouse

WORST_LAST = (Selection.FULL, Selection.UNKNOWN, Selection.PARTIAL, Selection.NONE)
"""Of several states within an hour the last of these counts."""

RELATION = ("account_id", "region", "table_name", "operation", "event_hour", "selection", "excluded")
"""Columns of `relation`; their types are those of `coverage`."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What counts for one account and region.

    Attributes:
        known: (trail, selector) of the trails that count.
        perhaps: the same of trails that may.
        blind: (trail or empty, why) where selectors are not known.
        elsewhere: why trails that are there do not count, for people.
    """

    known: tuple[tuple[str, Selector], ...] = ()
    perhaps: tuple[tuple[str, Selector], ...] = ()
    blind: tuple[tuple[str, str], ...] = ()
    elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time in which the configuration of an account and region stayed the same.

    Attributes:
        start, end: None: without a known bound.
        causes: what set it, at `start`.
    """

    start: datetime | None
    end: datetime | None
    configuration: Configuration
    causes: tuple[Cause, ...] = ()


@dataclass(frozen=True, slots=True)
class Selected:
    """What the trails select of a table's operation in an hour.

    Attributes:
        excluded: what they leave out, for people, sorted; where only for part of the hour, with the times.
        trails: ARNs of the trails that select something.
        changed: instants within the hour at which the configuration changed.
    """

    selection: Selection
    excluded: tuple[str, ...] = ()
    trails: tuple[str, ...] = ()
    changed: tuple[datetime, ...] = ()


@dataclass(slots=True)
class SelectorHistory:
    """Everything that is known of the trails over time. Make one with `load`."""

    rows: Rows
    reading: Reading
    _segments: dict[tuple[str, str], list[Segment]] = field(default_factory=dict)
    _answers: dict[tuple[Configuration, str, tuple[bool, ...]], Answer] = field(default_factory=dict)
    _selected: dict[tuple[str, str, tuple[int, ...], datetime | None, str, tuple[bool, ...]], Selected] = field(
        default_factory=dict
    )

    @classmethod
    def load(
        cls, source: "Settings | Warehouse", start: datetime | None = None, end: datetime | None = None
    ) -> "SelectorHistory":
        """Read snapshots and events.

        Args:
            source: the settings; or a warehouse, then every bucket counts as read.
            start: first hour that will be asked about, where that is known; what comes before is left out.
            end: end of the last one.

        Raises:
            SettingsError: the configuration is wrong.
            WarehouseError: the warehouse cannot be read.
        """
        return cls(trail_rows.load(source), Reading.of(source, start, end))

    def at(self, table_arn: str, operation: str, hour: datetime) -> Selected:
        """What was selected in the hour that starts at `hour`; the worst where it changed within it."""
        account, region, _ = place_of(table_arn)
        segments = self.segments(account, region)
        touched = _touched(segments, hour)
        group = self.group(table_arn)
        return self._in_hour(account, region, touched, hour, operation, group, table_arn)

    def segments(self, account_id: str, region: str) -> list[Segment]:
        """The configurations of an account and region, in order; together they are all of time."""
        place = (account_id, region)
        if place not in self._segments:
            self._segments[place] = _segments(self.rows, self.reading, account_id, region)
        return self._segments[place]

    def answer(self, configuration: Configuration, operation: str, table_arn: str) -> Answer:
        """What a configuration selects of a table's operation."""
        key = (configuration, operation, _treated(configuration, table_arn))
        if key not in self._answers:
            self._answers[key] = decide(
                named(operation), table_arn, configuration.known, configuration.perhaps, configuration.blind
            )
        return self._answers[key]

    def group(self, table_arn: str) -> tuple[bool, ...]:
        """How the selectors of all times treat a table: tables of one place and group have the same answers."""
        segments = self.segments(*place_of(table_arn)[:2])
        return tuple(held for segment in segments for held in _treated(segment.configuration, table_arn))

    def _in_hour(
        self,
        account_id: str,
        region: str,
        touched: tuple[int, ...],
        hour: datetime,
        operation: str,
        group: tuple[bool, ...],
        table_arn: str,
    ) -> Selected:
        # The hour itself only has a say where something changed within it.
        key = (account_id, region, touched, hour if len(touched) > 1 else None, operation, group)
        if key not in self._selected:
            segments = [self.segments(account_id, region)[one] for one in touched]
            self._selected[key] = self._combined(segments, hour, operation, table_arn)
        return self._selected[key]

    def _combined(self, segments: Sequence[Segment], hour: datetime, operation: str, table_arn: str) -> Selected:
        read_only = all(call.read_only for call in named(operation).calls)
        worst, trails, lines = Selection.FULL, set[str](), set[str]()
        for segment in segments:
            answer = self.answer(segment.configuration, operation, table_arn)
            worst = max(worst, answer.selection, key=WORST_LAST.index)
            trails |= set(answer.trails)
            if answer.selection is not Selection.FULL:
                when = _when(segment, hour)
                said = (*excluded(answer, read_only=read_only), *segment.configuration.elsewhere)
                lines |= {f"{line}{when}" for line in said}
        changed = tuple(one.start for one in segments[1:] if one.start is not None)
        if (first := segments[0].start) is not None and first >= hour:
            changed = (first, *changed)
        return Selected(worst, tuple(sorted(lines)), tuple(sorted(trails)), changed)


def relation(
    history: SelectorHistory, tables: Iterable[str], operations: Iterable[str], hours: Iterable[datetime]
) -> pa.Table:
    """What was selected of every table (by ARN), operation and hour.

    Returns:
        account_id, region, table_name, operation, event_hour, selection, excluded: the types are those of `coverage`;
        text is dictionary-encoded. Sorted by table, then operation, then hour, as given.
    """
    arns, names, starts = list(tables), list(operations), list(hours)
    found: dict[Selected, int] = {}
    groups: dict[tuple[str, str, tuple[bool, ...]], np.ndarray] = {}
    places: dict[tuple[str, str], list[tuple[int, ...]]] = {}
    codes = np.empty((len(arns), len(names), len(starts)), np.int32)
    for row, arn in enumerate(arns):
        account, region, _ = place_of(arn)
        if (account, region) not in places:
            segments = history.segments(account, region)
            places[account, region] = [_touched(segments, hour) for hour in starts]
        touched = places[account, region]
        group = history.group(arn)
        if (account, region, group) not in groups:
            block = np.empty((len(names), len(starts)), np.int32)
            for at, operation in enumerate(names):
                for column, hour in enumerate(starts):
                    one = history._in_hour(account, region, touched[column], hour, operation, group, arn)  # noqa: SLF001
                    block[at, column] = found.setdefault(one, len(found))
            groups[account, region, group] = block
        codes[row] = groups[account, region, group]
    return _table(arns, names, starts, codes, list(found))


def _treated(configuration: Configuration, table_arn: str) -> tuple[bool, ...]:
    return tuple(
        condition.holds(arn)
        for _, selector in (*configuration.known, *configuration.perhaps)
        for condition in selector.conditions
        if condition.field == "resources.ARN"
        for arn in (table_arn, a_stream_of(table_arn))
    )


def _table(
    arns: Sequence[str], names: Sequence[str], hours: Sequence[datetime], codes: np.ndarray, found: Sequence[Selected]
) -> pa.Table:
    of_table = np.repeat(np.arange(len(arns), dtype=np.int32), len(names) * len(hours))
    of_name = np.tile(np.repeat(np.arange(len(names), dtype=np.int32), len(hours)), len(arns))
    of_hour = np.tile(np.arange(len(hours), dtype=np.int32), len(arns) * len(names))
    places = [place_of(arn) for arn in arns]
    at = pa.array(codes.reshape(-1))
    lists = pa.array([list(one.excluded) or None for one in found], COVERAGE.schema.field("excluded").type)
    columns = {
        "account_id": _encoded(of_table, [place.account_id for place in places]),
        "region": _encoded(of_table, [place.region for place in places]),
        "table_name": _encoded(of_table, [place.name for place in places]),
        "operation": _encoded(of_name, names),
        "event_hour": pa.array(hours, COVERAGE.schema.field("event_hour").type).take(pa.array(of_hour)),
        "selection": _encoded(at, [str(one.selection) for one in found]),
        "excluded": lists.take(at),
    }
    return pa.table(columns)


def _encoded(used: "np.ndarray | pa.Array", values: Sequence[str]) -> pa.DictionaryArray:
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices.take(pa.array(used)), encoded.dictionary)


def _segments(rows: Rows, reading: Reading, account_id: str, region: str) -> list[Segment]:
    """The stretches of time of one account and region, neighbours that say the same put together."""
    since = rows.known_since(account_id)
    lines = {arn: line.states() for arn, line in sorted(rows.lines.items())}
    instants = {at for states in lines.values() for at, _ in states if at is not None}
    bounds = [None, *sorted(instants | ({since} if since else set()))]
    found: list[Segment] = []
    for start, end in zip(bounds, [*bounds[1:], None], strict=True):
        if not reading.wants(start, end):
            continue
        if since is None or start is None or start < since:
            what = f"before {clock.iso(since)}" if since else f"of account {account_id}"
            configuration = Configuration(blind=(("", f"nothing is known of the trails {what}"),))
        else:
            states = [_state(of_trail, start) for of_trail in lines.values()]
            configuration = _configuration(rows, reading, states, account_id, region)
        if found and found[-1].configuration == configuration:
            found[-1] = Segment(found[-1].start, end, configuration, found[-1].causes)
        else:
            causes = tuple(one for one in rows.causes if one.at == start)
            found.append(Segment(start, end, configuration, causes))
    return found


def _configuration(
    rows: Rows, reading: Reading, states: Iterable[State], account_id: str, region: str
) -> Configuration:
    known: list[tuple[str, Selector]] = []
    perhaps: list[tuple[str, Selector]] = []
    blind: list[tuple[str, str]] = []
    elsewhere: list[str] = []
    if not rows.was_looked_at(account_id):
        blind.append(("", f"the trails of account {account_id} were never looked at"))
    for state in states:
        counts = _counts(rows, state, account_id, region)
        if counts is False:
            continue
        if state.logging is False:
            elsewhere.append(f"trail {state.name} is not logging")
            continue
        if state.bucket is not None and not reading.reads(state.bucket, state.prefix or "", account_id, region):
            place = f"s3://{state.bucket}" + (f"/{state.prefix}" if state.prefix else "")
            elsewhere.append(f"trail {state.name} delivers to {place}, which Dynatrail does not read")
            continue
        sure = counts and state.logging and state.bucket is not None
        if state.selectors is None:
            blind.append((state.arn, "has selectors that are not known for this time"))
        else:
            (known if sure else perhaps).extend((state.arn, one) for one in state.selectors)
    return Configuration(tuple(known), tuple(perhaps), tuple(blind), tuple(sorted(elsewhere)))


def _counts(rows: Rows, state: State, account_id: str, region: str) -> bool | None:
    """Whether a trail covers an account and region; None: not known."""
    if state.exists is False:
        return False
    here = state.home_region == region or state.multi_region
    if here is False:
        return False
    if state.account_id == account_id:
        return None if here is None or state.exists is None else True
    if state.organization is False:
        return False
    member = rows.is_member(account_id, state.arn)
    if member is False:
        return False
    return None if None in (member, state.organization, here, state.exists) else True


def _state(states: Sequence[tuple[datetime | None, State]], at: datetime) -> State:
    return next(state for since, state in reversed(states) if since is None or since <= at)


def _touched(segments: Sequence[Segment], hour: datetime) -> tuple[int, ...]:
    """Places of the segments that an hour lies in."""
    starts = [one.start for one in segments[1:] if one.start is not None]
    first = bisect_right(starts, hour)
    last = first
    while last < len(starts) and starts[last] < hour + clock.HOUR:
        last += 1
    return tuple(range(first, last + 1))


def _when(segment: Segment, hour: datetime) -> str:
    """For which part of the hour, where it is not the whole."""
    start, end = segment.start, segment.end
    begins = clock.iso(start) if start is not None and start > hour else ""
    ends = clock.iso(end) if end is not None and end < hour + clock.HOUR else ""
    return (f" from {begins}" if begins else "") + (f" until {ends}" if ends else "")


__all__ = ["CONTROL_PLANE", "RELATION", "Configuration", "Segment", "Selected", "SelectorHistory", "relation"]
