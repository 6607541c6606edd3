"""Findings about sessions whose events contradict each other: nobody is named as their beginning; somebody must look.

They are made of the rows of `session` alone, so that building the same hours again states the same ones, and one that
was put right is gone.
"""

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.clock import by_date
from dynatrail.integrity.findings import HIGH, Finding, table_of
from dynatrail.warehouse.schema import FINDING, INSTANT, SESSION

if TYPE_CHECKING:
    from dynatrail.warehouse.store import Warehouse

PRODUCER = "sessions"
CONTRADICTION = "identity.session_contradiction"
_LONGEST_KEY = 128  # characters, IAM API reference
_COLUMNS = (
    *("started_at", "event_hour", "account_id", "region", "access_key_id", "principal_arn", "issued_event_name"),
    *("issued_event_id", "unresolved_reason", "conflict", "conflict_event_ids"),
)


def write(warehouse: "Warehouse", hours: Collection[datetime]) -> int:
    """State the contradictions of the sessions that began in these UTC hours, in every account and region.

    Returns:
        Rows written; 0 if the same findings were there already.

    Raises:
        WarehouseError: a table cannot be read or written.
    """
    return sum(_write(warehouse, of_date) for of_date in by_date(hours))


def found(warehouse: "Warehouse", hours: Collection[datetime]) -> pa.Table:
    """The rows of `finding` for the sessions that began in these UTC hours; computed and not written."""
    hour = pc.field("event_hour")
    contradicted = warehouse.dataset(SESSION.name).to_table(
        columns=list(_COLUMNS),
        filter=hour.isin(pa.array(sorted(hours), INSTANT)) & pc.is_valid(pc.field("conflict")),
    )
    return table_of(PRODUCER, [_finding(row) for row in contradicted.to_pylist()])


def _write(warehouse: "Warehouse", hours: list[datetime]) -> int:
    # As a function: when another build commits these hours first, the sessions are read again.
    return warehouse.replace(
        FINDING.name, lambda _present: found(warehouse, hours), hours=hours, where={"producer": PRODUCER}
    )


def _finding(row: dict[str, Any]) -> Finding:
    key, conflict = row["access_key_id"][:_LONGEST_KEY], row["conflict"]
    issued = f", which {row['issued_event_name']} issued," if row["issued_event_name"] else ""
    return Finding(
        rule_id=CONTRADICTION,
        severity=HIGH,
        kind="integrity",
        event_time=row["started_at"],
        account_id=row["account_id"],
        region=row["region"],
        subject=row["access_key_id"],
        title=f"Events contradict each other about who is behind the access key {key}",
        explanation=(
            f"{conflict[:1].upper()}{conflict[1:]}. AWS gives a temporary key to one principal, once. So the session "
            f"of {key} in account {row['account_id']}{issued} names nobody as its first principal, nor does any "
            "session issued with that key. One of the records is forged or was changed, or a service recorded what "
            f"this rule does not know. Look at the chain with `python -m dynatrail session {key}`, and at attestation "
            "and source_uri of the events in evidence_ids. If a file is forged, find out who can write to the trail's "
            "bucket; if all are genuine, revoke the role's sessions and ask AWS Support. This finding goes once a "
            "digest proves one side forged, or an addendum corrects it."
        ),
        evidence_ids=tuple(one for one in row["conflict_event_ids"] or () if one),
        attack_techniques=("T1550.001", "T1565.001"),
    )
