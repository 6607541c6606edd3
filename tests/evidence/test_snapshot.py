import fcntl
import json
import shutil
import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from dynatrail.clock import DAY, HOUR
from dynatrail.errors import EvidenceError
from dynatrail.evidence import folders, provenance, snapshot
from dynatrail.state import pending
from dynatrail.state.database import session
from dynatrail.state.models import EvidenceSnapshot
from dynatrail.trail import timeline
from dynatrail.warehouse.digest import digest_batches
from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Warehouse

THE_DAY = date(2026, 11, 1)
MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC)
LATER = datetime(2026, 11, 2, 6, tzinfo=UTC)
OF_THE_DAY = 6  # of the eight events that `fill` writes


@pytest.fixture
def root(tmp_path):
    return tmp_path / "evidence"


@pytest.fixture
def publish(warehouse, root):
    return lambda **options: snapshot.publish(THE_DAY, warehouse, root, **{"now": LATER} | options)


@pytest.fixture
def published(warehouse, fill, publish):
    fill(warehouse)
    return publish()


@pytest.fixture
def late_event(warehouse, put, make_event):
    """An event of the day arrives after it was published, and the timeline is rebuilt."""

    def arrive():
        at = MIDNIGHT + timedelta(hours=5)
        put(warehouse, "api_event", [make_event(99, at)])
        timeline.build(warehouse, [at])

    return arrive


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def statement(folder):
    return json.loads((folder / "versions.json").read_text())


def indexed():
    with session() as opened:
        return list(opened.scalars(sa.select(EvidenceSnapshot).order_by(EvidenceSnapshot.snapshot_id)))


def sha256sum(folder):
    return subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_sha256sum_accepts_the_manifest(published):
    checked = sha256sum(published.folder)
    assert (checked.returncode, checked.stderr) == (0, "")
    named = {line.removesuffix(": OK") for line in checked.stdout.splitlines()}
    assert named == set(contents(published.folder)) - {"SHA256SUMS"}


def test_snapshot_holds_rows_queries_versions_and_a_readme(published):
    tables = TABLES.keys()
    assert sorted(contents(published.folder)) == sorted(
        ["README.txt", "SHA256SUMS", "versions.json", "queries/ocsf/activities.csv", "queries/trail/callers.sql"]
        + ["queries/trail/first_principal.sql", *(f"queries/{query}" for query in timeline.kinds())]
        + [f"{table}.{kind}" for table in tables for kind in ("csv", "parquet")]
        + [f"queries/evidence/{table}.sql" for table in tables]
    )


def test_readme_says_of_every_table_what_one_row_is(published):
    lines = (published.folder / "README.txt").read_text().splitlines()
    described = lines[lines.index("What one row is:") + 2 :][: len(snapshot.PUBLISHED)]
    assert [line.split(maxsplit=1) for line in described] == [[n, TABLES[n].grain] for n in snapshot.PUBLISHED]


def test_rows_are_those_of_the_utc_day(published):
    assert published.rows == dict.fromkeys(TABLES, 0) | {
        "audit_record": 2 * OF_THE_DAY,
        "api_event": OF_THE_DAY,
        "api_event_item": 2 * OF_THE_DAY,
        "quarantine": OF_THE_DAY,
    }
    times = pq.read_table(published.folder / "api_event.parquet").column("event_time").to_pylist()
    assert times == sorted(times)
    assert {at.date() for at in times} == {THE_DAY}


def test_rows_have_the_digest_that_the_warehouse_gives_at_the_pinned_version(published, warehouse):
    said = statement(published.folder)["tables"]
    for table, version in published.versions.items():
        rows = pq.read_table(published.folder / f"{table}.parquet").to_batches()
        expected = warehouse.digest(table, day=THE_DAY, version=version)
        assert digest_batches(table, rows) == said[table]["digest"] == expected


