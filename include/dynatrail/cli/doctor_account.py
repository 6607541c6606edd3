"""The part of `doctor` that looks at one account: who we are there, its tables, and what is refused or switched off."""

from collections.abc import Iterator, Sequence

from botocore.exceptions import BotoCoreError, ClientError

from dynatrail.cli import probes
from dynatrail.cli.findings import Finding
from dynatrail.config import Config, Target
from dynatrail.errors import DynatrailError
from dynatrail.settings import Settings
from dynatrail.sources import tables
from dynatrail.sources.aws import client_for, explain

_NAMED = 6
_MOST_TABLES = 100
"""Tables of a region whose backups are looked at: DescribeContinuousBackups allows ten calls a second."""


def findings(chosen: Settings, watched: Config, targets: Sequence[Target]) -> list[Finding]:
    """What is found in an account, `targets` being its regions: a line for it, then one for each kind of problem."""
    account = targets[0].account
    what = f"account {account.id}"
    title = f"{account.name}, " if account.name else ""
    try:
        arn = _identity(chosen, targets[0])
        if arn.split(":")[4] != account.id:
            return [
                Finding(
                    what,
                    f"{title}but its access leads to {arn}",
                    "Name a role of this account (role_arn), or a connection into it: nothing would be read of it.",
                    ok=False,
                )
            ]
        places = [probes.Place(target, tables.of(chosen, target)) for target in targets]
    except DynatrailError as error:
        attempt, _, advice = str(error).partition(": ")  # the advice alone is the same for many accounts
        return [Finding(what, f"{title}{attempt[:1].lower()}{attempt[1:]}", advice or str(error), ok=False)]
    counts = ", ".join(f"{place.target.region} {len(place.tables)} tables" for place in places)
    return [
        Finding(what, f"{title}{counts}, as {arn}"),
        *_refused(chosen, places, what),
        *_without_stream(places, what),
        *_without_recovery(chosen, watched, places, what),
    ]


def _identity(chosen: Settings, target: Target) -> str:
    try:
        arn: str = client_for("sts", target, chosen).get_caller_identity()["Arn"]
    except (ClientError, BotoCoreError) as error:
        raise explain(error, f"ask who we are in {target.account_id}") from error
    return arn


def _refused(chosen: Settings, places: Sequence[probes.Place], what: str) -> Iterator[Finding]:
    """A note for each need that is not met: the actions refused and where, told together when they mend together."""
    where: dict[str, list[str]] = {}
    for number, place in enumerate(places):
        for probe in probes.PROBES:
            if probe.once and number:
                continue
            client = client_for(probe.service, place.target, chosen)
            if action := probes.refused(probe, client, place):
                where.setdefault(action, []).append("" if probe.once else place.target.region)
    mended: dict[tuple[str, str], list[str]] = {}
    for action, regions in where.items():
        mended.setdefault((probes.needed_by(action), ", ".join(filter(None, regions))), []).append(action)
    for (advice, named), actions in mended.items():
        yield Finding(what, f"may not {', '.join(actions)}{f' in {named}' if named else ''}", advice)


def _without_stream(places: Sequence[probes.Place], what: str) -> Iterator[Finding]:
    read = [(place, table) for place in places for table in place.tables if table.note.changes_from == "stream"]
    if none := [f"{table.name} ({place.target.region})" for place, table in read if not table.stream_enabled]:
        yield Finding(
            what,
            f"no stream: {_some(none)}",
            "Their item changes are not seen. Switch on a stream with NEW_AND_OLD_IMAGES, or say changes_from: none "
            "(or kinesis) in a note on them.",
        )
    partly = [
        f"{table.name} ({place.target.region}, {table.stream_view_type})"
        for place, table in read
        if table.stream_enabled and table.stream_view_type != "NEW_AND_OLD_IMAGES"
    ]
    if partly:
        yield Finding(
            what,
            f"stream without both images: {_some(partly)}",
            "What changed in an item is not fully seen. A stream's view type cannot be changed: disable it and enable "
            "one with NEW_AND_OLD_IMAGES.",
        )


def _without_recovery(
    chosen: Settings, watched: Config, places: Sequence[probes.Place], what: str
) -> Iterator[Finding]:
    off = []
    for place in places:
        dynamodb = client_for("dynamodb", place.target, chosen)
        for table in place.tables[:_MOST_TABLES]:
            if table.note.changes_from == "none":
                continue
            try:
                answer = dynamodb.describe_continuous_backups(TableName=table.name)
            except (ClientError, BotoCoreError):
                continue  # refused, which is told already, or gone meanwhile
            recovery = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
            if recovery.get("PointInTimeRecoveryStatus") != "ENABLED":
                off.append(f"{table.name} ({place.target.region})")
    if off:
        yield Finding(
            what,
            f"no point-in-time recovery: {_some(off)}",
            "repair_changes cannot fill a gap in their changes from an export. Switch it on: `aws dynamodb "
            "update-continuous-backups --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true`.",
        )
    elif watched.accounts and not watched.exports.bucket and any(place.tables for place in places):
        yield Finding(
            what,
            "no bucket for exports",
            "repair_changes cannot fill a gap in item changes. Name exports.bucket in the configuration file.",
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
