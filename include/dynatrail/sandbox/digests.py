"""CloudTrail's digest files: what was delivered in one hour, chained to the hour before and signed.

"CloudTrail digest file structure" and "Custom implementations of log file integrity validation"; the stock
`aws cloudtrail validate-logs` accepts them. Hashes are over uncompressed content; a digest's own signature is not in it
but in its object's metadata; a chain starts with all `previousDigest…` fields null.
"""

import base64
import hashlib
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from dynatrail.clock import iso
from dynatrail.errors import SandboxError

Json = dict[str, Any]

ALGORITHM = "SHA256withRSA"
HOUR = timedelta(hours=1)


class LogFile(msgspec.Struct, frozen=True):
    """One delivered log file as a digest lists it; `written_at` decides which digest that is."""

    bucket: str
    key: str
    sha256: str
    newest: str
    oldest: str
    written_at: datetime


class Previous(msgspec.Struct, frozen=True):
    """What a digest says of the one before it."""

    bucket: str
    key: str
    sha256: str
    signature: str


class Chain(msgspec.Struct):
    """The digests of one trail in one account and region.

    Attributes:
        start: end of the last digest, or where the chain begins.
        end: when the next digest falls due.
        files: delivered since `start` and not in a digest yet.
        began: where the chain begins; what was delivered before belongs to no digest of it.
        closing: its next digest is its last.
    """

    start: datetime
    end: datetime
    files: list[LogFile] = []
    previous: Previous | None = None
    began: datetime | None = None
    closing: bool = False


class Digest(msgspec.Struct, frozen=True):
    """A signed digest, ready to be put into the bucket; `metadata` is its object's, beside the signature."""

    bucket: str
    key: str
    body: bytes
    signature: str
    end: datetime
    metadata: dict[str, str] = {}


class Signer:
    """The key pair that signs digests, kept in `path` with mode 0600."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(pem)
        private = load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(private, rsa.RSAPrivateKey):
            raise SandboxError(f"{path} holds no RSA key. Remove the sandbox folder and start again.")
        self._private = private
        self._public = private.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)

    @property
    def public_key(self) -> str:
        """DER PKCS#1, base64, as ListPublicKeys gives it."""
        return base64.b64encode(self._public).decode()

    @property
    def fingerprint(self) -> str:
        return hashlib.md5(self._public, usedforsecurity=False).hexdigest()

    def sign(self, text: str) -> str:
        return self._private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()).hex()


def next_digest(chain: Chain, *, bucket: str, key: str, account_id: str, signer: Signer) -> Digest:
    """Close the chain's running digest at `chain.end`, sign it, and move the chain on by an hour."""
    covered = sorted((file for file in chain.files if file.written_at < chain.end), key=lambda file: file.key)
    chain.files = [file for file in chain.files if file.written_at >= chain.end]
    previous = chain.previous
    content: Json = {
        "awsAccountId": account_id,
        "digestStartTime": iso(chain.start),
        "digestEndTime": iso(chain.end),
        "digestS3Bucket": bucket,
        "digestS3Object": key,
        "digestPublicKeyFingerprint": signer.fingerprint,
        "digestSignatureAlgorithm": ALGORITHM,
        "newestEventTime": max((file.newest for file in covered), default=None),
        "oldestEventTime": min((file.oldest for file in covered), default=None),
        "previousDigestS3Bucket": previous and previous.bucket,
        "previousDigestS3Object": previous and previous.key,
        "previousDigestHashValue": previous and previous.sha256,
        "previousDigestHashAlgorithm": previous and "SHA-256",
        "previousDigestSignature": previous and previous.signature,
        "logFiles": [
            {
                "s3Bucket": file.bucket,
                "s3Object": file.key,
                "hashValue": file.sha256,
                "hashAlgorithm": "SHA-256",
                "newestEventTime": file.newest,
                "oldestEventTime": file.oldest,
            }
            for file in covered
        ],
    }
    body = msgspec.json.encode(content)
    sha256 = hashlib.sha256(body).hexdigest()
    before = previous.signature if previous else "null"
    signature = signer.sign(f"{iso(chain.end)}\n{bucket}/{key}\n{sha256}\n{before}")
    digest = Digest(bucket, key, body, signature, chain.end)
    chain.previous = Previous(bucket, key, sha256, signature)
    chain.start, chain.end = chain.end, chain.end + HOUR
    return digest
