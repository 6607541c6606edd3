"""Wherever a run is killed, the next one ends in the tables that an undisturbed run gives."""

import gzip
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
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
JANE = f"arn:aws:iam::{ACCOUNT}:user/jane"
REGIONS = ("eu-central-1", "us-east-1")

# What vouches for the files is written: 2 tables. Two batches: each of them reads 4 files and writes 3 tables. What is
# known by then is written: the same 2 tables.
EXTRACTING = [
    ("discover", 1, "after"),
    ("assign", 1, "before"),
    ("verify", 1, "after"),
    ("verify", 3, "after"),
    ("read", 3, "after"),
    ("replace", 2, "before"),
    ("commit", 1, "after"),
    ("commit", 3, "after"),
    ("taken", 1, "before"),
    ("taken", 1, "after"),
    ("commit", 5, "before"),
    ("commit", 8, "before"),
    ("commit", 8, "after"),
]

# An issuing event came late: the neighbours are made due, then session, finding, attribution and audit_record are
# written, and the hours are no longer due, in two stages. Nothing is kept between one of these and the next.
BUILDING = [
    ("due", 1, "before"),
    ("due", 1, "after"),
    *(("commit", number, "after") for number in (1, 2, 3, 4)),
    ("done", 1, "after"),
]


def record(number, hour):
    """A read or a write; every other write is signed with the key of a role's session."""
    identity = {"type": "IAMUser", "arn": JANE, "accountId": ACCOUNT}
    if number % 4 == 3:
        identity = {
            "type": "AssumedRole",
            "principalId": "AROAEXAMPLE:s",
            "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/Clerk/s",
            "accountId": ACCOUNT,
            "accessKeyId": "ASIACLERK",
            "sessionContext": {"sessionIssuer": {"type": "Role", "arn": f"arn:aws:iam::{ACCOUNT}:role/Clerk"}},
        }
    return {
        "eventVersion": "1.11",
        "userIdentity": identity,
        "eventTime": f"{START + timedelta(hours=hour, seconds=number):%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": "dynamodb.amazonaws.com",
        "eventName": ("GetItem", "PutItem")[number % 2],
        "awsRegion": "eu-central-1",
        "requestParameters": {"tableName": "Patients", "key": {"patient_id": f"pat-{number}"}},
        "eventID": f"00000000-0000-4000-8000-{number:012d}",
        "eventCategory": "Data",
        "recipientAccountId": ACCOUNT,
    }


