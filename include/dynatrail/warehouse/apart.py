"""Which rows of a table new rows stand apart from: ranges of their position at the source, that nobody else is in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.warehouse.slices import quoted

_MOST = 200
"""Ranges in one predicate; delta-rs evaluates it for each file of the slice."""


@dataclass(frozen=True, slots=True)
class Apart:
    """Ranges of texts in the last of `columns`, each for one value of the column before it, if there is one."""

    columns: tuple[str, ...]
    ranges: tuple[tuple[str | None, str, str], ...]

    @classmethod
    def of(cls, rows: pa.Table, columns: Sequence[str]) -> Self | None:
        """The ranges that `rows` (at least one) take up in one or two text columns; None when they are too many."""
        *groups, last = columns
        if not groups:
            ends = pc.min_max(rows[last]).as_py()
            return cls((last,), ((None, ends["min"], ends["max"]),))
        group = groups[0]
        found = rows.select([group, last]).group_by(group).aggregate([(last, "min"), (last, "max")]).to_pylist()
        if len(found) > _MOST:
            return None
        return cls((group, last), tuple(sorted((one[group], one[f"{last}_min"], one[f"{last}_max"]) for one in found)))

    @property
    def predicate(self) -> str:
        """For delta-rs; every one of the rows meets it."""
        terms = []
        for group, first, last in self.ranges:
            term = f"{self.columns[-1]} >= {quoted(first)} AND {self.columns[-1]} <= {quoted(last)}"
            terms.append(term if group is None else f"({self.columns[0]} = {quoted(group)} AND {term})")
        return terms[0] if len(terms) == 1 else f"({' OR '.join(terms)})"

    def meets(self, present: pa.Table) -> bool:
        """Whether one of the rows that are there lies in a range."""
        for group, first, last in self.ranges:
            texts = present[self.columns[-1]]
            within = pc.and_(pc.greater_equal(texts, first), pc.less_equal(texts, last))
            if group is not None:
                within = pc.and_(within, pc.equal(present[self.columns[0]], group))
            if pc.any(within).as_py():
                return True
        return False
