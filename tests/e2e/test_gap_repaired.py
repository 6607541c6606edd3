"""A stream left unread for more than a day: noticed, repaired from an export by the DAG, labelled, stated, verified."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dynatrail.clock import iso
from dynatrail.local import environment
from dynatrail.sandbox import Sandbox
from dynatrail.sandbox.sandbox import PRODUCTION
from dynatrail.settings import PROJECT, Settings, settings
from dynatrail.sources.streams import extract
from dynatrail.warehouse.store import Warehouse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

START = datetime(2026, 11, 1, tzinfo=UTC)
NAME, BUCKET = "Patients", "example-exports"
ARN = f"arn:aws:dynamodb:us-east-1:{PRODUCTION}:table/{NAME}"
CONFIG = f"""
version: 1
accounts:
  - id: "{PRODUCTION}"
    regions: [us-east-1]
exports:
  bucket: {BUCKET}
"""
DRIVER = PROJECT / "tests" / "dags" / "drive.py"


class Account:
    """A sandbox with one table, and an Airflow of its own, in `folder/home`, that looks at it."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        root = sandbox.root(PRODUCTION)
        self.sandbox, self.folder, self.runs = sandbox, folder, 0
        self.dynamodb, self.s3 = sandbox.client("dynamodb", root), sandbox.client("s3", root)
        connection: dict[str, object] = {
            "conn_type": "aws",
            "login": root.access_key_id,
            "password": root.secret_access_key,
            "extra": {"region_name": "us-east-1", "endpoint_url": sandbox.endpoint_url},
        }
        (folder / "dynatrail.yaml").write_text(CONFIG)
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DYNATRAIL", "AWS"))
        }
        self.env = kept | environment.airflow_environment(folder / "home", connection=connection)
        self.env["DYNATRAIL_CONFIG"] = str(folder / "dynatrail.yaml")
        environment.migrate(self.env)

    def make_table(self) -> None:
        self.s3.create_bucket(Bucket=BUCKET)
        self.dynamodb.create_table(
            TableName=NAME,
            KeySchema=[{"AttributeName": "patient_id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "patient_id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        self.dynamodb.update_continuous_backups(
            TableName=NAME, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )

    def put(self, patient: str, text: str) -> None:
        self.dynamodb.put_item(TableName=NAME, Item={"patient_id": {"S": patient}, "note": {"S": text}})

    def run(self, *steps: dict[str, Any]) -> list[dict[str, Any]]:
        """Run DAGs in a process of their own, while AWS does what it does by itself; what each did."""
        self.runs += 1
        path = self.folder / f"steps-{self.runs}.json"
        path.write_text(json.dumps(steps))
        with path.with_suffix(".log").open("w") as log:
            driver = subprocess.Popen(
                [sys.executable, str(DRIVER), str(path)], env=self.env, stdout=log, stderr=subprocess.STDOUT
            )
            while driver.poll() is None:
                self.sandbox.recorder.tick()
                time.sleep(0.5)
        printed = path.with_suffix(".log").read_text()
        assert driver.returncode == 0, printed[-3000:]
        assert "pat-4711" not in printed
        told: list[dict[str, Any]] = json.loads(path.with_suffix(".told.json").read_text())
        return [step | {"printed": printed} for step in told]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, with_metadata: Callable[[Path], Path]):
    """What the runs did, and the warehouse that they left."""
    folder = tmp_path_factory.mktemp("gap")
    with_metadata(folder / "home")
    with Sandbox(folder / "sandbox") as sandbox:
        sandbox.clock.set(START)
        account = Account(sandbox, folder)
        account.make_table()
        account.put("pat-4711-kept", "first")
        sandbox.pass_time(START + timedelta(hours=3))
        with pytest.MonkeyPatch.context() as patch:
            for name in ("DYNATRAIL_HOME", "DYNATRAIL_CONFIG", "AIRFLOW_CONN_AWS_DEFAULT"):
                patch.setenv(name, account.env[name])
            for number, batch in enumerate(extract.discover(settings())):
                extract.read(settings(), batch, number, run_id="first")
        sandbox.pass_time(START + timedelta(hours=4))
        account.put("pat-4711-kept", "second")
        account.put("pat-4711-new", "first")
        sandbox.pass_time(START + timedelta(hours=29))
        account.put("pat-4711-kept", "third")
        sandbox.pass_time(START + timedelta(hours=30))
        sandbox.clock.set(START + timedelta(hours=30), running=True)
        window = {"table": ARN, "from": iso(START), "to": iso(START + timedelta(hours=5)), "reason": "a test"}
        later = account.run(
            {"dag": "extract_streams"},
            {"dag": "repair_changes"},
            {"dag": "repair_changes"},
            {"dag": "verify_changes", "conf": window},
            {"dag": "verify_changes"},
        )
        names = ("gap", "repaired", "idle", "verified", "nothing_asked")
        yield dict(zip(names, later, strict=True)) | {"home": folder / "home"}


def rows(runs: dict[str, Any], table: str) -> list[dict[str, Any]]:
    warehouse = Warehouse.from_settings(Settings(home=runs["home"]))
    return warehouse.dataset(table).to_table().to_pylist()


def test_gap_is_noticed_by_the_extract(runs):
    assert runs["gap"]["state"] == "success"
    assert runs["gap"]["results"]["summarize"]["gaps"] > 0


def test_gap_is_repaired_in_one_run(runs):
    step = runs["repaired"]
    assert step["state"] == "success", step["printed"][-4000:]
    assert step["results"]["summarize"] == {
        "loaded": 1,
        "items": 2,
        "rows": 2,
        "in_quarantine": [],
        "refused": [],
        "waiting": [],
        "left": [],
    }
    assert step["results"]["repair.load"]["closed"] == runs["gap"]["results"]["summarize"]["gaps"]
    assert "2026-11-01T04:00:00Z" in step["events"][0]["hours"]


def test_reconstructed_rows_are_labelled(runs):
    made = [row for row in rows(runs, "item_change") if row["reconstructed"]]
    assert sorted(row["change_type"] for row in made) == ["INSERT", "MODIFY"]
    assert {(row["change_origin"], row["event_time"].hour, row["by_ttl"]) for row in made} == {("export", 4, None)}


def test_hour_is_stated_as_reconstructed(runs):
    said = {row["event_hour"]: row["status"] for row in rows(runs, "source_statement") if row["source"] == "streams"}
    assert said[START + timedelta(hours=4)] == "reconstructed"


def test_run_without_a_gap_asks_for_nothing(runs):
    step = runs["idle"]
    assert (step["state"], step["results"]["ask"]["exports"]) == ("success", [])
    assert step["results"]["summarize"]["loaded"] == 0
    assert step["digests"] == runs["repaired"]["digests"]


def test_repaired_window_agrees_with_an_export(runs):
    step = runs["verified"]
    assert step["state"] == "success", step["printed"][-4000:]
    assert step["results"]["verify.compare"]["differences"] == {}
    said = {row["event_hour"]: row["status"] for row in rows(runs, "source_statement") if row["source"] == "exports"}
    assert said == {START + timedelta(hours=hour): "complete" for hour in range(5)}


def test_verification_must_be_asked_for(runs):
    assert runs["nothing_asked"]["state"] == "failed"
    assert "Say what to verify" in runs["nothing_asked"]["printed"]
