"""One digest by itself: its name, what it says, and whether AWS signed exactly that for exactly this place."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

import msgspec

from dynatrail.clock import parse_instant
from dynatrail.integrity.keys import Keys
from dynatrail.integrity.words import DigestStatus, Link

ALGORITHM = "SHA256withRSA"
STANDARD, BACKFILL = "standard", "backfill"

_URI = re.compile(
    r"(?P<base>.*/)(?P<account>\d{12})/CloudTrail-Digest/(?P<region>[a-z0-9-]+)/(?:.*/)?"
    r"\d{12}_CloudTrail-Digest_[a-z0-9-]+_(?P<trail>[A-Za-z0-9._-]{1,128})_(?P<home>[a-z0-9-]+)_"
    r"(?P<time>\d{8}T\d{6})Z(?P<backfill>_backfill)?\.json\.gz"
)


class ChainId(NamedTuple):
    """Which chain.

    Attributes:
        base: address of the folder that holds the account's folder, such as `s3://bucket/prefix/AWSLogs/o-org/`.
        kind: `standard` or `backfill`.
    """

    account_id: str
    region: str
    trail_name: str
    home_region: str
    kind: str
    base: str

    def uri(self, end: datetime) -> str:
        """Where the digest that ends then must lie."""
        name = f"{self.account_id}_CloudTrail-Digest_{self.region}_{self.trail_name}_{self.home_region}"
        suffix = "_backfill" if self.kind == BACKFILL else ""
        return (
            f"{self.base}{self.account_id}/CloudTrail-Digest/{self.region}/{end:%Y/%m/%d}/"
            f"{name}_{end:%Y%m%dT%H%M%SZ}{suffix}.json.gz"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestFile:
    """One object under `CloudTrail-Digest/`, as it was read.

    Attributes:
        root: address of its bucket or of the copy of one, ending in `/` (`Bucket.root`).
        key: its key; `root + key` is its address.
        body: uncompressed content; None: see `error`.
        signature: `x-amz-meta-signature` of the object, hex; None: it has none, as in a plain copy.
        error: code of why there is no body: an `ObjectError`'s (`truncated_gzip`, …), or `unread` where it could not
            be fetched and might be next time.
    """

    root: str
    key: str
    body: bytes | None
    signature: str | None = None
    error: str | None = None

    @property
    def uri(self) -> str:
        return self.root + self.key


@dataclass(slots=True, kw_only=True)
class Digest:
    """A row of `trail_digest` in the making; `names` are (address, sha256) of its log files."""

    chain: ChainId
    end: datetime
    uri: str | None
    status: DigestStatus
    start: datetime | None = None
    sha256: str | None = None
    signature: str | None = None
    signature_from: str | None = None
    algorithm: str | None = None
    fingerprint: str | None = None
    public_key: str | None = None
    previous_uri: str | None = None
    previous_sha256: str | None = None
    previous_signature: str | None = None
    log_files: int | None = None
    oldest: datetime | None = None
    newest: datetime | None = None
    link: Link | None = None
    reason_code: str | None = None
    reason: str | None = None
    names: Sequence[tuple[str, str]] = ()
    to_sign: str = ""
    copied: bool = False

    def settle(self, status: DigestStatus, code: str | None = None, detail: str = "") -> None:
        self.status, self.reason_code = status, code
        text = f"{REASONS.get(code, 'It could not be uncompressed.')} {detail}".strip() if code else None
        self.reason = text


REASONS = {
    "unread": "It could not be fetched; the next run tries again.",
    "malformed": "It is no digest: a field that matters is absent or of the wrong kind.",
    "moved": "It says that it lies elsewhere: it was moved or copied from its place.",
    "replayed": "It holds the content of another digest, put under this name.",
    "time_differs": "The time in its name is not the end of the window that it covers.",
    "algorithm_unknown": "It is signed by an algorithm other than SHA256withRSA.",
    "key_unknown": "It is signed with a key that AWS does not list for this region: CloudTrail did not write it.",
    "signature_missing": "It has no signature: not in its object's metadata, nor in a digest after it.",
    "signature_invalid": "Its signature does not fit: content, place or signature are not what CloudTrail wrote.",
    "altered": "Its content is not the content whose hash the next digest holds.",
    "previous_differs": "It holds another hash or signature of the digest before than that digest has.",
    "removed": "It was there and valid when it was read before; the bucket does not hold it any more.",
    "previous_missing": "The next digest names it, and the bucket does not hold it.",
    "restart_unexplained": "The chain ends before it and begins anew after it, and no change of the trail explains it.",
    "tail_missing": "The trail was logging, and the digest that fell due is not in the bucket.",
    "awaited": "The digest that fell due is not in the bucket yet; CloudTrail may still deliver it for a day.",
    "other_bucket": "The digest before lies in another bucket or folder.",
    "previous_not_read": "The digest before lies before what was read.",
    "previous_unread": "The digest before could not be fetched.",
    "previous_invalid": "The digest before is not valid.",
}

_Hash = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-fA-F]{64}\Z")]


class _LogFile(msgspec.Struct, rename="camel"):
    s3_bucket: str
    s3_object: str
    hash_value: _Hash
    hash_algorithm: str


class _Content(msgspec.Struct, rename="camel", kw_only=True):
    """What matters of a digest; fields that it does not know are let pass."""

    digest_start_time: str
    digest_end_time: str
    bucket: str = msgspec.field(name="digestS3Bucket")
    key: str = msgspec.field(name="digestS3Object")
    digest_public_key_fingerprint: str
    digest_signature_algorithm: str
    previous_digest_signature: str | None
    previous_digest_hash_value: _Hash | None = None
    log_files: list[_LogFile]
    previous_bucket: str | None = msgspec.field(name="previousDigestS3Bucket", default=None)
    previous_key: str | None = msgspec.field(name="previousDigestS3Object", default=None)
    newest_event_time: msgspec.Raw = msgspec.Raw(b"null")
    oldest_event_time: msgspec.Raw = msgspec.Raw(b"null")


_decoder = msgspec.json.Decoder(_Content)


def place(uri: str) -> tuple[ChainId, datetime] | None:
    """The chain and the end of window that an address names, or None where it is not one of CloudTrail's digests."""
    found = _URI.fullmatch(uri)
    if not found:
        return None
    try:
        uri.encode()  # a file system's name may hold what no text does
        end = datetime.strptime(found["time"], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    kind = BACKFILL if found["backfill"] else STANDARD
    return ChainId(found["account"], found["region"], found["trail"], found["home"], kind, found["base"]), end


def read(file: DigestFile) -> Digest | None:
    """What a digest says, `valid` until `check_signature` has looked; None where its name is none of CloudTrail's."""
    where = place(file.uri)
    if where is None:
        return None
    digest = Digest(
        chain=where[0],
        end=where[1],
        uri=file.uri,
        status=DigestStatus.VALID,
        signature=file.signature or None,
        signature_from="metadata" if file.signature else None,
        copied=not file.root.startswith("s3://"),
    )
    if file.body is None:
        code = file.error or "unread"
        digest.settle(DigestStatus.UNREAD if code == "unread" else DigestStatus.INVALID, code)
        return digest
    digest.sha256 = hashlib.sha256(file.body).hexdigest()
    try:
        _take(digest, file, _decoder.decode(file.body))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OverflowError, RecursionError):
        digest.settle(DigestStatus.INVALID, "malformed")
    return digest


