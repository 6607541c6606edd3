"""Verification while ingesting: real boto3, tables and state, on buckets that the sandbox's own code made."""

import gzip
import json
import os
import shutil
from dataclasses import asdict
from datetime import datetime, timedelta
from random import Random
from types import SimpleNamespace

import pytest

from dynatrail.clock import hour_of
from dynatrail.errors import DynatrailError
from dynatrail.integrity import attest
from dynatrail.sandbox import tampering
from dynatrail.sandbox.delivery import Delivery
from dynatrail.sandbox.objects import Thing
from dynatrail.settings import settings
from dynatrail.sources import aws
from dynatrail.sources.cloudtrail import extract, proof
from dynatrail.state import pending
from dynatrail.warehouse.store import Warehouse

from .histories import Shape, make, signer_named
from .serving import Account, serving

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)
TABLES = ("api_event", "api_event_item", "trail_digest", "log_file", "finding", "quarantine")


class Project:
    """A history's bucket, and the runs of Dynatrail over it, in a home of its own."""

    def __init__(self, history, account):
        self.history, self.account, self.objects = history, account, history.bucket
        self.start, self.end = hour_of(history.start), hour_of(history.until)
        self.runs = 0

    @property
    def chain(self):
        return next(iter(tampering.chains(self.objects)))

    def run(self, start: datetime | None = None, end: datetime | None = None, *, retake=False, steps="vta"):
        """One run as the DAG makes it; of `steps`, those named by their first letters."""
        start, end = start or self.start, end or self.end
        self.runs += 1
        run_id = f"run-{self.runs}"
        batches = extract.discover(settings(), start, end, retake=retake, run_id=run_id)
        done = SimpleNamespace(verified=None, taken=[], attested=None)
        if "v" in steps:
            done.verified = proof.before(settings(), start, end, run_id=run_id)
        if "t" in steps:
            done.taken = [asdict(extract.take(settings(), batch, run_id=run_id)) for batch in batches]
        if "a" in steps:
            done.attested = proof.after(settings(), start, end, run_id=run_id)
        return done

    @property
    def warehouse(self):
        return Warehouse.from_settings(settings())

    def rows(self, table):
        return self.warehouse.dataset(table).to_table().to_pylist()

    def files(self):
        """Status of each log file by its key."""
        root = f"s3://{self.objects.name}/"
        return {row["source_uri"].removeprefix(root): row["status"] for row in self.rows("log_file")}

    def digests(self):
        return [row["status"] for row in self.rows("trail_digest")]

    def attestations(self):
        """The attestation of the rows of each file, by its key: exactly one each."""
        root, found = f"s3://{self.objects.name}/", {}
        for row in self.rows("api_event"):
            found.setdefault(row["source_uri"].removeprefix(root), set()).add(row["attestation"])
        return {uri: next(iter(statuses)) if len(statuses) == 1 else statuses for uri, statuses in found.items()}

    def rules(self):
        return sorted(row["rule_id"] for row in self.rows("finding"))

    def contents(self):
        return {table: self.warehouse.digest(table) for table in TABLES}


@pytest.fixture
def projects(monkeypatch, tmp_path):
    """Makes projects; all of them see one account at a time, the last one's."""
    for name in [name for name in os.environ if name.startswith(("AIRFLOW_CONN_", "DYNATRAIL_"))]:
        monkeypatch.delenv(name)
    servers = []

    def make_one(shape=None, *, name="home", seed=3):
        history = make(seed, shape or Shape(hours=8, quiet=0, delivery=Delivery.regular()))
        signers = [signer_named("cloudtrail"), signer_named("cloudtrail-backfill")]
        account = Account(history.bucket, signers, history.trails)
        server = serving(account)
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", server.__enter__())
        servers.append(server)
        aws.forget()
        monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path / name))
        if (tmp_path / "home/token.key").exists() and name != "home":
            (tmp_path / name).mkdir()
            shutil.copy2(tmp_path / "home/token.key", tmp_path / name)
        monkeypatch.setenv("DYNATRAIL_TRAIL_BUCKET", history.bucket.name)
        return Project(history, account)

    yield make_one
    for server in servers:
        server.__exit__(None, None, None)
    aws.forget()