def test_statement_names_what_it_was_made_with(published):
    said = statement(published.folder)
    assert said["software"]["git_commit"] == "0" * 40
    assert len(said["software"]["requirements_sha256"]) == 64
    assert said["settings"]["trail_bucket"] == "trail.example.com"
    assert [trail["bucket"] for trail in said["settings"]["configuration"]["trails"]] == ["trail.example.com"]
    assert said["previous"] is None


def test_statement_names_the_accounts_of_the_configuration_file_and_no_way_in(tmp_path, monkeypatch):
    monkeypatch.delenv("DYNATRAIL_TRAIL_BUCKET", raising=False)
    monkeypatch.setenv("DYNATRAIL_CONFIG", str(tmp_path / "mine.yaml"))
    (tmp_path / "mine.yaml").write_text(
        "accounts: [{id: '123456789012', regions: [us-east-1], connection: mine, external_id: example-external-id,\n"
        "  role_arn: 'arn:aws:iam::123456789012:role/DynatrailReader'}]"
    )
    (account,) = provenance.settings_that_matter()["configuration"]["accounts"]
    assert (account["id"], account["role_arn"]) == ("123456789012", "arn:aws:iam::123456789012:role/DynatrailReader")
    assert {"connection", "external_id"}.isdisjoint(account)


def test_nothing_in_it_names_a_folder_of_this_machine(published, tmp_path):
    everything = b"".join(contents(published.folder).values())
    assert str(tmp_path).encode() not in everything
    assert str(snapshot.PROJECT).encode() not in everything


def test_same_day_in_another_folder_and_warehouse_gives_the_same_bytes(published, tmp_path, fill):
    other = Warehouse(str(tmp_path / "elsewhere"))
    fill(other)
    _forget_index()
    again = snapshot.publish(THE_DAY, other, tmp_path / "other-evidence", now=LATER + 9 * DAY)
    assert contents(again.folder) == contents(published.folder)
    assert again.manifest_sha256 == published.manifest_sha256


def test_order_of_writes_shows_in_no_row(published, tmp_path, fill):
    """Only the versions that `versions.json` pins, and so the manifest, may tell how the rows came to be there."""
    other = Warehouse(str(tmp_path / "elsewhere"))
    fill(other, backwards=True)
    _forget_index()
    again = snapshot.publish(THE_DAY, other, tmp_path / "other-evidence", now=LATER)
    first, second = contents(published.folder), contents(again.folder)
    may_differ = {"versions.json", "SHA256SUMS"}
    assert {n: c for n, c in first.items() if n not in may_differ} == {
        n: c for n, c in second.items() if n not in may_differ
    }
    digests = [{n: t["digest"] for n, t in statement(s.folder)["tables"].items()} for s in (published, again)]
    assert digests[0] == digests[1]


def test_unchanged_day_is_not_published_again(published, publish):
    before = contents(published.folder)
    again = publish()
    assert (again.snapshot_id, again.made) == ("2026-11-01/r1", False)
    assert again.manifest_sha256 == published.manifest_sha256
    assert contents(published.folder) == before
    assert len(indexed()) == 1


def test_change_of_another_day_makes_no_revision(published, publish, warehouse, put, make_event):
    put(warehouse, "api_event", [make_event(50, MIDNIGHT + 3 * DAY)])
    assert publish().folder == published.folder


def test_late_data_makes_a_further_revision_and_keeps_the_first(published, publish, late_event):
    before = contents(published.folder)
    late_event()
    second = publish()
    assert (second.folder.name, second.made) == ("r2", True)
    assert second.rows["api_event"] == published.rows["api_event"] + 1
    assert contents(published.folder) == before
    assert statement(second.folder)["previous"] == {"folder": "r1", "manifest_sha256": published.manifest_sha256}
    assert publish().folder == second.folder


def test_index_has_a_row_per_revision_with_its_versions(published, publish, late_event):
    late_event()
    second = publish()
    first_row, second_row = indexed()
    assert first_row.folder == first_row.snapshot_id == "2026-11-01/r1"
    assert (first_row.versions, second_row.versions) == (published.versions, second.versions)
    assert second_row.manifest_sha256 == second.manifest_sha256


