"""A home of its own for each test, and looks at invented tables."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from dynatrail.config import Account, Target
from dynatrail.settings import settings
from dynatrail.sources.snapshots import versions, write
from dynatrail.sources.snapshots.asking import Asker
from dynatrail.sources.snapshots.pieces import Capture
from dynatrail.sources.snapshots.versions import Place
from dynatrail.warehouse.store import Warehouse

ACCOUNT, REGION = "123456789012", "us-east-1"
TABLE = "AWS::DynamoDB::Table"
FIRST = datetime(2026, 11, 1, tzinfo=UTC)
PLACE = Place("table_config", ACCOUNT, REGION)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def seen():
    """A complete look: table name -> document of DescribeTimeToLive, or the reason why it is unreadable."""

    def make(**tables: Any) -> Capture:
        capture = Capture(complete={(TABLE, "DescribeTimeToLive")})
        for name, document in tables.items():
            arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"
            if isinstance(document, str):
                capture.unreadable(TABLE, arn, "DescribeTimeToLive", name, document)
            else:
                capture.present(TABLE, arn, "DescribeTimeToLive", name, document)
        return capture

    return make


@pytest.fixture
def run(home):
    """Run `number` (six hours each) over a look, up to a point: `known`, `data` (killed before the state) or `all`."""

    def go(number: int, capture: Capture) -> write.Summary:
        at = FIRST + timedelta(hours=6 * number)
        return write.keep(settings(), capture, versions.before(PLACE, at), PLACE, at)

    return go


@pytest.fixture
def rows(home):
    """What the warehouse holds, by the number of the run: (run, table, status, document)."""

    def read() -> list[tuple[int, str, str, str | None]]:
        found = Warehouse.from_settings(settings()).dataset("table_config").to_table().to_pylist()
        return sorted(
            (
                int((row["captured_at"] - FIRST) / timedelta(hours=6)),
                row["resource_name"],
                row["status"],
                row["document"] or row["reason"],
            )
            for row in found
        )

    return read


@pytest.fixture
def digest(home):
    return lambda: Warehouse.from_settings(settings()).digest("table_config")


@pytest.fixture
def stubbed():
    """An asker whose clients are botocore's own, answering as told, and the stubs by service."""
    stubs: dict[str, Stubber] = {}

    def client(service: str, _region: str | None) -> Any:
        return stub(service).client

    def stub(service: str) -> Stubber:
        if service not in stubs:
            made = boto3.client(service, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x")
            stubs[service] = Stubber(made)
            stubs[service].activate()
        return stubs[service]

    return Asker(settings(), Target(Account(id=ACCOUNT, regions=(REGION,)), REGION), client), stub
