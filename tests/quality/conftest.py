import uuid
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from dynatrail.warehouse.schema import API_EVENT, API_EVENT_ITEM

START = datetime(2026, 11, 1, 3, tzinfo=UTC)
TOKEN = "t1:" + "0123456789abcdef" * 2

_EVENT = {
    "event_time": START,
    "event_hour": START,
    "event_date": START.date(),
    "recipient_account_id": "123456789012",
    "region": "us-east-1",
    "event_source": "dynamodb.amazonaws.com",
    "event_name": "GetItem",
    "event_category": "Data",
    "request_parameters": f'{{"tableName":"Patients","key":{{"patient_id":"{TOKEN}"}}}}',
    "source_uri": "s3://example-trail/AWSLogs/123456789012/CloudTrail/us-east-1/2026/11/01/one.json.gz",
    "source_sha256": "0" * 64,
    "attestation": "attested",
    "ocsf_class_uid": 6005,
}


@pytest.fixture
def events():
    """Makes `count` good events; `changes` gives one of them, by position, other values."""

    def make(count=10, changes=None):
        rows = [
            _EVENT
            | {
                "event_id": str(uuid.UUID(int=number)),
                "event_time": START + timedelta(seconds=number),
                "source_index": number,
            }
            | (changes or {}).get(number, {})
            for number in range(count)
        ]
        names = API_EVENT.schema.names
        return pa.Table.from_pylist([{n: r.get(n) for n in names} for r in rows], schema=API_EVENT.schema)

    return make


@pytest.fixture
def items():
    """The same for items named by events."""

    def make(count=3, changes=None):
        rows = [
            {name: value for name, value in _EVENT.items() if name in API_EVENT_ITEM.schema.names}
            | {
                "event_id": str(uuid.UUID(int=number)),
                "table_name": "Patients",
                "item_key_token": TOKEN,
                "operation": "Get",
                "ordinal": 0,
                "source_index": number,
            }
            | (changes or {}).get(number, {})
            for number in range(count)
        ]
        return pa.Table.from_pylist(rows, schema=API_EVENT_ITEM.schema)

    return make


@pytest.fixture
def parameters():
    return {"latest_event_time": START + timedelta(hours=1), "expected_rows": 1}
