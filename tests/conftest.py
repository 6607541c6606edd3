import fcntl
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# A loaded machine is slow now and then; that is no fault of what is tested. Where CI is set, the examples are the same
# in every run of a commit, so that a red build can be repeated; elsewhere each run looks for new ones.
settings.register_profile("dynatrail", deadline=None, derandomize="CI" in os.environ, database=None)
settings.load_profile("dynatrail")


_FIRST = ("e2e/test_killed_runs", "browser", "home of tiny", "docs/test_examples", "local", "deploy", "test_kills")
"""Groups of slow tests that take minutes, longest first: begun last, one of them would leave the other workers idle."""

_OVER_TINY = ("accounts", "cloudwatch", "exports", "kinesis", "posture", "sandbox", "truth_changes")
"""Files in `sandbox/` that share the one in which `tiny` was played."""


def group_of(nodeid):
    """The tests that one worker should have, as they share what is dear: those of a file, or of several."""
    file = nodeid.partition("::")[0].removeprefix("tests/").removesuffix(".py")
    if file.startswith("e2e/") and file.endswith("_against_the_truth"):
        return "home of tiny"
    if file.startswith("sandbox/") and file.endswith(_OVER_TINY):
        return "sandbox of tiny"
    return nodeid if file == "docs/test_examples" else file  # a page shares nothing with the next


class ByGroup(LoadScopeScheduling):
    def _split_scope(self, nodeid):
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config, log):
    """`--dist loadgroup` by these groups; xdist's own marks have no effect under this pytest."""
    return ByGroup(config, log) if config.getoption("dist") == "loadgroup" else None


def pytest_collection_modifyitems(items):
    """Begin what takes long first."""

    def place(item):
        name = group_of(item.nodeid)
        found = (at for at, first in enumerate(_FIRST) if first in name)
        return next(found, len(_FIRST)) if item.get_closest_marker("slow") else len(_FIRST)

    items.sort(key=place)


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
