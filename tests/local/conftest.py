import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

_SERVE = """
import sys
import tempfile
from pathlib import Path
from dynatrail.local.airflow_ui import serve

serve(Path(sys.argv[1]), dags=Path(sys.argv[2]), port=int(sys.argv[3]), say=lambda line: print(line, flush=True))
"""


class Ui:
    """`serve` in a process of its own, as a person runs it."""

    def __init__(self, home, dags, port):
        self.home = home
        self.out = Path(tempfile.mkstemp(prefix="ui-", suffix=".out", dir=home.parent)[1])
        with self.out.open("wb") as out:
            self.process = psutil.Popen(
                [sys.executable, "-c", _SERVE, home, dags, str(port)],
                env={k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "DYNATRAIL"))},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ready(self, within=180):
        deadline = time.monotonic() + within
        while "Airflow is ready" not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.2)
        return self

    def text(self):
        return self.out.read_text()

    @property
    def address(self):
        return next(word for word in self.text().split() if word.startswith("http://"))

    def postgres(self):
        found = [
            p for p in psutil.process_iter(["cmdline"]) if str(self.home / "postgres") in (p.info["cmdline"] or [])
        ]
        return found[0]

    def family(self):
        """Everything that runs because of it, PostgreSQL (which is nobody's child) included."""
        family = self.process.children(recursive=True)
        server = self.postgres()
        return [*family, server, *server.children()]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)


@contextmanager
def _open_folder():
    """Not below pytest's own: any pytest that starts takes other users' access to that away, and as root PostgreSQL
    runs as another user."""
    with tempfile.TemporaryDirectory(prefix="dynatrail-ui-") as name:
        (Path(name) / "dags").mkdir()
        yield Path(name)


@pytest.fixture
def start_ui():
    with _open_folder() as folder:
        started = []

        def start(home=folder / "home"):
            started.append(Ui(home, folder / "dags", 0))
            return started[-1]

        try:
            yield start
        finally:
            for ui in started:
                ui.stop()


@pytest.fixture(scope="module")
def taken_port():
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        yield owner.getsockname()[1]


@pytest.fixture(scope="module")
def running_ui(taken_port):
    """One for the tests that only look; it was asked for a port that is not free."""
    with _open_folder() as folder:
        ui = Ui(folder / "home", folder / "dags", taken_port)
        try:
            yield ui.ready()
        finally:
            ui.stop()