@pytest.fixture
def project(projects):
    return projects()


def covered(project):
    """The keys of the log files that a digest lists."""
    return {
        file["s3Object"]
        for key in project.objects.listing()
        if "/CloudTrail-Digest/" in key
        for file in json.loads(gzip.decompress(project.objects.read(key).body))["logFiles"]
    }


def test_first_run_attests_what_digests_cover_and_writes_each_row_once(project):
    done = project.run()
    listed = covered(project)
    files = project.files()
    assert {key for key, status in files.items() if status == "attested"} == listed & files.keys()
    assert {status for key, status in files.items() if key not in listed} <= {"not_yet_attested"}
    assert project.attestations() == {key: status for key, status in files.items() if key in project.attestations()}
    assert set(project.digests()) == {"valid"}
    assert (project.rules(), done.attested.warnings, done.attested.rows_marked) == ([], [], 0)


def test_file_of_the_last_hour_is_attested_by_the_run_after_its_digest_came(project):
    early = project.start + 4 * HOUR
    late = {
        key: project.objects.things.pop(key)
        for key in project.objects.listing()
        if "/CloudTrail-Digest/" in key and tampering.ended(key) > early
    }
    project.run(project.start, early)
    before = project.files()
    open_files = {key for key, status in before.items() if status == "not_yet_attested"}
    assert open_files
    versions = project.warehouse.versions()
    with pending.working("build_trail", ()):
        pass
    project.objects.things |= late
    done = project.run(project.start, early + HOUR)
    after = project.files()
    assert {after[key] for key in open_files & covered(project)} == {"attested"}
    assert project.attestations() == {key: status for key, status in after.items() if key in project.attestations()}
    assert done.verified.rows_marked > 0
    assert pending.hours("prove_trail")
    assert project.warehouse.versions()["api_event_item"] >= versions["api_event_item"]


def test_a_second_run_reads_no_digest_again_and_writes_nothing(project):
    project.run()
    project.run()
    project.account.asked.clear()
    versions, contents = project.warehouse.versions(), project.contents()
    done = project.run()
    assert done.attested.rows_marked == 0
    assert (project.warehouse.versions(), project.contents()) == (versions, contents)
    assert len([key for key in project.account.asked if "/CloudTrail-Digest/" in key]) <= 4


def test_taking_again_gives_the_same_attestations_at_once(project):
    project.run()
    versions, contents = project.warehouse.versions(), project.contents()
    project.run(retake=True)
    assert (project.warehouse.versions(), project.contents()) == (versions, contents)


@pytest.mark.parametrize("steps", ["", "v", "vt"], ids=["discovered", "verified", "taken"])
def test_run_that_ended_between_steps_is_made_up_for(projects, steps):
    whole = projects()
    whole.run()
    whole.run()
    expected = whole.contents()
    broken = projects(name="broken")
    broken.run(steps=steps)
    broken.run()
    broken.run()
    now = broken.contents()
    assert {name for name in now if now[name] != expected[name]} == set()


STRUCK = {
    "edit_record": ("altered", "integrity.log_file_altered"),
    "append_member": ("altered", "integrity.log_file_altered"),
    "delete_log": ("missing", "integrity.log_file_missing"),
    "add_forged_log": ("forged", "integrity.log_file_forged"),
}


@pytest.mark.parametrize("how", STRUCK)
def test_what_was_done_to_a_log_file_is_seen_and_its_rows_say_so(projects, how):
    status, rule = STRUCK[how]
    project = projects(Shape(hours=14, quiet=0, delivery=Delivery.regular()))
    struck = getattr(tampering, how)(project.objects, project.chain, Random(5))
    project.run()
    assert {key for key, one in project.files().items() if one == status} == set(struck.log_files)
    assert set(project.rules()) == {rule}
    shown = {key: one for key, one in project.attestations().items() if key in struck.log_files}
    assert set(shown.values()) <= {status}


