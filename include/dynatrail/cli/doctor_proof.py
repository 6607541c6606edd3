"""The part of `doctor` that looks at the proof: findings that are open, and hours that nobody has stated."""

from collections import Counter
from datetime import datetime

import pyarrow as pa
import pyarrow.dataset as pads

from dynatrail import clock
from dynatrail.cli.findings import Finding
from dynatrail.integrity.findings import CRITICAL, HIGH
from dynatrail.settings import Settings
from dynatrail.state import pending
from dynatrail.warehouse.schema import INSTANT
from dynatrail.warehouse.store import Warehouse

_RECENT = 7 * clock.DAY
_NAMED = 4


def findings(chosen: Settings, now: datetime | None = None) -> list[Finding]:
    """High and critical findings of the week before `now`; nothing where nothing was ever stated.

    Raises:
        WarehouseError: the table cannot be read.
    """
    warehouse = Warehouse.from_settings(chosen)
    if not warehouse.versions(["coverage", "finding"]):
        return []
    since = (now or clock.now()) - _RECENT
    wanted = pads.field("severity").isin([CRITICAL, HIGH]) & (
        (pads.field("event_time") >= pa.scalar(since, INSTANT)) | (pads.field("ends_at") >= pa.scalar(since, INSTANT))
    )
    rules = warehouse.dataset("finding").to_table(columns=["rule_id"], filter=wanted)["rule_id"].to_pylist()
    if not rules:
        return [Finding("findings", "none that is high or critical in the last 7 days")]
    counts = Counter(sorted(rules))  # of equal counts in the order of their names
    named = ", ".join(f"{rule} {count:,}" for rule, count in counts.most_common(_NAMED))
    more = f" and {len(counts) - _NAMED} rules more" if len(counts) > _NAMED else ""
    return [
        Finding(
            "findings",
            f"{len(rules):,} high or critical in the last 7 days: {named}{more}",
            "docs/cookbooks/is-it-all-there.md says how to look at them; the explanation of each says what to do.",
        )
    ]


def unstated() -> list[Finding]:
    """Hours that prove_trail still has to state; nothing where there are none.

    Raises:
        StateError: the state database cannot be read.
    """
    hours = pending.hours(pending.PROVE)
    if not hours:
        return []
    return [
        Finding(
            "proof",
            f"{len(hours):,} hour{'' if len(hours) == 1 else 's'} to be stated, the oldest {clock.iso(hours[0])}",
            "Does prove_trail run? Unpause it, or trigger it with empty fields.",
        )
    ]
