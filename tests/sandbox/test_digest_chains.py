"""Where digest chains begin, end, and come late; judged by what lies in the bucket."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dynatrail.clock import iso, parse_instant
from dynatrail.sandbox import Delivery, Sandbox
from dynatrail.sandbox.delivery import LateDigests
from dynatrail.sandbox.objects import S3Objects

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

Json = dict[str, Any]

ACCOUNT = "123456789012"
START = datetime(2026, 11, 9, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass
class Account:
    """A sandbox without a scenario; each test makes a trail and bucket of its own, as sandbox time goes on."""

    sandbox: Sandbox

    def __post_init__(self) -> None:
        self.sandbox.clock.set(START)
        root = self.sandbox.root(ACCOUNT)
        self.trails, self._s3 = self.sandbox.client("cloudtrail", root), self.sandbox.client("s3", root)
        self.iam = self.sandbox.client("iam", root)
        self.number = 0

    def begin(self, **delivery: Any) -> "Trail":
        self.number += 1
        name = f"trail-{self.number}"
        self._s3.create_bucket(Bucket=f"{name}-logs")
        self.trails.create_trail(Name=name, S3BucketName=f"{name}-logs", EnableLogFileValidation=True)
        self.sandbox.deliver_as(Delivery.regular(**delivery))
        self.trails.start_logging(Name=name)
        return Trail(self, name, S3Objects(f"{name}-logs", self._s3), self.sandbox.clock.now())


@dataclass
class Trail:
    """One trail of one region, and time passing for it."""

    account: Account
    name: str
    bucket: S3Objects
    began: datetime

    def pass_hours(self, hours: int) -> None:
        """Something is recorded every 20 minutes."""
        sandbox = self.account.sandbox
        for _ in range(3 * hours):
            self.account.iam.list_users()
            sandbox.pass_time(sandbox.clock.now() + HOUR / 3)
        sandbox.deliver()

    def digests(self) -> list[Json]:
        """In the order of their ends, with `key` and `metadata`; a backfill's come last."""
        found = []
        for key in self.bucket.listing():
            if "/CloudTrail-Digest/" in key:
                thing = self.bucket.read(key)
                found.append({**json.loads(gzip.decompress(thing.body)), "key": key, "metadata": thing.metadata})
        return sorted(found, key=lambda one: ("_backfill" in one["key"], one["digestEndTime"]))

    def logs(self) -> set[str]:
        return {key for key in self.bucket.listing() if "/CloudTrail/" in key}


def listed(digests: list[Json]) -> list[str]:
    return [file["s3Object"] for digest in digests for file in digest["logFiles"]]


def firsts(digests: list[Json]) -> list[str]:
    return [digest["digestStartTime"] for digest in digests if digest["previousDigestS3Object"] is None]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with Sandbox(tmp_path_factory.mktemp("account")) as sandbox:
        yield Account(sandbox)


def test_a_second_start_and_new_selectors_do_not_begin_a_chain(account: Account):
    trail = account.begin()
    trail.pass_hours(2)
    account.trails.start_logging(Name=trail.name)
    account.trails.put_event_selectors(TrailName=trail.name, EventSelectors=[{"ReadWriteType": "All"}])
    trail.pass_hours(2)
    assert firsts(trail.digests()) == [iso(trail.began)]
    status = account.trails.get_trail_status(Name=trail.name)
    assert status["StartLoggingTime"] == trail.began


def test_stopping_gives_a_last_digest_of_all_that_was_on_its_way_and_starting_a_new_chain(account: Account):
    trail = account.begin()
    trail.pass_hours(2)
    account.trails.stop_logging(Name=trail.name)
    stopped = account.sandbox.clock.now()
    trail.pass_hours(3)
    before = trail.digests()
    assert sorted(listed(before)) == sorted(trail.logs())
    assert stopped <= parse_instant(before[-1]["digestEndTime"]) <= stopped + timedelta(minutes=15)
    account.trails.start_logging(Name=trail.name)
    again = account.sandbox.clock.now()
    trail.pass_hours(2)
    assert firsts(trail.digests()) == [iso(trail.began), iso(again)]


