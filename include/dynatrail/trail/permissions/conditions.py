"""Conditions of statements, in three values: they hold, do not hold, or cannot be told from what a record has.

"IAM JSON policy elements: Condition operators" and "Set operators for multivalued context keys": several keys must all
hold; of several values one must, or with a negated operator none may; where the request lacks the key, negated
operators, `…IfExists` and `ForAllValues` hold, all others do not.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address, ip_network

from dynatrail.clock import parse_instant
from dynatrail.trail.permissions.patterns import Answer, Known, equals, every, like, matches, opposite, some
from dynatrail.trail.permissions.policies import Line

Operator = Callable[[str, str, Known | None], Answer]
"""What the policy wants, what the request holds, and variables -> whether they agree."""

_SET = re.compile(r"(?:(ForAllValues|ForAnyValue):)?(\w+?)(IfExists)?", re.IGNORECASE)
CLOCKS = timedelta(seconds=2)
"""A record's time is when the call was over, to the second; whoever compared it did so shortly before."""
_MOMENT = timedelta(microseconds=1)
_SEGMENTS = 6
_NUMBER = re.compile(r"-?\d{1,17}(?:\.\d{1,17})?")


def holds(lines: Iterable[Line], known: Known, *, variables: bool) -> Answer:
    """Whether all lines of a statement's condition hold; a statement without condition: yes."""
    return every(line_holds(one, known, known if variables else None) for one in lines)


def line_holds(one: Line, known: Known, variables: Known | None) -> Answer:
    """Whether one line holds; an operator that IAM does not document cannot be told."""
    found = _SET.fullmatch(one.operator)
    if not found:
        return None
    quantifier, name, if_exists = (found[1] or "").lower(), found[2].lower(), bool(found[3])
    if one.key == "aws:epochtime":
        name = name.replace("numeric", "date")
    values = known(one.key)
    if name == "null":
        return None if values is None else some((value.lower() == "true") == (not values) for value in one.values)
    negated = name in _NEGATED
    operator = _OPERATORS.get(_NEGATED.get(name, name))
    if operator is None:
        return None
    if values is None:
        return None
    if not values:
        return if_exists or quantifier == "forallvalues" or (negated and quantifier != "foranyvalue")

    def agrees(value: str) -> Answer:
        told = some(operator(wanted, value, variables) for wanted in one.values)
        return opposite(told) if negated else told

    if quantifier == "forallvalues":
        return every(agrees(value) for value in values)
    if quantifier == "foranyvalue":
        return some(agrees(value) for value in values)
    return agrees(values[0]) if len(values) == 1 else None


def _equals_in_any_case(wanted: str, value: str, variables: Known | None) -> Answer:
    def lowered(key: str) -> tuple[str, ...] | None:
        values = variables(key) if variables else None
        return values and tuple(one.lower() for one in values)

    return equals(wanted.lower(), value.lower(), lowered if variables else None)


def _arn(wanted: str, value: str, variables: Known | None) -> Answer:
    """Segment by segment; a wildcard never goes beyond its colon here."""
    asked, held = wanted.split(":", _SEGMENTS - 1), value.split(":", _SEGMENTS - 1)
    if len(held) != _SEGMENTS:
        return False
    if len(asked) != _SEGMENTS or ("${" in wanted and not all(one.count("${") == one.count("}") for one in asked)):
        return like(wanted, value, variables) and None  # a variable's own colon: no if not even a text of it matches
    return every(like(one, other, variables) for one, other in zip(asked, held, strict=True))


def _bool(wanted: str, value: str, _variables: Known | None) -> Answer:
    return wanted.lower() == value.lower()


def _binary(wanted: str, value: str, _variables: Known | None) -> Answer:
    return wanted == value


def _ip(wanted: str, value: str, _variables: Known | None) -> Answer:
    try:
        return ip_address(value) in ip_network(wanted, strict=False)
    except ValueError:
        return None


def _numeric(compare: Callable[[Decimal, Decimal], bool]) -> Operator:
    def operator(wanted: str, value: str, _variables: Known | None) -> Answer:
        if not (_NUMBER.fullmatch(wanted.strip()) and _NUMBER.fullmatch(value.strip())):
            return None
        try:
            return compare(Decimal(value.strip()), Decimal(wanted.strip()))
        except InvalidOperation:
            return None

    return operator


def _date(compare: Callable[[datetime, datetime], bool]) -> Operator:
    def operator(wanted: str, value: str, _variables: Known | None) -> Answer:
        limit, held = instant(wanted), instant(value)
        if limit is None or held is None:
            return None
        told = compare(held, limit)
        return told if abs(held - limit) > CLOCKS else None

    return operator


def cuts(one: Line) -> tuple[datetime, ...] | None:
    """Where on the time axis the answer of a line about the present time may change; None: anywhere."""
    found = _SET.fullmatch(one.operator)
    name = found[2].lower() if found else ""
    if not name.startswith(("date", "numeric")):
        return () if name == "null" or not found else None
    limits = [limit for value in one.values if (limit := instant(value)) is not None]
    steps = (-CLOCKS, timedelta(0), _MOMENT, CLOCKS + _MOMENT)
    return tuple(limit + step for limit in limits for step in steps)


def instant(text: str) -> datetime | None:
    """ISO 8601 or seconds since 1970, as IAM takes both."""
    try:
        if matches("????-??-??*", text):
            return parse_instant(text)
        return datetime.fromtimestamp(float(text), UTC)
    except (ValueError, OverflowError, OSError):
        return None


_OPERATORS: dict[str, Operator] = {
    "stringequals": equals,
    "stringequalsignorecase": _equals_in_any_case,
    "stringlike": like,
    "numericequals": _numeric(lambda value, limit: value == limit),
    "numericlessthan": _numeric(lambda value, limit: value < limit),
    "numericlessthanequals": _numeric(lambda value, limit: value <= limit),
    "numericgreaterthan": _numeric(lambda value, limit: value > limit),
    "numericgreaterthanequals": _numeric(lambda value, limit: value >= limit),
    "dateequals": _date(lambda value, limit: value == limit),
    "datelessthan": _date(lambda value, limit: value < limit),
    "datelessthanequals": _date(lambda value, limit: value <= limit),
    "dategreaterthan": _date(lambda value, limit: value > limit),
    "dategreaterthanequals": _date(lambda value, limit: value >= limit),
    "bool": _bool,
    "binaryequals": _binary,
    "ipaddress": _ip,
    "arnequals": _arn,
    "arnlike": _arn,
}
_NEGATED = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
    "notipaddress": "ipaddress",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
}
