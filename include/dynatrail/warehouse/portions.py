"""Cuts hours into portions of few rows, so that work on a busy day needs no more memory than on a quiet one."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.dataset as pads

if TYPE_CHECKING:
    from dynatrail.warehouse.store import Warehouse

ROWS = 200_000


def portions(
    warehouse: "Warehouse",
    table: str | tuple[str, ...],
    hours: Sequence[datetime],
    *,
    version: int | None = None,
    rows: int = ROWS,
) -> Iterator[list[datetime]]:
    """Runs of `hours` (ascending starts of UTC hours) with at most `rows` rows of `table`; an hour is never cut.

    Rows of several tables are added up.
    """
    if not hours:
        return
    span = (pads.field("event_hour") >= hours[0]) & (pads.field("event_hour") <= hours[-1])
    counts: Counter[datetime] = Counter()
    for name in (table,) if isinstance(table, str) else table:
        found = warehouse.dataset(name, version).to_table(columns=["event_hour"], filter=span).column(0)
        counts.update({count["values"]: count["counts"] for count in pc.value_counts(found).to_pylist()})
    portion: list[datetime] = []
    total = 0
    for hour in hours:
        if portion and total + counts[hour] > rows:
            yield portion
            portion, total = [], 0
        portion.append(hour)
        total += counts[hour]
    yield portion
