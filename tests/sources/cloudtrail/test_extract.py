"""The whole way of log files: from a folder laid out like the trail's bucket into the warehouse and the ledger."""

import gzip
import json
import os
import shutil
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from dynatrail.clock import hour_of
from dynatrail.errors import QualityError, SettingsError, SourceError
from dynatrail.privacy.tokens import load_key
from dynatrail.settings import Settings, settings
from dynatrail.sources.cloudtrail import extract
from dynatrail.state import pending
from dynatrail.state.database import session
from dynatrail.state.models import SourceObject, TableKey
from dynatrail.warehouse.store import Warehouse

ACCOUNT = "123456789012"
REGION = "eu-central-1"
START = datetime(2026, 11, 1, 3, tzinfo=UTC)
END = START + timedelta(hours=1)


class Trail:
    """A folder laid out like the trail's bucket, and runs over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = 0

    def put(self, data, *, at=START, account=ACCOUNT, region=REGION, name=None, prefix="", unique="AbCdEf0123456789"):
        logs = self.folder / f"{prefix}AWSLogs/{account}/CloudTrail/{region}/{at:%Y/%m/%d}"
        logs.mkdir(parents=True, exist_ok=True)
        path = logs / (name or f"{account}_CloudTrail_{region}_{at:%Y%m%dT%H%M}Z_{unique}.json.gz")
        path.write_bytes(data)
        return path

    def run(self, start=START, end=END, *, retake=False):
        """One run as the DAG makes it; gives its summary, or raises the first batch's error after all batches."""
        self.runs += 1
        run_id = f"run-{self.runs}"
        errors, summaries = [], []
        for batch in extract.discover(settings(), start, end, retake=retake, run_id=run_id):
            try:
                summaries.append(extract.take(settings(), batch, run_id=run_id))
            except (SourceError, QualityError) as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return extract.total([asdict(one) for one in summaries])

    @property
    def warehouse(self):
        return Warehouse.from_settings(settings())

    def rows(self, table):
        return self.warehouse.dataset(table).to_table().sort_by("event_hour").to_pylist()

    def digests(self):
        return {name: self.warehouse.digest(name) for name in ("api_event", "api_event_item", "quarantine")}

    def ledger(self):
        with session() as opened:
            return {Path(row.uri).name: row for row in opened.scalars(sa.select(SourceObject))}


