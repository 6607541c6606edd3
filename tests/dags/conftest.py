import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dynatrail.settings import PROJECT


@pytest.fixture(scope="session")
def airflow_env(tmp_path_factory, with_metadata):
    """The environment of an Airflow of the tests' own, with its metadata migrated."""
    from dynatrail.local import environment

    home = with_metadata(tmp_path_factory.mktemp("home"))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DYNATRAIL", "AWS_"))}
    env |= environment.airflow_environment(home)
    environment.migrate(env)
    return env


@pytest.fixture(scope="session")
def parsed(tmp_path_factory):
    """What Airflow sees in the DAG folder, asked of a process of its own."""
    home = tmp_path_factory.mktemp("parsing")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DYNATRAIL"))}
    env |= {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "DYNATRAIL_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("look.py")), str(PROJECT / "dags")],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])
