"""`verify-logs` on a bucket and on copies of one, as an auditor would call it."""

import json
import os
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest
from tests.integrity.histories import Shape, make, signer_named
from tests.integrity.serving import Account, serving

from dynatrail.cli import verify_logs
from dynatrail.clock import HOUR, hour_of, iso
from dynatrail.sandbox import tampering
from dynatrail.sandbox.delivery import Delivery
from dynatrail.settings import settings
from dynatrail.sources import aws
from dynatrail.warehouse.schema import TRAIL_DIGEST
from dynatrail.warehouse.store import Warehouse


class Audit:
    """A history, its copy on disk with AWS's keys beside it, and the command over either."""

    def __init__(self, folder: Path, capsys) -> None:
        self.folder, self.copy, self.keys = folder, folder / "copy", folder / "keys.json"
        self.capsys = capsys
        self.history = make(4, Shape(hours=30, quiet=0, delivery=Delivery.regular()))
        self.objects = self.history.bucket
        signer = signer_named("cloudtrail")
        key = {"Value": signer.public_key, "Fingerprint": signer.fingerprint}
        self.keys.write_text(json.dumps({"PublicKeyList": [key]}))

    @property
    def chain(self):
        return next(iter(tampering.chains(self.objects)))

    def copied(self):
        for key in self.objects.listing():
            path = self.copy / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.objects.read(key).body)
        return self.copy

    def run(self, **options):
        """Exit code and JSON."""
        start, end = hour_of(self.history.start), hour_of(self.history.until) - 4 * HOUR
        given = {"folder": None, "keys": None, "as_json": True} | options
        code = verify_logs.run(iso(start), iso(end), **given)
        said = self.capsys.readouterr()
        return code, json.loads(said.out) if given["as_json"] and said.out else said.out + said.err

    def offline(self, **options):
        return self.run(folder=self.copied(), keys=self.keys, **options)


@pytest.fixture
def audit(tmp_path, monkeypatch, capsys):
    for name in [name for name in os.environ if name.startswith(("AIRFLOW_CONN_", "DYNATRAIL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path / "home"))
    return Audit(tmp_path, capsys)


@pytest.fixture
def served(audit, monkeypatch):
    with serving(Account(audit.objects, [signer_named("cloudtrail")], audit.history.trails)) as connection:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection)
        monkeypatch.setenv("DYNATRAIL_TRAIL_BUCKET", audit.objects.name)
        aws.forget()
        yield audit
    aws.forget()


def test_clean_copy_verifies_offline_without_a_home(audit):
    code, found = audit.offline()
    assert (code, found["problems"], found["warnings"]) == (0, [], [])
    assert set(found["log_files"]) == {"attested"}
    assert not (audit.folder / "home").exists()


def test_clean_bucket_verifies_with_keys_of_aws(served):
    code, found = served.run()
    assert (code, found["problems"], found["warnings"]) == (0, [], [])
    assert set(found["log_files"]) == {"attested"}


@pytest.mark.parametrize(
    ("how", "status"), [("edit_record", "altered"), ("delete_log", "missing"), ("add_forged_log", "forged")]
)
def test_problem_is_named_and_gives_exit_code_1(audit, how, status):
    struck = getattr(tampering, how)(audit.objects, audit.chain, Random(2))
    code, found = audit.offline()
    assert code == 1
    assert found["log_files"][status] == len(struck.log_files)
    named = " ".join(name for problem in found["problems"] for name in problem["names"])
    assert all(key in named for key in struck.log_files)


def test_problem_is_told_to_a_person_by_name(audit):
    (key,) = tampering.delete_log(audit.objects, audit.chain, Random(2)).log_files
    code, said = audit.offline(as_json=False)
    assert code == 1
    assert key in said
    assert "1 missing" in said


def test_copy_without_anybody_who_vouches_for_keys_is_told_so(audit):
    code, found = audit.run(folder=audit.copied())
    assert code == 1
    assert any("--keys" in warning for warning in found["warnings"])


def test_key_that_only_the_warehouse_knows_vouches_for_nothing_where_aws_can_be_asked(audit, monkeypatch):
    planted, hour = signer_named("cloudtrail"), hour_of(audit.history.start)
    row = {
        "digest_end_time": hour,
        "event_hour": hour,
        "event_date": hour.date(),
        "account_id": audit.chain.account_id,
        "region": audit.chain.region,
        "trail_name": "planted",
        "home_region": audit.chain.region,
        "chain": "standard",
        "public_key_fingerprint": planted.fingerprint,
        "public_key": planted.public_key,
        "status": "valid",
    }
    rows = pa.Table.from_pylist([row], TRAIL_DIGEST.schema)
    Warehouse.from_settings(settings()).replace("trail_digest", rows, hours=[hour])
    with serving(Account(audit.objects, [signer_named("aws")], audit.history.trails)) as connection:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection)
        monkeypatch.setenv("DYNATRAIL_TRAIL_BUCKET", audit.objects.name)
        aws.forget()
        code, found = audit.run()
        aws.forget()
    assert code == 1
    assert {problem["rule"] for problem in found["problems"]} == {"integrity.digest_invalid"}
    assert "attested" not in found["log_files"]


def test_keys_that_signed_nothing_are_told_to_be_the_wrong_file(audit):
    key = signer_named("somebody-else")
    audit.keys.write_text(json.dumps({"PublicKeyList": [{"Value": key.public_key, "Fingerprint": key.fingerprint}]}))
    code, found = audit.offline()
    assert code == 1
    assert any("No key of --keys" in warning for warning in found["warnings"])


def test_window_without_anything_is_no_pass(audit, capsys):
    copy = audit.copied()
    code = verify_logs.run("2001-01-01", "2001-01-02", folder=copy, keys=audit.keys, as_json=False)
    assert code == 1
    assert "Check the dates" in capsys.readouterr().out


def test_what_a_copy_cannot_verify_is_counted(audit):
    code, found = audit.offline(as_json=False)
    assert code == 0
    assert "1 unread" in found


def test_bucket_that_cannot_be_listed_is_no_verdict(audit, monkeypatch):
    account = Account(audit.objects, [signer_named("cloudtrail")], audit.history.trails)
    account.refused = {"AWSLogs"}
    with serving(account) as connection:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection)
        monkeypatch.setenv("DYNATRAIL_TRAIL_BUCKET", audit.objects.name)
        aws.forget()
        code, said = audit.run()
        aws.forget()
    assert code == 2
    assert audit.objects.name in said


def test_copy_in_another_place_in_the_bucket_is_moved(audit):
    tampering.move_folder(audit.objects, "elsewhere")
    code, found = audit.offline()
    assert code == 1
    assert found["problems"]


@pytest.mark.parametrize("folder", ["nowhere", "."], ids=["missing", "empty"])
def test_folder_that_holds_no_copy_is_wrong_use(audit, folder):
    (audit.folder / "sub").mkdir()
    code, said = audit.run(folder=audit.folder / "sub" / folder, keys=audit.keys)
    assert code == 2
    assert "--folder" in said


def test_keys_in_another_shape_are_wrong_use(audit):
    audit.keys.write_text("[]")
    code, said = audit.offline()
    assert code == 2
    assert "list-public-keys" in said


def test_window_that_does_not_parse_is_wrong_use(audit, capsys):
    assert verify_logs.run("yesterday", "today", folder=None, keys=None, as_json=False) == 2
    assert "yesterday" in capsys.readouterr().err
