"""Extract and build one window in a process, and die on the way if told to.

Each line of standard input is one run as JSON: `home` and `bucket`; optionally `only`, extract or build; `die`, a list
of a boundary below, at which of its calls (from 1), and `before` or `after` it; `within`, seconds after which it is
killed; `retake`. Its exit code goes to the file descriptor on the command line, for Airflow logs to standard output.
The runs are forks of this process, as Airflow's tasks are, so that the imports are paid for once.
"""

import importlib.util
import itertools
import json
import os
import signal
import sys
import time
import traceback
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.context import set_current_context

from dynatrail.integrity import attest
from dynatrail.quality import gate
from dynatrail.settings import PROJECT, settings
from dynatrail.sources.cloudtrail import bucket, extract, proof
from dynatrail.state import ledger, pending
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
    "verify": (attest, "verify"),
    "due": (pending, "make_due"),
    "done": (pending, "done"),
}


def tasks_of(dag_id):
    """The functions of a DAG's tasks, by task id."""
    spec = importlib.util.spec_from_file_location(f"dags.{dag_id}", PROJECT / "dags" / f"{dag_id}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {task.task_id: task.python_callable for task in getattr(module, dag_id)().tasks}


TRAIL = tasks_of("build_trail")


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


def built() -> None:
    """What `build_trail` does when something woke it, task by task; what a task gives to the next goes through JSON."""
    woken = {"params": {"from": None, "to": None}, "triggering_asset_events": {}}
    with set_current_context(woken):
        try:
            begun = json.loads(json.dumps(TRAIL["build_sessions"]()))
        except AirflowSkipException:
            return
        TRAIL["attribute_changes"](begun)
        TRAIL["build_audit_record"](begun, outlet_events=defaultdict(SimpleNamespace))


def run(asked: dict) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.environ |= {"DYNATRAIL_HOME": asked["home"], "DYNATRAIL_TRAIL_BUCKET": asked["bucket"]}
            if "die" in asked:
                dying(*asked["die"])
            if asked.get("only") != "build":
                extracted(retake=asked.get("retake", False))
            if asked.get("only") != "extract":
                built()
            code = 0
        except Exception:  # noqa: BLE001  the test shows it
            traceback.print_exc()
        finally:
            os._exit(code)
    if "within" in asked:
        time.sleep(asked["within"])
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    gate.load_suite("api_event")  # imports Great Expectations
    for line in sys.stdin:
        os.write(int(sys.argv[1]), f"{run(json.loads(line))}\n".encode())
