import fcntl
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# A loaded machine is slow now and then; that is no fault of what is tested. Where CI is set, the examples are the same
# in every run of a commit, so that a red build can be repeated; elsewhere each run looks for new ones.
settings.register_profile("dynatrail", deadline=None, derandomize="CI" in os.environ, database=None)
settings.load_profile("dynatrail")


@pytest.fixture(autouse=True)
def aws_access_of_its_own():
    """A test's connection is not the next one's, though both may bear one name."""
    yield
    if aws := sys.modules.get("dynatrail.sources.aws"):
        aws.forget()


@pytest.fixture(scope="session")
def made_once(tmp_path_factory, worker_id) -> Callable[[str, Callable[[Path], object]], Path]:
    """Makes what is dear once for all workers: `made_once(name, make)` is the folder that `make(folder)` filled.

    Whoever asks for it meanwhile waits. Nobody may change it: copy what a test writes to.
    """
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent

    def once(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = shared / name, shared / f"{name}.made"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def with_metadata(made_once) -> Callable[[Path], Path]:
    """Gives a home an Airflow whose metadata is migrated: a copy, as migrating takes seconds each time."""
    from dynatrail.local import environment

    def migrate(home: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DYNATRAIL"))}
        environment.migrate(kept | environment.airflow_environment(home))

    def give(home: Path) -> Path:
        made = made_once("airflow-metadata", migrate) / "airflow"
        (home / "airflow").mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("airflow.db", "migrated.json"):
            shutil.copy2(made / name, home / "airflow" / name)
        return home

    return give
