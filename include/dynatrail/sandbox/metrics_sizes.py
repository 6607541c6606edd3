"""How large DynamoDB takes an item to be, and what reading and writing it costs ("Item sizes and formats").

Rough where the size is not in the call: of an update or a delete only key and new values are known, and of what a
filter drops only the count. Good enough for a curve, no census.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

READ_BLOCK = 4096
WRITE_BLOCK = 1024
_UNSEEN = 100


def item_size(item: Mapping[str, Any]) -> int:
    """Bytes of an item in typed DynamoDB JSON."""
    return sum(len(name.encode()) + value_size(value) for name, value in item.items())


def value_size(typed: Any) -> int:
    """Bytes of one typed value."""
    if not isinstance(typed, Mapping) or not typed:
        return 0
    kind, value = next(iter(typed.items()))
    match kind:
        case "S":
            return len(str(value).encode())
        case "N":
            return _number_size(str(value))
        case "B":
            return len(str(value)) * 3 // 4
        case "SS":
            return sum(len(str(part).encode()) for part in value)
        case "NS":
            return sum(_number_size(str(part)) for part in value)
        case "BS":
            return sum(len(str(part)) * 3 // 4 for part in value)
        case "L":
            return 3 + sum(1 + value_size(part) for part in value)
        case "M":
            return 3 + len(value) + item_size(value)
    return 1  # BOOL and NULL


def _number_size(text: str) -> int:
    return (len(text.strip("-+0.").replace(".", "")) + 1) // 2 + 1


def read_units(size: int, *, consistent: bool = False, transactional: bool = False) -> float:
    """Read capacity units of one read of `size` bytes; a missing item costs as much as a small one."""
    blocks = max(ceil(size / READ_BLOCK), 1)
    return 2.0 * blocks if transactional else float(blocks) if consistent else blocks / 2


def write_units(size: int, *, transactional: bool = False) -> float:
    """Write capacity units of one write of `size` bytes."""
    return float(max(ceil(size / WRITE_BLOCK), 1)) * (2 if transactional else 1)


def total_size(items: Sequence[Mapping[str, Any]], scanned: int) -> int:
    """Bytes that a Query or Scan went through: those of some of the items returned, scaled to the items scanned."""
    return sum(item_size(item) for item in items) * scanned // len(items) if items else _UNSEEN * scanned
