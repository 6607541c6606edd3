"""What the event selectors of trails select of an operation's calls on a table, decided without looking at any call.

Rules: "Filtering data events by using advanced event selectors", PutEventSelectors and DataResource. Inside one field
the select operators are OR-ed, the deselect operators AND-ed, and both hold; fields are AND-ed, selectors OR-ed. Basic
selectors are read as the advanced ones that mean the same.

For one table and operation all fields have known values but two: whether the console made the call, and who did
(`userIdentity.arn`). So a selector either selects no such call, or those of some callers. `identities` tells how the
union over all selectors is compared with everybody, exactly.

"For tables with streams enabled, the resources field in the data event contains both AWS::DynamoDB::Stream and
AWS::DynamoDB::Table. If you specify AWS::DynamoDB::Table for the resources.type, it will log both" (AWS, "Logging data
events"): records of a stream are selected as its table's or as the stream's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynatrail.integrity.identities import Identities, Witness, describe, witnesses
from dynatrail.integrity.operations import ANY_OTHER, STREAM, TABLE, Call, Operation
from dynatrail.integrity.words import Selection

SOURCE = "dynamodb.amazonaws.com"
_CONSOLE, _IDENTITY = "sessionCredentialFromConsole", "userIdentity.arn"
_ORDER = ("eventCategory", "resources.type", "eventSource", "eventType", "resources.ARN", "readOnly", "eventName")
_KINDS = (TABLE, STREAM)


@dataclass(frozen=True, slots=True)
class Condition:
    """One field selector: what the field may be."""

    field: str
    equals: tuple[str, ...] = ()
    starts_with: tuple[str, ...] = ()
    ends_with: tuple[str, ...] = ()
    not_equals: tuple[str, ...] = ()
    not_starts_with: tuple[str, ...] = ()
    not_ends_with: tuple[str, ...] = ()

    def holds(self, value: str) -> bool:
        """Whether a record passes whose field has this value; a field that is not there is as an empty one."""
        if value in self.not_equals or value.startswith(self.not_starts_with) or value.endswith(self.not_ends_with):
            return False
        if not (self.equals or self.starts_with or self.ends_with):
            return True
        return value in self.equals or value.startswith(self.starts_with) or value.endswith(self.ends_with)


@dataclass(frozen=True, slots=True)
class Selector:
    """One advanced event selector, or what a basic one means."""

    conditions: tuple[Condition, ...]

    @property
    def filters_tables(self) -> bool:
        return any(one.field == "resources.ARN" for one in self.conditions)


@dataclass(frozen=True, slots=True)
class Callers:
    """Whose calls one selector selects, where it selects any.

    Attributes:
        consoles: of calls that the console made (True) and others (False), those it selects.
        identities: conditions on `userIdentity.arn`.
        certain: False: it also asks about a field that Dynatrail does not know.
    """

    consoles: frozenset[bool]
    identities: tuple[Condition, ...]
    certain: bool = True

    def include(self, arn: str, *, console: bool) -> bool:
        return console in self.consoles and all(one.holds(arn) for one in self.identities)


@dataclass(frozen=True, slots=True)
class Gap:
    """Calls that no trail selects.

    Attributes:
        calls: which kinds of records; empty: all of the operation's.
        console: True: only those that the console made; False: only others; None: both.
        identities: whose; empty: everybody's.
    """

    calls: tuple[str, ...] = ()
    console: bool | None = None
    identities: tuple[Identities, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What trails select of an operation on a table.

    Attributes:
        gaps: exactly what they leave out; empty where that is nothing, or cannot be told.
        trails: those that select something.
        reasons: why it is nothing at all, or cannot be told.
        reach: per kind of record, whose calls are selected; for comparing one answer with another.
    """

    selection: Selection
    gaps: tuple[Gap, ...] = ()
    trails: tuple[str, ...] = ()
    reasons: tuple[tuple[str, str], ...] = ()
    reach: tuple[tuple[Callers, ...], ...] = ()


def advanced(said: Iterable[Mapping[str, Any]]) -> tuple[Selector, ...]:
    """AdvancedEventSelectors, as GetEventSelectors answers them or a record of PutEventSelectors has them.

    Order means nothing and differs between the two, so what means the same is made equal.
    """
    return _in_order(_selector(_condition(one) for one in _get(each, "FieldSelectors") or ()) for each in said)