def check_signature(digest: Digest, keys: Keys, later: Iterable[str]) -> None:
    """Settle whether AWS signed it; `later` are the signatures that digests after it say it has."""
    if digest.status is not DigestStatus.VALID:
        return
    if digest.algorithm != ALGORITHM:
        digest.settle(DigestStatus.INVALID, "algorithm_unknown")
        return
    fingerprint = digest.fingerprint or ""
    if fingerprint not in keys:
        digest.settle(DigestStatus.INVALID, "key_unknown")
        return
    digest.public_key = keys.base64(fingerprint)
    if digest.signature is not None:
        if not keys.verify(fingerprint, digest.signature, digest.to_sign):
            digest.settle(DigestStatus.INVALID, "signature_invalid")
        return
    candidates = sorted(set(later))
    for signature in candidates:
        if keys.verify(fingerprint, signature, digest.to_sign):
            digest.signature, digest.signature_from = signature, "next_digest"
            return
    if candidates:
        digest.settle(DigestStatus.INVALID, "signature_invalid")
    else:
        digest.settle(DigestStatus.UNREAD if digest.copied else DigestStatus.INVALID, "signature_missing")


def of_row(row: Mapping[str, Any]) -> Digest | None:
    """A digest as a row of `trail_digest` has it; None where the row has no address of CloudTrail's."""
    where = place(str(row["digest_uri"]))
    if where is None:
        return None
    given: dict[str, Any] = {
        field: row[column] for field, column in COLUMNS.items() if field not in {"end", "uri", "status", "link"}
    }
    digest = Digest(
        chain=where[0], end=where[1], uri=str(row["digest_uri"]), status=DigestStatus(str(row["status"])), **given
    )
    digest.link = Link(row["link"]) if row["link"] else None
    digest.reason_code = digest.reason = None
    return digest


