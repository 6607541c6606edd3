"""Rows of the tables that proof is made of, as a quiet, whole account has them; a test says what differs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from dynatrail.clock import HOUR, hour_of
from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Warehouse

ACCOUNT, REGION, TABLE = "123456789012", "eu-west-1", "Patients"
ARN = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{TABLE}"
START = datetime(2026, 11, 1, 3, tzinfo=UTC)
PLACE = {"account_id": ACCOUNT, "region": REGION}
MINUTE = timedelta(minutes=1)


def put(warehouse: Warehouse, table: str, rows: list[dict[str, Any]]) -> None:
    """Make these the only rows of their hours."""
    schema = TABLES[table].schema
    full = [dict.fromkeys(schema.names) | row | {"event_date": row["event_hour"].date()} for row in rows]
    warehouse.replace(table, pa.Table.from_pylist(full, schema), hours={row["event_hour"] for row in rows})


def event(number: int, at: datetime, **more: Any) -> dict[str, Any]:
    return {
        "event_id": f"e-{number}",
        "event_time": at,
        "event_hour": hour_of(at),
        "recipient_account_id": ACCOUNT,
        "region": REGION,
        "event_source": "dynamodb.amazonaws.com",
        "event_name": "GetItem",
        "event_category": "Data",
        "table_names": [TABLE],
        "table_arns": [ARN],
        "source_uri": f"s3://trail.example.com/{hour_of(at):%H}.json.gz",
        "source_sha256": "00",
        "source_index": number,
        "attestation": "attested",
        "ocsf_class_uid": 6005,
    } | more


def file(delivered_at: datetime, **more: Any) -> dict[str, Any]:
    uri = f"s3://trail.example.com/{delivered_at:%H}.json.gz"
    return (
        PLACE
        | {
            "delivered_at": delivered_at,
            "event_hour": hour_of(delivered_at),
            "source_uri": uri,
            "status": "attested",
        }
        | more
    )


def digest(end: datetime, **more: Any) -> dict[str, Any]:
    return (
        PLACE
        | {
            "digest_end_time": end,
            "digest_start_time": end - HOUR,
            "event_hour": hour_of(end),
            "trail_name": "trail",
            "home_region": REGION,
            "chain": "standard",
            "digest_uri": f"s3://trail.example.com/{end:%dT%H%M}",
            "status": "valid",
            "link": "linked",
        }
        | more
    )


def counted(hour: datetime, requests: float, **more: Any) -> dict[str, Any]:
    return (
        PLACE
        | {
            "bin_start": hour,
            "bin_s": 300,
            "event_hour": hour,
            "table_name": TABLE,
            "operation": "GetItem",
            "measure": "requests",
            "trail_count": int(requests),
            "witness_count": requests,
            "verdict": "agrees",
            "difference": 0.0,
        }
        | more
    )


def said(hour: datetime, **more: Any) -> dict[str, Any]:
    return PLACE | {"event_hour": hour, "source": "cloudwatch", "status": "complete", "records": 1} | more
