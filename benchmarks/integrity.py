"""What verification sees, beside `aws cloudtrail validate-logs`; how often it is wrong; and what it costs.

    python benchmarks/integrity.py

Four parts. Tampering: for each way a bucket of its own in the sandbox's S3, with two days of files and digests signed
as CloudTrail signs them; the stock aws-cli and Dynatrail's verify-logs look at the same bucket, neither of them having
seen it before. Where digests are gone these are what is to be named: of log files that went with them, a first look
cannot know. Clean histories: late, doubled, paused and redelivered, in memory; every finding but the pauses is a
false alarm. Time: the same generated files are taken with and without verification, in turn. A year: its hourly
digests of one region, from local storage.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from datetime import timedelta
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import ingest_verified
from tests.integrity import histories, looking
from tests.integrity.histories import ACCOUNT, History, Shape

from dynatrail.sandbox import Sandbox, tampering
from dynatrail.sandbox.digests import Signer
from dynatrail.sandbox.objects import S3Objects
from dynatrail.sandbox.tampering import Tampered

PROJECT = Path(__file__).resolve().parents[1]
REGION = "us-east-1"
AWS = PROJECT / ".venv-awscli" / "bin" / "aws"
NOTHING, MOVED = "nothing", "move the folder"
_INVALID = re.compile(r"^(?P<kind>Digest|Log) file\s+(?P<uri>s3://\S+)\s+INVALID: (?P<why>.*)$", re.MULTILINE)


def tamper_table(home: Path, ways: list[str]) -> list[tuple[str, str, str, str]]:
    """Way, what was done, what Dynatrail says, what aws-cli says; a bucket each."""
    with Sandbox(home / "sandbox") as sandbox:
        sandbox.clock.set(histories.FIRST)  # CloudTrail's keys are of that time
        return [_row(sandbox, home, number, way) for number, way in enumerate(ways)]


def _row(sandbox: Sandbox, home: Path, number: int, way: str) -> tuple[str, str, str, str]:
    root = sandbox.root(ACCOUNT, REGION)
    s3, name = sandbox.client("s3", root), f"example-trail-{number:02}"
    s3.create_bucket(Bucket=name)
    signer = Signer(sandbox.folder / "digest-key.pem")
    history = histories.make(number, Shape(hours=50, quiet=0.2), bucket=name, signer=signer)
    done, prefix = Tampered(), ""
    if way == MOVED:
        prefix = "moved"
        moved = tampering.move_folder(history.bucket, prefix)
        done = Tampered(digests=tuple(sorted(key for key in moved.values() if "/CloudTrail-Digest/" in key)))
    elif way != NOTHING:
        done = tampering.WAYS[way](history.bucket, next(iter(tampering.chains(history.bucket))), Random(number))
    objects = S3Objects(name, s3)
    for key, thing in history.bucket.things.items():
        objects.put(key, thing)
    keys = sandbox.client("cloudtrail", root).list_public_keys()["PublicKeyList"]
    said = _dynatrail(sandbox, home, history, prefix, keys)
    return way, _counted(done.digests, done.log_files), _judged(done, said), _aws(sandbox, history, prefix, done)


def _dynatrail(sandbox: Sandbox, home: Path, history: History, prefix: str, keys: list[Any]) -> list[dict[str, Any]]:
    """What verify-logs finds, as it looks with AWS's list of keys and nothing else."""
    from dynatrail.cli import verify_logs
    from dynatrail.config import Trail
    from dynatrail.integrity.keys import Keys
    from dynatrail.settings import settings
    from dynatrail.sources.aws import forget
    from dynatrail.sources.cloudtrail.trails import Source

    root = sandbox.root(ACCOUNT, REGION)
    extra = {"endpoint_url": sandbox.endpoint_url, "region_name": REGION}
    connection = {"conn_type": "aws", "login": root.access_key_id, "password": root.secret_access_key, "extra": extra}
    os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps(connection)
    os.environ["DYNATRAIL_HOME"] = str(home / "dynatrail")
    forget()
    source = Source(Trail(bucket=history.bucket.name, prefix=prefix), settings())
    start = history.start - timedelta(hours=1)
    with redirect_stdout(StringIO()):  # Airflow logs there
        report = verify_logs.verified(settings(), [source], start, history.until, keys=Keys.of_aws(keys), offline=True)
    return report.problems


def _judged(done: Tampered, problems: list[dict[str, Any]]) -> str:
    """The rules, and whether what was struck is named, all of it and nothing else."""
    if not problems:
        return "not seen" if done.digests or done.log_files else "nothing found"
    rules = sorted({one["rule"].partition(".")[2] for one in problems})
    named = {name.split("/", 3)[3] for one in problems for name in one["names"]}
    digests = {name for name in named if "/CloudTrail-Digest/" in name}
    of_logs = all(rule.startswith("log_file_") for rule in rules)
    struck = set(done.log_files) if of_logs else set(done.digests)
    shown = named - digests if of_logs else digests
    exact = "all named" if struck <= shown else f"{len(struck & shown)} of {len(struck)} named"
    more = len(shown - struck) - (0 if of_logs else len(problems))  # each names the digest that shows it, too
    return f"{', '.join(rules)}: {exact}" + (f", {more} others" if more > 0 else "")


