"""Only AWS, the warehouse or a file vouch for a public key."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.integrity.conftest import Build

from dynatrail.errors import SourceError
from dynatrail.integrity.keys import Keys
from dynatrail.sandbox.digests import Signer


def entry(signer: Signer, **changes: Any) -> dict[str, Any]:
    return {"Fingerprint": signer.fingerprint, "Value": base64.b64decode(signer.public_key), **changes}


def test_a_signature_verifies_under_its_key_and_text_only(signer: Signer, stranger: Signer):
    keys = Keys.of_aws([entry(signer), entry(stranger)])
    signature = signer.sign("text")
    assert keys.verify(signer.fingerprint, signature, "text")
    assert not keys.verify(signer.fingerprint, signature, "other")
    assert not keys.verify(stranger.fingerprint, signature, "text")


def test_boto3s_bytes_and_the_command_lines_base64_are_the_same_key(signer: Signer):
    written = json.dumps({"PublicKeyList": [entry(signer, Value=signer.public_key, ValidityStartTime="2026")]})
    assert Keys.of_json(written.encode()).to_json() == Keys.of_aws([entry(signer)]).to_json()


def test_what_is_written_is_read_again(signer: Signer, stranger: Signer):
    keys = Keys.of_aws([entry(signer), entry(stranger)])
    assert Keys.of_json(keys.to_json()).to_json() == keys.to_json()


def test_rows_of_the_warehouse_keep_the_keys(build: Build):
    built = build(3)
    assert list(Keys.of_rows(built.verify().rows)) == [built.signer.fingerprint]


def test_a_key_that_nobody_vouched_for_is_not_in_the_rows(build: Build, stranger: Signer):
    built = build(3)
    rows = built.verify(keys=Keys.of_aws([entry(stranger)])).rows
    assert rows["reason_code"].to_pylist() == ["key_unknown"] * 3
    assert len(Keys.of_rows(rows)) == 0


def test_what_is_asked_first_wins_over_another_key_of_the_same_fingerprint(signer: Signer, stranger: Signer):
    merged = Keys.of_aws([entry(signer)]) | Keys.of_aws([entry(stranger, Fingerprint=signer.fingerprint)])
    assert merged.base64(signer.fingerprint) == signer.public_key


def small() -> bytes:
    return rsa.generate_private_key(65537, 1024).public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)


def elliptic() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "value",
    [b"", b"0", "!", None, 7, small(), elliptic()],
    ids=["empty", "short", "text", "null", "number", "small", "EC"],
)
def test_what_is_no_rsa_key_is_refused(value: Any):
    with pytest.raises(SourceError, match="list-public-keys"):
        Keys.of_aws([{"Fingerprint": "ab", "Value": value}])


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"PublicKeyList": [1]}', b'{"PublicKeyList": null}'])
def test_a_file_of_another_shape_is_refused(content: bytes):
    with pytest.raises(SourceError, match="ListPublicKeys"):
        Keys.of_json(content)
