"""The one definition of every warehouse table: columns, grain, what a write replaces, and in which order rows lie.

All times are UTC with microseconds. Missing is NULL. Every table is partitioned by `event_date`; the unit of work is
`event_hour`, half-open. Column names are CloudTrail's, DynamoDB's and OCSF's own. One module a kind of table:
`events`, `changes`, `people`, `signals`, `snapshots`, `proof`, `privacy`, `trail`.
"""

from dynatrail.warehouse.schema.changes import ITEM_CHANGE
from dynatrail.warehouse.schema.columns import INSTANT, NAMES, Table
from dynatrail.warehouse.schema.events import API_EVENT, API_EVENT_ITEM
from dynatrail.warehouse.schema.people import ATTRIBUTION, SESSION
from dynatrail.warehouse.schema.privacy import PRIVACY_EVENT
from dynatrail.warehouse.schema.proof import (
    COVERAGE,
    FINDING,
    LOG_FILE,
    RECONCILIATION,
    SEQUENCE_PROOF,
    TRAIL_DIGEST,
)
from dynatrail.warehouse.schema.signals import ALARM_EVENT, LOG_EVENT, METRIC
from dynatrail.warehouse.schema.snapshots import IAM_SNAPSHOT, SENSITIVE_ATTRIBUTE, TABLE_CONFIG, TRAIL_CONFIG
from dynatrail.warehouse.schema.trail import AUDIT_RECORD, QUARANTINE, SOURCE_STATEMENT

__all__ = [
    "ALARM_EVENT",
    "API_EVENT",
    "API_EVENT_ITEM",
    "ATTRIBUTION",
    "AUDIT_RECORD",
    "COVERAGE",
    "FINDING",
    "IAM_SNAPSHOT",
    "INSTANT",
    "ITEM_CHANGE",
    "LOG_EVENT",
    "LOG_FILE",
    "METRIC",
    "NAMES",
    "PRIVACY_EVENT",
    "QUARANTINE",
    "RECONCILIATION",
    "SENSITIVE_ATTRIBUTE",
    "SEQUENCE_PROOF",
    "SESSION",
    "SOURCE_STATEMENT",
    "TABLES",
    "TABLE_CONFIG",
    "TRAIL_CONFIG",
    "TRAIL_DIGEST",
    "Table",
]

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        API_EVENT,
        API_EVENT_ITEM,
        ITEM_CHANGE,
        SESSION,
        ATTRIBUTION,
        METRIC,
        ALARM_EVENT,
        LOG_EVENT,
        IAM_SNAPSHOT,
        TABLE_CONFIG,
        TRAIL_CONFIG,
        SENSITIVE_ATTRIBUTE,
        AUDIT_RECORD,
        SOURCE_STATEMENT,
        TRAIL_DIGEST,
        LOG_FILE,
        RECONCILIATION,
        SEQUENCE_PROOF,
        COVERAGE,
        FINDING,
        PRIVACY_EVENT,
        QUARANTINE,
    )
}
