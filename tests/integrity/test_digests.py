"""Each digest by itself: signed by AWS, at its place, and whole; or what exactly is wrong with it."""

import hashlib
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.integrity.conftest import (
    ACCOUNT,
    BUCKET,
    HOUR,
    LATER,
    ROOT,
    START,
    Build,
    Built,
    row_of,
    sign_with,
    statuses,
)

from dynatrail.integrity.digests import DigestFile, verify
from dynatrail.integrity.keys import Keys
from dynatrail.sandbox.digests import Digest, LogFile, Signer
from dynatrail.warehouse.schema import TRAIL_DIGEST


def reason(built: Built, file: DigestFile) -> tuple[str, str | None]:
    """Status and reason code of one digest of the chain, put in the place of what was there."""
    files = [file if file.uri == other.uri else other for other in built.files]
    row = row_of(built.verify(files), file.uri)
    return row["status"], row["reason_code"]


def test_all_digests_of_an_untouched_chain_are_valid(build: Build):
    verified = build(6).verify()
    assert statuses(verified) == ["valid"] * 6
    assert verified.rows["link"].to_pylist() == ["first"] + ["linked"] * 5
    assert verified.rows["reason"].to_pylist() == [None] * 6
    assert verified.rows.schema.equals(TRAIL_DIGEST.schema)


def test_every_log_file_of_a_valid_digest_is_named_with_its_hash(build: Build):
    built = build(3)
    named = built.verify().named
    assert {uri: word.sha256 for uri, word in named.items()} == {
        uri: hashlib.sha256(content).hexdigest() for uri, content in built.logs.items()
    }


def test_a_row_holds_all_that_its_signature_needs_to_be_checked_again(build: Build):
    built = build(2)
    row = row_of(built.verify(), built.uri(1))
    place = row["digest_uri"].removeprefix("s3://")
    text = f"2026-11-09T12:00:00Z\n{place}\n{row['sha256']}\n{row['previous_signature']}"
    kept = Keys.of_aws([{"Fingerprint": row["public_key_fingerprint"], "Value": row["public_key"]}])
    assert kept.verify(row["public_key_fingerprint"], row["signature"], text)


def test_an_edited_digest_is_altered_because_the_next_one_holds_another_hash(build: Build):
    built = build(4)
    assert reason(built, built.file(built.digests[1], body=built.digests[1].body.replace(b"-0", b"-1", 1))) == (
        "invalid",
        "altered",
    )


def test_an_edited_newest_digest_has_a_signature_that_does_not_fit(build: Build):
    built = build(4)
    edited = built.digests[3].body.replace(b'"hashAlgorithm"', b'"hashAlgorithm" ')
    assert reason(built, built.file(built.digests[3], body=edited)) == ("invalid", "signature_invalid")


def test_a_digest_signed_by_a_stranger_with_his_own_fingerprint_has_an_unknown_key(build: Build, stranger: Signer):
    built = build(4)
    forged = sign_with(stranger, built.digests[2], digestPublicKeyFingerprint=stranger.fingerprint, logFiles=[])
    assert reason(built, built.file(forged)) == ("invalid", "key_unknown")


def test_a_digest_signed_by_a_stranger_under_the_right_fingerprint_does_not_verify(build: Build, stranger: Signer):
    built = build(4)
    assert reason(built, built.file(sign_with(stranger, built.digests[2]))) == ("invalid", "signature_invalid")


def test_an_old_digest_under_a_new_name_is_replayed(build: Build):
    built = build(4)
    old = built.digests[0]
    assert reason(built, built.file(built.digests[2], body=old.body, signature=old.signature)) == (
        "invalid",
        "replayed",
    )


def test_a_digest_in_another_folder_is_moved(build: Build):
    built = build(3)
    moved = [replace(file, key=f"copy/{file.key}") for file in built.files]
    verified = built.verify(moved)
    assert set(zip(statuses(verified), verified.rows["reason_code"].to_pylist(), strict=True)) == {("invalid", "moved")}
    assert verified.named == {}


def test_a_digest_in_another_bucket_is_moved(build: Build):
    built = build(3)
    verified = built.verify([replace(file, root="s3://other/") for file in built.files])
    assert verified.rows["reason_code"].to_pylist() == ["moved"] * 3


def test_a_digest_whose_window_ends_at_another_time_than_its_name_says_is_refused(build: Build):
    built = build(3)
    shifted = sign_with(built.signer, built.digests[2], digestEndTime="2026-11-09T12:59:00Z")
    assert reason(built, built.file(shifted)) == ("invalid", "time_differs")