def test_pinned_versions_stay_readable_after_vacuum(published, publish, warehouse, late_event):
    late_event()
    second = publish()
    pins = snapshot.pinned_versions()
    assert pins["api_event"] == {published.versions["api_event"], second.versions["api_event"]}
    warehouse.vacuum(pins, older_than=timedelta(0))
    said = statement(published.folder)["tables"]["api_event"]
    assert warehouse.digest("api_event", day=THE_DAY, version=said["version"]) == said["digest"]


def test_day_without_rows_is_published_as_such(publish):
    made = publish()
    assert set(made.rows.values()) == {0}
    assert made.versions == {}
    assert sha256sum(made.folder).returncode == 0
    assert publish().made is False


def test_open_day_is_refused(warehouse, fill, publish, root):
    fill(warehouse)
    with pytest.raises(EvidenceError, match=r"2026-11-01 cannot be published.*the day ends at 2026-11-02T00:00:00Z"):
        publish(now=MIDNIGHT + DAY - timedelta(seconds=1))
    assert not root.exists()


def test_day_is_over_at_its_last_midnight(warehouse, fill, publish):
    fill(warehouse)
    assert publish(now=MIDNIGHT + DAY).provisional is False


def test_open_day_may_be_published_as_provisional_and_then_for_good(warehouse, fill, publish):
    fill(warehouse)
    early = publish(now=MIDNIGHT + 20 * HOUR, allow_open=True)
    assert early.provisional
    assert "PROVISIONAL" in (early.folder / "README.txt").read_text()
    final = publish()
    assert (final.provisional, final.folder.name) == (False, "r2")
    assert "PROVISIONAL" not in (final.folder / "README.txt").read_text()


@pytest.mark.parametrize(
    ("stage", "left"),
    [("build_trail", "rebuilt"), ("build_audit_record", "brought into audit_record"), ("prove_trail", "stated")],
)
def test_day_that_a_stage_is_behind_with_is_refused(warehouse, fill, publish, stage, left):
    fill(warehouse)
    with session() as opened:
        pending.mark(opened, stage, [MIDNIGHT + 5 * HOUR, MIDNIGHT + 2 * DAY])
    with pytest.raises(EvidenceError, match=f"{stage} has not {left} 2026-11-01T05:00:00Z since"):
        publish()
    with pending.working(stage, []):
        pass
    assert publish().provisional is False


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (lambda f: (f / "audit_record.csv").write_bytes(b"x"), "audit_record.csv has other content"),
        (lambda f: (f / "api_event.parquet").unlink(), "api_event.parquet is missing"),
        (lambda f: (f / "extra.csv").write_text("x"), "extra.csv is not in SHA256SUMS"),
        (lambda f: (f / "SHA256SUMS").unlink(), "SHA256SUMS or a file cannot be read"),
        (lambda f: (f / "SHA256SUMS").write_text("nonsense\n"), "SHA256SUMS has lines that are none"),
        (lambda f: (f / "versions.json").write_text("{}"), "versions.json has other content"),
    ],
)
def test_tampering_is_detected(published, publish, tamper, said):
    tamper(published.folder)
    with pytest.raises(EvidenceError, match=said):
        folders.verify(published.folder)
    with pytest.raises(EvidenceError, match="Keep it as it is for the investigation"):
        publish()


def test_sha256sum_detects_a_changed_byte(published):
    file = published.folder / "audit_record.csv"
    file.write_bytes(file.read_bytes().replace(b"nurse-anna", b"nurse-hans", 1))
    assert sha256sum(published.folder).returncode != 0


