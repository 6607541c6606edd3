"""What the hours' statements say of writes in the trail, as far as attribution hangs on it; marks hours to build anew.

Attribution calls nothing certain where the trail is stated to lack writes of a table, and where another table of the
account and region lost some, unless the table is stated to be whole (`sql/trail/attributable_changes.sql`). So when
that changes, `build_trail` has to come back to the hour.
"""

from collections.abc import Callable
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.state import pending
from dynatrail.state.database import session

WRITES = (
    *("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"),
    *("ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"),
)
LACKING = frozenset(
    (
        *("count_shortfall", "witness_shortfall", "log_file_missing", "log_file_altered", "digest_missing"),
        *("digest_invalid", "quarantined", "selectors_partial", "not_selected"),
    )
)
_OF_OTHERS = ("stream", "sequence", "expiries", "log_file_forged")
"""How reasons begin that say nothing of writes that the trail lacks."""

_LOST = "unexplained_changes"
_WHOLE = "whole"

Doubts = set[tuple[datetime, str, str, str, str]]


def marked(rows: Callable[[pa.Table], pa.Table]) -> tuple[Callable[[pa.Table], pa.Table], Callable[[], None]]:
    """`rows` for `Warehouse.replace` of `coverage`, noting what `build_trail` must build anew; and what to call after.

    Hours are marked before the rows are written, lest a crash in between leaves them behind, and once more after, lest
    a build that ran in between takes what it did not see for done.
    """
    changed: set[datetime] = set()

    def noting(present: pa.Table) -> pa.Table:
        wanted = rows(present)
        changed.clear()
        changed.update(hour for hour, *_ in doubts(present) ^ doubts(wanted))
        if changed:
            pending.make_due(pending.BUILD, changed)
        return wanted

    def again() -> None:
        if changed:
            with session() as opened:
                pending.mark(opened, pending.BUILD, changed)

    return noting, again


def doubts(rows: pa.Table) -> Doubts:
    """Hour, account, region, table and code of what `rows` of `coverage` state of writes.

    What is whole is told only where it counts: in a region of which changes without a write are stated.
    """
    writes = rows.filter(pc.is_in(rows["operation"], value_set=pa.array(["*", *WRITES])))
    stated = writes.filter(pc.is_valid(writes["reasons"])).to_pylist()
    found: Doubts = set()
    unwhole, lossy = set(), set()
    for row in stated:
        place = (row["event_hour"], row["account_id"], row["region"], row["table_name"])
        codes = {reason.partition(":")[0] for reason in row["reasons"]}
        if _LOST in codes:
            lossy.add(place[:3])
        if any(not code.startswith(_OF_OTHERS) for code in codes):
            unwhole.add(place)
        found |= {
            (*place, code) for code in codes & LACKING if row["operation"] != "*" or not code.endswith("shortfall")
        }
    if lossy:
        whole = writes.filter(pc.equal(writes["operation"], "*")).select(
            ["event_hour", "account_id", "region", "table_name"]
        )
        places = {(row["event_hour"], row["account_id"], row["region"], row["table_name"]) for row in whole.to_pylist()}
        found |= {(*place, _WHOLE) for place in places - unwhole if place[:3] in lossy}
    return found