def basic(said: Iterable[Mapping[str, Any]]) -> tuple[Selector, ...]:
    """EventSelectors, likewise. Types other than AWS::DynamoDB::Table are left out: no call on a table is theirs."""
    found = []
    for each in said:
        kind = _get(each, "ReadWriteType") or "All"
        reads = () if kind == "All" else (Condition("readOnly", (str(kind == "ReadOnly").lower(),)),)
        if _get(each, "IncludeManagementEvents") is not False:
            excluded = tuple(sorted(_get(each, "ExcludeManagementEventSources") or ()))
            sources = (Condition("eventSource", not_equals=excluded),) if excluded else ()
            found.append(_selector((Condition("eventCategory", ("Management",)), *sources, *reads)))
        for resource in _get(each, "DataResources") or ():
            if _get(resource, "Type") == TABLE:
                values = sorted({str(one) for one in _get(resource, "Values") or ()})
                # `arn:aws:dynamodb` is every table; anything longer is one table's ARN.
                whole = tuple(f"{one}:" for one in values if one.count(":") == 2)  # noqa: PLR2004
                arns = Condition("resources.ARN", tuple(one for one in values if one.count(":") > 2), whole)  # noqa: PLR2004
                if values:
                    data = (Condition("eventCategory", ("Data",)), Condition("resources.type", (TABLE,)))
                    found.append(_selector((*data, arns, *reads)))
    return _in_order(found)


def decide(
    operation: Operation,
    table_arn: str,
    selectors: Sequence[tuple[str, Selector]],
    perhaps: Sequence[tuple[str, Selector]] = (),
    blind: Sequence[tuple[str, str]] = (),
) -> Answer:
    """What a union of selectors selects of an operation's calls on a table.

    Args:
        operation: the operation.
        table_arn: the table, whether it exists or not.
        selectors: (trail, selector) of the trails that are known to count.
        perhaps: the same of trails that may count.
        blind: (trail or empty, why) where not even the selectors are known.
    """
    sure = [[(trail, hit) for trail, one in selectors if isinstance(hit := _callers(one, call, table_arn), Callers)]
            for call in operation.calls]  # fmt: skip
    maybe = [[hit for _, one in perhaps if isinstance(hit := _callers(one, call, table_arn), Callers)]
             for call in operation.calls]  # fmt: skip
    reach = tuple(tuple(hit for _, hit in hits if hit.certain) for hits in sure)
    trails = tuple(sorted({trail for hits in sure for trail, _ in hits}))
    if all(any(_is_everybody(hit) for hit in hits) for hits in reach):
        return Answer(Selection.FULL, (), trails, (), reach)
    upper = tuple((*(hit for _, hit in hits), *others) for hits, others in zip(sure, maybe, strict=True))
    pool = _pool(hit for hits in upper for hit in hits)
    missed = [_missed(hits, pool) for hits in reach]
    if not any(any(of_call.values()) for of_call in missed):
        return Answer(Selection.FULL, (), trails, (), reach)
    if blind or missed != [_missed(hits, pool) for hits in upper]:
        asked = _unknown_fields((*selectors, *perhaps))
        unsure = {(trail, "may count") for trail, _ in perhaps}
        return Answer(Selection.UNKNOWN, (), trails, tuple(sorted({*blind, *asked, *unsure})), reach)
    gaps = _gaps(operation, missed, pool)
    if all(len(one) == len(pool) for of_call in missed for one in of_call.values()):
        return Answer(Selection.NONE, gaps, (), _why_none(operation, table_arn, selectors), reach)
    return Answer(Selection.PARTIAL, gaps, trails, (), reach)


def everything(operation: Operation) -> Answer:
    """The answer where all is selected."""
    everybody = Callers(frozenset((True, False)), ())
    return Answer(Selection.FULL, reach=tuple((everybody,) for _ in operation.calls))


def lost(operation: Operation, before: Answer, after: Answer) -> tuple[Gap, ...]:
    """What was selected and no longer is. Neither answer may be UNKNOWN."""
    if after.selection is Selection.FULL:
        return ()
    pool = _pool(hit for reach in (before.reach, after.reach) for hits in reach for hit in hits)
    missed = []
    for then, now in zip(before.reach, after.reach, strict=True):
        was, is_now = _missed(then, pool), _missed(now, pool)
        missed.append({console: is_now[console] - was[console] for console in is_now})
    return _gaps(operation, missed, pool)


def a_stream_of(table_arn: str) -> str:
    """ARN of some stream of a table, with a label that no literal has.

    So a selector that names one stream leaves out the one that comes after it.
    """
    return f"{table_arn}/stream/\ue000"


def _callers(selector: Selector, call: Call, table_arn: str) -> Callers | str:
    """Whose calls a selector selects; for none, the field that decides so."""
    places: list[tuple[str, str]] = [("", "")]
    if call.resource is not None:
        places = [(TABLE, table_arn)]
    if call.resource == STREAM:
        places.append((STREAM, a_stream_of(table_arn)))
    misses = []
    for kind, arn in places:
        hit = _at(selector, call, kind, arn)
        if isinstance(hit, Callers):
            return hit
        misses.append(hit)
    return max(misses, key=_ORDER.index)


