"""The Airflow assets by which one DAG tells the next which hours it touched.

An event's `extra` is `{"hours": ["2026-11-01T03:00:00Z", …]}`: UTC hours whose rows may have changed. Consumers rebuild
exactly those.
"""

from airflow.sdk import Asset

API_EVENT = Asset(name="api_event", uri="x-dynatrail://warehouse/api_event", group="dynatrail")
AUDIT_RECORD = Asset(name="audit_record", uri="x-dynatrail://warehouse/audit_record", group="dynatrail")
EVIDENCE = Asset(name="evidence", uri="x-dynatrail://evidence", group="dynatrail")
