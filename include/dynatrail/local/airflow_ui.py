"""`make ui`: a whole Airflow on one machine, with the local AWS account behind it, until a person has seen enough.

PostgreSQL from a wheel, the four components of Airflow as processes under a supervisor, all on loopback. Unlike
`airflow standalone` it has users that keep their passwords, takes free ports, leaves no process behind, and says where
to look when a component ends.
"""

import fcntl
import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import httpx

from dynatrail.errors import LocalAirflowError
from dynatrail.local.environment import airflow_environment, kept_secret, migrate, sandbox_access
from dynatrail.local.postgres import postgres
from dynatrail.local.supervisor import Supervisor

if TYPE_CHECKING:
    from dynatrail.sandbox.sandbox import Sandbox

USERS = {"admin": "admin", "operator": "op", "auditor": "viewer"}
"""User name -> role of Airflow's simple auth manager."""

PORT = 8080
START_S = 180
"""How long Airflow may take until it is healthy; 15 s on two idle cores."""

# Name, options, seconds to end in; the API server first, as tasks report to it until they end. Logs lie on this disk,
# so no port has to serve them. The triggerer waits 10 s for triggers that it does not have; killing it loses nothing,
# as Airflow hands the triggers of a dead one on.
_COMPONENTS = (
    ("api-server", (), 30),
    ("dag-processor", (), 30),
    ("scheduler", ("--skip-serve-logs",), 30),
    ("triggerer", ("--skip-serve-logs",), 3),
)
_POLL_S = 0.3
_MAX_WORKERS = 8
_HEALTHY = {"metadatabase", "scheduler", "dag_processor", "triggerer"}


def serve(
    home: Path,
    *,
    sandbox: "Sandbox | None" = None,
    dags: Path | None = None,
    port: int = PORT,
    say: Callable[[str], None] = print,
    rate_per_s: float = 0.5,
) -> None:
    """Run Airflow in the foreground until SIGINT, SIGTERM or SIGHUP, then stop everything.

    Call it in the main thread: it takes these three signals over until it returns.

    Args:
        home: Dynatrail's home; Airflow's files go to `home/airflow`, its database to `home/postgres`.
        sandbox: a running local AWS account in which a scenario was played; its auditor becomes the AWS connection,
            its trail the one that is read, and its traffic goes on. None leaves connection and trail as the
            environment has them.
        dags: folder of the DAGs; None is the project's own.
        port: of the page; the next free one is taken when it is not free.
        say: shows one line to the person.
        rate_per_s: calls a second that the sandbox's traffic makes.

    Raises:
        LocalAirflowError: it is running on this home already, does not get healthy, or a component ended.
        SandboxError: no scenario was played in the sandbox.
        SettingsError: the metadata database cannot be migrated.
    """
    home = home.resolve()
    with ExitStack() as stack:
        asked = stack.enter_context(_stopped_by_signals())
        stack.enter_context(_only_one(home))
        say("Starting PostgreSQL and Airflow …")
        url = stack.enter_context(postgres(home / "postgres"))
        port = _free_port(port)
        env = ui_environment(home, metadata_url=url, port=port, sandbox=sandbox, dags=dags)
        migrate(env)
        supervisor = Supervisor(home / "airflow" / "processes")
        stack.callback(_stop, supervisor, say)
        for name, options, grace_s in _COMPONENTS:
            command = [sys.executable, "-m", "airflow", name, *options]
            supervisor.start(name, command, {**os.environ, **env}, grace_s=grace_s)
        if not _wait_healthy(supervisor, port, asked):
            return
        if sandbox is not None:
            stack.enter_context(_traffic(sandbox, rate_per_s, say))
        for line in welcome(home, port):
            say(line)
        while not asked.to_stop:
            supervisor.check()
            time.sleep(_POLL_S)


def ui_environment(
    home: Path, *, metadata_url: str, port: int, sandbox: "Sandbox | None" = None, dags: Path | None = None
) -> dict[str, str]:
    """The environment of the four components: `airflow_environment` and what only a running Airflow needs."""
    address = f"http://127.0.0.1:{port}"
    connection, trail = sandbox_access(sandbox) if sandbox is not None else (None, {})
    return {
        **airflow_environment(home, connection=connection, metadata_url=metadata_url),
        **trail,
        **({"AIRFLOW__CORE__DAGS_FOLDER": str(dags)} if dags else {}),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        # Idle workers are forked at once and cost some 100 MB each; the default is 32.
        "AIRFLOW__CORE__PARALLELISM": str(min(2 * (os.cpu_count() or 1), _MAX_WORKERS)),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_passwords(home)),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in USERS.items()),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
    }


def welcome(home: Path, port: int) -> Iterator[str]:
    """The lines that tell a person where to go and as whom."""
    passwords = json.loads(_passwords(home).read_text())
    yield ""
    yield f"Airflow is ready: http://127.0.0.1:{port}"
    for user, role in USERS.items():
        yield f"  {user:<9} {passwords[user]}   ({role})"
    yield "Ctrl-C stops everything."


def _passwords(home: Path) -> Path:
    path = home / "airflow" / "users.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    kept_secret(path, lambda: json.dumps({user: secrets.token_urlsafe(9) for user in USERS}))
    return path


def _wait_healthy(supervisor: Supervisor, port: int, asked: "_Asked") -> bool:
    """Wait until Airflow itself says that all components are alive; False when asked to stop before."""
    deadline = time.monotonic() + START_S
    missing = _HEALTHY
    while not asked.to_stop:
        time.sleep(_POLL_S)
        supervisor.check()
        if time.monotonic() > deadline:
            raise LocalAirflowError(
                f"After {START_S} s Airflow is not healthy: {', '.join(sorted(missing))}. Read the logs in "
                f"{supervisor.folder}."
            )
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=5).json()
        except (httpx.HTTPError, ValueError):
            continue
        missing = {name for name in _HEALTHY if (answer.get(name) or {}).get("status") != "healthy"}
        if not missing:
            return True
    return False


@contextmanager
def _traffic(sandbox: "Sandbox", rate_per_s: float, say: Callable[[str], None]) -> Iterator[None]:
    stop = threading.Event()

    def work() -> None:
        try:
            sandbox.keep_busy(stop, rate_per_s)
        except Exception as error:  # noqa: BLE001  whatever ends it, the page stays worth looking at
            say(f"The sandbox's traffic ended ({type(error).__name__}: {error}). Airflow goes on without.")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


def _stop(supervisor: Supervisor, say: Callable[[str], None]) -> None:
    say("Stopping …")
    supervisor.stop()


def _free_port(wanted: int) -> int:
    """`wanted`, or any free port on loopback."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise LocalAirflowError("No port on 127.0.0.1 is free.")


class _Asked:
    """Whether to stop. A plain flag: an Event's lock, taken in a signal handler, may wait for what it interrupts."""

    def __init__(self) -> None:
        self.to_stop = False

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        self.to_stop = True


@contextmanager
def _stopped_by_signals() -> Iterator[_Asked]:
    """Further signals while everything stops change nothing: half a stop is what leaves processes behind."""
    asked = _Asked()
    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    home.mkdir(parents=True, exist_ok=True)
    with (home / "ui.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalAirflowError(
                f"Airflow is running on {home} already. Stop it with Ctrl-C where it runs, or set DYNATRAIL_HOME to "
                "another folder."
            ) from None
        yield