@pytest.fixture
def trail(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DYNATRAIL_TRAIL_BUCKET", (tmp_path / "bucket").as_uri())
    (tmp_path / "bucket").mkdir()
    for name in [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]:
        monkeypatch.delenv(name)
    return Trail(tmp_path / "bucket")


@pytest.fixture
def make_file(make_record, log_file):
    """A file of `count` records with ids of their own; `overrides` go to each."""

    def make(count=3, first=1, **overrides):
        ids = range(first, first + count)
        return log_file([make_record(eventID=f"00000000-0000-4000-8000-{n:012d}", **overrides) for n in ids])

    return make


def test_new_files_land_and_the_ledger_knows_them(trail, make_file):
    path = trail.put(make_file(3))
    summary = trail.run()
    assert (summary["objects"], summary["records"], summary["events"], summary["items"]) == (1, 3, 3, 3)
    assert [row["source_uri"] for row in trail.rows("api_event")] == [path.resolve().as_uri()] * 3
    noted = trail.ledger()[path.name]
    assert (noted.status, noted.records, noted.quarantined, noted.size) == ("taken", 3, 0, path.stat().st_size)
    assert noted.sha256 == trail.rows("api_event")[0]["source_sha256"]
    assert noted.event_hours == ["2026-11-01T03:00:00Z"]
    assert pending.hours("build_trail") == [START]


def test_a_second_run_takes_nothing_again(trail, make_file):
    trail.put(make_file())
    trail.run()
    versions, digests = trail.warehouse.versions(), trail.digests()
    assert trail.run()["objects"] == 0
    assert (trail.warehouse.versions(), trail.digests()) == (versions, digests)


def test_taking_a_window_again_changes_nothing_and_writes_nothing(trail, make_file):
    trail.put(make_file())
    trail.put(gzip.compress(b"no"), unique="bad0000000000000")
    trail.run()
    versions, digests = trail.warehouse.versions(), trail.digests()
    summary = trail.run(retake=True)
    assert (summary["objects"], summary["quarantined"]) == (1, 1)
    assert (trail.warehouse.versions(), trail.digests()) == (versions, digests)


def test_file_delivered_late_is_found_by_the_look_back(trail, make_file):
    trail.put(make_file(), at=START - timedelta(hours=20))
    assert trail.run()["objects"] == 1


def test_file_delivered_after_the_margin_is_left_to_the_next_run(trail, make_file):
    trail.put(make_file(), at=END + timedelta(hours=1))
    assert trail.run()["objects"] == 0
    assert trail.run(END, END + timedelta(hours=1))["objects"] == 1


def test_events_of_other_hours_touch_those_hours(trail, make_file):
    trail.put(make_file(eventTime="2026-10-31T23:58:00Z"))
    trail.run()
    assert pending.hours("build_trail") == [datetime(2026, 10, 31, 23, tzinfo=UTC)]


def test_prefix_organization_accounts_and_regions_are_found(trail, make_file, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_TRAIL_PREFIX", "/logs/")
    trail.put(make_file(first=1), prefix="logs/")
    trail.put(make_file(first=10), prefix="logs/", region="us-east-1")
    organization = trail.folder / "logs/AWSLogs/o-exampleorg1"
    trail.put(make_file(first=20, recipientAccountId="210987654321"), prefix="logs/", account="210987654321")
    organization.mkdir()
    (trail.folder / "logs/AWSLogs/210987654321").rename(organization / "210987654321")
    (trail.folder / "logs/AWSLogs" / ACCOUNT / "CloudTrail-Digest" / REGION).mkdir(parents=True)
    assert trail.run()["events"] == 9
    assert {row.account_id for row in trail.ledger().values()} == {ACCOUNT, "210987654321"}


def test_only_the_accounts_and_regions_that_are_asked_for(trail, make_file, monkeypatch):
    for region, account, first in ((REGION, ACCOUNT, 1), ("us-east-1", ACCOUNT, 10), (REGION, "210987654321", 20)):
        trail.put(make_file(first=first), region=region, account=account)
    monkeypatch.setenv("DYNATRAIL_ACCOUNTS", ACCOUNT)
    monkeypatch.setenv("DYNATRAIL_REGIONS", f"us-east-1, {REGION}")
    assert trail.run()["objects"] == 2


def test_a_batch_holds_files_of_one_account_and_region(trail, make_file):
    for number in range(3):
        for region in (REGION, "us-east-1"):
            trail.put(make_file(first=10 * number + 1), region=region, at=START + timedelta(minutes=5 * number))
    batches = extract.discover(settings(), START, END, retake=False, run_id="r")
    held = [{(row.account_id, row.region) for row in extract.Ledger().batch("r", number)} for number in batches]
    assert sorted(map(list, held)) == [[(ACCOUNT, REGION)], [(ACCOUNT, "us-east-1")]]


@pytest.mark.parametrize(
    ("data", "code", "position"),
    [
        (gzip.compress(b'{"Records":[]}', mtime=0)[:-3], "truncated_gzip", "object"),
        (
            gzip.compress(b'{"Records":[]}', mtime=0) + gzip.compress(b"pat-4711", mtime=0),
            "several_gzip_members",
            "object",
        ),
        (gzip.compress(b'{"Records":[]}', mtime=0) + b"pat-4711", "trailing_bytes", "object"),
        (b"pat-4711", "not_gzip", "object"),
        (gzip.compress(b'{"Records":[{}], pat-4711}', mtime=0), "not_json", "byte 17"),
        (gzip.compress(b'{"pat-4711":[]}', mtime=0), "no_records", "object"),
        (gzip.compress(b'{"Records":"pat-4711"}', mtime=0), "no_records", "object"),
        (gzip.compress(bytes(3 << 20), mtime=0), "too_large", "object"),
    ],
    ids=["truncated", "second member", "trailing bytes", "no gzip", "no JSON", "no Records", "no list", "too large"],
)
def test_unusable_file_is_quarantined_and_the_others_land(data, code, position, trail, make_file, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_MAX_OBJECT_MB", "2")
    path = trail.put(data, unique="bad0000000000000")
    trail.put(make_file(2))
    summary = trail.run()
    (row,) = trail.rows("quarantine")
    assert (summary["objects"], summary["events"], summary["quarantined"]) == (1, 2, 1)
    assert (row["source_uri"], row["reason_code"], row["position"]) == (path.resolve().as_uri(), code, position)
    assert (row["event_hour"], row["account_id"], row["region"]) == (START, ACCOUNT, REGION)
    assert row["payload_bytes"] == len(data)
    assert "4711" not in str(row)
    assert (trail.ledger()[path.name].status, trail.ledger()[path.name].quarantined) == ("taken", 1)
    assert trail.run()["objects"] == 0


def test_records_that_are_no_events_are_quarantined_by_position(trail, make_record, log_file, absent):
    members = [4711, make_record(), "pat-4711", None, make_record(eventID=absent), make_record(eventTime="never")]
    path = trail.put(log_file(members))
    summary = trail.run()
    rows = sorted(trail.rows("quarantine"), key=lambda row: row["position"])
    assert [(row["position"], row["reason_code"]) for row in rows] == [
        ("record 0", "not_an_object"),
        ("record 2", "not_an_object"),
        ("record 3", "not_an_object"),
        ("record 4", "missing_field"),
        ("record 5", "bad_time"),
    ]
    assert (summary["records"], summary["events"], summary["quarantined"]) == (6, 1, 5)
    assert trail.ledger()[path.name].quarantined == 5
    assert "4711" not in str(rows)


def test_rows_that_the_gate_rejects_take_their_items_with_them(trail, make_record, log_file):
    records = [
        make_record(eventID="00000000-0000-4000-8000-000000000001"),
        make_record(eventID="not a guid"),
        make_record(eventID="00000000-0000-4000-8000-000000000002", awsRegion="nowhere"),
        make_record(eventID="00000000-0000-4000-8000-000000000003", eventTime="1970-01-01T00:00:00Z"),
        make_record(eventID="00000000-0000-4000-8000-000000000004"),
    ]
    trail.put(log_file(records))
    summary = trail.run()
    assert [row["source_index"] for row in trail.rows("api_event")] == [0, 4]
    assert [row["source_index"] for row in trail.rows("api_event_item")] == [0, 4]
    assert {row["position"]: row["reason_code"] for row in trail.rows("quarantine")} == {
        "record 1": "event_id_form",
        "record 2": "region_form",
        "record 3": "event_time_range",
    }
    assert (summary["events"], summary["items"], summary["quarantined"]) == (2, 2, 3)
    assert pending.hours("build_trail") == [START]
    assert trail.run(retake=True)["events"] == 2


def test_parser_that_loses_rows_stops_the_batch_before_anything_is_visible(trail, make_file, monkeypatch):
    trail.put(make_file(3))
    whole = extract.Parser.tables
    monkeypatch.setattr(extract.Parser, "tables", lambda parser: [table.slice(1) for table in whole(parser)])
    with pytest.raises(QualityError, match="parser gave fewer rows"):
        trail.run()
    assert trail.warehouse.versions() == {}
    assert {row.status for row in trail.ledger().values()} == {"discovered"}
    kept = settings().home / "quality" / "extract_cloudtrail" / "run-1" / "0.json"
    assert json.loads(kept.read_text())["success"] is False
    monkeypatch.setattr(extract.Parser, "tables", whole)
    assert trail.run()["events"] == 3


def test_foreign_file_in_the_trails_folder_is_not_parsed(trail, make_file):
    trail.put(make_file(2))
    path = trail.put(make_file(first=50), name="zz-by-hand.json.gz")
    trail.run()
    trail.run(START + timedelta(hours=21), END + timedelta(hours=21))  # the day is over: its whole folder is listed
    (row,) = trail.rows("quarantine")
    assert (row["source_uri"], row["reason_code"]) == (path.resolve().as_uri(), "foreign_name")
    assert len(trail.rows("api_event")) == 2


def test_file_that_vanishes_after_it_was_listed_is_quarantined_until_it_is_back(trail, make_file):
    trail.put(make_file(2))
    path = trail.put(make_file(first=50), unique="gone000000000000")
    batches = extract.discover(settings(), START, END, retake=False, run_id="r")
    data = path.read_bytes()
    path.unlink()
    extract.take(settings(), batches[0], run_id="r")
    (row,) = trail.rows("quarantine")
    assert (row["reason_code"], row["source_uri"]) == ("missing", (path.parent.resolve() / path.name).as_uri())
    assert "DeleteObject" in row["reason"]
    assert len(trail.rows("api_event")) == 2
    assert (trail.run()["quarantined"], trail.ledger()[path.name].status) == (1, "failed")
    path.write_bytes(data)
    assert trail.run()["events"] == 3
    assert trail.rows("quarantine") == []


def test_taking_a_window_again_keeps_the_rows_of_files_that_a_lifecycle_rule_removed(trail, make_file):
    path = trail.put(make_file(2))
    trail.run()
    digests = trail.digests()
    path.unlink()
    summary = trail.run(retake=True)
    assert summary["warnings"] == [
        "1 objects that were taken earlier are gone from the bucket. Their rows stay as they are."
    ]
    assert trail.digests() == digests
    assert trail.ledger()[path.name].status == "taken"


def test_file_that_changed_is_taken_again_and_the_change_is_noted(trail, make_file):
    path = trail.put(make_file(3))
    trail.run()
    before = trail.ledger()[path.name]
    trail.put(make_file(2, first=2))
    assert trail.run()["events"] == 2
    assert [row["event_id"][-1] for row in trail.rows("api_event")] == ["2", "3"]
    after = trail.ledger()[path.name]
    assert after.previous_sha256 == before.sha256 != after.sha256
    assert after.changed_at is not None


def test_event_that_a_changed_file_no_longer_has_comes_back_from_its_copy(trail, make_file):
    trail.put(make_file(2))
    trail.put(make_file(2), unique="second0000000000", at=START + timedelta(minutes=5))
    trail.run()
    trail.put(make_file(1))
    trail.run()
    assert trail.run()["objects"] == 1
    rows = sorted(trail.rows("api_event"), key=lambda row: row["event_id"])
    assert [(row["event_id"][-1], len(row["copies"] or ())) for row in rows] == [("1", 1), ("2", 0)]
    assert trail.run()["objects"] == 0


def test_file_that_becomes_unusable_loses_its_rows_to_the_quarantine(trail, make_file):
    path = trail.put(make_file(3))
    trail.run()
    trail.put(make_file(3)[:-5])
    trail.run()
    assert (trail.rows("api_event"), trail.rows("api_event_item")) == ([], [])
    assert [row["reason_code"] for row in trail.rows("quarantine")] == ["truncated_gzip"]
    assert trail.ledger()[path.name].records == 0


def test_duplicates_stay_one_event_and_are_counted(trail, make_file):
    trail.put(make_file(3))
    trail.put(make_file(2), unique="second0000000000", at=START + timedelta(minutes=5))
    trail.run()
    rows = sorted(trail.rows("api_event"), key=lambda row: row["event_id"])
    assert [len(row["copies"] or ()) for row in rows] == [1, 1, 0]
    assert rows[0]["copies"][0].endswith("second0000000000.json.gz#0")
    assert len(trail.rows("api_event_item")) == 3


def test_order_and_batching_of_deliveries_make_no_difference(trail, make_file, tmp_path, monkeypatch):
    addendum = {"reason": "UPDATED_DATA", "originalEventID": "00000000-0000-4000-8000-000000000002"}
    deliveries = [
        make_file(3),
        make_file(2, first=2),
        make_file(1, first=90, addendum=addendum, userAgent="corrected"),
    ]
    load_key(Settings(home=tmp_path))  # tokens are of one key
    digests = []
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        home = tmp_path / "-".join(map(str, order))
        home.mkdir()
        shutil.copy(tmp_path / "token.key", home)
        monkeypatch.setenv("DYNATRAIL_HOME", str(home))
        for path in list(trail.folder.glob("**/*.json.gz")):
            path.unlink()
        for number in order:
            path = trail.put(deliveries[number], unique=f"file{number:012d}")
            os.utime(path, (0, 0))
            trail.run()
        digests.append(trail.digests())
    assert digests[0] == digests[1] == digests[2]
    corrected = [row for row in trail.rows("api_event") if row["original_event_id"]]
    assert [(row["user_agent"], len(row["copies"])) for row in corrected] == [("corrected", 2)]


def test_number_keys_that_are_learnt_give_the_stored_notations_token(trail, make_record, log_file, tokens):
    with session() as opened:
        arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Patients"
        named = {"attribute_name": "patient_id", "attribute_type": "N", "key_type": "HASH"}
        opened.add(TableKey(table_arn=arn, learned_at=START, **named))
    trail.put(
        log_file(
            [
                make_record(eventID=f"00000000-0000-4000-8000-{n:012d}", requestParameters=asked)
                for n, asked in enumerate(
                    {"tableName": "Patients", "key": {"patient_id": text}} for text in ("7", "7.0", "70E-1")
                )
            ]
        )
    )
    trail.run()
    assert len({row["item_key_token"] for row in trail.rows("api_event_item")}) == 1


def test_objects_that_wait_in_another_bucket_are_left_alone(trail, make_file, tmp_path, monkeypatch):
    trail.put(make_file())
    extract.discover(settings(), START, END, retake=False, run_id="r")
    monkeypatch.setenv("DYNATRAIL_TRAIL_BUCKET", (tmp_path / "other").as_uri())
    other = Trail(tmp_path / "other")
    other.put(make_file(first=90), unique="other00000000000")
    assert other.run()["objects"] == 1
    assert {row.status for row in trail.ledger().values()} == {"discovered", "taken"}


def test_bucket_without_log_folders_says_where_was_looked(trail):
    with pytest.raises(
        SourceError, match=r"No CloudTrail log folder under file:///.*/AWSLogs/.*DYNATRAIL_TRAIL_PREFIX"
    ):
        trail.run()


def test_missing_setting_says_what_to_set(trail, monkeypatch):
    monkeypatch.delenv("DYNATRAIL_TRAIL_BUCKET")
    with pytest.raises(SettingsError, match="DYNATRAIL_TRAIL_BUCKET"):
        trail.run()


def test_missing_folder_says_so(trail, monkeypatch, tmp_path):
    monkeypatch.setenv("DYNATRAIL_TRAIL_BUCKET", (tmp_path / "nowhere").as_uri())
    with pytest.raises(SourceError, match="There is no folder"):
        trail.run()


def test_nothing_of_a_key_is_in_the_result_that_the_gate_keeps(trail, make_record, log_file):
    trail.put(log_file([make_record(), make_record(eventID="pat-4711", eventName="pat-4711 x")]))
    trail.run()
    kept = [path.read_text() for path in (settings().home / "quality").glob("**/*.json")]
    assert len(kept) == 2  # of the events and of their items
    assert "4711" not in "".join(kept)


def test_nothing_of_a_key_is_in_any_file_of_the_home(trail, make_record, log_file, caplog):
    secret = "jane.doe@example.com"
    asked = {"tableName": "Patients", "key": {"patient_id": secret}}
    message = f"Invalid token '{secret}' near {secret}"
    trail.put(
        log_file(
            [
                make_record(requestParameters=asked, errorCode="ValidationException", errorMessage=message),
                make_record(
                    requestParameters=asked | {"new": [secret]}, eventID="00000000-0000-4000-8000-000000000002"
                ),
                make_record(
                    requestParameters={"statement": f'SELECT * FROM T WHERE a = "{secret}"'}, eventID="no guid"
                ),
                make_record(requestParameters=asked, eventTime=secret),
                secret,
            ]
        )
    )
    trail.put(gzip.compress(secret.encode()), unique="bad0000000000000")
    trail.run()
    files = [path for path in settings().home.glob("**/*") if path.is_file()]
    assert {"state.db", "0.json", "token.key"} <= {path.name for path in files}
    assert [path for path in files if b"jane.doe" in path.read_bytes()] == []
    rows = [row for table in ("api_event", "api_event_item", "quarantine") for row in trail.rows(table)]
    assert len(rows) == 2 + 2 + 4
    assert "jane.doe" not in str(rows)
    assert "jane.doe" not in caplog.text


def test_retake_of_an_event_from_the_first_hour_of_time_is_possible(trail, make_record, log_file):
    trail.put(log_file([make_record(), make_record(eventTime="0001-01-01T00:30:00Z")]))
    trail.run()
    assert trail.run(retake=True)["quarantined"] == 1
    assert hour_of(trail.rows("api_event")[0]["event_time"]) == START
