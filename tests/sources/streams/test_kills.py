"""Reading streams, killed at seeded moments, then left alone: the tables of a run never disturbed.

Six kills by default; `make kill-streams` asks for fifty.
"""

import base64
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from dynatrail.warehouse.store import Warehouse

from .server import ACCOUNT, REGION, StreamsServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
KILLS = int(os.environ.get("DYNATRAIL_KILLS", "6"))
CALLS = {
    "describe": 3,
    "iterator": 8,
    "records": 25,
    "observe": 3,
    "gap": 2,
    "check": 4,
    "write": 5,
    "commit": 6,
    "quarantine": 5,
    "advance": 4,
    "state": 1,
}
"""Calls of each boundary that an undisturbed run makes, about: beyond the last one nothing is killed."""


@pytest.fixture(scope="module")
def server() -> Iterator[StreamsServer]:
    """Two tables with splits, a bad record, an expiry, and a stream that replaced another."""
    made = StreamsServer()
    made.page = 5
    chance = random.Random(7)
    old = made.stream("Patients", "a", "b")
    visits = made.stream("Visits")
    for number in range(40):
        made.now += timedelta(minutes=2)
        made.write(old, chance.choice("ab"), f"pat-{number % 9}")
        made.write(visits, "a", f"visit-{number % 5}")
        if number == 20:
            made.write(old, "a", "pat-1", dynamodb={"Keys": None})
    made.split(old, "a", "c", "d")
    for number in range(20):
        made.now += timedelta(minutes=1)
        made.write(old, chance.choice("bcd"), f"pat-{number}")
    ttl = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
    made.write(old, "c", "pat-1", eventName="REMOVE", userIdentity=ttl)
    made.disable(old)
    made.now += timedelta(minutes=30)
    new = made.stream("Patients")
    for number in range(12):
        made.write(new, "a", f"pat-{number}")
    made.now += timedelta(hours=2)
    yield made
    made.close()


class Runs:
    """Runs of one process that forks; see reading.py."""

    def __init__(self, server: StreamsServer, folder: Path) -> None:
        config = folder / "dynatrail.yaml"
        config.write_text(f'version: 1\naccounts: [{{id: "{ACCOUNT}", regions: [{REGION}]}}]\n')
        connection = {
            "conn_type": "aws",
            "login": "AKIAEXAMPLE",
            "password": "example",
            "extra": {"region_name": REGION, "endpoint_url": server.url},
        }
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DYNATRAIL", "AWS"))
        }
        environment |= {
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
            "DYNATRAIL_CONFIG": str(config),
        }
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("reading.py"))],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, home: Path, **how: object) -> int:
        if not home.exists():
            home.mkdir()
            # Tokens are only the same under the same key.
            (home / "token.key").write_text(base64.b64encode(bytes(range(32))).decode())
            (home / "token.key").chmod(0o600)
        self._process.stdin.write(json.dumps({"home": str(home), **how}) + "\n")
        self._process.stdin.flush()
        while not (told := self._process.stdout.readline().strip()).lstrip("-").isdigit():
            assert self._process.poll() is None  # Airflow and Great Expectations log to the same place
        return int(told)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=30)


@pytest.fixture(scope="module")
def runs(server, tmp_path_factory):
    made = Runs(server, tmp_path_factory.mktemp("runs"))
    yield made
    made.close()


def digests(home: Path) -> dict[str, str]:
    warehouse = Warehouse(str(home / "warehouse"))
    return {table: warehouse.digest(table) for table in warehouse.versions()}


@pytest.fixture(scope="module")
def undisturbed(runs, tmp_path_factory):
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    assert runs.run(home) == 0
    return digests(home)


def test_an_undisturbed_run_has_every_change_once(server, runs, tmp_path):
    home = tmp_path / "home"
    for _ in range(2):
        assert runs.run(home) == 0
    written = sorted(
        record["dynamodb"]["SequenceNumber"]
        for stream in server.streams.values()
        for shard in stream.shards.values()
        for record in shard.records
        if record["dynamodb"]["Keys"]
    )
    warehouse = Warehouse(str(home / "warehouse"))
    assert sorted(warehouse.dataset("item_change").to_table()["sequence_number"].to_pylist()) == written
    assert warehouse.dataset("quarantine").count_rows() == 1


def moments() -> list[dict[str, object]]:
    """Half at a boundary, half at any moment; the same for everybody who counts to the same number."""
    chance = random.Random(20261124)
    made: list[dict[str, object]] = []
    for number in range(KILLS):
        if number % 2:
            made.append({"within": round(chance.uniform(0.05, 4), 2)})
        else:
            boundary = chance.choice(sorted(CALLS))
            made.append({"die": [boundary, chance.randint(1, CALLS[boundary]), chance.choice(["before", "after"])]})
    return made


@pytest.mark.parametrize("how", moments(), ids=lambda how: "-".join(map(str, how.get("die", [how.get("within")]))))
def test_a_killed_run_is_made_good_by_the_next(runs, undisturbed, tmp_path, how):
    home = tmp_path / "home"
    assert runs.run(home, **how) in (0, 9, -9)
    assert runs.run(home) == 0
    assert digests(home) == undisturbed
