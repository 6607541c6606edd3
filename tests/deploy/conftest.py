import re

import pytest
import yaml

from dynatrail.settings import PROJECT

_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?:(?P<kind>:[-?])(?P<rest>[^}]*))?\}")


def interpolated(node, variables):
    """Compose's own substitution, for the forms that the file uses: `$$`, `${X}`, `${X:-default}`, `${X:?message}`."""

    def one(match):
        if match[0] == "$$":
            return "$"
        value = variables.get(match["name"], "")
        if not value and match["kind"] == ":?":
            raise KeyError(match["rest"])
        return value or (match["rest"] if match["kind"] == ":-" else "")

    if isinstance(node, dict):
        return {key: interpolated(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [interpolated(value, variables) for value in node]
    return _VARIABLE.sub(one, node) if isinstance(node, str) else node


@pytest.fixture(scope="session")
def compose_text():
    return (PROJECT / "docker-compose.yaml").read_text()


@pytest.fixture(scope="session")
def compose(compose_text):
    """The file as Compose sees it with a filled-in .env."""
    return interpolated(
        yaml.safe_load(compose_text), {"DYNATRAIL_UID": "1000", "DYNATRAIL_TRAIL_BUCKET": "example-trail"}
    )


@pytest.fixture(scope="session")
def airflow_services(compose):
    return {name: service for name, service in compose["services"].items() if name != "postgres"}