def test_without_validation_files_come_and_are_in_no_digest(account: Account):
    trail = account.begin()
    trail.pass_hours(2)
    account.trails.update_trail(Name=trail.name, EnableLogFileValidation=False)
    off = account.sandbox.clock.now()
    trail.pass_hours(2)
    account.trails.update_trail(Name=trail.name, EnableLogFileValidation=True)
    on = account.sandbox.clock.now()
    trail.pass_hours(2)
    digests = trail.digests()
    assert firsts(digests) == [iso(trail.began), iso(on)]
    ends = [parse_instant(digest["digestEndTime"]) for digest in digests]
    assert off in ends
    assert not [end for end in ends if off < end <= on]
    unlisted = trail.logs() - set(listed(digests))
    times = sorted(datetime.strptime(key.split("_")[-2], "%Y%m%dT%H%MZ").replace(tzinfo=UTC) for key in unlisted)
    due = account.sandbox.clock.now() - HOUR
    assert [at for at in times if at < due] == [at for at in times if off <= at <= on]
    assert off <= times[0] <= off + timedelta(minutes=30)


def test_deleting_a_trail_leaves_a_last_digest(account: Account):
    trail = account.begin()
    trail.pass_hours(2)
    account.trails.delete_trail(Name=trail.name)
    deleted = account.sandbox.clock.now()
    trail.pass_hours(2)
    assert trail.digests()[-1]["digestEndTime"] == iso(deleted)


def test_held_back_digests_are_missing_first_and_fit_in_later(account: Account):
    trail = account.begin(late_digests=(LateDigests(region="us-east-1", after_hours=2, hours=2, delay_hours=2),))
    trail.pass_hours(5)
    present = {digest["key"] for digest in trail.digests()}
    missing = {digest["previousDigestS3Object"] for digest in trail.digests()} - present - {None}
    assert len(missing) == 1  # of two in a row, the younger one is named
    trail.pass_hours(2)
    digests = trail.digests()
    assert len(digests) - len(present) >= 4
    assert [digest["previousDigestS3Object"] for digest in digests] == [None, *(one["key"] for one in digests[:-1])]


def test_a_backfill_lists_the_files_of_its_span_in_a_chain_of_its_own(account: Account):
    trail = account.begin(
        late_digests=(LateDigests(region="us-east-1", after_hours=1, hours=2, delay_hours=1, backfill=True),)
    )
    trail.pass_hours(6)
    digests = trail.digests()
    backfill = [digest for digest in digests if digest["key"].endswith("Z_backfill.json.gz")]
    standard = digests[: -len(backfill)]
    assert firsts(backfill) == [iso((trail.began + HOUR).replace(minute=0))]
    assert firsts(standard) == [iso(trail.began)]
    assert {digest["metadata"]["backfill-generation-timestamp"] for digest in backfill} == {iso(trail.began + 4 * HOUR)}
    assert set(listed(backfill)).isdisjoint(listed(standard))
    assert len(listed(backfill)) >= 4
    times = [key.split("_")[-2] for key in listed(backfill)]
    begin, end = trail.began + HOUR, trail.began + 3 * HOUR
    assert all(f"{begin:%Y%m%dT%H%MZ}" <= at < f"{end:%Y%m%dT%H%MZ}" for at in times)


def test_public_keys_are_those_of_the_span_asked_for(account: Account):
    account.begin()
    (key,) = account.trails.list_public_keys()["PublicKeyList"]
    early = key["ValidityStartTime"] - timedelta(days=1)
    assert account.trails.list_public_keys(StartTime=early, EndTime=early)["PublicKeyList"] == []
    (same,) = account.trails.list_public_keys(StartTime=early, EndTime=START)["PublicKeyList"]
    assert same["Fingerprint"] == key["Fingerprint"]


def test_digests_of_the_hours_in_which_the_sandbox_was_stopped_come_with_its_start(tmp_path: Path):
    end = datetime(2026, 11, 20, tzinfo=UTC)
    with Sandbox(tmp_path / "sandbox") as sandbox:
        played = sandbox.play("tiny", end=end)
        sandbox.clock.set(end + 5 * HOUR, running=True)
    with Sandbox(tmp_path / "sandbox") as sandbox:
        client = sandbox.client("cloudtrail", sandbox.auditor)
        status = client.get_trail_status(Name=played.trail_arn)
        assert sandbox.clock.now() - status["LatestDigestDeliveryTime"] < HOUR
