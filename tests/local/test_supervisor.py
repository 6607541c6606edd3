import json
import os
import sys
import time

import psutil
import pytest

from dynatrail.errors import LocalAirflowError
from dynatrail.local.supervisor import Supervisor

# A leader that ignores SIGTERM and whose child has been left by its own parent.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    if os.fork() == 0:
        print("orphan", os.getpid(), flush=True)
        time.sleep(600)
    os._exit(0)
time.sleep(600)
"""


@pytest.fixture
def supervisor(tmp_path):
    made = Supervisor(tmp_path / "processes")
    yield made
    made.stop()


def printed(log, within=10):
    deadline = time.monotonic() + within
    while not (text := log.read_text()).endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return text.split()


def test_stopping_ends_what_ignores_the_signal_and_what_lost_its_parent(supervisor):
    supervisor.start("stubborn", [sys.executable, "-c", STUBBORN], os.environ, grace_s=0.5)
    orphan = psutil.Process(int(printed(supervisor.log("stubborn"))[1]))

    supervisor.stop()

    assert psutil.wait_procs([orphan], timeout=5)[1] == []


def test_a_process_gets_the_time_to_end_by_itself(supervisor, tmp_path):
    program = (
        "import signal, sys, time, pathlib\n"
        "def end(*_):\n    time.sleep(0.5); pathlib.Path(sys.argv[1]).touch(); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(600)"
    )
    supervisor.start("tidy", [sys.executable, "-c", program, str(tmp_path / "tidied")], os.environ)
    printed(supervisor.log("tidy"))

    supervisor.stop()

    assert (tmp_path / "tidied").exists()


def test_the_first_one_outlives_the_others(supervisor, tmp_path):
    program = (
        "import signal, sys, time, pathlib\n"
        "def end(*_):\n"
        "    time.sleep(float(sys.argv[2]))\n"
        "    pathlib.Path(sys.argv[1]).write_text(str(time.monotonic()))\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(600)"
    )
    for name, takes in (("api", "0"), ("scheduler", "0.5")):
        supervisor.start(name, [sys.executable, "-c", program, str(tmp_path / name), takes], os.environ)
        printed(supervisor.log(name))

    supervisor.stop()

    assert float((tmp_path / "scheduler").read_text()) < float((tmp_path / "api").read_text())


def test_a_process_that_ended_is_named_with_its_last_words(supervisor):
    supervisor.start("brief", [sys.executable, "-c", "print('no such bucket'); raise SystemExit(3)"], os.environ)
    supervisor._processes["brief"].wait()

    with pytest.raises(LocalAirflowError, match=r"(?s)brief ended with 3.*brief\.log.*no such bucket"):
        supervisor.check()


def test_what_runs_is_noted_and_the_note_goes_with_it(supervisor):
    supervisor.start("one", [sys.executable, "-c", "import time; time.sleep(600)"], os.environ)
    noted = json.loads((supervisor.folder / "processes.json").read_text())

    supervisor.stop()

    assert len(noted) == 1
    assert not (supervisor.folder / "processes.json").exists()


def test_a_process_that_only_got_the_id_of_an_old_one_is_left_alone(tmp_path):
    other = psutil.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        (tmp_path / "processes.json").write_text(json.dumps({str(other.pid): other.create_time() - 3600}))

        Supervisor(tmp_path)

        with pytest.raises(psutil.TimeoutExpired):
            other.wait(0.5)
    finally:
        other.kill()
        other.wait()
