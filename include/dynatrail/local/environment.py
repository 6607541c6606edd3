"""The environment variables that Airflow runs with on one machine, and its metadata database made ready.

`dag.test()`, the command line, `make ui` and the tests all start Airflow through this one function, so they see the
same DAG folder, plugins, connection and metadata. Nothing here imports Airflow: it reads its settings at import.
"""

import base64
import fcntl
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from dynatrail.errors import SettingsError
from dynatrail.settings import PROJECT, settings

if TYPE_CHECKING:
    from dynatrail.sandbox import Played, Sandbox

_FALSE = "False"


def airflow_environment(
    home: Path, *, connection: dict[str, object] | None = None, metadata_url: str | None = None
) -> dict[str, str]:
    """The variables for one Airflow whose files all lie under `home/airflow`.

    Args:
        home: Dynatrail's own home, as in `settings().home`; made when missing.
        connection: the AWS connection in Airflow's JSON form (`conn_type`, `login`, `password`, `extra`); it goes
            under the id that `settings().aws_conn_id` names. None leaves connections as the caller has them.
        metadata_url: SQLAlchemy URL of Airflow's metadata; None is a SQLite file, which is enough for `dag.test()`
            but not for a running scheduler (backfill creation then dies with `database is locked`).

    Returns:
        Only the variables that differ from Airflow's defaults, for `os.environ` or a subprocess.
    """
    folder = home.resolve() / "airflow"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    env = {
        "DYNATRAIL_HOME": str(home.resolve()),
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": _FALSE,
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__FERNET_KEY": kept_secret(folder / "fernet.key", fernet_key),
        "AIRFLOW__API_AUTH__JWT_SECRET": kept_secret(folder / "jwt.key", secrets.token_urlsafe),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata_url or f"sqlite:///{folder / 'airflow.db'}",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": _FALSE,  # offline, and nobody's business
    }
    if connection is not None:
        env[f"AIRFLOW_CONN_{settings().aws_conn_id.upper()}"] = json.dumps(connection, sort_keys=True)
    return env


def sandbox_access(sandbox: "Sandbox") -> tuple[dict[str, object], dict[str, str]]:
    """The Airflow connection to a sandbox, and the settings that name its configuration file and masking policy.

    They lie in the sandbox's folder and are written each time: both accounts, the second through a role, the trail,
    notes on the tables, the bucket for exports; what is done with the values of the tables.
    """
    played = sandbox.played
    assert played is not None  # `auditor` says so to a person
    connection: dict[str, object] = {
        "conn_type": "aws",
        "login": sandbox.auditor.access_key_id,
        "password": sandbox.auditor.secret_access_key,
        "extra": {"region_name": sandbox.auditor.region, "endpoint_url": sandbox.endpoint_url},
    }
    path, masking = sandbox.folder / "dynatrail.yaml", sandbox.folder / "masking"
    _write_atomically(path, sandbox_configuration(played))
    masking.mkdir(exist_ok=True)
    _write_atomically(masking / "practice.yaml", sandbox_masking())
    # What the caller's environment says of another trail must not count here.
    others = dict.fromkeys(("TRAIL_BUCKET", "TRAIL_PREFIX", "ACCOUNTS", "REGIONS"), "")
    variables = {f"DYNATRAIL_{name}": value for name, value in others.items()}
    return connection, variables | {"DYNATRAIL_CONFIG": str(path), "DYNATRAIL_MASKING": str(masking)}