def issuing(number, key, user="jane"):
    """AssumeRole before everything else."""
    caller = {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/{user}", "accountId": ACCOUNT}
    answered = {
        "credentials": {"accessKeyId": key},
        "assumedRoleUser": {"assumedRoleId": "AROAEXAMPLE:s", "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/Clerk/s"},
    }
    return record(1000 + number, 0) | {
        "userIdentity": caller,
        "eventTime": f"{START:%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": "sts.amazonaws.com",
        "eventName": "AssumeRole",
        "requestParameters": {"roleArn": f"arn:aws:iam::{ACCOUNT}:role/Clerk", "roleSessionName": "s"},
        "responseElements": answered,
        "eventCategory": "Management",
    }


def put_file(folder, region, number, hour, records):
    logs = folder / f"bucket/AWSLogs/{ACCOUNT}/CloudTrail/{region}/2026/11/01"
    logs.mkdir(parents=True, exist_ok=True)
    body = b"not gzip" if records is None else gzip.compress(json.dumps({"Records": records}).encode(), mtime=0)
    name = f"{ACCOUNT}_CloudTrail_{region}_20261101T{hour:02}05Z_AbCdEf012345678{number}.json.gz"
    (logs / name).write_bytes(body)
    return logs / name


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A bucket with duplicates, a late file, bad records and a bad file, in two regions; and a masking key."""
    folder = tmp_path_factory.mktemp("world")
    for region in REGIONS:
        files = [
            [record(n, n % 3) for n in range(30)],
            [record(n, n % 3) for n in range(20, 50)],
            [record(n, 0) for n in range(60, 70)] + ["no record"],
            None,
        ]
        for number, records in enumerate(files):
            put_file(folder, region, number, 3 + number % 3, records)
    load_key(Settings(home=folder))
    return folder


@pytest.fixture(scope="module")
def make_home(world, tmp_path_factory):
    """A new home with the world's key; or a copy of another one."""

    def make(name, of=None):
        home = tmp_path_factory.mktemp(name) / "home"
        if of:
            return shutil.copytree(of, home)
        home.mkdir()
        shutil.copy(world / "token.key", home)
        return home

    return make


@pytest.fixture(scope="module")
def start(world):
    """Makes one run in a process of its own and gives its exit code; what it printed is in `world / "said"`."""
    env = os.environ | {"DYNATRAIL_LOOKBACK_HOURS": "4"}
    answers, answering = os.pipe()
    with (world / "said").open("w") as said, os.fdopen(answers) as codes:
        runner = subprocess.Popen(
            [sys.executable, PROGRAM, str(answering)],
            env=env,
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            text=True,
            pass_fds=[answering],
        )
        os.close(answering)

        def run(home, **asked):
            asked |= {"home": str(home), "bucket": (world / "bucket").as_uri()}
            runner.stdin.write(json.dumps(asked) + "\n")
            runner.stdin.flush()
            return int(codes.readline())

        yield run
        runner.communicate(timeout=10)


@pytest.fixture(scope="module")
def finish(start, world):
    """Makes one run that must succeed."""

    def run(home, **asked):
        assert start(home, **asked) == 0, (world / "said").read_text()[-3000:]

    return run


def state_of(home):
    """Everything that must not depend on kills: contents of all tables, and the hours left behind."""
    warehouse = Warehouse(str(home / "warehouse"))
    url = f"sqlite:///{home / 'state.db'}"
    due = {stage: pending.hours(stage, url) for stage in (pending.BUILD, pending.TIMELINE)}
    return {name: warehouse.digest(name) for name in TABLES}, due


def counts_of(home):
    warehouse = Warehouse(str(home / "warehouse"))
    return {name: count for name in TABLES if (count := warehouse.dataset(name).count_rows())}


@pytest.fixture(scope="module")
def extracted(make_home, finish):
    """A home in which the window was extracted, and nothing built yet."""
    home = make_home("extracted")
    finish(home, only="extract")
    # The findings are of two regions in which nothing vouches for the log files.
    assert counts_of(home) == {"api_event": 60, "api_event_item": 60, "quarantine": 4, "log_file": 8, "finding": 2}
    return home


@pytest.fixture(scope="module")
def whole(make_home, finish, extracted):
    """The state after an undisturbed run of everything."""
    home = make_home("whole", of=extracted)
    finish(home, only="build")
    assert counts_of(home) == counts_of(extracted) | {"session": 1, "audit_record": 62}
    return state_of(home)


@pytest.fixture(scope="module")
def late(world, make_home, finish, extracted):
    """A home that was built with changes of the items, and into which the issuing events then came."""
    home = make_home("late", of=extracted)
    warehouse = Warehouse(str(home / "warehouse"))
    changes = [change(row) for row in warehouse.dataset("api_event_item").to_table().to_pylist()]
    changes = [one for one in changes if one]
    table = pa.Table.from_pylist(changes, schema=TABLES["item_change"].schema)
    warehouse.replace("item_change", table, hours={one["event_hour"] for one in changes})
    finish(home, only="build")
    # What issued the role's key, and another key twice; no other home sees it.
    issued = [issuing(1, "ASIACLERK"), issuing(2, "ASIATWICE"), issuing(3, "ASIATWICE", "ines")]
    file = put_file(world, REGIONS[0], 9, 3, issued)
    finish(home, only="extract")
    file.unlink()
    return home


def change(item):
    """What a Put of one region made of its item, half a second before."""
    if item["operation"] != "Put" or item["region"] != REGIONS[0]:
        return None
    shared = {name: item[name] for name in ("event_hour", "event_date", "region", "table_name", "item_key_token")}
    return dict.fromkeys(TABLES["item_change"].schema.names) | shared | {
        "change_id": f"change-of-{item['event_id']}",
        "event_time": item["event_time"],
        "account_id": ACCOUNT,
        "table_arn": item["table_arn"],
        "key_attributes": ["patient_id"],
        "change_type": "INSERT",
        "view_type": "KEYS_ONLY",
        "sequence_number": item["event_id"][-12:],
        "change_origin": "stream",
        "reconstructed": False,
        "by_ttl": False,
        "source_uri": "stream",
        "source_position": item["event_id"][-12:],
    }  # fmt: skip


@pytest.fixture(scope="module")
def rebuilt(make_home, finish, late):
    """The state after an undisturbed build of `late`, in which the late events have told who wrote."""
    home = make_home("rebuilt", of=late)
    before = writers(home)
    finish(home, only="build")
    assert counts_of(home)["session"] == 2
    assert counts_of(home)["finding"] == 3  # one key was issued twice
    assert set(before) == {JANE, None}
    assert writers(home) == Counter({JANE: sum(before.values())})
    records = Warehouse(str(home / "warehouse")).dataset("audit_record").to_table(columns=["actor", "event_hour"])
    of_writes = records.filter(pc.is_in(records["actor"], value_set=pa.array([JANE])))
    assert len(pc.unique(of_writes["event_hour"])) == len(pc.unique(records["event_hour"]))
    assert not pc.any(pc.match_substring(records["actor"], "role/Clerk")).as_py()
    return state_of(home)


def writers(home):
    told = Warehouse(str(home / "warehouse")).dataset("attribution").to_table(columns=["first_principal_arn"])
    return Counter(told["first_principal_arn"].to_pylist())


def named(point):
    return "-".join(map(str, point))


@pytest.mark.parametrize("point", EXTRACTING, ids=named)
def test_extract_after_a_kill_gives_the_tables_of_an_undisturbed_one(point, extracted, make_home, start, finish):
    home = make_home("killed")
    assert start(home, only="extract", die=point) == KILLED
    finish(home, only="extract")
    assert state_of(home) == state_of(extracted)


@pytest.mark.parametrize("point", BUILDING, ids=named)
def test_build_after_a_kill_gives_the_tables_of_an_undisturbed_one(point, late, rebuilt, make_home, start, finish):
    home = make_home("killed", of=late)
    assert start(home, only="build", die=point) == KILLED
    finish(home, only="build")
    assert state_of(home) == rebuilt


def test_build_killed_again_and_again_ends_in_the_same_tables_too(late, rebuilt, make_home, start, finish):
    home, chance = make_home("killed", of=late), random.Random(20261124)
    for _ in range(3):
        start(home, only="build", die=chance.choice(BUILDING))
    finish(home, only="build")
    assert state_of(home) == rebuilt


@pytest.mark.parametrize("seed", range(3))
def test_run_after_kills_at_any_moment_gives_the_same_too(seed, whole, make_home, start, finish):
    home, moments = make_home("killed"), random.Random(seed)
    for _ in range(2):
        start(home, within=moments.uniform(0.1, 2))
    finish(home)
    assert state_of(home) == whole


def test_taking_the_window_again_twice_writes_no_version(extracted, whole, make_home, finish):
    home = make_home("again", of=extracted)
    finish(home, only="build")
    versions = Warehouse(str(home / "warehouse")).versions()
    for _ in range(2):
        finish(home, retake=True)
        assert state_of(home) == whole
        assert Warehouse(str(home / "warehouse")).versions() == versions
