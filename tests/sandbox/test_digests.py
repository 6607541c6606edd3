"""Digest files, checked with `cryptography` alone, as a stranger would."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from dynatrail.sandbox.digests import Chain, Digest, LogFile, Signer, next_digest

START = datetime(2026, 11, 9, 10, 20, tzinfo=UTC)


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(tmp_path / "digest-key.pem")


def log_file(minutes: int) -> LogFile:
    at = START + timedelta(minutes=minutes)
    return LogFile("logs", f"log-{minutes:03d}", "ab" * 32, "2026-11-09T10:30:00Z", "2026-11-09T10:10:00Z", at)


def digests(signer: Signer, *minutes: int, count: int = 3) -> list[Digest]:
    chain = Chain(START, START + timedelta(hours=1), [log_file(m) for m in minutes])
    return [
        next_digest(chain, bucket="logs", key=f"digest-{n}", account_id="123456789012", signer=signer)
        for n in range(count)
    ]


def verify(signer: Signer, digest: Digest, previous_signature: str | None) -> None:
    key = rsa_key(signer)
    sha256 = hashlib.sha256(digest.body).hexdigest()
    end = json.loads(digest.body)["digestEndTime"]
    text = f"{end}\nlogs/{digest.key}\n{sha256}\n{previous_signature or 'null'}"
    key.verify(bytes.fromhex(digest.signature), text.encode(), padding.PKCS1v15(), hashes.SHA256())


def rsa_key(signer: Signer) -> rsa.RSAPublicKey:
    """The key as ListPublicKeys gives it: DER PKCS#1, which OpenSSL reads as it is."""
    key = load_der_public_key(base64.b64decode(signer.public_key))
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def test_a_chain_begins_with_no_previous_digest(signer: Signer):
    content = json.loads(digests(signer)[0].body)
    assert [content[name] for name in content if name.startswith("previousDigest")] == [None] * 5


def test_every_digest_names_hash_and_signature_of_the_one_before(signer: Signer):
    first, second, _ = digests(signer)
    content = json.loads(second.body)
    assert content["previousDigestHashValue"] == hashlib.sha256(first.body).hexdigest()
    assert content["previousDigestSignature"] == first.signature
    assert content["previousDigestS3Object"] == first.key
    assert content["digestStartTime"] == json.loads(first.body)["digestEndTime"]


def test_signatures_verify_with_the_published_key(signer: Signer):
    before = None
    for digest in digests(signer):
        verify(signer, digest, before)
        before = digest.signature


def test_a_signature_does_not_verify_over_other_content(signer: Signer):
    first = digests(signer)[0]
    forged = Digest(first.bucket, first.key, first.body.replace(b"1234", b"4321"), first.signature, first.end)
    with pytest.raises(InvalidSignature):
        verify(signer, forged, None)


def test_a_file_is_in_the_digest_of_the_hour_it_was_written_in_and_in_no_other(signer: Signer):
    listed = [
        [file["s3Object"] for file in json.loads(digest.body)["logFiles"]] for digest in digests(signer, 0, 59, 60, 61)
    ]
    assert listed == [["log-000", "log-059"], ["log-060", "log-061"], []]


def test_an_empty_hour_has_a_digest_without_event_times(signer: Signer):
    content = json.loads(digests(signer)[0].body)
    assert (content["logFiles"], content["newestEventTime"], content["oldestEventTime"]) == ([], None, None)


def test_the_key_is_kept_and_readable_by_its_owner_only(tmp_path: Path, signer: Signer):
    path = tmp_path / "digest-key.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert Signer(path).fingerprint == signer.fingerprint
    assert len(signer.fingerprint) == 32
