import re
import subprocess
import sys

import pytest
import yaml

from dynatrail.settings import PROJECT


def test_the_file_is_valid_by_the_compose_specification():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*command, PROJECT / "docker-compose.yaml"], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stdout


def test_every_component_of_airflow_has_a_service(airflow_services):
    commands = {name: service["command"][:2] for name, service in airflow_services.items() if name != "init"}

    assert commands == {name: ["airflow", name] for name in ("api-server", "scheduler", "dag-processor", "triggerer")}


def test_every_service_that_stays_up_has_a_health_check(compose):
    assert {name for name, s in compose["services"].items() if "healthcheck" not in s} == {"init"}


def test_no_airflow_service_runs_as_root_or_may_become_it(airflow_services):
    for service in airflow_services.values():
        assert service["user"] == "1000:0"
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]


def test_airflow_services_write_only_to_their_volume_and_to_tmp(airflow_services):
    for service in airflow_services.values():
        assert service["read_only"] is True
        assert service["volumes"] == ["state:/var/lib/dynatrail", "./config:/opt/dynatrail/config:ro"]
        assert service["tmpfs"] == ["/tmp"]


def test_only_the_api_server_is_published_and_only_on_loopback(compose):
    published = {name: s["ports"] for name, s in compose["services"].items() if "ports" in s}

    assert published == {"api-server": ["127.0.0.1:8080:8080"]}


def test_postgresql_can_only_be_reached_by_the_files_own_containers(compose):
    assert compose["services"]["postgres"]["networks"] == ["database"]
    assert compose["networks"]["database"]["internal"] is True


def test_every_image_is_pinned_to_a_version(compose):
    bases = re.findall(r"^FROM (\S+)", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    images = {service["image"] for service in compose["services"].values()} | set(bases)

    assert all(re.search(r":\d+\.\d+", image) for image in images)


def test_the_image_installs_only_what_the_lock_names_with_its_hashes():
    text = (PROJECT / "Dockerfile").read_text()

    assert "--require-hashes -r /tmp/requirements.txt" in text
    assert "--only-binary :all:" in text
    assert len(re.findall(r"pip install", text)) == 1


def test_no_password_or_key_stands_in_the_file_or_in_the_environment(compose, compose_text):
    for service in compose["services"].values():
        for name, value in service["environment"].items():
            if re.search(r"PASSWORD|SECRET|FERNET|TOKEN_KEY", name):
                assert "/run/secrets/" in value or name.endswith(("_PASSWORDS_FILE", "_BACKEND", "TOKEN_KEY")), name
    assert not re.search(r"://[^@\s/]+:[^@\s]+@", compose_text)


def test_each_secret_is_one_that_make_secrets_makes(compose, tmp_path):
    from dynatrail.local.team_secrets import make

    assert {path.name for path in make(tmp_path / "secrets")} == set(compose["secrets"])


def test_each_service_mounts_the_secrets_that_it_names(compose):
    for name, service in compose["services"].items():
        text = str(service["environment"]) + str(service.get("command", ""))
        assert set(service["secrets"]) == set(re.findall(r"/run/secrets/([\w.]+)", text)), name


def test_env_example_has_exactly_the_variables_that_the_file_reads(compose_text):
    example = (PROJECT / ".env.example").read_text()

    assert set(re.findall(r"^(\w+)=", example, re.MULTILINE)) == set(re.findall(r"\$\{(\w+)", compose_text))


def test_env_example_gives_the_same_defaults_as_the_file(compose_text):
    example = dict(re.findall(r"^(\w+)=(.+)$", (PROJECT / ".env.example").read_text(), re.MULTILINE))

    assert example == {name: value for name, value in re.findall(r"\$\{(\w+):-([^}]*)\}", compose_text) if value}


@pytest.mark.parametrize("missing", ["DYNATRAIL_UID", "DYNATRAIL_TRAIL_BUCKET"])
def test_what_has_no_sensible_default_must_be_set(compose_text, missing):
    assert re.search(rf"\$\{{{missing}:\?set {missing} in .env", compose_text)


def test_every_dynatrail_variable_is_a_setting(compose):
    from dynatrail.settings import Settings

    known = {f"DYNATRAIL_{name.upper()}" for name in Settings.model_fields}
    for service in compose["services"].values():
        used = {name for name in service["environment"] if name.startswith("DYNATRAIL_")}
        assert used <= known


def test_nothing_secret_reaches_the_image_builder():
    lines = (PROJECT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--)(\S+)", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)

    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == set(copied)


def test_secrets_and_env_are_not_committed():
    ignored = (PROJECT / ".gitignore").read_text().splitlines()

    assert "secrets/" in ignored
    assert ".env" in ignored


def test_services_start_after_the_database_is_ready(compose):
    services = compose["services"]

    assert services["init"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in ("api-server", "scheduler", "dag-processor", "triggerer"):
        assert services[name]["depends_on"]["init"] == {"condition": "service_completed_successfully"}


def test_the_api_server_is_there_for_as_long_as_tasks_run(compose):
    assert compose["services"]["scheduler"]["depends_on"]["api-server"] == {"condition": "service_healthy"}


def test_the_file_is_plain_yaml_without_duplicate_keys(compose_text):
    class Strict(yaml.SafeLoader):
        def construct_mapping(self, node, deep=False):
            keys = [key.value for key, _ in node.value if key.value != "<<"]
            assert len(keys) == len(set(keys)), keys
            return super().construct_mapping(node, deep)

    assert yaml.load(compose_text, Strict)["name"] == "dynatrail"
