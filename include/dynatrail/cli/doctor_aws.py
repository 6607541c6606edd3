"""The part of `doctor` that asks AWS: connections, trails, and every account-region with the calls that sources need.

Connections and roles come first; what cannot be reached is not asked further. Accounts are asked beside each other, and
told in the configuration's order: a line for each, then what is refused or missing in them, what mends alike together.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from dynatrail import clock, config
from dynatrail.cli import doctor_account
from dynatrail.cli.findings import Finding, guarded
from dynatrail.config import Account, Config, Trail
from dynatrail.errors import DynatrailError
from dynatrail.settings import Settings
from dynatrail.sources import targets
from dynatrail.sources.aws import client, explain
from dynatrail.sources.cloudtrail.trails import Source

_AT_ONCE = 8


def findings(chosen: Settings, watched: Config) -> Iterator[Finding]:
    """Everything in AWS that a run needs, as far as it can be reached."""
    if not watched.trails:
        yield Finding(
            "trail",
            "no bucket is named",
            "Set DYNATRAIL_TRAIL_BUCKET (and DYNATRAIL_TRAIL_PREFIX), or trails in the configuration file; `make run` "
            "has an account of its own.",
            ok=False,
        )
        if not watched.accounts:
            return
    broken: set[str] = set()
    for connection in _connections(chosen, watched):
        found = list(guarded("AWS connection", lambda name=connection: _identity(name)))  # type: ignore[misc]
        yield from found
        if not found[0].ok:
            broken.add(connection)
    for trail in watched.trails:
        if trail.is_copy or _connection(trail, chosen) not in broken:
            yield from _trail(trail, chosen)
    yield from _accounts(chosen, watched, broken)


def _connection(part: Trail | Account, chosen: Settings) -> str:
    return part.connection or chosen.aws_conn_id


def _connections(chosen: Settings, watched: Config) -> Sequence[str]:
    """Every connection that something is read through, in the configuration's order."""
    used: list[Trail | Account] = [trail for trail in watched.trails if not trail.is_copy]
    return list(dict.fromkeys(_connection(part, chosen) for part in [*used, *watched.accounts]))


def _identity(connection: str) -> Finding:
    try:
        who = client("sts", connection).get_caller_identity()
    except (ClientError, BotoCoreError) as error:
        raise explain(error, f"ask who the connection {connection!r} is") from error
    return Finding("AWS connection", f"{connection}: {who['Arn']}")


def _trail(trail: Trail, chosen: Settings) -> Iterator[Finding]:
    yield from guarded("trail bucket", lambda: _bucket(Source(trail, chosen)))
    if not trail.is_copy:
        yield from guarded("trail", lambda: _logging(trail, chosen))


def _bucket(source: Source) -> Finding:
    bucket, folders = source.bucket, source.folders()
    since = clock.now() - 2 * clock.DAY
    lately = [f for f in folders if any(True for p, a in f.listings(since, clock.now()) for _ in bucket.objects(p, a))]
    accounts = sorted({folder.account_id for folder in folders})
    text = f"{source.address}: {len(accounts)} accounts, {len(folders)} account-regions"
    if not lately:
        return Finding("trail bucket", text, "No log file in the last two days: is the trail logging? (GetTrailStatus)")
    return Finding("trail bucket", text)


def _logging(trail: Trail, chosen: Settings) -> Finding:
    connection = _connection(trail, chosen)
    try:
        described = client("cloudtrail", connection).describe_trails()["trailList"]
        found = next((one for one in described if one.get("S3BucketName") == trail.bucket), None)
        if found is None:
            return Finding(
                "trail",
                f"no trail of the connection's account delivers to {trail.bucket}",
                "Fine for a central bucket of an organization.",
            )
        # A trail's settings are told in its home region only.
        home = client("cloudtrail", connection, found.get("HomeRegion"))
        status = home.get_trail_status(Name=found["TrailARN"])
        selectors = home.get_event_selectors(TrailName=found["TrailARN"])
    except (ClientError, BotoCoreError) as error:
        raise explain(error, "look at the trail") from error
    return Finding("trail", found["TrailARN"], " ".join(_problems(found, status, selectors)))


def _problems(trail: Any, status: Any, selectors: Any) -> Iterator[str]:
    if not status["IsLogging"]:
        yield "It is not logging: `aws cloudtrail start-logging`."
    if not trail.get("LogFileValidationEnabled"):
        yield "Log file validation is off, so nothing can be proven: `update-trail --enable-log-file-validation`."
    if "AWS::DynamoDB::Table" not in str(selectors):
        yield "It has no data events of DynamoDB: add a selector for AWS::DynamoDB::Table, without a filter."


def _accounts(chosen: Settings, watched: Config, broken: set[str]) -> Iterator[Finding]:
    if not watched.accounts and all(trail.is_copy for trail in watched.trails):
        return  # only copies are read
    if not watched.accounts and broken:
        return
    try:
        # What leads into another account is told of that account, beside the others.
        named = config.targets(watched) or targets.of(chosen)
    except DynatrailError as error:
        yield Finding("accounts", "cannot be told", str(error), ok=False)
        return
    regions: dict[str, list[Any]] = {}
    for target in named:
        if _connection(target.account, chosen) not in broken:
            regions.setdefault(target.account_id, []).append(target)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="account") as pool:
        looked = list(pool.map(lambda places: doctor_account.findings(chosen, watched, places), regions.values()))
    yield from (found[0] for found in looked)
    alike: dict[str, list[Finding]] = {}
    for found in looked:
        for one in found[1:]:
            alike.setdefault(one.advice, []).append(one)
    for group in alike.values():
        yield from group