COLUMNS = {
    "end": "digest_end_time",
    "start": "digest_start_time",
    "uri": "digest_uri",
    "sha256": "sha256",
    "signature": "signature",
    "signature_from": "signature_from",
    "algorithm": "signature_algorithm",
    "fingerprint": "public_key_fingerprint",
    "public_key": "public_key",
    "previous_uri": "previous_uri",
    "previous_sha256": "previous_sha256",
    "previous_signature": "previous_signature",
    "log_files": "log_files",
    "oldest": "oldest_event_time",
    "newest": "newest_event_time",
    "status": "status",
    "link": "link",
    "reason_code": "reason_code",
    "reason": "reason",
}
"""Attribute of `Digest` → column of `trail_digest`."""


def _take(digest: Digest, file: DigestFile, content: _Content) -> None:
    digest.start, end = parse_instant(content.digest_start_time), parse_instant(content.digest_end_time)
    previous = (
        content.previous_bucket,
        content.previous_key,
        content.previous_digest_hash_value,
        content.previous_digest_signature,
    )
    if any(part is None for part in previous) and any(part is not None for part in previous):
        raise ValueError("half a previous digest")
    if not timedelta(0) < end - digest.start or any(log.hash_algorithm != "SHA-256" for log in content.log_files):
        raise ValueError("no window, or another hash")

    def uri(bucket: str, key: str) -> str:
        # A copy is named otherwise than its bucket; what lies in that bucket lies in the copy.
        return file.root + key if digest.copied and bucket == content.bucket else f"s3://{bucket}/{key}"

    digest.algorithm = content.digest_signature_algorithm
    digest.fingerprint = content.digest_public_key_fingerprint
    digest.log_files = len(content.log_files)
    digest.oldest, digest.newest = _instant(content.oldest_event_time), _instant(content.newest_event_time)
    if content.previous_bucket is not None and content.previous_key is not None:
        digest.previous_uri = uri(content.previous_bucket, content.previous_key)
    digest.previous_sha256 = content.previous_digest_hash_value and content.previous_digest_hash_value.lower()
    digest.previous_signature = content.previous_digest_signature
    digest.names = [(uri(log.s3_bucket, log.s3_object), log.hash_value.lower()) for log in content.log_files]
    before = "null" if content.previous_digest_signature is None else content.previous_digest_signature
    digest.to_sign = f"{content.digest_end_time}\n{content.bucket}/{content.key}\n{digest.sha256}\n{before}"
    if uri(content.bucket, content.key) != file.uri:
        same = content.key.rpartition("/")[2] == file.key.rpartition("/")[2]
        digest.settle(DigestStatus.INVALID, "moved" if same else "replayed", f"It names {content.key[:300]}.")
    elif end != digest.end:
        digest.settle(DigestStatus.INVALID, "time_differs")


def _instant(raw: msgspec.Raw) -> datetime | None:
    """A time that nothing depends on: what is none counts as absent."""
    try:
        return parse_instant(msgspec.json.decode(raw, type=str))
    except (msgspec.DecodeError, ValueError, OverflowError, UnicodeDecodeError):
        return None
