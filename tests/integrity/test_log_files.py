"""Each log file by what digests say of it: genuine, changed, put there, gone, or nobody can tell (yet)."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.integrity.conftest import (
    ACCOUNT,
    BASE,
    BUCKET,
    HOUR,
    LATER,
    REGION,
    START,
    Build,
    Built,
    digest_key,
    known,
    log_key,
    trail,
)

from dynatrail.integrity import log_files
from dynatrail.integrity.digests import DigestFile, Named
from dynatrail.integrity.trail_facts import LoggingSpan
from dynatrail.sandbox.digests import Chain, LogFile
from dynatrail.warehouse.schema import LOG_FILE

MINUTE = timedelta(minutes=1)


def plant(built: Built, at: datetime, prefix: str = "") -> str:
    """A log file that CloudTrail did not write; its address."""
    uri = built.root + log_key(trail(prefix=prefix), at, 9_999_999)
    built.logs[uri] = b'{"Records":[]}'
    built.delivered[uri] = at
    return uri


def word(row: dict[str, Any]) -> tuple[str, str | None]:
    return row["status"], row["reason_code"]


def test_a_file_whose_hash_a_valid_digest_names_is_attested(build: Build):
    built = build(4)
    rows = built.judge(built.verify())
    assert {word(row) for row in rows.values()} == {("attested", None)}
    row = rows[min(built.logs)]
    assert (row["expected_sha256"], row["digest_uri"]) == (row["sha256"], built.uri(0))
    table = log_files.judge(built.known(), built.verify(), since=START, until=LATER, listed=[BASE])
    assert table.schema.equals(LOG_FILE.schema)


def test_a_file_with_another_hash_is_altered(build: Build):
    built = build(4)
    uri = min(built.logs)
    row = built.judge(built.verify(), built.known({uri: {"sha256": "ab" * 32}}))[uri]
    assert word(row) == ("altered", "hash_differs")
    assert (row["sha256"], row["expected_sha256"]) != (None, "ab" * 32)


def test_two_files_that_were_swapped_are_both_altered_and_say_so(build: Build):
    built = build(4)
    one, other = sorted(built.logs)[:2]
    built.logs[one], built.logs[other] = built.logs[other], built.logs[one]
    rows = built.judge(built.verify())
    assert [word(rows[uri]) for uri in (one, other)] == [("altered", "swapped")] * 2
    assert other in rows[one]["reason"]


@pytest.mark.parametrize("error", ["truncated_gzip", "corrupt_gzip", "not_gzip", "several_gzip_members"])
def test_a_named_file_whose_bytes_are_no_whole_gzip_is_altered(build: Build, error: str):
    built = build(4)
    uri = min(built.logs)
    row = built.judge(built.verify(), built.known({uri: {"sha256": None, "error": error}}))[uri]
    assert word(row) == ("altered", error)


def test_an_appended_member_behind_the_genuine_one_is_told(build: Build):
    built = build(4)
    uri = min(built.logs)
    genuine = built.verify().named[uri].sha256
    change = {"sha256": None, "error": "several_gzip_members", "first_member_sha256": genuine}
    row = built.judge(built.verify(), built.known({uri: change}))[uri]
    assert word(row) == ("altered", "several_gzip_members")
    assert "validate-logs" in row["reason"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [("unread", "not_yet_attested"), ("too_large", "unattested"), (None, "not_yet_attested")],
    ids=["unread", "too large", "not taken"],
)
def test_a_named_file_that_was_not_read_is_not_called_altered(build: Build, error: str | None, expected: str):
    built = build(4)
    uri = min(built.logs)
    row = built.judge(built.verify(), built.known({uri: {"sha256": None, "error": error}}))[uri]
    assert row["status"] == expected


class TestMissing:
    def test_a_named_file_that_nobody_has(self, build: Build):
        built = build(4)
        uri = min(built.logs)
        del built.delivered[uri]
        row = built.judge(built.verify())[uri]
        assert word(row) == ("missing", "not_in_bucket")
        assert "never taken" in row["reason"]

    def test_a_named_file_that_was_taken_before(self, build: Build):
        built = build(4)
        uri = min(built.logs)
        row = built.judge(built.verify(), built.known({uri: {"present": False}}))[uri]
        assert word(row) == ("missing", "not_in_bucket")
        assert "was taken before" in row["reason"]

    def test_a_file_with_its_digest(self, build: Build):
        built = build(40)
        uri = next(uri for uri, at in built.delivered.items() if at == START + 2 * HOUR + 5 * MINUTE)
        verified = built.verify(built.files[:2] + built.files[3:])
        assert word(built.judge(verified, built.known({uri: {"present": False}}))[uri]) == ("missing", "digest_missing")

    def test_only_what_was_looked_for_can_be_missing(self, build: Build):
        built = build(4)
        built.delivered.clear()
        late = built.judge(built.verify(), since=START + 2 * HOUR, until=START + 3 * HOUR)
        assert len(late) == 2
        elsewhere = log_files.judge(
            known([]), built.verify(), since=START, until=LATER, listed=["s3://something-else/"]
        )
        assert set(elsewhere["reason_code"].to_pylist()) == {"not_listed"}


class TestNamedByNoDigest:
    def test_in_a_closed_window_it_is_forged(self, build: Build):
        built = build(6)
        uri = plant(built, START + HOUR + 7 * MINUTE)
        row = built.judge(built.verify())[uri]
        assert word(row) == ("forged", "in_no_digest")
        assert "audit" in row["reason"]

    def test_that_it_is_gone_again_is_told(self, build: Build):
        built = build(6)
        uri = plant(built, START + HOUR)
        assert word(built.judge(built.verify(), built.known({uri: {"present": False}}))[uri]) == (
            "forged",
            "forged_and_gone",
        )

    def test_until_two_hours_are_closed_it_may_still_be_named(self, build: Build):
        built = build(6)
        at = [built.end - 2 * HOUR - MINUTE, built.end - 2 * HOUR + MINUTE, built.end + MINUTE]
        planted = [plant(built, one) for one in at]
        rows = built.judge(built.verify())
        assert [rows[uri]["status"] for uri in planted] == ["forged", "not_yet_attested", "not_yet_attested"]

    def test_one_that_reached_the_bucket_late_waits_for_the_digest_of_that_time(self, build: Build):
        built = build(6)
        uri = plant(built, START + HOUR)
        late = built.judge(built.verify(), built.known({uri: {"written_at": built.end - HOUR}}))[uri]
        assert word(late) == ("not_yet_attested", "window_open")

    def test_beside_a_missing_digest_nobody_can_tell(self, build: Build):
        built = build(40)
        uri = plant(built, START + 2 * HOUR + 7 * MINUTE)
        verified = built.verify(built.files[:2] + built.files[3:])
        assert word(built.judge(verified)[uri]) == ("unattested", "digest_missing")

    def test_beside_one_that_is_awaited_not_yet(self, build: Build):
        built = build(6)
        uri = plant(built, START + 2 * HOUR + 7 * MINUTE)
        verified = built.verify(built.files[:2] + built.files[3:])
        assert word(built.judge(verified)[uri]) == ("not_yet_attested", "digest_pending")

    def test_what_an_invalid_digest_names_is_not_attested(self, build: Build):
        built = build(6)
        files = [replace(file, signature="00" * 256) if n == 2 else file for n, file in enumerate(built.files)]
        rows = built.judge(built.verify(files))
        bare = {row["delivered_at"] for row in rows.values() if word(row) == ("unattested", "digest_invalid")}
        assert bare == {START + 2 * HOUR + 5 * MINUTE, START + 2 * HOUR + 30 * MINUTE}

    def test_a_digest_of_a_trail_that_never_was_does_not_excuse_it(self, build: Build):
        built = build(6)
        uri = plant(built, START + HOUR)
        bogus = [
            DigestFile(root=built.root, key=digest_key(trail("evil"), START + n * HOUR), body=b"{}") for n in (1, 2)
        ]
        assert built.judge(built.verify([*built.files, *bogus]))[uri]["status"] == "forged"

    def test_in_a_pause_of_validation_nobody_can_tell(self, build: Build):
        built = build(6)
        end = built.end
        build(6, into=built, chain=Chain(end + 9 * HOUR, end + 10 * HOUR))
        uri = plant(built, end + 4 * HOUR)
        usual = {"trail_name": "audit", "home_region": REGION}
        spans = [LoggingSpan(start=START, end=end, **usual), LoggingSpan(start=end + 9 * HOUR, end=None, **usual)]
        assert word(built.judge(built.verify(spans=spans))[uri]) == ("unattested", "validation_off")

    def test_before_validation_began_nobody_can_tell(self, build: Build):
        built = build(6)
        uri = plant(built, START - 5 * HOUR)
        assert word(built.judge(built.verify())[uri]) == ("unattested", "before_validation")

    def test_before_what_was_read_it_is_left_open(self, build: Build):
        built = build(9)
        uri = plant(built, START + HOUR)
        verified = built.verify(built.files[4:], since=built.digests[4].end)
        assert word(built.judge(verified)[uri]) == ("not_yet_attested", "digests_not_read")

    def test_where_there_are_no_digests_at_all(self, build: Build):
        built = build(6)
        uri = plant(built, START + HOUR, prefix="other")
        assert word(built.judge(built.verify())[uri]) == ("unattested", "validation_off")

    def test_where_all_digests_of_a_validating_trail_are_gone(self, build: Build):
        built = build(6)
        span = LoggingSpan(trail_name="audit", home_region=REGION, start=START, end=None)
        rows = built.judge(built.verify([], spans=[span], until=LATER))
        assert {word(row) for row in rows.values()} == {("unattested", "no_digests")}

    def test_a_trail_without_validation_to_the_same_folder_may_have_written_it(self, build: Build):
        built = build(6)
        uri = plant(built, START + HOUR)
        bare = LoggingSpan(trail_name="bare", home_region=REGION, start=START, end=None, validation=False)
        assert word(built.judge(built.verify(spans=[bare]))[uri]) == ("unattested", "validation_off")


class TestTwoTrails:
    def test_any_of_them_attests(self, build: Build):
        built = build(6)
        build(6, into=built, of=trail("second"))
        assert {row["status"] for row in built.judge(built.verify()).values()} == {"attested"}

    def test_forged_needs_both_to_have_closed(self, build: Build):
        built = build(6)
        build(40, into=built, of=trail("second"))
        planted = [plant(built, START + n * HOUR) for n in (1, 10)]
        rows = built.judge(built.verify(until=START + 7 * HOUR))
        assert [rows[uri]["status"] for uri in planted] == ["forged", "not_yet_attested"]

    def test_a_file_with_either_of_two_hashes_is_genuine(self, build: Build):
        key = log_key(trail(), START, 77)
        twice = [LogFile(BUCKET, key, letter * 64, "", "", START + n * HOUR) for n, letter in enumerate("ab")]
        built = build(2, extra=twice)
        for letter in "ab":
            row = {"source_uri": built.root + key, "delivered_at": START, "sha256": letter * 64}
            assert built.judge(built.verify(), known([row]))[built.root + key]["status"] == "attested"


def test_while_a_file_is_taken_the_digests_may_not_name_it_yet():
    named = {"s3://b/k": Named("ab", "s3://b/d")}
    assert [
        log_files.attestation(named, uri, sha256).value
        for uri, sha256 in [("s3://b/k", "ab"), ("s3://b/k", "cd"), ("s3://b/k", None), ("s3://b/x", "ab")]
    ] == ["attested", "altered", "altered", "not_yet_attested"]


@given(data=st.data())
def test_the_order_of_files_and_digests_changes_nothing(session_build: Build, data: st.DataObject):
    built = session_build(8)
    plant(built, START + HOUR)
    table = built.known()
    mixed = table.take(pa.array(data.draw(st.permutations(range(len(table))))))
    files = [built.files[n] for n in data.draw(st.permutations(range(8)))]
    lost = data.draw(st.sets(st.integers(0, 7), max_size=2))
    window = {"since": START, "until": LATER, "listed": [BASE]}
    verified = built.verify([one for n, one in enumerate(built.files) if n not in lost])
    again = built.verify([one for one in files if built.files.index(one) not in lost])
    assert log_files.judge(mixed, again, **window).equals(log_files.judge(table, verified, **window))


def test_a_row_is_given_for_what_lies_outside_of_any_account(build: Build):
    row = {"source_uri": "s3://b/x", "account_id": ACCOUNT, "region": REGION, "delivered_at": START}
    assert word(build(1).judge(build(1).verify(), known([row]))["s3://b/x"]) == ("unattested", "validation_off")


def test_a_digest_that_nobody_may_read_does_not_excuse_a_forged_file(build: Build):
    built = build(8)
    uri = plant(built, START + 2 * HOUR)
    name = built.files[2].key.replace("_audit_", "_phantom_")
    unread = DigestFile(root=built.root, key=name, body=None, error="unread")
    assert word(built.judge(built.verify([*built.files, unread]))[uri]) == ("forged", "in_no_digest")