def test_forged_manifest_that_fits_the_forged_rows_is_detected_by_the_index(published, publish):
    file = published.folder / "audit_record.csv"
    old = folders.sha256(file)
    file.write_bytes(file.read_bytes().replace(b"nurse-anna", b"nurse-hans"))
    manifest = published.folder / "SHA256SUMS"
    manifest.write_text(manifest.read_text().replace(old, folders.sha256(file)))
    assert sha256sum(published.folder).returncode == 0
    with pytest.raises(EvidenceError, match="is not the one that was published"):
        publish()


def test_snapshot_that_a_killed_run_left_out_of_the_index_is_taken_in(published, publish):
    _forget_index()
    again = publish()
    assert (again.folder, again.made) == (published.folder, False)
    assert [row.manifest_sha256 for row in indexed()] == [published.manifest_sha256]


def test_half_made_snapshot_of_a_killed_run_is_cleared_away(warehouse, fill, publish, root):
    fill(warehouse)
    left = root / str(THE_DAY) / ".partial"
    left.mkdir(parents=True)
    (left / "audit_record.csv").write_text("half")
    made = publish()
    assert [path.name for path in (root / str(THE_DAY)).iterdir()] == ["r1"]
    assert sha256sum(made.folder).returncode == 0


def test_failure_leaves_nothing_behind(warehouse, fill, publish, root, monkeypatch):
    fill(warehouse)
    monkeypatch.setattr(snapshot.provenance, "readme", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        publish()
    assert list((root / str(THE_DAY)).iterdir()) == []
    assert indexed() == []


def test_revision_number_is_never_used_again(published, publish, caplog):
    shutil.rmtree(published.folder)
    assert publish().folder.name == "r2"
    assert "knows snapshot 2026-11-01/r1" in caplog.text


def test_rows_that_come_out_other_than_the_warehouse_has_them_are_not_published(warehouse, fill, publish, monkeypatch):
    fill(warehouse)
    monkeypatch.setattr(snapshot.tables, "write", _drop_last_row(snapshot.tables.write))
    with pytest.raises(EvidenceError, match="came out other than the warehouse holds them"):
        publish()
    assert indexed() == []


def test_folder_that_cannot_be_written_says_what_to_do(warehouse, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EvidenceError, match="set DYNATRAIL_EVIDENCE"):
        snapshot.publish(THE_DAY, warehouse, tmp_path / "file" / "evidence", now=LATER)


def test_second_publisher_waits_for_the_first(warehouse, fill, publish, root):
    fill(warehouse)
    root.mkdir()
    found = []
    waiting = threading.Thread(target=lambda: found.append(publish()))
    with (root / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        waiting.start()
        waiting.join(0.5)
        assert found == []
    waiting.join(60)
    assert [one.folder.name for one in found] == ["r1"]


@pytest.mark.slow
def test_kill_at_any_point_leaves_whole_snapshots_only(warehouse, fill, publish, root, tmp_path):
    """Processes are killed after ever more time; each leaves nothing or r1, and the next publish ends with r1 whole."""
    fill(warehouse)
    code = (
        "import sys; from datetime import date; from pathlib import Path; from dynatrail.evidence import snapshot; "
        "from dynatrail.warehouse.store import Warehouse; print('ready', flush=True); "
        "snapshot.publish(date(2026, 11, 1), Warehouse(sys.argv[1]), Path(sys.argv[2]))"
    )
    day_folder = root / str(THE_DAY)
    for tenth in range(12):
        process = subprocess.Popen([sys.executable, "-c", code, warehouse.root, str(root)], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        try:
            process.wait(tenth / 10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        for revision in folders.revisions(day_folder):
            folders.verify(day_folder / f"r{revision}")
    assert publish().folder.name == "r1"
    assert [row.snapshot_id for row in indexed()] == ["2026-11-01/r1"]


def _forget_index():
    with session() as opened:
        opened.execute(sa.delete(EvidenceSnapshot))


def _drop_last_row(write):
    return lambda parts, *rest: write([part.slice(0, max(0, len(part) - 1)) for part in parts], *rest)
