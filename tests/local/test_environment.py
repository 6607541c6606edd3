import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dynatrail.errors import SettingsError
from dynatrail.local.environment import airflow_environment, kept_secret, migrate, prepare


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    env = airflow_environment(tmp_path_factory.mktemp("home"))
    migrate(env)
    return env


def test_everything_airflow_writes_lies_under_the_home(tmp_path):
    env = airflow_environment(tmp_path)

    assert str(tmp_path / "airflow") == env["AIRFLOW_HOME"]
    assert f"sqlite:///{tmp_path}/airflow/airflow.db" == env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert str(tmp_path) == env["DYNATRAIL_HOME"]


def test_secrets_are_the_same_the_second_time_and_only_for_their_owner(tmp_path):
    first, second = airflow_environment(tmp_path), airflow_environment(tmp_path)

    assert first == second
    for name in ("fernet.key", "jwt.key"):
        assert stat.S_IMODE((tmp_path / "airflow" / name).stat().st_mode) == 0o600


def test_two_homes_have_different_secrets(tmp_path):
    one, other = airflow_environment(tmp_path / "one"), airflow_environment(tmp_path / "other")

    assert one["AIRFLOW__CORE__FERNET_KEY"] != other["AIRFLOW__CORE__FERNET_KEY"]
    assert one["AIRFLOW__API_AUTH__JWT_SECRET"] != other["AIRFLOW__API_AUTH__JWT_SECRET"]


def test_the_connection_goes_under_the_id_that_settings_name(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_AWS_CONN_ID", "audit_reader")
    connection = {"conn_type": "aws", "extra": {"region_name": "us-east-1"}}

    env = airflow_environment(tmp_path, connection=connection)

    assert connection == json.loads(env["AIRFLOW_CONN_AUDIT_READER"])


def test_many_at_once_read_one_kept_secret(tmp_path):
    made = iter(range(1000))
    with ThreadPoolExecutor(8) as pool:
        read = set(pool.map(lambda _: kept_secret(tmp_path / "key", lambda: str(next(made))), range(200)))

    assert len(read) == 1


@pytest.mark.slow
def test_a_second_migration_starts_nothing(migrated):
    log = Path(migrated["AIRFLOW_HOME"]) / "migrate.log"
    log.unlink()
    migrate(migrated)

    assert not log.exists()


@pytest.mark.slow
def test_a_deleted_database_is_made_again(tmp_path):
    env = airflow_environment(tmp_path)
    migrate(env)
    (tmp_path / "airflow" / "airflow.db").unlink()

    migrate(env)

    assert (tmp_path / "airflow" / "airflow.db").stat().st_size > 100_000


@pytest.mark.slow
def test_a_failed_migration_says_where_its_log_is(tmp_path):
    env = airflow_environment(tmp_path, metadata_url="postgresql+psycopg2://nobody@127.0.0.1:1/none")

    with pytest.raises(SettingsError, match=r"migrate\.log"):
        migrate(env)


def test_a_process_that_loaded_another_airflow_home_is_refused(tmp_path, monkeypatch):
    loaded = type(sys)("airflow.configuration")
    loaded.AIRFLOW_HOME = "/elsewhere"
    monkeypatch.setitem(sys.modules, "airflow.configuration", loaded)

    with pytest.raises(SettingsError, match="before the first import of airflow"):
        prepare(airflow_environment(tmp_path))


@pytest.mark.slow
def test_a_dag_runs_in_process_with_its_connection(tmp_path):
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "probe.py").write_text(
        """
from datetime import UTC, datetime
from airflow.sdk import Connection, dag, task

@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))
def probe():
    @task
    def read():
        assert Connection.get("aws_default").extra_dejson["region_name"] == "eu-central-1"
    read()

probe()
"""
    )
    program = """
import sys
from pathlib import Path
from dynatrail.local.environment import airflow_environment, prepare

home = Path(sys.argv[1])
connection = {"conn_type": "aws", "extra": {"region_name": "eu-central-1"}}
env = airflow_environment(home, connection=connection)
prepare(env | {"AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags")})

from airflow.dag_processing.dagbag import DagBag

print(DagBag(home / "dags").get_dag("probe").test().state)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path],
        env={k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "success"