def test_another_signature_algorithm_is_refused(build: Build):
    built = build(2)
    other = sign_with(built.signer, built.digests[1], digestSignatureAlgorithm="none")
    assert reason(built, built.file(other)) == ("invalid", "algorithm_unknown")


def test_a_digest_that_could_not_be_fetched_is_unread_and_one_that_is_no_gzip_invalid(build: Build):
    built = build(3)
    assert reason(built, built.file(built.digests[2], body=None, error="unread")) == ("unread", "unread")
    assert reason(built, built.file(built.digests[2], body=None, error="not_gzip")) == ("invalid", "not_gzip")


class TestWithoutMetadata:
    """A plain copy has no metadata: a digest's signature is then in the next one."""

    def test_all_but_the_newest_verify(self, build: Build):
        built = build(4)
        built.root = "file:///copy/"
        verified = built.verify([built.file(digest, signature=None) for digest in built.digests])
        assert statuses(verified) == ["valid"] * 3 + ["unread"]
        assert verified.rows["signature_from"].to_pylist() == ["next_digest"] * 3 + [None]
        assert verified.rows["reason_code"].to_pylist()[-1] == "signature_missing"

    def test_log_files_are_looked_for_in_the_copy(self, build: Build):
        built = build(2)
        built.root = "file:///copy/"
        named = built.verify([built.file(digest) for digest in built.digests]).named
        assert {uri.removeprefix("file:///copy/") for uri in named} == {uri.removeprefix(ROOT) for uri in built.logs}

    def test_an_edited_one_is_altered(self, build: Build):
        built = build(4)
        built.root = "file:///copy/"
        files = [built.file(digest, signature=None) for digest in built.digests]
        files[1] = replace(files[1], body=built.digests[1].body + b" ")
        assert row_of(built.verify(files), files[1].uri)["reason_code"] == "altered"

    def test_in_s3_the_newest_without_metadata_is_invalid(self, build: Build):
        built = build(3)
        assert reason(built, built.file(built.digests[2], signature=None)) == ("invalid", "signature_missing")