def _aws(sandbox: Sandbox, history: History, prefix: str, done: Tampered) -> str:
    root, trail = sandbox.root(ACCOUNT, REGION), history.trails[0]
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": sandbox.endpoint_url,
        "AWS_ACCESS_KEY_ID": root.access_key_id,
        "AWS_SECRET_ACCESS_KEY": root.secret_access_key,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    command = [str(AWS), "cloudtrail", "validate-logs", "--trail-arn", trail.arn, "--region", REGION]
    command += ["--start-time", history.start.isoformat(), "--end-time", history.until.isoformat()]
    command += ["--s3-bucket", history.bucket.name, "--endpoint-url", sandbox.endpoint_url]
    command += ["--s3-prefix", prefix] if prefix else []
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    found = list(_INVALID.finditer(ran.stdout + ran.stderr))
    if ran.returncode not in (0, 1) or "Results requested" not in ran.stdout:
        return f"failed: {(ran.stderr or ran.stdout).strip()[:60]}"
    if not found:
        return "not seen" if done.digests or done.log_files else "nothing found"
    struck = {f"s3://{history.bucket.name}/{key}" for key in done.digests or done.log_files}
    named = {one["uri"] for one in found} & struck
    exact = "all named" if named == struck else f"{len(named)} of {len(struck)} named"
    whys = sorted({f"{one['kind'].lower()} {re.sub(r' in region .*', '', one['why'])}" for one in found})
    return f"{'; '.join(whys)}: {exact}"


def _counted(digests: tuple[str, ...], log_files: tuple[str, ...]) -> str:
    parts = [f"{len(log_files)} log{'s' * (len(log_files) > 1)}"] if log_files else []
    parts += [f"{len(digests)} digest{'s' * (len(digests) > 1)}"] if digests else []
    return ", ".join(parts) or "-"


def clean_history(seed: int) -> tuple[int, int, list[str]]:
    """Digests, log files and false alarms of one history, looked at with and without AWS at hand."""
    history = histories.clean(seed)
    alarms = []
    for online in (True, False):
        seen = looking.look(history, online=online)
        alarms += [f"seed {seed}: {one.title}" for one in seen.findings if one.rule_id != "integrity.validation_off"]
    keys = history.bucket.listing()
    digests = sum("/CloudTrail-Digest/" in key for key in keys)
    return digests, len(keys) - digests, alarms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a little of each part, to see that it works")
    asked = parser.parse_args()
    ways = [NOTHING, *tampering.WAYS, MOVED]
    days = 365
    if asked.quick:
        ways, days = [NOTHING, "add a forged log", "delete six digests"], 10
        asked.histories, asked.records, asked.repeats = 5, 4_000, 1
    version = subprocess.run([AWS, "--version"], capture_output=True, text=True, check=True).stdout.split()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {version}")
    with tempfile.TemporaryDirectory(prefix="dynatrail-bench-") as folder:
        print("\nTampering with a bucket of two days; both look at it for the first time")
        rows = tamper_table(Path(folder), ways)
        heads = ("what was done", "to", "dynatrail verify-logs", "aws cloudtrail validate-logs")
        widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(3)]
        for row in (heads, *rows):
            print("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, [*widths, 0], strict=True)).rstrip())
    with ProcessPoolExecutor(2) as pool:
        told = list(pool.map(clean_history, range(asked.histories), chunksize=5))
    digests, files, alarms = (
        sum(one[0] for one in told),
        sum(one[1] for one in told),
        [a for one in told for a in one[2]],
    )
    print(
        f"\nClean histories: {len(told)} with {digests:,} digests and {files:,} log files: {len(alarms)} false alarms"
    )
    for alarm in alarms[:20]:
        print(f"  {alarm}")
    with tempfile.TemporaryDirectory(prefix="dynatrail-bench-") as folder, redirect_stdout(StringIO()):
        runs = ingest_verified.measure(Path(folder), asked.records, asked.repeats)
    _time(runs, asked.records)
    print("\nA year of digests" if days == 365 else f"\n{days} days of digests", flush=True)  # noqa: PLR2004
    subprocess.run([sys.executable, str(PROJECT / "benchmarks/digest_year.py"), "--days", str(days)], check=True)
    if alarms:
        sys.exit(1)


def _time(runs: dict[str, list[dict[str, float]]], records: int) -> None:
    attested = min(run["attested"] for run in runs["verified"])
    print(f"\nTaking {records:,} records, medians of {len(runs['plain'])} runs in turn, two processes")
    for what, unit in (("seconds", "s"), ("cpu", "s of CPU")):
        plain, verified = (statistics.median(run[what] for run in runs[side]) for side in ("plain", "verified"))
        print(
            f"  without {plain:6.2f} {unit}, with {verified:6.2f} {unit}: verification adds {verified / plain - 1:.2f}"
        )
    print(f"  {attested:.0%} of the files are attested")


if __name__ == "__main__":
    _began = time.perf_counter()
    main()
    print(f"\n{time.perf_counter() - _began:.0f} s in all")
