"""What outlives a stop, an interruption and a kill, and what the stock AWS tools say of the bucket."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dynatrail.sandbox import Delivery, Played, Sandbox
from dynatrail.settings import PROJECT

pytestmark = pytest.mark.slow

END = datetime(2026, 11, 23, tzinfo=UTC)


def listing(sandbox: Sandbox, played: Played) -> dict[str, str]:
    s3 = sandbox.client("s3", sandbox.auditor)
    prefix = f"{played.trail_prefix}/AWSLogs/".lstrip("/")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=played.trail_bucket, Prefix=prefix)
    return {found["Key"]: found["ETag"] for page in pages for found in page["Contents"]}


def logs(found: dict[str, str]) -> dict[str, str]:
    """Log files only: digests are signed with a key of each folder's own."""
    return {key: tag for key, tag in found.items() if "/CloudTrail/" in key}


def validate(sandbox: Sandbox, played: Played, account: str, region: str) -> str:
    root = sandbox.root("123456789012")
    start, end = (instant.isoformat() for instant in played.window)
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": sandbox.endpoint_url,
        "AWS_ACCESS_KEY_ID": root.access_key_id,
        "AWS_SECRET_ACCESS_KEY": root.secret_access_key,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    command = [PROJECT / ".venv-awscli" / "bin" / "aws", "cloudtrail", "validate-logs", "--trail-arn", played.trail_arn]
    command += ["--start-time", start, "--end-time", end, "--account-id", account, "--region", region]
    command += ["--endpoint-url", sandbox.endpoint_url]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_a_stopped_sandbox_starts_again_as_the_same_account(sandbox_folder: Path):
    with Sandbox(sandbox_folder) as sandbox:
        played = sandbox.play("tiny", end=END)
        before, auditor = listing(sandbox, played), sandbox.auditor
        stopped_at = sandbox.clock.now()
    with Sandbox(sandbox_folder) as sandbox:
        assert sandbox.play("tiny", end=END) == played
        assert sandbox.auditor == auditor
        assert listing(sandbox, played) == before
        assert sandbox.clock.now() > stopped_at
        client = sandbox.client("cloudtrail", auditor)
        assert client.lookup_events(MaxResults=10)["Events"]
        assert client.get_trail_status(Name=played.trail_arn)["LatestDigestDeliveryTime"] <= END


def test_validate_logs_accepts_everything_and_then_sees_one_changed_object(sandbox_folder: Path):
    with Sandbox(sandbox_folder) as sandbox:
        played = sandbox.play("tiny", end=END, delivery=Delivery(duplicates=0.1, corrections=0.1, out_of_order=0.3))
        for account, region in (
            ("123456789012", "us-east-1"),
            ("123456789012", "eu-west-1"),
            ("210987654321", "us-east-1"),
        ):
            said = validate(sandbox, played, account, region)
            counted = re.findall(r"(\d+)/(\d+) (digest|log) files valid$", said, re.MULTILINE)
            assert [kind for _, _, kind in counted] == ["digest", "log"], said
            assert all(valid == total for valid, total, _ in counted), said
            assert "INVALID" not in said
        s3 = sandbox.client("s3", sandbox.root("123456789012"))
        key = next(key for key in listing(sandbox, played) if "/123456789012/CloudTrail/us-east-1/" in key)
        body = gzip.decompress(s3.get_object(Bucket=played.trail_bucket, Key=key)["Body"].read())
        forged = gzip.compress(body.replace(b"192.0.2.", b"198.51.100."))
        s3.put_object(Bucket=played.trail_bucket, Key=key, Body=forged)
        said = validate(sandbox, played, "123456789012", "us-east-1")
        assert "INVALID: hash value doesn't match" in said


def test_the_same_seed_plays_the_same_records_and_another_does_not(tmp_path: Path):
    found = []
    for name, seed in (("one", 7), ("two", 7), ("three", 8)):
        with Sandbox(tmp_path / name) as sandbox:
            found.append(logs(listing(sandbox, sandbox.play("tiny", end=END, seed=seed))))
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_an_interrupted_play_is_played_again_from_the_start(tmp_path: Path):
    class EnoughError(Exception):
        pass

    def interrupt(_done: int, _total: int, _text: str) -> None:
        raise EnoughError

    folder = tmp_path / "interrupted"
    with pytest.raises(EnoughError), Sandbox(folder) as sandbox:
        sandbox.play("tiny", end=END, on_progress=interrupt)
    with Sandbox(folder) as sandbox:
        assert sandbox.played is None
        again = logs(listing(sandbox, sandbox.play("tiny", end=END)))
    with Sandbox(tmp_path / "whole") as sandbox:
        assert again == logs(listing(sandbox, sandbox.play("tiny", end=END)))


_CHILD = """
import sys, time
from datetime import datetime, UTC
from pathlib import Path
from dynatrail.sandbox import Sandbox
with Sandbox(Path(sys.argv[1])) as sandbox:
    sandbox.play("tiny", end=datetime(2026, 11, 23, tzinfo=UTC))
    print(sandbox._backend._process.pid, flush=True)
    time.sleep(120)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ministack_ends_with_the_sandbox_and_the_account_survives(sandbox_folder: Path, number: signal.Signals):
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(sandbox_folder)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    ministack = int(child.stdout.readline())
    child.send_signal(number)
    child.wait(30)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{ministack}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{ministack}").exists()
    with Sandbox(sandbox_folder) as sandbox:
        played = sandbox.played
        assert played is not None
        assert listing(sandbox, played)
        assert (
            sandbox.client("dynamodb", sandbox.auditor).describe_table(TableName="Patients")["Table"]["ItemCount"] > 0
        )


def test_the_single_account_layout_has_a_trail_of_each_account_below_the_prefix(sandbox_folder: Path):
    with Sandbox(sandbox_folder) as sandbox:
        played = sandbox.play("tiny", end=END, delivery=Delivery.regular(organization=False, prefix="audit"))
        keys = listing(sandbox, played)
        assert played.organization_id == ""
        assert len(played.trail_arns) == 2
        assert {"/".join(key.split("/")[:3]) for key in keys} == {
            "audit/AWSLogs/123456789012",
            "audit/AWSLogs/210987654321",
        }
        assert "INVALID" not in validate(sandbox, played, "123456789012", "us-east-1")


def test_people_keep_working_at_real_time_until_they_are_stopped(sandbox_folder: Path):
    with Sandbox(sandbox_folder) as sandbox:
        played = sandbox.play("tiny", end=END)
        before = set(listing(sandbox, played))
        stop = threading.Event()
        worker = threading.Thread(target=sandbox.keep_busy, args=(stop, 40), kwargs={"every_s": 1})
        worker.start()
        time.sleep(4)
        stop.set()
        worker.join(20)
        sandbox.deliver(sandbox.clock.now())
        new = {key for key in set(listing(sandbox, played)) - before if "/CloudTrail/" in key}
        s3 = sandbox.client("s3", sandbox.auditor)
        records = [
            record
            for key in new
            for record in json.loads(
                gzip.decompress(s3.get_object(Bucket=played.trail_bucket, Key=key)["Body"].read())
            )["Records"]
        ]
        people = {r["eventName"] for r in records if r["eventCategory"] == "Data"}
        assert "GetItem" in people
        assert len(records) > 20
