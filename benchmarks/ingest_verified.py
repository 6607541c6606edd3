"""Taking the same files with and without verification of their digests: a part of `benchmarks/integrity.py`."""

import hashlib
import os
import re
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import deflate
from benchmarks.cloudtrail_files import ACCOUNT, START, generate
from benchmarks.ingest import _run

from dynatrail.sandbox.digests import Chain, LogFile, Signer, next_digest

HOUR = timedelta(hours=1)
BUCKET = "example-trail"
_NAME = re.compile(r"_CloudTrail_(?P<region>[a-z0-9-]+)_(?P<time>\d{8}T\d{4})Z_")


def measure(folder: Path, records: int, repeats: int) -> dict[str, list[dict[str, float]]]:
    """Seconds, CPU seconds and the share of attested files of each run.

    Both sides run in turn, every other time in the other order.
    """
    trail = folder / "trail"
    files = generate(trail, records=records, per_file=min(2_000, records // 8))
    signer = Signer(folder / "digest-key.pem")
    end = _write_digests(trail, files, signer)
    runs: dict[str, list[dict[str, float]]] = {"plain": [], "verified": []}
    os.environ["DYNATRAIL_TRAIL_BUCKET"] = trail.as_uri()
    _import(folder / "warm", signer)
    for number in range(repeats):
        for side in ("plain", "verified")[:: 1 if number % 2 else -1]:
            runs[side].append(_take(folder / f"{side}{number}", end, signer, verified=side == "verified"))
            if runs[side][-1].pop("records") != records:
                raise SystemExit(f"{side} lost or doubled records.")
    return runs


def _import(home: Path, signer: Signer) -> None:
    """Bring in what verification imports, which is no part of the time, as it is none of the other side's."""
    from dynatrail.settings import settings
    from dynatrail.sources.cloudtrail import proof

    os.environ["DYNATRAIL_HOME"] = str(home)
    _vouch(signer)
    proof.before(settings(), START, START + HOUR, run_id="benchmark")


def _take(home: Path, end: datetime, signer: Signer, *, verified: bool) -> dict[str, float]:
    """What the DAG's tasks call, in their order."""
    from dynatrail.settings import settings
    from dynatrail.sources.cloudtrail import extract, proof
    from dynatrail.warehouse.store import Warehouse

    os.environ["DYNATRAIL_HOME"] = str(home)
    _vouch(signer)
    batches = extract.discover(settings(), START, end, retake=False, run_id="benchmark")
    began, cpu = time.perf_counter(), time.process_time()
    if verified:
        proof.before(settings(), START, end, run_id="benchmark")
    seconds = time.perf_counter() - began
    taken = _run("extract", list(batches))
    began = time.perf_counter()
    if verified:
        proof.after(settings(), START, end, run_id="benchmark")
    seconds += time.perf_counter() - began + taken["seconds"]
    cpu = time.process_time() - cpu + taken["cpu_us_per_record"] * taken["records"] / 1e6
    rows = Warehouse.from_settings(settings()).dataset("log_file").to_table(["status"]) if verified else None
    told = rows["status"].to_pylist() if rows else []
    share = told.count("attested") / len(told) if told else 0.0
    return {"seconds": seconds, "cpu": cpu, "records": taken["records"], "attested": share}


def _vouch(signer: Signer) -> None:
    """Let the warehouse know the key, as it does after the first look with AWS at hand."""
    import pyarrow as pa

    from dynatrail.settings import settings
    from dynatrail.warehouse.schema import TRAIL_DIGEST
    from dynatrail.warehouse.store import Warehouse

    before = START - timedelta(days=30)
    for region in ("us-east-1", "eu-west-1"):
        row = {
            "digest_end_time": before,
            "digest_start_time": before - HOUR,
            "event_hour": before,
            "event_date": before.date(),
            "account_id": ACCOUNT,
            "region": region,
            "trail_name": "earlier",
            "home_region": region,
            "chain": "standard",
            "digest_uri": f"s3://{BUCKET}/earlier-{region}",
            "public_key_fingerprint": signer.fingerprint,
            "public_key": signer.public_key,
            "status": "valid",
        }
        Warehouse.from_settings(settings()).replace(
            "trail_digest",
            pa.Table.from_pylist([row], TRAIL_DIGEST.schema),
            hours=[before],
            where={"account_id": ACCOUNT, "region": region},
        )


def _write_digests(trail: Path, files: list[Path], signer: Signer) -> datetime:
    """The hourly digests of these files, of one trail; the end of the newest."""
    delivered: dict[str, list[tuple[datetime, Path]]] = defaultdict(list)
    for path in files:
        name = _NAME.search(path.name)
        assert name
        delivered[name["region"]].append((datetime.strptime(name["time"], "%Y%m%dT%H%M").replace(tzinfo=UTC), path))
    end = max(at for own in delivered.values() for at, _ in own) + HOUR
    for region, own in delivered.items():
        chain = Chain(START, START + HOUR)
        for at, path in own:
            sha256 = hashlib.sha256(deflate.gzip_decompress(path.read_bytes(), 1 << 26)).hexdigest()
            stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
            chain.files.append(LogFile(BUCKET, path.relative_to(trail).as_posix(), sha256, stamp, stamp, at))
        while chain.end <= end + HOUR:
            folder = f"AWSLogs/{ACCOUNT}/CloudTrail-Digest/{region}/{chain.end:%Y/%m/%d}"
            name = f"{ACCOUNT}_CloudTrail-Digest_{region}_main_us-east-1_{chain.end:%Y%m%dT%H%M%SZ}.json.gz"
            digest = next_digest(chain, bucket=BUCKET, key=f"{folder}/{name}", account_id=ACCOUNT, signer=signer)
            (trail / folder).mkdir(parents=True, exist_ok=True)
            (trail / digest.key).write_bytes(deflate.gzip_compress(digest.body, 6))
    return end
