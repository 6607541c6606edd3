"""`make run` killed at seeded moments in one home, then left alone, against the tables of a run never disturbed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dynatrail.clock import parse_instant
from dynatrail.warehouse.store import Warehouse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
KILLS = 3


def start(home: Path) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DYNATRAIL"))}
    return subprocess.Popen(
        [sys.executable, "-m", "dynatrail", "demo", "--scenario", "tiny", "--days", "1"],
        env={**environment, "DYNATRAIL_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finish(home: Path) -> float:
    began = time.monotonic()
    run = start(home)
    said, _ = run.communicate(timeout=240)
    assert run.returncode == 0, said.decode()
    return time.monotonic() - began


def digests(home: Path) -> dict[str, str]:
    """Contents of the scenario's day. Snapshots and what is stated of later hours depend on when somebody looked."""
    warehouse = Warehouse(str(home / "warehouse"))
    summary = json.loads((home / "sandbox" / "truth" / "tiny.summary.json").read_text())
    day = parse_instant(summary["window"][0]).date()
    return {table: warehouse.digest(table, day=day) for table in warehouse.versions()}


def test_a_run_killed_at_any_moment_ends_in_the_same_tables(tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    seconds = finish(undisturbed)
    (killed / "sandbox").mkdir(parents=True)
    for key in ("token.key", "sandbox/digest-key.pem"):  # tokens and signatures are only the same under the same key
        shutil.copy2(undisturbed / key, killed / key)
    chance = random.Random(20261124)
    for kill in range(KILLS):
        # One kill in each part of a run, so that the play, the extract and what follows are all hit.
        moment = seconds * (kill + chance.random()) / KILLS
        run = start(killed)
        time.sleep(moment)
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait(timeout=30)
    finish(killed)
    assert digests(killed) == digests(undisturbed)
    assert sorted(evidence(killed)) == sorted(evidence(undisturbed))


def evidence(home: Path) -> list[str]:
    return [path.relative_to(home).as_posix() for path in (home / "evidence").rglob("SHA256SUMS")]
