"""Small chains of digests, signed with real keys by the same code that signs in the sandbox, in memory."""

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from dynatrail.integrity import log_files
from dynatrail.integrity.digests import Beside, DigestFile, Verified, verify
from dynatrail.integrity.keys import Keys
from dynatrail.sandbox.delivery import folder
from dynatrail.sandbox.digests import Chain, Digest, LogFile, Signer, next_digest
from dynatrail.sandbox.trails import Trail

ACCOUNT, REGION, BUCKET = "123456789012", "eu-west-1", "trail-logs"
START = datetime(2026, 11, 9, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROOT = f"s3://{BUCKET}/"
BASE = f"{ROOT}AWSLogs/"
LATER = START + timedelta(days=10)
"""So late that nothing may still be redelivered."""


@dataclass
class Built:
    """A bucket in memory: digests and log files as they were delivered, to be tampered with."""

    signer: Signer
    root: str = ROOT
    digests: list[Digest] = field(default_factory=list)
    logs: dict[str, bytes] = field(default_factory=dict)
    delivered: dict[str, datetime] = field(default_factory=dict)

    @property
    def keys(self) -> Keys:
        value = base64.b64decode(self.signer.public_key)
        return Keys({self.signer.fingerprint: value})

    def file(self, digest: Digest, **changes: Any) -> DigestFile:
        made = DigestFile(root=self.root, key=digest.key, body=digest.body, signature=digest.signature)
        return replace(made, **changes)

    @property
    def files(self) -> list[DigestFile]:
        return [self.file(digest) for digest in self.digests]

    def uri(self, number: int) -> str:
        return self.root + self.digests[number].key

    @property
    def end(self) -> datetime:
        return self.digests[-1].end

    def verify(
        self,
        files: Iterable[DigestFile] | None = None,
        *,
        until: datetime | None = None,
        since: datetime = START - timedelta(days=1),
        keys: Keys | None = None,
        **beside: Any,
    ) -> Verified:
        given = self.files if files is None else list(files)
        return verify(
            given,
            keys=self.keys if keys is None else keys,
            since=since,
            until=until or self.end + HOUR,
            beside=Beside(**beside),
        )

    def known(self, changes: Mapping[str, Mapping[str, Any]] | None = None) -> pa.Table:
        """What bucket and ledger know of its log files; `changes` by address."""
        return known(
            [
                {"source_uri": uri, "delivered_at": at, "sha256": hashlib.sha256(self.logs[uri]).hexdigest()}
                | dict((changes or {}).get(uri, {}))
                for uri, at in sorted(self.delivered.items())
            ]
        )

    def judge(self, verified: Verified, table: pa.Table | None = None, **window: datetime) -> dict[str, dict[str, Any]]:
        rows = log_files.judge(
            self.known() if table is None else table,
            verified,
            since=window.get("since", START - timedelta(days=1)),
            until=window.get("until", self.end),
            listed=[BASE if self.root == ROOT else self.root],
        )
        return {row["source_uri"]: row for row in rows.to_pylist()}


def known(rows: Iterable[dict[str, Any]]) -> pa.Table:
    usual = dict.fromkeys(log_files.KNOWN.names) | {
        "account_id": ACCOUNT,
        "region": REGION,
        "present": True,
        "size": 100,
        "records": 3,
    }
    return pa.Table.from_pylist([usual | row for row in rows], log_files.KNOWN)


def trail(name: str = "audit", prefix: str = "") -> Trail:
    arn = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{name}"
    return Trail(
        arn=arn, name=name, account_id=ACCOUNT, home_region=REGION, bucket=BUCKET, prefix=prefix, validation=True
    )


def digest_key(of: Trail, end: datetime, suffix: str = "") -> str:
    where = folder(of, ACCOUNT, "CloudTrail-Digest", REGION, end, "")
    return f"{where}/{ACCOUNT}_CloudTrail-Digest_{REGION}_{of.name}_{REGION}_{end:%Y%m%dT%H%M%SZ}{suffix}.json.gz"


def log_key(of: Trail, at: datetime, number: int) -> str:
    where = folder(of, ACCOUNT, "CloudTrail", REGION, at, "")
    return f"{where}/{ACCOUNT}_CloudTrail_{REGION}_{at:%Y%m%dT%H%M}Z_{number:016d}.json.gz"


def sign_with(signer: Signer, digest: Digest, *, place: str | None = None, **changes: Any) -> Digest:
    """The digest with other fields, signed anew as CloudTrail would sign it."""
    content = msgspec.json.decode(digest.body) | changes
    body = msgspec.json.encode(content)
    before = content.get("previousDigestSignature") or "null"
    where = place or f"{content['digestS3Bucket']}/{content['digestS3Object']}"
    text = f"{content['digestEndTime']}\n{where}\n{hashlib.sha256(body).hexdigest()}\n{before}"
    return Digest(digest.bucket, digest.key, body, signer.sign(text), digest.end)


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer(tmp_path_factory.mktemp("keys") / "digest-key.pem")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    """Somebody who is not CloudTrail."""
    return Signer(tmp_path_factory.mktemp("stranger") / "digest-key.pem")


Build = Callable[..., Built]


@pytest.fixture(scope="session")
def session_build(signer: Signer) -> Build:
    """Makes a chain of `hours` digests with `per_hour` log files each, the first ending an hour after `start`."""

    def make(  # noqa: PLR0913  each test names the few that it needs
        hours: int = 6,
        *,
        per_hour: int = 2,
        start: datetime = START,
        into: Built | None = None,
        of: Trail | None = None,
        suffix: str = "",
        chain: Chain | None = None,
        extra: Iterable[LogFile] = (),
    ) -> Built:
        built = into or Built(signer)
        of = of or trail()
        chain = chain or Chain(start, start + HOUR)
        chain.files += list(extra)
        first = len(built.logs)
        for hour in range(hours):
            for number in range(per_hour):
                at = chain.start + timedelta(minutes=5 + 50 * number // max(per_hour, 1))
                content = f'{{"Records":[{{"eventID":"{hour}-{number}-{of.name}-{start}"}}]}}'.encode()
                key = log_key(of, at, first + hour * per_hour + number)
                stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
                chain.files.append(LogFile(BUCKET, key, hashlib.sha256(content).hexdigest(), stamp, stamp, at))
                built.logs[built.root + key] = content
                built.delivered[built.root + key] = at.replace(second=0)
            digest = next_digest(
                chain, bucket=BUCKET, key=digest_key(of, chain.end, suffix), account_id=ACCOUNT, signer=built.signer
            )
            built.digests.append(digest)
        return built

    return make


@pytest.fixture
def build(session_build: Build) -> Build:
    return session_build


def statuses(verified: Verified) -> list[str]:
    return verified.rows["status"].to_pylist()


def row_of(verified: Verified, uri: str) -> dict[str, Any]:
    return next(row for row in verified.rows.to_pylist() if row["digest_uri"] == uri)
