"""The simulated AWS services: one ministack process, started from its own virtual environment.

ministack verifies SigV4 signatures and IAM policies (`AUTH=true`), keeps accounts and regions apart, and saves its
state when it ends. It listens on loopback only. STS sessions do not survive its end: callers sign in again.
"""

import fcntl
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from dynatrail.errors import SandboxError
from dynatrail.settings import PROJECT, settings

LOOPBACK = "127.0.0.1"
_START_SECONDS = 60
_STOP_SECONDS = 30
_SERVER = Path(__file__).with_name("ministack_server.py")


def interpreter() -> Path:
    """Python of the environment that ministack is installed in: the setting `sandbox_python`, or `.venv-sandbox`'s.

    Raises:
        SandboxError: there is none.
    """
    path = Path(settings().sandbox_python or PROJECT / ".venv-sandbox" / "bin" / "python")
    if not path.exists():
        raise SandboxError(
            f"The sandbox needs ministack in its own virtual environment; {path} does not exist. Run `make setup`, or "
            "set DYNATRAIL_SANDBOX_PYTHON to a Python that has `ministack[full]`."
        )
    return path


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


class Backend:
    """ministack over the state in `folder`.

    Attributes:
        port: where it listens on loopback.
        root_secret: secret key of the account roots; a root's access key id is the account id itself.
    """

    def __init__(self, folder: Path, *, seed: str) -> None:
        self.folder = folder
        self.port = 0
        self.root_secret = self._root_secret()
        self._seed = seed
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            SandboxError: it does not come up; the message shows the end of its log.
        """
        with one_owner(self.folder / "ministack.lock") as lock:
            self.port = free_port()
            (self.folder / "tmp").mkdir(exist_ok=True)
            with (self.folder / "ministack.log").open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603  our own script, a fixed argument list
                    [str(interpreter()), str(_SERVER)],
                    env=self._environment(),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    pass_fds=(lock,),  # held until it has ended and saved, whatever happens to this process
                )
        self._wait()

    def stop(self) -> None:
        """End it; it saves its state first. Does nothing when it is not running."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """End and start again, so that everything up to now is on disk. The port changes."""
        self.stop()
        self.start()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _environment(self) -> dict[str, str]:
        starts = self.folder / "starts"
        count = int(starts.read_text()) + 1 if starts.exists() else 1
        starts.write_text(str(count))
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder / "tmp"),
            "AUTH": "true",
            "BIND_HOST": LOOPBACK,
            "GATEWAY_PORT": str(self.port),
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self.folder / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self.folder / "s3"),
            "LOG_LEVEL": "WARNING",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": self.root_secret,
            "DYNATRAIL_SANDBOX_CHANGES": str(self.folder / "changes.images"),
            "DYNATRAIL_SANDBOX_SEED": f"{self._seed}:{count}",  # a later start must not make the same ids again
        }

    def _root_secret(self) -> str:
        path = self.folder / "root.secret"
        if not path.exists():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(20))
        return path.read_text()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self.alive:
            try:
                connection = HTTPConnection(LOOPBACK, self.port, timeout=5)
                connection.request("GET", "/_ministack/ready")
                if connection.getresponse().status == 200:  # noqa: PLR2004
                    return
            except OSError:
                pass
            time.sleep(0.05)
        log = self.folder / "ministack.log"
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
        self.stop()
        raise SandboxError(f"ministack did not come up on {LOOPBACK}:{self.port}. The end of {log} says:\n{tail}")


@contextmanager
def one_owner(path: Path) -> Iterator[int]:
    """Hold `path` alone; two ministacks over one state would overwrite each other."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + _STOP_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SandboxError(
                        f"Another sandbox is running over {path.parent}. Stop it, or give another folder."
                    ) from None
                time.sleep(0.1)
        yield descriptor
    finally:
        os.close(descriptor)
