"""An hour's changes are what is there and what came, one row a `change_id`: what came last stays.

A record that is read again, by a run that was killed after it had written or by a better parser, replaces its own row.
"""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

Settle = Callable[[pa.Table], pa.Table]
"""From all rows of a slice to those that stay: where a record of a source stands beside a row that was reconstructed
from an export for the same write, who loads exports says which of them counts."""


def merge_changes(present: pa.Table, came: pa.Table, settle: Settle | None = None) -> pa.Table:
    """The rows of a slice that held `present` after `came`, in no certain order."""
    rows = came
    if len(present):
        again = pc.is_in(present["change_id"], value_set=came["change_id"].combine_chunks())
        rows = pa.concat_tables(
            [present.filter(pc.invert(again)), came.select(present.column_names).cast(present.schema)]
        )
    return settle(rows) if settle else rows
