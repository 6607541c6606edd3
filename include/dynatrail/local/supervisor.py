"""Processes that start together, are watched, and stop together without leaving any of their own processes behind.

Each is the leader of a session of its own: a Ctrl-C in the terminal does not reach it before its supervisor decides,
and whatever it forked can be found by the session's id, whoever its parent is by then.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from dynatrail.errors import LocalAirflowError


class Supervisor:
    """Runs processes whose logs, and the note of which ones run, lie in one folder.

    Args:
        folder: made when missing. Processes that an earlier supervisor of the same folder left behind, because it was
            killed itself, are stopped first.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._grace_s: dict[str, float] = {}
        self._note = folder / "processes.json"
        folder.mkdir(parents=True, exist_ok=True)
        _kill(_left_behind(self._note))

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str], *, grace_s: float = 30) -> None:
        """Start one process; it logs to `<folder>/<name>.log` and may take `grace_s` seconds to end."""
        with self.log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(  # noqa: S603  the callers' commands are fixed
                command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._grace_s[name] = grace_s
        started = {p.pid: psutil.Process(p.pid).create_time() for p in self._processes.values() if p.poll() is None}
        self._note.write_text(json.dumps(started))

    def log(self, name: str) -> Path:
        """Where that process logs to."""
        return self.folder / f"{name}.log"

    def check(self) -> None:
        """See that all are running.

        Raises:
            LocalAirflowError: one ended; the message has its last lines and says where the rest is.
        """
        for name, process in self._processes.items():
            if (code := process.poll()) is not None:
                last = self.log(name).read_text(errors="replace").splitlines()[-5:]
                raise LocalAirflowError(
                    f"{name} ended with {code}. Its last lines, the rest is in {self.log(name)}:\n" + "\n".join(last)
                )

    def stop(self) -> None:
        """End all with SIGTERM, and kill what is still there after its grace, children of the dead included.

        The one that was started first serves the others until they have ended.
        """
        first, others = list(self._processes)[:1], list(self._processes)[1:]
        for names in (others, first):
            for name in names:
                self._processes[name].terminate()
            began = time.monotonic()
            for name in sorted(names, key=self._grace_s.__getitem__):
                process = self._processes[name]
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0, began + self._grace_s[name] - time.monotonic()))
                _kill(_sessions({process.pid}))
                process.wait()
        self._processes.clear()
        self._note.unlink(missing_ok=True)


def _sessions(leaders: set[int]) -> list[psutil.Process]:
    """Every process of the sessions that these processes lead or led."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid in leaders or os.getsid(process.pid) in leaders:
                found.append(process)
        except (ProcessLookupError, PermissionError):
            continue
    return found


def _left_behind(note: Path) -> list[psutil.Process]:
    if not note.exists():
        return []
    leaders = set()
    for text, created in json.loads(note.read_text()).items():
        pid = int(text)
        # A process of another age has been given the id since; the session of that number is then its own.
        if not psutil.pid_exists(pid) or psutil.Process(pid).create_time() == created:
            leaders.add(pid)
    return _sessions(leaders)


def _kill(processes: Iterable[psutil.Process]) -> None:
    family = list(processes)
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=10)