@pytest.mark.parametrize("how", ["edit_record", "append_member"])
def test_rows_of_a_file_altered_after_it_was_taken_stay_the_genuine_ones(projects, how):
    project = projects(Shape(hours=14, quiet=0, delivery=Delivery.regular()))
    project.run()
    genuine = project.warehouse.digest("api_event")
    struck = getattr(tampering, how)(project.objects, project.chain, Random(5))
    for _ in range(2):
        project.run()
        assert {key for key, one in project.files().items() if one == "altered"} == set(struck.log_files)
        assert project.rules() == ["integrity.log_file_altered"]
        assert project.warehouse.digest("api_event") == genuine


def test_deleted_digest_is_missing_and_its_files_are_not_attested(projects):
    project = projects(Shape(hours=40, quiet=0, delivery=Delivery.regular()))
    struck = tampering.delete_digest(project.objects, project.chain, Random(5))
    project.run()
    assert project.digests().count("missing") == len(struck.digests)
    assert "integrity.digest_missing" in project.rules()
    assert {project.files()[key] for key in struck.listed} == {"unattested"}


def test_run_of_deleted_digests_stays_one_finding_while_windows_move_over_it(projects, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_LOOKBACK_HOURS", "4")
    project = projects(Shape(hours=60, quiet=0, delivery=Delivery.regular()))
    struck = tampering.delete_six_digests(project.objects, project.chain, Random(5))
    project.run()
    first = [row for row in project.rows("finding") if row["rule_id"] == "integrity.digest_missing"]
    for hours in range(2, 9, 2):
        start = hour_of(struck.ends[0]) + hours * HOUR
        project.run(start + 4 * HOUR, start + 5 * HOUR, steps="a")
        found = [row for row in project.rows("finding") if row["rule_id"] == "integrity.digest_missing"]
        assert [row["finding_id"] for row in found] == [row["finding_id"] for row in first]
        assert [row["how_many"] for row in found] == [6]


def test_looking_at_one_past_hour_again_misses_no_digest_of_the_time_after_it(projects):
    project = projects(Shape(hours=40, quiet=0, delivery=Delivery.regular()))
    project.run()

    for n in range(8):
        project.run(project.start + n * HOUR, project.start + (n + 1) * HOUR)

    assert project.rules() == []


def test_digests_that_may_not_be_read_are_told_and_stop_nothing(project):
    project.account.refused = {"CloudTrail-Digest"}
    done = project.run()
    assert any("AccessDenied" in warning for warning in done.attested.warnings)
    assert sum(one["events"] for one in done.taken) > 0


def test_refused_public_keys_are_told_and_nothing_is_attested(project):
    project.account.refused = {"ListPublicKeys"}
    done = project.run()
    assert any("ListPublicKeys" in warning for warning in done.attested.warnings)
    assert set(project.digests()) != {"valid"}
    assert "attested" not in project.files().values()
    assert sum(one["events"] for one in done.taken) > 0


def test_keys_that_were_once_verified_are_not_asked_for_again(project):
    project.run(project.start, project.start + 4 * HOUR)
    project.account.asked.clear()
    project.account.refused = {"ListPublicKeys"}
    done = project.run()
    assert done.attested.warnings == []
    assert "ListPublicKeys" not in project.account.asked
    assert set(project.digests()) == {"valid"}


def test_digest_that_is_no_gzip_is_invalid_and_stops_nothing(project):
    key = [key for key in project.objects.listing() if "/CloudTrail-Digest/" in key][3]
    project.objects.put(key, Thing(b"no gzip", {}))
    project.run()
    assert "invalid" in project.digests()


def test_forged_copy_of_an_event_does_not_displace_the_genuine_one(projects):
    project = projects(Shape(hours=14, quiet=0, delivery=Delivery.regular()))
    genuine = sorted(covered(project))[-8]
    records = json.loads(gzip.decompress(project.objects.read(genuine).body))["Records"]
    twin = genuine.rpartition("_")[0] + "_0000000000000000.json.gz"  # sorts before it
    changed = [record | {"sourceIPAddress": "203.0.113.99"} for record in records]
    project.objects.put(twin, Thing(gzip.compress(json.dumps({"Records": changed}).encode(), mtime=0)))
    project.run()
    project.run()
    assert project.files()[twin] == "forged"
    addresses = {row["source_ip_address"] for row in project.rows("api_event")}
    assert "203.0.113.99" not in addresses


def test_forged_file_in_an_old_folder_is_found_and_taken_by_the_next_extract(projects):
    project = projects(Shape(hours=60, quiet=0, delivery=Delivery.regular()))
    project.run()
    old = sorted(covered(project))[10]
    twin = old.rpartition("_")[0] + "_zzzzzzzzzzzzzzzz.json.gz"
    project.objects.put(twin, project.objects.read(old))
    proof.again(settings(), project.start, project.end, run_id="verify")
    assert project.files()[twin] == "forged"
    assert project.rules() == ["integrity.log_file_forged"]
    project.run(project.end - HOUR, project.end)
    assert project.files()[twin] == "forged"


def test_no_bucket_that_can_be_listed_is_an_error(project):
    project.account.refused = {"AWSLogs"}
    with pytest.raises(DynatrailError, match="AccessDenied"):
        attest.run(settings(), {project.start}, until=project.end, run_id="run")


def test_region_whose_folders_are_all_gone_is_missed_every_time(projects):
    project = projects(Shape(hours=10, quiet=0, delivery=Delivery.regular(), regions=("us-east-1", "eu-west-1")))
    project.run()
    gone = [key for key in project.objects.listing() if "/eu-west-1/" in key]
    for key in gone:
        project.objects.delete(key)
    for number in range(2):
        proof.again(settings(), project.start, project.end, run_id=f"verify {number}")
        digests = {row["digest_uri"].split("/", 3)[3]: row["status"] for row in project.rows("trail_digest")}
        assert {key for key, one in digests.items() if one == "missing"} == {key for key in gone if key in digests}
        files = {key: one for key, one in project.files().items() if tampering.delivered(key) < project.end}
        assert {files[key] for key in gone if key in files} == {"missing"}
        assert {row["region"] for row in project.rows("finding")} == {"eu-west-1"}
        assert {"integrity.chain_truncated_tail"} <= set(project.rules())


def test_trail_without_validation_is_one_finding_whichever_windows_look_at_it(projects, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_LOOKBACK_HOURS", "2")
    project = projects(Shape(hours=9, quiet=0, delivery=Delivery.regular()))
    for key in [key for key in project.objects.listing() if "/CloudTrail-Digest/" in key]:
        project.objects.delete(key)
    for hours in (4, 6, 5, 9):
        end = project.start + hours * HOUR
        project.run(end - HOUR, end)
        (found,) = project.rows("finding")
        delivered = sorted(row["delivered_at"] for row in project.rows("log_file"))
        assert (found["event_time"], found["ends_at"]) == (delivered[0], delivered[-1])
        assert found["how_many"] == len(delivered)
    narrow = project.warehouse.digest("finding")
    proof.again(settings(), project.start + HOUR, project.end, run_id="verify")
    assert project.warehouse.digest("finding") == narrow


def test_copy_of_an_event_in_another_regions_folder_does_not_displace_the_genuine_one(project):
    genuine = sorted(covered(project))[3]
    region = genuine.split("/")[3]
    records = json.loads(gzip.decompress(project.objects.read(genuine).body))["Records"]
    changed = [record | {"sourceIPAddress": "203.0.113.99"} for record in records]
    twin = genuine.replace(region, "af-south-1")  # sorts before it, and no digest says anything of it
    project.objects.put(twin, Thing(gzip.compress(json.dumps({"Records": changed}).encode(), mtime=0)))
    project.run()
    assert project.files()[twin] == "unattested"
    assert "203.0.113.99" not in {row["source_ip_address"] for row in project.rows("api_event")}
