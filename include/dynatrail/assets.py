"""The Airflow assets by which one DAG tells the next which hours it touched.

An event's `extra` is `{"hours": ["2026-11-01T03:00:00Z", …]}`: UTC hours whose rows may have changed. Consumers rebuild
exactly those.
"""

from airflow.sdk import Asset


def _table(name: str) -> Asset:
    return Asset(name=name, uri=f"x-dynatrail://warehouse/{name}", group="dynatrail")


API_EVENT = _table("api_event")
ITEM_CHANGE = _table("item_change")
METRIC = _table("metric")
IAM_SNAPSHOT = _table("iam_snapshot")
TABLE_CONFIG = _table("table_config")
TRAIL_CONFIG = _table("trail_config")
AUDIT_RECORD = _table("audit_record")
COVERAGE = _table("coverage")
FINDING = _table("finding")
PRIVACY_EVENT = _table("privacy_event")
EVIDENCE = Asset(name="evidence", uri="x-dynatrail://evidence", group="dynatrail")
