"""Many processes on one table: no lost update, no doubled row, no torn read, no half-written hour after a kill."""

import os
import random
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pyarrow.compute as pc
import pytest

from dynatrail.warehouse.store import Warehouse

pytestmark = pytest.mark.slow

WRITERS, READERS, ROUNDS, GROUP = 4, 2, 10, 20


def start(job, root, number, rounds=ROUNDS, **options):
    command = [sys.executable, str(Path(__file__).with_name("writer.py")), job, root, str(number), str(rounds)]
    return subprocess.Popen(command, text=True, stderr=subprocess.PIPE, **options)


def finish(process, timeout=120):
    _, errors = process.communicate(timeout=timeout)
    assert process.returncode == 0, errors


def test_four_writers_lose_no_update_and_readers_see_whole_writes(warehouse, hour):
    root = warehouse.root
    Path(root).parent.mkdir(parents=True, exist_ok=True)
    writers = [start("merge", root, number) for number in range(WRITERS)]
    readers = [start("read", root, WRITERS + number) for number in range(READERS)]
    while not all(Path(f"{root}.ready-{number}").exists() for number in range(WRITERS + READERS)):
        assert all(process.poll() is None for process in [*writers, *readers]), "a process ended early"
        time.sleep(0.02)
    Path(f"{root}.go").touch()  # all at once, and the table does not exist yet
    for writer in writers:
        finish(writer)
    Path(f"{root}.stop").touch()
    for reader in readers:
        finish(reader)

    rows = warehouse.dataset("api_event").to_table(columns=["event_hour", "event_id"])
    by_hour = {
        one["event_hour"]: (one["event_id_count"], one["event_id_count_distinct"])
        for one in rows.group_by("event_hour")
        .aggregate([("event_id", "count"), ("event_id", "count_distinct")])
        .to_pylist()
    }
    every_group = WRITERS * ROUNDS * GROUP
    assert by_hour == {
        hour: (every_group, every_group),
        **{hour + timedelta(hours=1 + number): (ROUNDS, ROUNDS) for number in range(WRITERS)},
    }


def test_a_writer_killed_at_any_moment_leaves_the_old_hour_or_the_new_one(warehouse, hour, events, slice_of):
    moments = random.Random(20261101)
    for kill in range(8):
        writer = start("rewrite", warehouse.root, kill * 1_000, stdout=subprocess.PIPE)
        committed = int(writer.stdout.readline())
        time.sleep(moments.uniform(0, 0.4))
        writer.kill()
        printed, _ = writer.communicate()
        committed = max([committed, *map(int, printed.split())])
        present = warehouse.dataset("api_event").to_table(columns=["user_agent"])["user_agent"]
        # The last one that was told, or the one after it, whose commit was through but not yet told.
        assert pc.unique(present).to_pylist() in [[f"generation {committed + more}"] for more in (0, 1)]
        assert len(present) == 2_000
    assert warehouse.replace("api_event", events(), hours=[hour], where=slice_of) == 3


def test_what_killed_writers_left_is_vacuumed_once_it_is_old(warehouse, hour, events, slice_of):
    warehouse.replace("api_event", events(), hours=[hour], where=slice_of)
    table = Path(warehouse.root, "api_event", "event_date=2026-11-01")
    orphan = table / "part-00000-left-behind.zstd.parquet"
    orphan.write_bytes(b"PAR1")
    assert warehouse.vacuum({})[0].files_removed == 0
    long_ago = time.time() - timedelta(days=8).total_seconds()
    for file in table.iterdir():
        os.utime(file, (long_ago, long_ago))
    assert warehouse.vacuum({})[0].files_removed == 1
    assert not orphan.exists()
    assert warehouse.dataset("api_event").to_table().equals(events())


def test_a_forked_child_is_told_what_is_wrong(tmp_path):
    script = f"""
import os
from dynatrail.errors import WarehouseError
from dynatrail.warehouse.store import Warehouse

warehouse = Warehouse({str(tmp_path / "w")!r})
warehouse.versions()
if os.fork() == 0:
    try:
        warehouse.versions()
    except WarehouseError as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "was forked from one that had used the warehouse" in done.stdout


def test_a_child_forked_before_first_use_may_write(tmp_path):
    script = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import HOUR, make_events
from dynatrail.warehouse.store import Warehouse

warehouse = Warehouse({str(tmp_path / "w")!r})
if os.fork() == 0:
    warehouse.replace("api_event", make_events(), hours=[HOUR])
    os._exit(0)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["0"]
    assert Warehouse(str(tmp_path / "w")).dataset("api_event").count_rows() == 3
