"""Several trails are one source: buckets, prefixes and connections of their own."""

import os
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
import yaml

from dynatrail.errors import SourceError
from dynatrail.settings import settings
from dynatrail.sources.cloudtrail import extract
from dynatrail.sources.cloudtrail.trails import Sources
from dynatrail.state.database import session
from dynatrail.state.models import SourceObject
from dynatrail.warehouse.store import Warehouse

START = datetime(2026, 11, 1, 3, tzinfo=UTC)
END = START + timedelta(hours=1)
ACCOUNT = "123456789012"


class Trails:
    """Folders laid out like buckets, and a configuration file that names them."""

    def __init__(self, folder):
        self.folder = folder

    def name(self, *trails):
        """Name (bucket, prefix, fields) as the trails to read."""
        named = [{"bucket": (self.folder / one).as_uri(), "prefix": prefix, **more} for one, prefix, more in trails]
        (self.folder / "dynatrail.yaml").write_text(yaml.safe_dump({"trails": named}))

    def put(self, bucket, data, *, prefix="", account=ACCOUNT, region="eu-central-1", minute=10):
        day = f"{START:%Y/%m/%d}"
        logs = self.folder / bucket / prefix / f"AWSLogs/{account}/CloudTrail/{region}/{day}"
        logs.mkdir(parents=True, exist_ok=True)
        name = (
            f"{account}_CloudTrail_{region}_{START + timedelta(minutes=minute):%Y%m%dT%H%M}Z_AbCdEf0123456789.json.gz"
        )
        (logs / name).write_bytes(data)
        return (logs / name).resolve().as_uri()

    def discover(self, run_id="run"):
        return extract.discover(settings(), START, END, retake=False, run_id=run_id)

    def run(self, run_id="run"):
        return [extract.take(settings(), number, run_id=run_id) for number in self.discover(run_id)]

    def events(self):
        return Warehouse.from_settings(settings()).dataset("api_event").to_table().sort_by("event_id").to_pylist()


