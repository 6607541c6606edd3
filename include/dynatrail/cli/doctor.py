"""`doctor`: look at everything a run needs, and say what to do about each problem."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dynatrail import clock
from dynatrail.cli.summary import console
from dynatrail.cli.text import escaped
from dynatrail.errors import DynatrailError
from dynatrail.settings import Settings, settings

_LEAST_FREE_GB = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `advice` is empty when nothing is to be done."""

    what: str
    state: str
    advice: str = ""
    ok: bool = True


def run() -> int:
    """Print every finding; returns 1 if a run would fail, else 0."""
    out = console()
    failed = False
    for finding in findings():
        sign = (
            "[green]ok  [/]"
            if finding.ok and not finding.advice
            else "[yellow]note[/]"
            if finding.ok
            else "[red]FAIL[/]"
        )
        out.print(f"{sign} {escaped(finding.what):<22} {escaped(finding.state)}", highlight=False, soft_wrap=True)
        if finding.advice:
            out.print(f"       → {escaped(finding.advice)}", highlight=False, soft_wrap=True)
        failed = failed or not finding.ok
    out.print("[red]Something would fail.[/]" if failed else "[green]A run should work.[/]")
    return int(failed)


def findings() -> Iterator[Finding]:
    """Look, one thing after the other; what cannot be looked at because of an earlier fault is left out."""
    try:
        chosen = settings()
    except DynatrailError as error:
        yield Finding("settings", "do not parse", str(error), ok=False)
        return
    yield _home(chosen)
    yield from _guarded("masking key", lambda: _key(chosen))
    yield from _guarded("state database", _state)
    yield from _guarded("warehouse", lambda: _warehouse(chosen))
    yield _packages()
    if not chosen.trail_bucket:
        yield Finding(
            "trail",
            "no bucket is named",
            "Set DYNATRAIL_TRAIL_BUCKET (and DYNATRAIL_TRAIL_PREFIX); `make run` has an account of its own.",
            ok=False,
        )
        return
    if not chosen.trail_bucket.startswith("file://"):
        found = list(_guarded("AWS connection", lambda: _identity(chosen)))
        yield from found
        if not found[0].ok:
            return
    yield from _guarded("trail bucket", lambda: _bucket(chosen))
    if not chosen.trail_bucket.startswith("file://"):
        yield from _guarded("trail", lambda: _trail(chosen))


def _guarded(what: str, look: Callable[[], Finding]) -> Iterator[Finding]:
    try:
        yield look()
    except DynatrailError as error:
        yield Finding(what, "fails", str(error), ok=False)
    except OSError as error:
        yield Finding(what, "fails", f"{error.strerror}: {error.filename}. Is it a file or folder of yours?", ok=False)


def _home(chosen: Settings) -> Finding:
    home = chosen.home
    existing = next(path for path in (home, *home.absolute().parents) if path.exists())
    if not existing.is_dir():
        return Finding("home", str(home), f"{existing} is no folder. Set DYNATRAIL_HOME to one.", ok=False)
    if not os.access(existing, os.W_OK):
        return Finding(
            "home", str(home), f"{existing} cannot be written. Set DYNATRAIL_HOME to a folder of yours.", ok=False
        )
    free = shutil.disk_usage(existing).free >> 30
    advice = "" if free >= _LEAST_FREE_GB else "Free some space, or set DYNATRAIL_HOME to a larger disk."
    return Finding("home", f"{home}, {free} GB free", advice)


def _key(chosen: Settings) -> Finding:
    from dynatrail.privacy.tokens import Tokenizer, load_key

    Tokenizer(load_key(chosen))
    where = f"Airflow Variable {chosen.token_key}" if chosen.token_key else str(chosen.home / "token.key")
    advice = "" if chosen.token_key else "Back it up: without it old and new tokens cannot be joined."
    return Finding("masking key", where, advice)


