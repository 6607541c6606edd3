"""How long a year of hourly digests of one region takes to verify, from a local folder.

    python benchmarks/digest_year.py --days 365 --per-hour 12

The digests and log files are made first, signed with a real key, and are not in the time. Then each is read from the
folder, uncompressed and verified: once the digests alone, once with every log file hashed and judged as well.
"""

import argparse
import base64
import gzip
import hashlib
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dynatrail.integrity import digest_findings, log_files
from dynatrail.integrity.digests import DigestFile, verify
from dynatrail.integrity.keys import Keys
from dynatrail.sandbox.digests import Chain, LogFile, Signer, next_digest
from dynatrail.sources.cloudtrail.gunzip import gunzip

ACCOUNT, REGION, BUCKET = "123456789012", "eu-west-1", "trail-logs"
START = datetime(2025, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMIT = 64 << 20


def make(folder: Path, days: int, per_hour: int) -> Keys:
    signer = Signer(folder.parent / "digest-key.pem")
    chain = Chain(START, START + HOUR)
    base = folder / f"AWSLogs/{ACCOUNT}"
    for hour in range(days * 24):
        for number in range(per_hour):
            at = chain.start + timedelta(minutes=60 * number // per_hour)
            raw = b'{"Records":[{"eventID":"%d-%d","padding":"%s"}]}' % (hour, number, os.urandom(1000).hex().encode())
            name = f"{ACCOUNT}_CloudTrail_{REGION}_{at:%Y%m%dT%H%M}Z_{number:016d}.json.gz"
            path = base / f"CloudTrail/{REGION}/{at:%Y/%m/%d}/{name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(raw, 1, mtime=0))
            stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
            key = path.relative_to(folder).as_posix()
            chain.files.append(LogFile(BUCKET, key, hashlib.sha256(raw).hexdigest(), stamp, stamp, at))
        name = f"{ACCOUNT}_CloudTrail-Digest_{REGION}_audit_{REGION}_{chain.end:%Y%m%dT%H%M%SZ}.json.gz"
        path = base / f"CloudTrail-Digest/{REGION}/{chain.end:%Y/%m/%d}/{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        key = path.relative_to(folder).as_posix()
        digest = next_digest(chain, bucket=BUCKET, key=key, account_id=ACCOUNT, signer=signer)
        path.write_bytes(gzip.compress(digest.body, 1, mtime=0))
        path.with_suffix(".signature").write_text(digest.signature)  # S3 keeps it in the object's metadata
    return Keys({signer.fingerprint: base64.b64decode(signer.public_key)})


def digest_files(folder: Path, root: str) -> list[DigestFile]:
    paths = sorted((folder / f"AWSLogs/{ACCOUNT}/CloudTrail-Digest").rglob("*.json.gz"))
    return [
        DigestFile(
            root=root,
            key=path.relative_to(folder).as_posix(),
            body=gunzip(path.read_bytes(), limit=LIMIT),
            signature=path.with_suffix(".signature").read_text(),
        )
        for path in paths
    ]


def known(folder: Path, root: str) -> Any:
    import pyarrow as pa

    columns: dict[str, list[object]] = {"source_uri": [], "delivered_at": [], "sha256": [], "size": []}
    for path in (folder / f"AWSLogs/{ACCOUNT}/CloudTrail").rglob("*.json.gz"):
        data = path.read_bytes()
        columns["source_uri"].append(root + path.relative_to(folder).as_posix())
        at = datetime.strptime(path.name.split("_")[3], "%Y%m%dT%H%MZ").replace(tzinfo=UTC)
        columns["delivered_at"].append(at)
        columns["sha256"].append(hashlib.sha256(gunzip(data, limit=LIMIT)).hexdigest())
        columns["size"].append(len(data))
    count = len(columns["size"])
    usual = {"account_id": [ACCOUNT] * count, "region": [REGION] * count, "present": [True] * count}
    filled = {**dict.fromkeys(log_files.KNOWN.names, [None] * count), **usual, **columns}
    return pa.table(filled, schema=log_files.KNOWN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--per-hour", type=int, default=12, help="log files in each hour")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "copy"
        keys = make(folder, given.days, given.per_hour)
        root, until = folder.as_uri() + "/", START + timedelta(days=given.days) + HOUR
        began = time.perf_counter()
        files = digest_files(folder, root)
        fetched = time.perf_counter()
        verified = verify(files, keys=keys, since=START, until=until)
        done = time.perf_counter()
        print(f"{len(files):,} digests that name {len(verified.named):,} log files, {given.days} days of one region")
        print(f"read and uncompress {fetched - began:6.2f} s")
        print(f"verify              {done - fetched:6.2f} s   together {done - began:.2f} s without log files")
        table = known(folder, root)
        hashed = time.perf_counter()
        rows = log_files.judge(table, verified, since=START, until=until, listed=[root])
        found = digest_findings.find(verified, rows)
        end = time.perf_counter()
        print(f"hash log files      {hashed - done:6.2f} s   {len(table):,} of them")
        print(f"judge log files     {end - hashed:6.2f} s   together {end - began:.2f} s with log files")
        wrong = {one for one in rows["status"].to_pylist() if one != "attested"}
        assert not found, found[:1]
        assert not wrong, wrong
        assert set(verified.rows["status"].to_pylist()) == {"valid"}


if __name__ == "__main__":
    main()
