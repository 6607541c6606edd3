"""One account whose stream was not read for longer than it keeps its records, and the exports that make up for it."""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dynatrail.privacy.tokens import Tokenizer, load_key
from dynatrail.sandbox import Sandbox
from dynatrail.sandbox.sandbox import PRODUCTION
from dynatrail.settings import Settings, settings
from dynatrail.sources.exports import ask, repair
from dynatrail.sources.streams import extract
from dynatrail.warehouse.store import Warehouse

START = datetime(2026, 11, 1, tzinfo=UTC)
NAME = "Patients"
ARN = f"arn:aws:dynamodb:us-east-1:{PRODUCTION}:table/{NAME}"
BUCKET = "example-exports"
CONFIG = f"""
version: 1
accounts:
  - id: "{PRODUCTION}"
    regions: [us-east-1]
exports:
  bucket: {BUCKET}
  prefix: audit
"""


def at(hour: float) -> datetime:
    return START + timedelta(hours=hour)


@dataclass
class World:
    """A sandbox with one table, and a Dynatrail that reads it."""

    sandbox: Sandbox
    home: Path
    dynamodb: Any
    s3: Any
    runs: int = 0
    seen: list[dict[str, Any]] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return settings()

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse.from_settings(self.settings)

    def pass_to(self, hour: float) -> None:
        self.sandbox.pass_time(at(hour))

    def put(self, patient: str, **more: str) -> None:
        item = {"patient_id": {"S": patient}, **{name: {"S": value} for name, value in more.items()}}
        self.dynamodb.put_item(TableName=NAME, Item=item)

    def delete(self, patient: str) -> None:
        self.dynamodb.delete_item(TableName=NAME, Key={"patient_id": {"S": patient}})

    def token(self, patient: str) -> str:
        return Tokenizer(load_key(self.settings)).item([("patient_id", patient)])

    def read_streams(self) -> None:
        """One run of `extract_streams`."""
        self.runs += 1
        for number, batch in enumerate(extract.discover(self.settings)):
            extract.read(self.settings, batch, number, run_id=f"run-{self.runs}")
        extract.state_hours(self.settings)

    def ask(self) -> ask.Asked:
        return ask.for_gaps(self.settings)

    def wait(self, arns: list[str]) -> None:
        """Until AWS is done."""
        self.sandbox.pass_time(self.sandbox.clock.now() + timedelta(minutes=10))
        for arn in arns:
            assert ask.refresh(self.settings, arn)

    def load(self, arn: str) -> repair.Summary:
        return repair.load(self.settings, arn, run_id="run")

    def changes(self, **equal: Any) -> list[dict[str, Any]]:
        rows = self.warehouse.dataset("item_change").to_table().to_pylist()
        rows = [row for row in rows if all(row[name] == value for name, value in equal.items())]
        return sorted(rows, key=lambda row: (row["event_time"], row["change_id"]))

    def statements(self) -> dict[datetime, tuple[str, list[str]]]:
        rows = self.warehouse.dataset("source_statement").to_table().to_pylist()
        return {row["event_hour"]: (row["status"], row["reasons"]) for row in rows if row["source"] == "streams"}

    def digests(self) -> dict[str, str]:
        return {table: self.warehouse.digest(table) for table in self.warehouse.versions()}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, environment: pytest.MonkeyPatch) -> Iterator[World]:
    """Nothing was written yet; the clock stands at `START` and point-in-time recovery is on."""
    folder = tmp_path_factory.mktemp("exports")
    (folder / "dynatrail.yaml").write_text(CONFIG)
    with Sandbox(folder / "sandbox") as sandbox:
        sandbox.clock.set(START)
        root = sandbox.root(PRODUCTION)
        connection = {
            "conn_type": "aws",
            "login": root.access_key_id,
            "password": root.secret_access_key,
            "extra": {"region_name": "us-east-1", "endpoint_url": sandbox.endpoint_url},
        }
        environment.setenv("DYNATRAIL_HOME", str(folder / "home"))
        environment.setenv("DYNATRAIL_CONFIG", str(folder / "dynatrail.yaml"))
        environment.setenv("DYNATRAIL_AWS_CONN_ID", "aws_exports")
        environment.setenv("AIRFLOW_CONN_AWS_EXPORTS", json.dumps(connection))
        world = World(sandbox, folder / "home", sandbox.client("dynamodb", root), sandbox.client("s3", root))
        world.s3.create_bucket(Bucket=BUCKET)
        world.dynamodb.create_table(
            TableName=NAME,
            KeySchema=[{"AttributeName": "patient_id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "patient_id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        world.dynamodb.update_continuous_backups(
            TableName=NAME, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        yield world


@contextmanager
def spoilt(world, bucket, root):
    """One line of the export whose time is no number, in files that agree with their manifests all the same."""
    keys = [one["Key"] for one in world.s3.list_objects_v2(Bucket=bucket, Prefix=f"{root}/")["Contents"]]
    files_key = next(key for key in keys if key.endswith("manifest-files.json"))
    listing = world.s3.get_object(Bucket=bucket, Key=files_key)["Body"].read()
    entries = [json.loads(line) for line in listing.splitlines()]
    entry = next(entry for entry in entries if entry["itemCount"])
    data = world.s3.get_object(Bucket=bucket, Key=entry["dataFileS3Key"])["Body"].read()
    first, _, rest = gzip.decompress(data).partition(b"\n")
    line = json.loads(first) | {"Metadata": {"WriteTimestampMicros": {"N": "soon"}}}
    content = gzip.compress(json.dumps(line).encode() + b"\n" + rest, mtime=0)
    written = world.s3.put_object(Bucket=bucket, Key=entry["dataFileS3Key"], Body=content)
    entry |= {"md5Checksum": md5(content), "etag": written["ETag"].strip('"')}
    changed = b"".join(json.dumps(one).encode() + b"\n" for one in entries)
    sum_key = files_key.replace(".json", ".checksum")
    for key, body in ((files_key, changed), (sum_key, md5(changed).encode())):
        world.s3.put_object(Bucket=bucket, Key=key, Body=body)
    yield json.loads(first)["Keys"]["patient_id"]["S"]
    for key, body in ((entry["dataFileS3Key"], data), (files_key, listing), (sum_key, md5(listing).encode())):
        world.s3.put_object(Bucket=bucket, Key=key, Body=body)


def md5(content):
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