HOSTILE: dict[str, Any] = {
    "empty": b"",
    "no JSON": b"\xff\xfe\x00",
    "no object": b"[]",
    "null": b"null",
    "deep": b"[" * 100_000,
    "empty object": b"{}",
}
FIELDS: dict[str, dict[str, Any]] = {
    "log files null": {"logFiles": None},
    "log files no list": {"logFiles": {"a": 1}},
    "log file of numbers": {"logFiles": [1, 2]},
    "hash of another length": {
        "logFiles": [{"s3Bucket": "b", "s3Object": "k", "hashValue": "ab", "hashAlgorithm": ""}]
    },
    "end null": {"digestEndTime": None},
    "end no time": {"digestEndTime": "yesterday"},
    "end out of range": {"digestEndTime": "0001-01-01T00:00:00+23:59"},
    "start after end": {"digestStartTime": "2027-01-01T00:00:00Z"},
    "bucket null": {"digestS3Bucket": None},
    "fingerprint a list": {"digestPublicKeyFingerprint": ["a"]},
    "half a previous digest": {"previousDigestS3Bucket": None},
    "signature of previous a number": {"previousDigestSignature": 7},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_digest_is_malformed(build: Build, name: str):
    built = build(2)
    assert reason(built, built.file(built.digests[1], body=HOSTILE[name])) == ("invalid", "malformed")


@pytest.mark.parametrize("name", FIELDS)
def test_a_digest_with_a_wrong_field_is_malformed_even_if_signed(build: Build, name: str):
    built = build(2)
    body = msgspec.json.encode(msgspec.json.decode(built.digests[1].body) | FIELDS[name])
    assert reason(built, built.file(built.digests[1], body=body)) == ("invalid", "malformed")


def test_fields_that_are_not_known_or_do_not_matter_are_let_pass(build: Build):
    built = build(2)
    other = sign_with(built.signer, built.digests[1], newField={"a": [1]}, oldestEventTime=17, newestEventTime="?")
    assert reason(built, built.file(other)) == ("valid", None)


@pytest.mark.parametrize("signature", ["", "zz", "00", "ab" * 100_000, "\N{SNOWMAN}"])
def test_a_signature_that_is_none_does_not_verify(build: Build, signature: str):
    built = build(3)
    expected = "signature_missing" if not signature else "signature_invalid"
    assert reason(built, built.file(built.digests[2], signature=signature)) == ("invalid", expected)


@pytest.mark.parametrize(
    "key",
    [
        "readme.txt",
        "AWSLogs/123456789012/CloudTrail-Digest/eu-west-1/",
        "AWSLogs/123456789012/CloudTrail-Digest/eu-west-1/2026/11/09/x.json.gz",
        "AWSLogs/1/CloudTrail-Digest/eu-west-1/2026/11/09/1_CloudTrail-Digest_eu-west-1_a_eu-west-1_20261109T100000Z.json.gz",
        (
            "AWSLogs/123456789012/CloudTrail-Digest/eu-west-1/2026/11/09/"
            "123456789012_CloudTrail-Digest_eu-west-1_a_eu-west-1_20269999T999999Z.json.gz"
        ),
        (
            "AWSLogs/123456789012/CloudTrail-Digest/eu-west-1/2026/11/09/"
            "123456789012_CloudTrail-Digest_eu-west-1_a_eu-west-1_20261109T100000Z.json.gz\n"
        ),
        (
            "AWSLogs/\udcff/123456789012/CloudTrail-Digest/eu-west-1/2026/11/09/"
            "123456789012_CloudTrail-Digest_eu-west-1_a_eu-west-1_20261109T100000Z.json.gz"
        ),
    ],
    ids=["file", "folder", "short name", "account", "no time", "line end", "no text"],
)
def test_objects_whose_names_are_not_cloudtrails_are_set_apart(build: Build, key: str):
    built = build(1)
    verified = built.verify([*built.files, DigestFile(root=ROOT, key=key, body=b"{}")])
    assert len(verified.rows) == 1
    assert len(verified.foreign) == 1


@pytest.mark.parametrize("key", ["../../etc/passwd", "/etc/passwd", "s3://other/x", "a\nb", ""])
def test_names_in_a_signed_digest_are_text_and_nothing_else(build: Build, key: str):
    built = build(1, extra=[LogFile(BUCKET, key, "ab" * 32, "", "", START)])
    assert f"{ROOT}{key}" in built.verify().named


def test_a_digest_may_name_files_of_another_bucket(build: Build):
    built = build(1, extra=[LogFile("other", "k", "ab" * 32, "", "", START)])
    assert built.verify().named["s3://other/k"].sha256 == "ab" * 32


def test_a_file_in_two_digests_with_two_hashes_has_both(build: Build):
    twice = [LogFile(BUCKET, "twice", letter * 64, "", "", START + n * HOUR) for n, letter in enumerate("ab")]
    verified = build(2, extra=twice).verify()
    assert verified.named[f"{ROOT}twice"].sha256 == "a" * 64
    assert [word.sha256 for word in verified.rivals[f"{ROOT}twice"]] == ["b" * 64]


def test_a_row_of_the_warehouse_stands_for_a_digest_that_is_not_read_again(build: Build):
    built = build(6)
    whole = built.verify()
    first = whole.rows.slice(0, 3)
    names = {
        uri: tuple(word) for uri, word in whole.named.items() if word.digest_uri in first["digest_uri"].to_pylist()
    }
    again = built.verify(built.files[3:], earlier=first, earlier_named=names)
    assert again.rows.equals(whole.rows)
    assert again.named == whole.named
    assert again.chains == whole.chains


@given(order=st.permutations(range(7)), missing=st.sets(st.integers(0, 6), max_size=3))
def test_the_order_of_arrival_changes_nothing(session_build: Build, order: list[int], missing: set[int]):
    built = session_build(7)
    files = [built.files[n] for n in range(7) if n not in missing]
    mixed = [built.files[n] for n in order if n not in missing]
    assert built.verify(mixed, until=LATER) == built.verify(files, until=LATER)


@given(body=st.binary(max_size=300))
def test_no_content_whatever_stops_the_verification(session_build: Build, body: bytes):
    built = session_build(2)
    assert reason(built, built.file(built.digests[1], body=body)) == ("invalid", "malformed")


@given(end=st.integers(0, 2000), flip=st.integers(1, 255))
def test_no_changed_byte_of_a_digest_leaves_it_valid(session_build: Build, end: int, flip: int):
    built = session_build(2)
    body = bytearray(built.digests[1].body)
    body[end % len(body)] ^= flip
    changed = Digest(BUCKET, built.digests[1].key, bytes(body), built.digests[1].signature, built.digests[1].end)
    assert reason(built, built.file(changed))[0] == "invalid"


def test_nothing_given_is_nothing_found():
    nothing = verify([], keys=Keys(), since=START, until=LATER)
    assert (len(nothing.rows), nothing.named, nothing.chains) == (0, {}, ())


def test_account_and_region_are_those_of_the_folder(build: Build):
    row = row_of(build(1).verify(), build(1).uri(0))
    assert (row["account_id"], row["region"], row["trail_name"], row["chain"]) == (
        ACCOUNT,
        "eu-west-1",
        "audit",
        "standard",
    )
