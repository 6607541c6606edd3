"""Typed DynamoDB JSON as the journal keeps it: whether two items are the same, how large, and as boto3 takes them."""

import base64
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

Json = dict[str, Any]

_CONTAINER = 3
_NUMBER = 1


def same(one: Any, other: Any) -> bool:
    """Whether DynamoDB sees no difference between two items: sets have no order, numbers no notation."""
    return bool(one == other or _plain(one) == _plain(other))


def size(item: Mapping[str, Any]) -> int:
    """Bytes of an item ("Item sizes and formats"): names and values in UTF-8, a number by its significant digits."""
    return sum(len(name.encode()) + _size(value) for name, value in item.items())


def for_boto3(item: Mapping[str, Any]) -> Json:
    """The same item with binary as bytes, which boto3 encodes itself."""
    return {name: _for_boto3(value) for name, value in item.items()}


def _plain(item: Any) -> Any:
    return {name: _plain_value(value) for name, value in item.items()} if isinstance(item, dict) else item


def _plain_value(typed: Json) -> Any:
    kind, value = next(iter(typed.items()))
    match kind:
        case "N":
            return kind, _number(value)
        case "NS":
            return kind, frozenset(map(_number, value))
        case "SS" | "BS":
            return kind, frozenset(value)
        case "L":
            return kind, [_plain_value(member) for member in value]
        case "M":
            return kind, _plain(value)
    return kind, value


def _number(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _size(typed: Mapping[str, Any]) -> int:
    kind, value = next(iter(typed.items()))
    match kind:
        case "S":
            return len(value.encode())
        case "N":
            return _number_size(value)
        case "B":
            return len(base64.b64decode(value))
        case "SS":
            return sum(len(member.encode()) for member in value)
        case "NS":
            return sum(map(_number_size, value))
        case "BS":
            return sum(len(base64.b64decode(member)) for member in value)
        case "L":
            return _CONTAINER + sum(1 + _size(member) for member in value)
        case "M":
            return _CONTAINER + len(value) + size(value)
    return 1  # BOOL and NULL


def _number_size(text: str) -> int:
    """Two digits a byte and one byte more, without zeros at either end; a negative number takes another one."""
    number = _number(text)
    if isinstance(number, str):
        return len(text)
    digits = "".join(map(str, number.normalize().as_tuple().digits)).strip("0")
    return (len(digits) + 1) // 2 + _NUMBER + (number < 0)


def _for_boto3(typed: Mapping[str, Any]) -> Json:
    kind, value = next(iter(typed.items()))
    match kind:
        case "B":
            return {kind: base64.b64decode(value)}
        case "BS":
            return {kind: [base64.b64decode(member) for member in value]}
        case "L":
            return {kind: [_for_boto3(member) for member in value]}
        case "M":
            return {kind: for_boto3(value)}
    return {kind: value}
