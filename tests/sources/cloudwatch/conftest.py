from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from dynatrail.config import Account, TableNote, Target
from dynatrail.privacy.tokens import Tokenizer
from dynatrail.sources.tables import watched
from dynatrail.warehouse.schema import METRIC

ACCOUNT = "123456789012"
REGION = "eu-central-1"
HOUR = datetime(2026, 11, 1, 3, tzinfo=UTC)


@pytest.fixture
def tokens():
    return Tokenizer(bytes(range(32)))


@pytest.fixture
def target():
    return Target(Account(id=ACCOUNT, regions=(REGION,)), REGION)


@pytest.fixture
def make_table(target):
    """A table as `sources.tables` finds it; keyword arguments are further members of its description."""

    def make(name: str = "Patients", keys: str = "patient_id:S", changes_from: str = "stream", **said: Any):
        pairs = [key.split(":") for key in keys.split(",")]
        description = {
            "TableName": name,
            "TableArn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}",
            "AttributeDefinitions": [{"AttributeName": key, "AttributeType": kind} for key, kind in pairs],
            "KeySchema": [
                {"AttributeName": name, "KeyType": kind}
                for (name, _), kind in zip(pairs, ("HASH", "RANGE"), strict=False)
            ],
        } | said
        return watched(description, target, TableNote(match=name, changes_from=changes_from))

    return make


@pytest.fixture
def datapoints():
    """Rows of `metric`, one for each dictionary of what differs from a SampleCount of one minute."""

    def make(*rows: dict[str, Any]) -> pa.Table:
        base = {
            "event_time": HOUR,
            "event_hour": HOUR,
            "event_date": HOUR.date(),
            "account_id": ACCOUNT,
            "region": REGION,
            "namespace": "AWS/DynamoDB",
            "metric_name": "SuccessfulRequestLatency",
            "table_name": "Patients",
            "operation": "GetItem",
            "dimensions": '{"Operation":"GetItem","TableName":"Patients"}',
            "statistic": "SampleCount",
            "period_s": 60,
            "value": 1.0,
            "unit": "Count",
        }
        names = METRIC.schema.names
        whole = [{name: (base | row).get(name) for name in names} for row in rows]
        return pa.Table.from_pylist(whole, schema=METRIC.schema)

    return make
