"""A process of test_store_processes: `writer.py <job> <root> <own number> <rounds>`."""

import sys
import time
from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from conftest import ACCOUNT, HOUR, REGION, make_events
from dynatrail.warehouse.store import Warehouse

GROUP = 20
SLICE = {"recipient_account_id": ACCOUNT, "region": REGION}


def merge(root: str, number: int, rounds: int) -> None:
    """Each round adds one group of rows to the shared hour, and fills an hour of its own."""
    warehouse = Warehouse(root)
    own = HOUR + timedelta(hours=1 + number)
    Path(f"{root}.ready-{number}").touch()
    while not Path(f"{root}.go").exists():
        time.sleep(0.001)
    for turn in range(rounds):
        group = make_events(per_hour=GROUP, name=f"{number}-{turn}", user_agent=f"{number}-{turn}")
        warehouse.replace(
            "api_event", lambda present, new=group: pa.concat_tables([present, new]), hours=[HOUR], where=SLICE
        )
        warehouse.replace("api_event", make_events([own], per_hour=turn + 1), hours=[own], where=SLICE)


def read(root: str, number: int, _rounds: int) -> None:
    """Reads until told to stop; fails when a group is there in part or a row twice."""
    warehouse = Warehouse(root)
    Path(f"{root}.ready-{number}").touch()
    seen = reads = 0
    while not Path(f"{root}.stop").exists():
        rows = warehouse.dataset("api_event").to_table(columns=["event_id", "event_hour", "user_agent"])
        shared = rows.filter(pa.compute.equal(rows["event_hour"], pa.scalar(HOUR, pa.timestamp("us", "UTC"))))
        counts = shared.group_by("user_agent").aggregate([([], "count_all")])["count_all"].to_pylist()
        assert set(counts) <= {GROUP}, f"torn read: {counts}"
        assert len(set(shared["event_id"].to_pylist())) == len(shared), "a row was doubled"
        assert len(shared) >= seen, "rows went away"
        seen = len(shared)
        reads += 1
    assert reads > 3, "the reader hardly read"


def rewrite(root: str, number: int, _rounds: int) -> None:
    """Rewrites one hour with generation after generation until it is killed."""
    warehouse = Warehouse(root)
    generation = number
    while True:
        rows = make_events(per_hour=2_000, user_agent=f"generation {generation}")
        warehouse.replace("api_event", rows, hours=[HOUR], where=SLICE)
        print(generation, flush=True)  # noqa: T201
        generation += 1


if __name__ == "__main__":
    job, root, number, rounds = sys.argv[1:]
    {"merge": merge, "read": read, "rewrite": rewrite}[job](root, int(number), int(rounds))
