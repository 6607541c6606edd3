"""What is read of the buckets: nothing that one object does stops the others."""

import gzip
import hashlib

import pytest

from dynatrail.config import Trail
from dynatrail.integrity import reading
from dynatrail.settings import Settings
from dynatrail.sources.cloudtrail.trails import Source

LOGS = "AWSLogs/123456789012/CloudTrail/eu-central-1/2026/11/01/"


@pytest.fixture
def source(tmp_path):
    (tmp_path / "bucket" / LOGS).mkdir(parents=True)
    return Source(Trail(bucket=(tmp_path / "bucket").as_uri()), Settings(home=tmp_path / "home"))


@pytest.fixture
def put(source):
    """Puts an object; gives its address."""

    def make(name, data):
        (source.bucket.folder / LOGS / name).write_bytes(data)
        return f"{source.bucket.root}{LOGS}{name}"

    return make


def hashed(source, *uris, limit=1 << 20):
    return dict(reading.hashes([source], uris, limit=limit))


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_hash_is_over_the_uncompressed_content(source, put):
    uri = put("a", gzip.compress(b"content"))
    assert hashed(source, uri)[uri] == reading.Hashed(sha256(b"content"))


def test_second_member_is_told_with_the_hash_of_the_first(source, put):
    uri = put("a", gzip.compress(b"content") + gzip.compress(b"hidden"))
    assert hashed(source, uri)[uri] == reading.Hashed(None, "several_gzip_members", sha256(b"content"))


def test_what_cannot_be_read_stops_nothing(source, put):
    good, bad = put("good", gzip.compress(b"content")), put("bad", b"no gzip")
    gone, foreign = f"{source.bucket.root}{LOGS}gone", "s3://other/AWSLogs/x"
    found = hashed(source, good, bad, gone, foreign)
    assert found[good].sha256 == sha256(b"content")
    assert found[bad].error == "not_gzip"
    assert found[gone] == found[foreign] == reading.Hashed()


def test_content_beyond_the_limit_is_not_held(source, put):
    uri = put("a", gzip.compress(bytes(1 << 20)))
    assert hashed(source, uri, limit=1 << 16)[uri].error == "too_large"


def test_digest_of_a_copy_has_no_signature(source, put):
    uri = put("digest", gzip.compress(b"{}"))
    (file,) = reading.read_digests([source], [uri])
    assert (file.body, file.signature, file.error, file.uri) == (b"{}", None, None, uri)


def test_digest_that_went_since_it_was_listed_is_unread(source):
    (file,) = reading.read_digests([source], [f"{source.bucket.root}{LOGS}gone"])
    assert (file.body, file.error) == (None, "unread")


def test_work_side_by_side_keeps_its_order():
    assert list(reading.side_by_side(lambda n: n * n, range(200))) == [n * n for n in range(200)]


def test_region_that_has_digests_only_is_a_place(source):
    (source.bucket.folder / "AWSLogs/123456789012/CloudTrail-Digest/us-east-1").mkdir(parents=True)
    found, faults = reading.places([source])
    assert [(place.account_id, place.region) for place in found] == [
        ("123456789012", "eu-central-1"),
        ("123456789012", "us-east-1"),
    ]
    assert faults == []
