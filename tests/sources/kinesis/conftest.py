"""A table with a Kinesis destination in a sandbox of the tests' own, read as the DAG's tasks read it."""

import itertools
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dynatrail.privacy.tokens import Tokenizer, load_key
from dynatrail.sandbox import Sandbox
from dynatrail.sandbox.kinesis import KinesisBehaviour
from dynatrail.sandbox.sandbox import PRODUCTION
from dynatrail.settings import settings
from dynatrail.sources.kinesis import extract
from dynatrail.sources.kinesis.run import Summary
from dynatrail.sources.streams.extract import state_hours
from dynatrail.state import streams as state
from dynatrail.warehouse.store import Warehouse

START = datetime(2026, 11, 1, tzinfo=UTC)
REGION = "eu-west-1"


@dataclass
class Practice:
    """One table `name` with a binary key, its stream, and a home of Dynatrail that reads it."""

    sandbox: Sandbox
    name: str
    home: Path
    dynamodb: Any
    kinesis: Any
    runs: Any = field(default_factory=itertools.count)
    start: datetime = START

    @property
    def arn(self) -> str:
        return f"arn:aws:kinesis:{REGION}:{PRODUCTION}:stream/{self.name}"

    @property
    def now(self) -> datetime:
        return self.sandbox.clock.now()

    def wait(self, **more: float) -> None:
        self.sandbox.pass_time(self.now + timedelta(**more))

    def create(self, shards: int) -> None:
        self.dynamodb.create_table(
            TableName=self.name,
            KeySchema=[{"AttributeName": "digest", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "digest", "AttributeType": "B"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self.kinesis.create_stream(StreamName=self.name, ShardCount=shards)
        self.enable()

    def enable(self, name: str | None = None) -> None:
        arn = f"arn:aws:kinesis:{REGION}:{PRODUCTION}:stream/{name or self.name}"
        self.dynamodb.enable_kinesis_streaming_destination(TableName=self.name, StreamArn=arn)

    def disable(self) -> None:
        self.dynamodb.disable_kinesis_streaming_destination(TableName=self.name, StreamArn=self.arn)

    def put(self, key: bytes, **more: Any) -> None:
        """Write an item and let its record arrive."""
        self.dynamodb.put_item(TableName=self.name, Item={"digest": {"B": key}, **more})
        self.wait(seconds=2)

    def read(self) -> list[Summary]:
        """One run: discover, read every stream."""
        number = next(self.runs)
        return [
            extract.read(settings(), batch, place, run_id=f"run-{number}")
            for place, batch in enumerate(extract.discover(settings()))
        ]

    def rows(self, *columns: str) -> list[Any]:
        rows = Warehouse.from_settings(settings()).dataset("item_change").to_table().to_pylist()
        rows.sort(key=lambda row: (row["event_time"], row["sequence_number"]))
        return [row[columns[0]] if len(columns) == 1 else tuple(row[c] for c in columns) for row in rows] or []

    def digest(self) -> str:
        return Warehouse.from_settings(settings()).digest("item_change")

    def tokens(self) -> Tokenizer:
        return Tokenizer(load_key(settings()))

    def gaps(self) -> list[tuple[str, timedelta, timedelta]]:
        """Reason, start and end after START."""
        return [(gap.reason, gap.starts_at - START, gap.ends_at - START) for gap in state.gaps()]

    def statements(self) -> dict[datetime, tuple[str, list[str]]]:
        state_hours(settings())
        rows = Warehouse.from_settings(settings()).dataset("source_statement").to_table().to_pylist()
        return {row["event_hour"]: (row["status"], row["reasons"]) for row in rows if row["source"] == "kinesis"}


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("kinesis")) as sandbox:
        sandbox.clock.set(START)
        yield sandbox


@pytest.fixture
def home(tmp_path, monkeypatch, sandbox):
    """Settings, connection and configuration for tables whose names begin like the test's."""
    root = sandbox.root(PRODUCTION, REGION)
    connection = {
        "conn_type": "aws",
        "login": root.access_key_id,
        "password": root.secret_access_key,
        "extra": {"region_name": REGION, "endpoint_url": sandbox.endpoint_url},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_KINESIS", json.dumps(connection))
    monkeypatch.setenv("DYNATRAIL_AWS_CONN_ID", "aws_kinesis")
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path))
    monkeypatch.setenv("DYNATRAIL_CONFIG", str(tmp_path / "dynatrail.yaml"))
    return tmp_path


_NUMBERS = itertools.count(1)


@pytest.fixture
def practice(sandbox, home, monkeypatch):
    """Makes a table with a destination of its own; `shards` of its stream, `clear` attributes of its items."""
    monkeypatch.setattr(sandbox.kinesis, "behaviour", KinesisBehaviour(duplicates=0, late=0))
    monkeypatch.setattr(sandbox.kinesis, "faults", None)

    def make(shards: int = 1, clear: tuple[str, ...] = ()) -> Practice:
        name = f"Documents{next(_NUMBERS)}"
        account = {"id": PRODUCTION, "regions": [REGION], "tables": [name]}
        note = {"match": name, "changes_from": "kinesis"}
        kept = [{"path": one, "do": {"action": "keep"}} for one in clear]
        masking = {"version": 1, "tables": [{"match": name, "attributes": kept}]}
        (home / "masking").mkdir(exist_ok=True)
        (home / "masking" / "policy.yaml").write_text(json.dumps(masking))
        monkeypatch.setenv("DYNATRAIL_MASKING", str(home / "masking"))
        (home / "dynatrail.yaml").write_text(json.dumps({"version": 1, "accounts": [account], "tables": [note]}))
        root = sandbox.root(PRODUCTION, REGION)
        made = Practice(sandbox, name, home, sandbox.client("dynamodb", root), sandbox.client("kinesis", root))
        made.create(shards)
        return made

    return make
