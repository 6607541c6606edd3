"""Read streams in a process as the tasks of `extract_streams` do, and die on the way if told to.

Each line of standard input is one run as JSON, answered by its exit code: `home`; optionally `die`, a list of a
boundary below, at which of its calls (from 1), and `before` or `after` it; `within`, seconds after which it is killed.
The runs are forks of this process, as Airflow's tasks are, so that the imports are paid for once. The environment names
connection and configuration.
"""

import itertools
import json
import os
import signal
import sys
import time
import traceback

import airflow.providers.amazon.aws.hooks.base_aws  # noqa: F401  imported once, not by every run

from dynatrail.quality import gate
from dynatrail.settings import settings
from dynatrail.sources.changes import write
from dynatrail.sources.streams import client, extract, run, statements
from dynatrail.state import streams
from dynatrail.warehouse import store

BOUNDARIES = {
    "describe": (client.StreamsClient, "describe"),
    "iterator": (client.StreamsClient, "iterator"),
    "records": (client.StreamsClient, "records"),
    "observe": (streams, "observe"),
    "gap": (streams, "record"),
    "check": (gate, "check"),
    "write": (write, "write"),
    "commit": (store, "write_deltalake"),
    "quarantine": (write, "quarantine"),
    "advance": (streams, "advance"),
    "state": (statements, "rebuild_all"),
}
PORTION = 25


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


def read() -> None:
    for number, batch in enumerate(extract.discover(settings())):
        extract.read(settings(), batch, number, run_id=f"run-{os.getpid()}")
    extract.state_hours(settings())


def answer(asked: dict) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.environ["DYNATRAIL_HOME"] = asked["home"]
            run.PORTION = PORTION
            if "die" in asked:
                dying(*asked["die"])
            read()
            code = 0
        except Exception:  # noqa: BLE001  the test shows it
            traceback.print_exc()
        finally:
            os._exit(code)
    if "within" in asked:
        time.sleep(asked["within"])
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


gate.load_suite("item_change")  # imports Great Expectations
sys.stdout = sys.stderr
for line in sys.stdin:
    os.write(1, f"{answer(json.loads(line))}\n".encode())