def _at(selector: Selector, call: Call, kind: str, arn: str) -> Callers | str:
    values = {
        "eventCategory": call.category,
        "eventSource": SOURCE,
        "eventType": "AwsApiCall",
        "readOnly": str(call.read_only).lower(),
        "eventName": call.event_name,
        "resources.type": kind,
        "resources.ARN": arn,
    }
    by_field: dict[str, list[Condition]] = {}
    for one in selector.conditions:
        by_field.setdefault(one.field, []).append(one)
    if "eventCategory" not in by_field:
        return "eventCategory"
    for field in _ORDER:
        if not all(one.holds(values[field]) for one in by_field.get(field, ())):
            return field
    consoles = frozenset(
        console
        for console in (True, False)
        if all(one.holds("true" if console else "") for one in by_field.get(_CONSOLE, ()))
    )
    certain = not by_field.keys() - {*_ORDER, _CONSOLE, _IDENTITY}
    return Callers(consoles, tuple(by_field.get(_IDENTITY, ())), certain)


def _is_everybody(hit: Callers) -> bool:
    return hit.certain and not hit.identities and len(hit.consoles) == 2  # noqa: PLR2004


def _pool(hits: Iterable[Callers]) -> tuple[Witness, ...]:
    asked = {one for hit in hits for one in hit.identities}
    return witnesses(
        (text for one in asked for text in (*one.starts_with, *one.not_starts_with)),
        (text for one in asked for text in (*one.ends_with, *one.not_ends_with)),
        (text for one in asked for text in (*one.equals, *one.not_equals)),
    )


def _missed(hits: Sequence[Callers], pool: Sequence[Witness]) -> dict[bool, frozenset[Witness]]:
    return {
        console: frozenset(one for one in pool if not any(hit.include(one.text, console=console) for hit in hits))
        for console in (True, False)
    }


def _gaps(
    operation: Operation, missed: Sequence[dict[bool, frozenset[Witness]]], pool: Sequence[Witness]
) -> tuple[Gap, ...]:
    """What is missed, once for all kinds of records that miss the same."""
    by_what: dict[tuple[tuple[bool, frozenset[Witness]], ...], list[str]] = {}
    for call, of_call in zip(operation.calls, missed, strict=True):
        if any(of_call.values()):
            by_what.setdefault(tuple(of_call.items()), []).append(_label(operation, call))
    found = []
    for what, labels in by_what.items():
        of_console = dict(what)
        calls = () if len(labels) == len(operation.calls) else tuple(sorted(set(labels)))
        both = of_console[True] & of_console[False]
        for console, whom in ((None, both), (True, of_console[True] - both), (False, of_console[False] - both)):
            if whom:
                everybody = len(whom) == len(pool)
                found.append(Gap(calls, console, () if everybody else describe(whom, pool)))
    return tuple(found)


def _label(operation: Operation, call: Call) -> str:
    twice = sum(other.event_name == call.event_name for other in operation.calls) > 1
    name = "any other operation" if call.event_name == ANY_OTHER else call.event_name
    return f"{name} with readOnly {str(call.read_only).lower()}" if twice else name


def _why_none(
    operation: Operation, table_arn: str, selectors: Sequence[tuple[str, Selector]]
) -> tuple[tuple[str, str], ...]:
    """Of each trail, the field at which the selector fails that comes nearest."""
    nearest: dict[str, str] = {}
    rank = (*_ORDER, _IDENTITY).index
    for trail, selector in selectors:
        for call in operation.calls:
            field = _callers(selector, call, table_arn)
            name = field if isinstance(field, str) else _IDENTITY
            if trail not in nearest or rank(name) > rank(nearest[trail]):
                nearest[trail] = name
    return tuple(sorted(nearest.items()))


def _unknown_fields(selectors: Iterable[tuple[str, Selector]]) -> set[tuple[str, str]]:
    known = {*_ORDER, _CONSOLE, _IDENTITY}
    return {
        (trail, f"asks about {one.field}, which Dynatrail does not know")
        for trail, selector in selectors
        for one in selector.conditions
        if one.field not in known
        and not any(
            other.field == "eventCategory" and other.equals == ("NetworkActivity",) for other in selector.conditions
        )
    }


def _is_of_other_events(selector: Selector) -> bool:
    return any(
        one.field == "eventCategory" and not (one.holds("Data") or one.holds("Management"))
        for one in selector.conditions
    )


def _selector(conditions: Iterable[Condition]) -> Selector:
    return Selector(tuple(sorted(set(conditions), key=repr)))


def _in_order(found: Iterable[Selector]) -> tuple[Selector, ...]:
    return tuple(sorted(set(found), key=repr))


def _condition(said: Mapping[str, Any]) -> Condition:
    def values(name: str) -> tuple[str, ...]:
        return tuple(sorted({str(one) for one in _get(said, name) or ()}))

    return Condition(
        str(_get(said, "Field") or ""),
        values("Equals"),
        values("StartsWith"),
        values("EndsWith"),
        values("NotEquals"),
        values("NotStartsWith"),
        values("NotEndsWith"),
    )


def _get(said: Mapping[str, Any], name: str) -> Any:
    """A member, whose name a record writes with a small first letter and the API with a capital one."""
    return said.get(name, said.get(name[0].lower() + name[1:]))