def _state() -> Finding:
    from sqlalchemy import func, select

    from dynatrail.state.database import session
    from dynatrail.state.models import SourceObject

    with session() as opened:
        query = select(SourceObject.status, func.count()).group_by(SourceObject.status)
        counts = {status: count for status, count in opened.execute(query)}  # noqa: C416  rows are no plain tuples
    failed = counts.get("failed", 0)
    text = ", ".join(f"{count:,} objects {status}" for status, count in sorted(counts.items())) or "empty"
    return Finding("state database", text, "The next run reads the failed objects again." if failed else "")


def _warehouse(chosen: Settings) -> Finding:
    from dynatrail.warehouse.store import Warehouse

    versions = Warehouse.from_settings(chosen).versions()
    tables = ", ".join(f"{name} v{version}" for name, version in sorted(versions.items())) or "empty"
    return Finding("warehouse", f"{chosen.warehouse_root}: {tables}")


def _packages() -> Finding:
    names = ("airflow", "deltalake", "duckdb", "great_expectations", "boto3")
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        return Finding("packages", f"missing: {', '.join(missing)}", "Run `make setup`.", ok=False)
    from importlib.metadata import version

    shown = {"airflow": "apache-airflow", "great_expectations": "great-expectations"}
    return Finding("packages", ", ".join(f"{name} {version(shown.get(name, name))}" for name in names))


def _identity(chosen: Settings) -> Finding:
    from botocore.exceptions import BotoCoreError, ClientError

    from dynatrail.sources.aws import client, explain

    try:
        who = client("sts", chosen.aws_conn_id).get_caller_identity()
    except (ClientError, BotoCoreError) as error:
        raise explain(error, f"ask who the connection {chosen.aws_conn_id!r} is") from error
    return Finding("AWS connection", f"{chosen.aws_conn_id}: {who['Arn']}")


def _bucket(chosen: Settings) -> Finding:
    from dynatrail.sources.cloudtrail import extract
    from dynatrail.sources.cloudtrail.bucket import open_bucket

    bucket = open_bucket(chosen)
    folders = extract.folders(bucket, chosen)
    since = clock.now() - 2 * clock.DAY
    lately = [f for f in folders if any(True for p, a in f.listings(since, clock.now()) for _ in bucket.objects(p, a))]
    accounts = sorted({folder.account_id for folder in folders})
    text = f"{bucket.root}: {len(accounts)} accounts, {len(folders)} account-regions"
    if not lately:
        return Finding("trail bucket", text, "No log file in the last two days: is the trail logging? (GetTrailStatus)")
    return Finding("trail bucket", text)


def _trail(chosen: Settings) -> Finding:
    from botocore.exceptions import BotoCoreError, ClientError

    from dynatrail.sources.aws import client, explain

    cloudtrail = client("cloudtrail", chosen.aws_conn_id)
    try:
        bucket = chosen.trail_bucket.removeprefix("s3://").strip("/")
        trails = [t for t in cloudtrail.describe_trails()["trailList"] if t.get("S3BucketName") == bucket]
        if not trails:
            return Finding(
                "trail",
                "no trail of this account delivers to the bucket",
                "Fine for a central bucket of an organization.",
            )
        trail = trails[0]
        status = cloudtrail.get_trail_status(Name=trail["TrailARN"])
        selectors = cloudtrail.get_event_selectors(TrailName=trail["TrailARN"])
    except (ClientError, BotoCoreError) as error:
        raise explain(error, "look at the trail") from error
    problems = []
    if not status["IsLogging"]:
        problems.append("It is not logging: `aws cloudtrail start-logging`.")
    if not trail.get("LogFileValidationEnabled"):
        problems.append(
            "Log file validation is off, so nothing can be proven: `update-trail --enable-log-file-validation`."
        )
    if "AWS::DynamoDB::Table" not in str(selectors):
        problems.append("It has no data events of DynamoDB: add a selector for AWS::DynamoDB::Table, without a filter.")
    return Finding("trail", trail["TrailARN"], " ".join(problems))
