import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dynatrail.warehouse import engine
from dynatrail.warehouse.store import Warehouse


@pytest.fixture(scope="session")
def dynatrail():
    """Runs the command line over a home, as a person would."""

    def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DYNATRAIL"))}
        return subprocess.run(
            [sys.executable, "-m", "dynatrail", *arguments],
            env={**kept, "DYNATRAIL_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def home(made_once, dynatrail):
    """What `make run` leaves, of the scenario `tiny`; `said` is what it printed. One test runs it again."""

    def make(home: Path) -> None:
        ran = dynatrail(home, "demo", "--scenario", "tiny", "--days", "1")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        (home / "said").write_text(ran.stdout)

    return made_once("home-of-tiny", make)


@pytest.fixture(scope="session")
def warehouse(home):
    return Warehouse(str(home / "warehouse"))


@pytest.fixture(scope="session")
def rows(warehouse):
    """The rows of a query."""

    def run(sql: str):
        with engine.connect(warehouse) as connection:
            return engine.query(connection, sql)

    return run


@pytest.fixture(scope="session")
def truth(home):
    """The calls that the scenario made."""
    return read_lines(home / "sandbox" / "truth" / "tiny.jsonl")


@pytest.fixture(scope="session")
def true_changes(home):
    """The item changes that the scenario made, by calls, expiry and replication."""
    return read_lines(home / "sandbox" / "truth" / "tiny.changes.jsonl")


@pytest.fixture(scope="session")
def true_requests(home):
    """How often each operation succeeded on each table, by the hour."""
    return json.loads((home / "sandbox" / "truth" / "tiny.metrics.json").read_text())


def read_lines(path: Path):
    return [json.loads(line) for line in path.read_text().splitlines()]
