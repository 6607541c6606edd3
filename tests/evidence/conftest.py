from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from dynatrail.clock import hour_of
from dynatrail.trail import timeline
from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Warehouse

DAY = date(2026, 11, 1)
MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC)
ACCOUNT = "123456789012"
HOSTILE = '=1+1,"quoted"\r\nline\ttab \\ \u2028 \U0001f600 \x00'


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DYNATRAIL_TRAIL_BUCKET", "trail.example.com")
    monkeypatch.setenv("DYNATRAIL_GIT_COMMIT", "0" * 40)


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    return Warehouse(str(tmp_path / "warehouse"))


def _timed(table: str, values: dict[str, Any], at: datetime) -> dict[str, Any]:
    hour = hour_of(at)
    row = dict.fromkeys(TABLES[table].schema.names) | values | {"event_hour": hour, "event_date": hour.date()}
    return row | ({"event_time": at} if "event_time" in TABLES[table].schema.names else {})


def api_event(number: int, at: datetime, **overrides: Any) -> dict[str, Any]:
    values = {
        "event_id": f"e-{number:04}",
        "recipient_account_id": ACCOUNT,
        "region": "eu-west-1",
        "event_source": "dynamodb.amazonaws.com",
        "event_name": "PutItem",
        "event_category": "Data",
        "management_event": False,
        "principal_type": "IAMUser",
        "principal_arn": f"arn:aws:iam::{ACCOUNT}:user/nurse-anna",
        "table_names": ["Patients"],
        "table_arns": [f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/Patients"],
        "source_uri": "s3://trail.example.com/file.json.gz",
        "source_sha256": "00",
        "source_index": number,
        "attestation": "attested",
        "ocsf_class_uid": 6005,
    }
    return _timed("api_event", values | overrides, at)


def api_event_item(number: int, at: datetime, ordinal: int = 0) -> dict[str, Any]:
    values = {
        "event_id": f"e-{number:04}",
        "recipient_account_id": ACCOUNT,
        "region": "eu-west-1",
        "table_name": "Patients",
        "item_key_token": f"tok-{number}",
        "operation": "Put",
        "ordinal": ordinal,
        "source_uri": "s3://trail.example.com/file.json.gz",
        "source_sha256": "00",
        "source_index": number,
    }
    return _timed("api_event_item", values, at)


def quarantined(number: int, at: datetime) -> dict[str, Any]:
    values = {
        "quarantine_id": f"q-{number}",
        "account_id": ACCOUNT,
        "region": "eu-west-1",
        "source": "cloudtrail",
        "source_uri": "s3://trail.example.com/bad.json.gz",
        "position": f"record {number}",
        "reason_code": "not_json",
        "reason": "The object is not JSON.",
        "payload_bytes": 7,
    }
    return _timed("quarantine", values, at)


@pytest.fixture
def make_event() -> Callable[..., dict[str, Any]]:
    return api_event


@pytest.fixture
def put() -> Callable[..., None]:
    """Replaces the hours that the rows lie in, in one commit."""

    def write(warehouse: Warehouse, table: str, rows: list[dict[str, Any]]) -> None:
        hours = {row["event_hour"] for row in rows}
        warehouse.replace(table, pa.Table.from_pylist(rows, schema=TABLES[table].schema), hours=hours)

    return write


@pytest.fixture
def fill(put) -> Callable[..., None]:
    """A day of events, items, records and rejects, with hours before and after it.

    `backwards` writes the same rows an hour at a time, the last hour and the last row first.
    """

    def write(warehouse: Warehouse, *, backwards: bool = False) -> None:
        times = [MIDNIGHT + timedelta(minutes=m) for m in (-1, 0, 1, 59, 60, 12 * 60, 23 * 60 + 59, 24 * 60)]
        tables = {
            "api_event": [api_event(n, at, user_agent=HOSTILE if n == 2 else "") for n, at in enumerate(times)],
            "api_event_item": [api_event_item(n, at, ordinal) for n, at in enumerate(times) for ordinal in range(2)],
            "quarantine": [quarantined(n, at) for n, at in enumerate(times)],
        }
        hours = list(dict.fromkeys(map(hour_of, times)))
        for part in [{hour} for hour in reversed(hours)] if backwards else [set(hours)]:
            for table, rows in tables.items():
                put(warehouse, table, [row for row in reversed(rows) if row["event_hour"] in part])
            timeline.build(warehouse, part)

    return write
