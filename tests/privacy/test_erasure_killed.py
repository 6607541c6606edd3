"""An erasure that dies at each of its steps, and is run again."""

import subprocess
import sys
from datetime import timedelta

import pytest

from dynatrail.clock import hour_of
from dynatrail.privacy import erasure, subjects
from dynatrail.state import pending

pytestmark = pytest.mark.slow

PROGRAM = """
import os, sys
from datetime import datetime
from dynatrail.privacy import erasure, events, subjects
from dynatrail.state import database, pending
from dynatrail.settings import settings
from dynatrail.warehouse.store import Warehouse

owner, name = {
    "destroy": (subjects, "erase"),
    "due": (pending, "make_due"),
    "write": (Warehouse, "replace"),
    "mark": (pending, "mark"),
    "scrub": (database, "scrub"),
}[sys.argv[1]]
real = getattr(owner, name)

def dying(*given, **named):
    if sys.argv[2] == "after":
        real(*given, **named)
    os._exit(9)

setattr(owner, name, dying)
asked = erasure.Request(sys.argv[3], "request 17", "dana")
erasure.erase(asked, "dpo", Warehouse.from_settings(settings()), at=datetime.fromisoformat(sys.argv[4]))
"""


@pytest.mark.parametrize(
    ("step", "when"),
    [
        ("destroy", "before"),
        ("destroy", "after"),
        ("due", "after"),
        ("write", "after"),
        ("mark", "after"),
        ("scrub", "before"),
    ],
)
def test_erasure_that_was_killed_and_run_again_is_one_erasure_and_one_event(clinic, step, when):
    command = [sys.executable, "-c", PROGRAM, step, when, clinic.anna, clinic.LATER.isoformat()]
    assert subprocess.run(command, check=False, timeout=60).returncode == 9
    asked = erasure.Request(clinic.anna, "request 17", "dana")
    again = clinic.LATER + timedelta(hours=3)
    done = erasure.erase(asked, "dpo", clinic.warehouse, at=again)
    at = again if when == "before" and step == "destroy" else clinic.LATER
    assert [event["event_time"] for event in clinic.events()] == [at]
    assert [one.erased_at for one in subjects.erased()] == [done.erased_at] == [at]
    assert pending.hours(pending.TIMELINE) == [hour_of(at)]
