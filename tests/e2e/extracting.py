"""Extract and build one window in a process, and die on the way if told to.

Each line of standard input is one run as JSON, answered by its exit code: `home`; optionally `die`, a list of a
boundary below, at which of its calls (from 1), and `before` or `after` it; `within`, seconds after which it is killed;
`retake`.
The runs are forks of this process, as Airflow's tasks are, so that the imports are paid for once.
"""

import itertools
import json
import os
import signal
import sys
import time
import traceback
from datetime import UTC, datetime, timedelta

from dynatrail.integrity import attest
from dynatrail.quality import gate
from dynatrail.settings import settings
from dynatrail.sources.cloudtrail import bucket, extract, proof
from dynatrail.state import ledger, pending
from dynatrail.trail import timeline
from dynatrail.warehouse import store

START = datetime(2026, 11, 1, 3, tzinfo=UTC)
HOURS = 3
BOUNDARIES = {
    "read": (bucket.FolderBucket, "read"),
    "replace": (store.Warehouse, "replace"),
    "commit": (store, "write_deltalake"),
    "discover": (ledger.Ledger, "discover"),
    "assign": (ledger.Ledger, "assign"),
    "taken": (ledger.Ledger, "taken"),
    "build": (timeline, "build"),
    "verify": (attest, "verify"),
}


def dying(boundary: str, call: int, when: str) -> None:
    owner, name = BOUNDARIES[boundary]
    whole = getattr(owner, name)
    calls = itertools.count(1)  # several threads call; each has its own number

    def wrapped(*args, **kwargs):
        own = next(calls)
        if own == call and when == "before":
            os._exit(9)
        result = whole(*args, **kwargs)
        if own == call:
            os._exit(9)
        return result

    setattr(owner, name, wrapped)


def extracted(*, retake: bool) -> None:
    run_id = f"run-{os.getpid()}"
    window = START, START + timedelta(hours=HOURS)
    batches = extract.discover(settings(), *window, retake=retake, run_id=run_id)
    proof.before(settings(), *window, run_id=run_id)
    for batch in batches:
        extract.take(settings(), batch, run_id=run_id)
    proof.after(settings(), *window, run_id=run_id)
    with pending.working("build_trail", ()) as due:
        if due:
            timeline.build(store.Warehouse.from_settings(settings()), due)


def run(asked: dict) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.environ["DYNATRAIL_HOME"] = asked["home"]
            if "die" in asked:
                dying(*asked["die"])
            extracted(retake=asked.get("retake", False))
            code = 0
        except Exception:  # noqa: BLE001  the test shows it
            traceback.print_exc()
        finally:
            os._exit(code)
    if "within" in asked:
        time.sleep(asked["within"])
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


gate.load_suite("api_event")  # imports Great Expectations
sys.stdout = sys.stderr
for line in sys.stdin:
    os.write(1, f"{run(json.loads(line))}\n".encode())
