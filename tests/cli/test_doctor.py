import os
from datetime import timedelta

import pytest

from dynatrail import clock
from dynatrail.cli import doctor, probes


@pytest.fixture
def bucket(home, tmp_path, monkeypatch):
    """A folder with one log file of today."""
    folder = tmp_path / "bucket"
    day = clock.now() - timedelta(minutes=10)
    logs = folder / f"AWSLogs/123456789012/CloudTrail/eu-central-1/{day:%Y/%m/%d}"
    logs.mkdir(parents=True)
    (logs / f"123456789012_CloudTrail_eu-central-1_{day:%Y%m%dT%H%M}Z_AbCdEf0123456789.json.gz").write_bytes(b"x")
    monkeypatch.setenv("DYNATRAIL_TRAIL_BUCKET", folder.as_uri())
    for name in [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]:
        monkeypatch.delenv(name)
    return folder


def found():
    return {finding.what: finding for finding in doctor.findings()}


def faults():
    return {finding.what: finding.advice for finding in doctor.findings() if not finding.ok}


def test_nothing_is_wrong_with_a_copy_of_a_bucket(bucket, cli):
    code, out, _ = cli("doctor")
    assert code == 0
    assert "A run should work." in out
    assert "1 accounts, 1 account-regions" in out


def test_wrong_setting_names_its_variable(bucket, cli, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_LOOKBACK_HOURS", "many")
    code, out, _ = cli("doctor")
    assert code == 1
    assert "DYNATRAIL_LOOKBACK_HOURS" in out
    assert "Something would fail." in out


def test_home_that_is_a_file_is_told_and_the_rest_looked_at(bucket, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path / "file" / "home"))
    told = faults()
    assert "is no folder. Set DYNATRAIL_HOME" in told["home"]
    assert "masking key" in told
    assert found()["trail bucket"].ok


def test_key_that_others_can_read_is_told(bucket, home):
    assert faults() == {}
    (home / "token.key").chmod(0o644)
    assert "chmod 600" in faults()["masking key"]


def test_state_database_that_cannot_be_used_is_told(bucket, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_STATE_URL", "mysql://nowhere/x")
    assert "DYNATRAIL_STATE_URL" in faults()["state database"]


def test_bucket_that_is_not_named_is_told(home):
    assert "Set DYNATRAIL_TRAIL_BUCKET" in faults()["trail"]


def test_environment_is_said_to_name_a_trail_only_where_it_does(home, tmp_path, monkeypatch):
    assert found()["configuration"].state.endswith(": nothing is named")
    monkeypatch.setenv("DYNATRAIL_TRAIL_BUCKET", tmp_path.as_uri())
    assert "the environment names one trail" in found()["configuration"].state


def test_warehouse_is_told_by_its_place_and_the_number_of_its_tables(bucket, home, request):
    assert found()["warehouse"].state == f"{home / 'warehouse'}: empty"
    request.getfixturevalue("trail")
    assert found()["warehouse"].state == f"{home / 'warehouse'}: 2 tables"


def test_bucket_without_log_folders_is_told(bucket, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_TRAIL_PREFIX", "elsewhere")
    assert "DYNATRAIL_TRAIL_PREFIX" in faults()["trail bucket"]


def test_folder_that_is_not_there_is_told(bucket, monkeypatch, tmp_path):
    monkeypatch.setenv("DYNATRAIL_TRAIL_BUCKET", (tmp_path / "nowhere").as_uri())
    assert "There is no folder" in faults()["trail bucket"]


def test_trail_that_has_fallen_silent_is_noted(bucket):
    for path in bucket.glob("**/*.gz"):
        path.unlink()
    finding = found()["trail bucket"]
    assert finding.ok
    assert "No log file in the last two days" in finding.advice


def test_missing_connection_is_told_and_ends_the_look_at_aws(bucket, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_TRAIL_BUCKET", "example-trail")
    monkeypatch.setenv("DYNATRAIL_AWS_CONN_ID", "no_such_connection")
    told = faults()
    assert set(told) == {"AWS connection"}
    assert "AIRFLOW_CONN_NO_SUCH_CONNECTION" in told["AWS connection"]


def test_looking_makes_no_table(bucket, home):
    list(doctor.findings())
    assert not (home / "warehouse").exists()


def test_configuration_file_is_named_with_what_it_holds(bucket, tmp_path, monkeypatch):
    monkeypatch.delenv("DYNATRAIL_TRAIL_BUCKET")
    monkeypatch.setenv("DYNATRAIL_CONFIG", str(tmp_path / "mine.yaml"))
    (tmp_path / "mine.yaml").write_text(f"trails: [{{bucket: '{bucket.as_uri()}'}}]\ntables: [{{match: '*'}}]")
    assert found()["configuration"].state == (
        f"{tmp_path / 'mine.yaml'}: 1 trail, 0 accounts, 0 account-regions, 1 note on tables"
    )
    assert faults() == {}


def test_wrong_configuration_is_told_and_ends_the_look_at_aws(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_CONFIG", str(tmp_path / "mine.yaml"))
    (tmp_path / "mine.yaml").write_text("acounts: []")
    assert "did you mean accounts?" in faults()["configuration"]
    assert "trail bucket" not in found()


def test_variables_that_contradict_the_file_are_told(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_CONFIG", str(tmp_path / "mine.yaml"))
    (tmp_path / "mine.yaml").write_text("trails: [{bucket: example-trail}]")
    assert "DYNATRAIL_TRAIL_BUCKET says something else" in faults()["configuration"]


def test_every_trail_is_looked_at_and_the_wrong_one_is_told(bucket, tmp_path, monkeypatch):
    monkeypatch.delenv("DYNATRAIL_TRAIL_BUCKET")
    monkeypatch.setenv("DYNATRAIL_CONFIG", str(tmp_path / "mine.yaml"))
    nowhere = (tmp_path / "nowhere").as_uri()
    (tmp_path / "mine.yaml").write_text(f"trails: [{{bucket: '{nowhere}'}}, {{bucket: '{bucket.as_uri()}'}}]")
    told = [finding for finding in doctor.findings() if finding.what == "trail bucket"]
    assert [finding.ok for finding in told] == [False, True]


def test_warehouse_path_that_the_writer_cannot_take_is_told(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_WAREHOUSE", str(tmp_path / "a[1]"))
    assert "Set DYNATRAIL_WAREHOUSE" in faults()["warehouse"]


@pytest.mark.parametrize("probe", probes.PROBES, ids=lambda probe: probe.action)
def test_what_is_probed_is_granted_by_a_reference_policy(probe):
    assert "add the statement " in probes.needed_by(probe.action)


def test_need_for_an_action_names_source_and_statement():
    assert probes.needed_by("iam:GetAccountSummary") == (
        "snapshot_iam needs it: add the statement KnowWhoMayDoWhat of docs/reference/iam/snapshot_iam.json."
    )


def test_advice_for_several_findings_in_a_row_is_printed_once_below_them(home, cli, monkeypatch):
    rows = [
        doctor.Finding("account 1", "a", "mend"),
        doctor.Finding("account 2", "b", "mend"),
        doctor.Finding("c", "c"),
    ]
    monkeypatch.setattr(doctor, "findings", lambda: iter(rows))
    _, out, _ = cli("doctor")
    assert [line.split()[0] for line in out.splitlines()] == ["note", "note", "→", "ok", "A"]