@pytest.fixture
def trails(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("AIRFLOW_CONN_", "DYNATRAIL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DYNATRAIL_CONFIG", str(tmp_path / "dynatrail.yaml"))
    return Trails(tmp_path)


@pytest.fixture
def file_of(make_record, log_file):
    """A log file of one event of this number."""
    return lambda number: log_file([make_record(eventID=f"00000000-0000-4000-8000-{number:012d}")])


def test_every_trail_lands_and_the_ledger_names_each_bucket(trails, file_of):
    trails.name(("one", "", {}), ("two", "logs/clinic", {}))
    uris = {trails.put("one", file_of(1)), trails.put("two", file_of(2), prefix="logs/clinic", account="210987654321")}
    trails.run()
    assert {event["source_uri"] for event in trails.events()} == uris
    with session() as opened:
        assert set(opened.scalars(sa.select(SourceObject.uri).where(SourceObject.status == "taken"))) == uris


def test_a_second_run_takes_nothing_again(trails, file_of):
    trails.name(("one", "", {}), ("two", "", {}))
    trails.put("one", file_of(1))
    trails.put("two", file_of(2))
    assert sum(summary.objects for summary in trails.run()) == 2
    assert trails.discover("next") == []


def test_event_that_two_trails_deliver_is_one_row(trails, file_of):
    trails.name(("one", "", {}), ("two", "", {}))
    trails.put("one", file_of(1))
    trails.put("two", file_of(1))
    trails.run()
    assert len(trails.events()) == 1


def test_each_trail_reads_the_accounts_and_regions_that_it_names(trails, file_of):
    trails.name(("one", "", {"accounts": [ACCOUNT]}), ("two", "", {"regions": ["eu-west-1"]}))
    for bucket in ("one", "two"):
        for at, account in enumerate((ACCOUNT, "210987654321")):
            for region in ("eu-west-1", "eu-west-2"):
                trails.put(bucket, file_of(1), account=account, region=region, minute=at)
    folders = [[(one.account_id, one.region) for one in source.folders()] for source in Sources(settings()).all]
    assert folders == [
        [(ACCOUNT, "eu-west-1"), (ACCOUNT, "eu-west-2")],
        [(ACCOUNT, "eu-west-1"), ("210987654321", "eu-west-1")],
    ]


def test_two_prefixes_of_one_bucket_are_two_trails(trails, file_of):
    trails.name(("one", "a", {}), ("one", "b", {}))
    wanted = {trails.put("one", file_of(1), prefix="a"), trails.put("one", file_of(2), prefix="b")}
    trails.put("one", file_of(3), prefix="c")
    trails.put("one", file_of(4))
    trails.run()
    assert {event["source_uri"] for event in trails.events()} == wanted


def test_outage_of_one_trail_is_caught_up_although_another_went_on(trails, file_of, monkeypatch):
    """How far a trail was listed is known for each: the other's newest object must not hide what this one missed."""
    monkeypatch.setenv("DYNATRAIL_LOOKBACK_HOURS", "1")
    trails.name(("one", "", {}), ("two", "", {}))
    trails.put("one", file_of(1), minute=0)
    trails.put("two", file_of(2), minute=0)
    trails.run()
    trails.put("one", file_of(3), minute=300)
    missed = trails.put("two", file_of(4), minute=5)
    late = START + timedelta(hours=5)
    for number in extract.discover(settings(), late, late + timedelta(hours=1), retake=False, run_id="late"):
        extract.take(settings(), number, run_id="late")
    assert missed in {event["source_uri"] for event in trails.events()}


def test_trail_that_cannot_be_listed_is_red_and_the_others_land(trails, file_of):
    trails.name(("gone", "", {}), ("two", "", {}))
    uri = trails.put("two", file_of(2))
    numbers = trails.discover()
    assert numbers == [0, -1]
    assert extract.take(settings(), 0, run_id="run").events == 1
    assert [event["source_uri"] for event in trails.events()] == [uri]
    with pytest.raises(SourceError, match=r"There is no folder .*gone"):
        extract.take(settings(), -1, run_id="run")


def test_trail_that_can_be_listed_again_says_to_clear_the_task(trails, file_of):
    trails.name(("gone", "", {}), ("two", "", {}))
    trails.put("two", file_of(2))
    assert trails.discover() == [0, -1]
    trails.put("gone", file_of(1))
    with pytest.raises(SourceError, match="Clear the task `discover`"):
        extract.take(settings(), -1, run_id="run")
    assert sum(summary.objects for summary in trails.run("again")) == 2


def test_run_with_no_trail_that_can_be_listed_fails_at_once(trails):
    trails.name(("gone", "", {}), ("lost", "", {}))
    with pytest.raises(SourceError, match=r"There is no folder .*gone"):
        trails.discover()


def test_object_of_a_trail_that_is_no_longer_named_waits(trails, file_of):
    trails.name(("one", "", {}), ("two", "", {}))
    trails.put("one", file_of(1))
    trails.put("two", file_of(2))
    assert trails.discover() == [0]
    trails.name(("one", "", {}))
    (summary,) = trails.run("next")
    assert summary.events == 1
    trails.name(("one", "", {}), ("two", "", {}))
    (summary,) = trails.run("last")
    assert (summary.events, len(trails.events())) == (1, 2)


def test_name_of_another_day_in_a_folder_hides_nothing_that_lies_there(trails, file_of):
    genuine = trails.put("one", file_of(1), minute=10)
    folder = trails.folder / f"one/AWSLogs/{ACCOUNT}/CloudTrail/eu-central-1/{START:%Y/%m/%d}"
    late = f"{ACCOUNT}_CloudTrail_eu-central-1_20991231T0000Z_AbCdEf0123456789.json.gz"
    for place in ("!", "."):
        (folder / place).mkdir(exist_ok=True)
        (folder / place / late).write_bytes(b"no log file")
    trails.name(("one", "", {}))
    since, until = START.replace(hour=0), END + timedelta(hours=20)
    (source,) = Sources(settings()).all
    seen = {one.uri: one.delivered_at for place in source.folders() for one in source.listed(place, since, until)}
    assert seen[genuine] == START + timedelta(minutes=10)
    assert set(seen.values()) == {START + timedelta(minutes=10), since}