def sandbox_configuration(played: "Played") -> str:
    """The configuration file for what was played, as YAML."""
    import yaml

    from dynatrail.sandbox.sandbox import REGIONS
    from dynatrail.sandbox.scenarios.house import NOTES, READER
    from dynatrail.sandbox.scenarios.signals import LOG_FILTERS

    names = dict(zip(played.accounts, ("clinic production", "analytics"), strict=True))
    accounts = [
        {"id": account, "name": name, "regions": list(REGIONS[account])}
        | ({"role_arn": READER} if READER.split(":")[4] == account else {"log_filters": list(LOG_FILTERS)})
        for account, name in names.items()
    ]
    document = {
        "version": 1,
        "trails": [{"bucket": played.trail_bucket, "prefix": played.trail_prefix}],
        "accounts": accounts,
        "tables": [{"match": match, **note} for match, note in NOTES.items()],
        "exports": {"bucket": played.export_bucket, "prefix": played.export_prefix},
    }
    return "# Written by the sandbox: what Dynatrail reads of it.\n" + yaml.safe_dump(document, sort_keys=False)


def sandbox_masking() -> str:
    """The masking policy of the sandbox's tables, as YAML."""
    import yaml

    from dynatrail.sandbox.scenarios.house import MASKING

    return "# Written by the sandbox: what Dynatrail does with the values of its tables.\n" + yaml.safe_dump(
        MASKING, sort_keys=False
    )


def _write_atomically(path: Path, text: str) -> None:
    """Another process may read it meanwhile."""
    descriptor, own = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    Path(own).replace(path)


def prepare(env: Mapping[str, str]) -> None:
    """Put `env` into this process and bring its metadata database to the installed Airflow's revision.

    Call it before anything imports Airflow. The first call on a new home migrates in a subprocess (several seconds);
    later ones only compare the revision that the database holds with the one noted then.

    Raises:
        SettingsError: Airflow was already imported with another home, or the migration failed.
    """
    loaded = getattr(sys.modules.get("airflow.configuration"), "AIRFLOW_HOME", env["AIRFLOW_HOME"])
    if loaded != env["AIRFLOW_HOME"]:
        raise SettingsError(
            f"Airflow is already loaded in this process with AIRFLOW_HOME {loaded} and cannot move to "
            f"{env['AIRFLOW_HOME']}. Call prepare() before the first import of airflow, or use a new process."
        )
    os.environ.update(env)
    migrate(env)


def migrate(env: Mapping[str, str]) -> None:
    """Run `airflow db migrate` with `env`, unless the database already holds this Airflow's revision.

    Raises:
        SettingsError: the migration failed; the message names the log that has its output.
    """
    folder = Path(env["AIRFLOW_HOME"])
    note = folder / "migrated.json"
    url = env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    airflow = version("apache-airflow")
    with _locked(folder / "migrate.lock"):
        known = json.loads(note.read_text()) if note.exists() else {}
        if known and known["airflow"] == airflow and known["revision"] == _revision(url):
            return
        log = folder / "migrate.log"
        command = [sys.executable, "-m", "airflow", "db", "migrate"]
        with log.open("w") as output:
            done = subprocess.run(  # noqa: S603  fixed arguments, own interpreter
                command,
                env={**os.environ, **env},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C is for the caller to decide about
                check=False,
            )
        if done.returncode:
            raise SettingsError(
                f"airflow db migrate ended with {done.returncode}. Read {log}; if the database there is from another "
                f"Airflow version and can go, delete the folder {folder} and run again."
            )
        note.write_text(json.dumps({"airflow": airflow, "revision": _revision(url)}))


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """The secret in `path`; `make()` gives it the first time, and the file is then only for its owner (0600).

    Several processes may ask at once: a hard link publishes the complete file, so all of them read the same one.
    """
    if not path.exists():
        descriptor, own = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp gives mode 0600
        with os.fdopen(descriptor, "w") as file:
            file.write(make())
        with suppress(FileExistsError):
            os.link(own, path)
        Path(own).unlink()
    return path.read_text()


def fernet_key() -> str:
    """A new key for `[core] fernet_key`."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _revision(url: str) -> str | None:
    """The Alembic revision that the database holds; None when there is no database or no such table yet."""
    import sqlalchemy

    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        return None
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connected:
            return connected.execute(sqlalchemy.text("select version_num from alembic_version")).scalar()
    except sqlalchemy.exc.DBAPIError:
        return None
    finally:
        engine.dispose()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
