"""Wherever a run is killed, the next one ends in the tables that an undisturbed run gives."""

import gzip
import json
import os
import random
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dynatrail.privacy.tokens import load_key
from dynatrail.settings import Settings
from dynatrail.state import pending
from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Warehouse

pytestmark = pytest.mark.slow

ACCOUNT = "123456789012"
START = datetime(2026, 11, 1, 3, tzinfo=UTC)
KILLED = 9
PROGRAM = str(Path(__file__).with_name("extracting.py"))

# What vouches for the files is written: 2 tables. Two batches: each of them reads 4 files and writes 3 tables. What is
# known by then is written: the same 2 tables. Then the hours are built.
POINTS = [
    ("discover", 1, "after"),
    ("assign", 1, "before"),
    ("verify", 1, "after"),
    ("verify", 3, "after"),
    ("read", 3, "after"),
    ("replace", 2, "before"),
    ("commit", 1, "after"),
    ("commit", 2, "after"),
    ("commit", 3, "after"),
    ("taken", 1, "before"),
    ("taken", 1, "after"),
    ("commit", 5, "before"),
    ("commit", 9, "before"),
    ("commit", 9, "after"),
    ("build", 1, "before"),
    ("build", 1, "after"),
]


def record(number, hour):
    return {
        "eventVersion": "1.11",
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/jane", "accountId": ACCOUNT},
        "eventTime": f"{START + timedelta(hours=hour, seconds=number):%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": "dynamodb.amazonaws.com",
        "eventName": ("GetItem", "PutItem")[number % 2],
        "awsRegion": "eu-central-1",
        "requestParameters": {"tableName": "Patients", "key": {"patient_id": f"pat-{number}"}},
        "eventID": f"00000000-0000-4000-8000-{number:012d}",
        "eventCategory": "Data",
        "recipientAccountId": ACCOUNT,
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A bucket with duplicates, a late file, bad records and a bad file, in two regions; and a masking key."""
    folder = tmp_path_factory.mktemp("world")
    for region in ("eu-central-1", "us-east-1"):
        logs = folder / f"bucket/AWSLogs/{ACCOUNT}/CloudTrail/{region}/2026/11/01"
        logs.mkdir(parents=True)
        files = [
            [record(n, n % 3) for n in range(30)],
            [record(n, n % 3) for n in range(20, 50)],
            [record(n, 0) for n in range(60, 70)] + ["no record"],
        ]
        for number, records in enumerate([*files, None]):
            body = b"not gzip" if records is None else gzip.compress(json.dumps({"Records": records}).encode(), mtime=0)
            name = f"{ACCOUNT}_CloudTrail_{region}_20261101T{3 + number % 3:02}05Z_AbCdEf012345678{number}.json.gz"
            (logs / name).write_bytes(body)
    load_key(Settings(home=folder))
    return folder


@pytest.fixture
def make_home(world, tmp_path):
    """A new home with the world's key."""

    def make(name):
        home = tmp_path / name
        home.mkdir()
        shutil.copy(world / "token.key", home)
        return home

    return make


@pytest.fixture(scope="module")
def start(world):
    """Makes one run in a process of its own and gives its exit code; what it printed is in `world / "said"`."""
    env = os.environ | {"DYNATRAIL_TRAIL_BUCKET": (world / "bucket").as_uri(), "DYNATRAIL_LOOKBACK_HOURS": "4"}
    with (world / "said").open("w") as said:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": said, "text": True}
        runner = subprocess.Popen([sys.executable, PROGRAM], env=env, **pipes)

        def run(home, **asked):
            runner.stdin.write(json.dumps({"home": str(home), **asked}) + "\n")
            runner.stdin.flush()
            return int(runner.stdout.readline())

        yield run
        runner.communicate(timeout=10)


@pytest.fixture
def finish(start, world):
    """Makes one run that must succeed."""

    def run(home, **asked):
        assert start(home, **asked) == 0, (world / "said").read_text()[-3000:]

    return run


def state_of(home):
    """Everything that must not depend on kills: contents of all tables, and no hour left behind."""
    warehouse = Warehouse(str(home / "warehouse"))
    due = pending.hours("build_trail", f"sqlite:///{home / 'state.db'}")
    return {name: warehouse.digest(name) for name in TABLES}, due


@pytest.fixture(scope="module")
def undisturbed():
    return {}


@pytest.fixture
def expected(undisturbed, make_home, finish):
    if not undisturbed:
        home = make_home("undisturbed")
        finish(home)
        undisturbed["state"] = state_of(home)
        warehouse = Warehouse(str(home / "warehouse"))
        rows = {name: count for name in TABLES if (count := warehouse.dataset(name).count_rows())}
        proof = {"log_file": 8, "finding": 2}  # of two regions in which nothing vouches for the log files
        assert rows == {"api_event": 60, "api_event_item": 60, "audit_record": 60, "quarantine": 4} | proof
    return undisturbed["state"]


@pytest.mark.parametrize("point", POINTS, ids=lambda point: "-".join(map(str, point)))
def test_run_after_a_kill_gives_the_tables_of_an_undisturbed_run(point, expected, make_home, start, finish):
    home = make_home("killed")
    assert start(home, die=point) == KILLED
    finish(home)
    assert state_of(home) == expected


@pytest.mark.parametrize("seed", range(3))
def test_run_after_kills_at_any_moment_gives_the_same_too(seed, expected, make_home, start, finish):
    home, moments = make_home("killed"), random.Random(seed)
    for _ in range(2):
        start(home, within=moments.uniform(0.1, 2))
    finish(home)
    assert state_of(home) == expected


def test_taking_the_window_again_twice_writes_no_version(expected, make_home, finish):
    home = make_home("again")
    finish(home)
    versions = Warehouse(str(home / "warehouse")).versions()
    for _ in range(2):
        finish(home, retake=True)
        assert state_of(home) == expected
        assert Warehouse(str(home / "warehouse")).versions() == versions
