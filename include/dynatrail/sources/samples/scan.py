"""A slow Scan of a table for samples: what it costs is said before the first call, and it never costs more.

Eventually consistent: half a read unit for each 4 KB of what a page has read ("Read and write operations", DynamoDB
developer guide). How many items a table has and how large it is, DynamoDB counts every six hours or so (DescribeTable).
"""

import base64
import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from dynatrail.sources.aws import explain
from dynatrail.sources.samples.recent import MOST_BYTES, Sample

UNIT_BYTES = 4096
HALF = 0.5
MOST_PER_PAGE = 100
PAGE_BYTES = 1024**2
LARGEST_ITEM = 400 * 1024
MOST_SEGMENTS = 1_000_000

_EMPTY_PAGES = 100
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Limits:
    """What a Scan may take of one table.

    Attributes:
        items: at most so many are read.
        capacity: read units at most; a page that might exceed them is not asked for.
        rate: read units a second at most, on average from the first page on.
    """

    items: int = 1000
    capacity: float = 500.0
    rate: float = 25.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A Scan, before its first call.

    Attributes:
        table_items, table_bytes: of the table, as DescribeTable says.
        items: that will be read at most.
        per_page: Limit of a page.
        segments, segment: of a table that is larger than the sample, which part is read; another one every week.
        units: read units that it will take, by the average size of an item.
    """

    table_name: str
    table_items: int
    table_bytes: int
    items: int
    per_page: int
    segments: int
    segment: int
    units: float
    keys: tuple[str, ...]
    limits: Limits

    @property
    def share(self) -> float:
        """Of the table's items, 0 to 1."""
        return min(1.0, self.items / self.table_items) if self.table_items else 1.0

    def told(self) -> str:
        """What it reads and costs, for a person."""
        return (
            f"Scan of {self.table_name}: at most {self.items:,} of about {self.table_items:,} items "
            f"({100 * self.share:.3g} %), about {self.units:,.1f} read units by the average item, never more than "
            f"{self.limits.capacity:,.1f}, {self.limits.rate:,.1f} a second; {self.per_page} items a page."
        )


def plan(description: Mapping[str, Any], limits: Limits, at: datetime) -> Plan:
    """What a Scan would read and cost.

    Args:
        description: DescribeTable's `Table`.
        limits: what it may take.
        at: when; decides which part of a large table is read.
    """
    count, size = int(description.get("ItemCount") or 0), int(description.get("TableSizeBytes") or 0)
    average = max(1, math.ceil(size / count)) if count else UNIT_BYTES
    items = min(limits.items, count) if count else limits.items
    # A page's items and a second's share of the rate, so that no page alone bursts beyond it.
    per_page = max(1, min(MOST_PER_PAGE, items, int(limits.rate / HALF * UNIT_BYTES / average)))
    segments = min(MOST_SEGMENTS, max(1, count // max(1, limits.items))) if count else 1
    units = sum(_units(min(per_page, items - start) * average) for start in range(0, items, per_page))
    return Plan(
        table_name=description["TableName"],
        table_items=count,
        table_bytes=size,
        items=items,
        per_page=per_page,
        segments=segments,
        segment=(at.toordinal() // 7) % segments,
        units=min(units, limits.capacity),
        keys=tuple(key["AttributeName"] for key in description.get("KeySchema", ())),
        limits=limits,
    )


@dataclass(slots=True)
class Taken:
    """What a Scan took: counts only."""

    items: int = 0
    pages: int = 0
    units: float = 0.0


def scan(
    client: Any, chosen: Plan, *, sleep: Callable[[float], None] = time.sleep, now: Callable[[], float] = time.monotonic
) -> tuple[Sample, Taken]:
    """Read items as planned.

    Raises:
        SourceError: AWS refuses or throttles; says nothing of what was read.
    """
    found, taken = Sample(), Taken()
    asked: dict[str, Any] = {
        "TableName": chosen.table_name,
        "ReturnConsumedCapacity": "TOTAL",
        "ConsistentRead": False,
    }
    if chosen.segments > 1:
        asked |= {"TotalSegments": chosen.segments, "Segment": chosen.segment}
    began, largest = now(), 0.0
    while taken.items < chosen.items and found.size < MOST_BYTES:
        left = chosen.limits.capacity - taken.units
        limit = min(chosen.per_page, chosen.items - taken.items, _most_items(left))
        if limit < 1 or (largest and largest > left):
            found.reasons.append(f"The Scan of {chosen.table_name} stopped at {taken.units:,.1f} read units.")
            break
        page = _page(client, asked | {"Limit": limit})
        taken.pages += 1
        taken.items += int(page.get("ScannedCount") or len(page.get("Items", ())))
        used = float((page.get("ConsumedCapacity") or {}).get("CapacityUnits") or _units(PAGE_BYTES))
        taken.units += used
        largest = max(largest, used)
        for item in page.get("Items", ()):
            plain = {name: _plain(value) for name, value in item.items()}
            key = {name: plain[name] for name in sorted(chosen.keys) if name in plain}
            found.add(hashlib.sha256(_encode(key or plain)).digest(), _encode(plain))
        if not page.get("LastEvaluatedKey") or taken.pages >= _EMPTY_PAGES + chosen.items:
            break
        asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        sleep(max(0.0, began + taken.units / chosen.limits.rate - now()))
    return found, taken


def _page(client: Any, asked: dict[str, Any]) -> dict[str, Any]:
    attempt = f"read items of the table {asked['TableName']}"
    try:
        answer: dict[str, Any] = client.scan(**asked)
    except (ClientError, BotoCoreError) as error:
        # Not chained: what was asked holds the key of an item, and an error may quote what was asked.
        raise explain(error, attempt) from None
    return answer


def _units(size: float) -> float:
    return HALF * math.ceil(min(size, PAGE_BYTES) / UNIT_BYTES)


def _most_items(units: float) -> int:
    """How many items of the largest size a page may have that takes no more than these units; a page ends at 1 MB."""
    size = units / HALF * UNIT_BYTES
    return MOST_PER_PAGE if size >= PAGE_BYTES + LARGEST_ITEM else int(size // LARGEST_ITEM)


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """A value as JSON has it: boto3 gives binary as bytes."""
    ((kind, held),) = value.items()
    if kind == "B":
        return {kind: base64.b64encode(held).decode()}
    if kind == "BS":
        return {kind: [base64.b64encode(one).decode() for one in held]}
    if kind == "M":
        return {kind: {name: _plain(inner) for name, inner in held.items()}}
    if kind == "L":
        return {kind: [_plain(inner) for inner in held]}
    return {kind: held}
