"""Where a table's exports are asked for and where they go."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from dynatrail import config
from dynatrail.config import Target
from dynatrail.errors import SettingsError
from dynatrail.settings import Settings
from dynatrail.sources import targets
from dynatrail.sources.aws import client_for, explain


@dataclass(frozen=True, slots=True)
class Place:
    """A table and how to ask for its exports."""

    table_arn: str
    dynamodb: Any
    bucket: str
    prefix: str


def named(settings: Settings, table: str, account_id: str | None, region: str | None) -> Place:
    """The table that a person named, by ARN or by name; account and region may be left out where only one fits.

    Raises:
        SettingsError: it is not configured, or several places fit.
        SourceError: there is no such table.
    """
    known = targets.of(settings)
    if table.startswith("arn:"):
        return of(settings, known, table)
    fitting = [
        target for target in known if account_id in (None, target.account_id) and region in (None, target.region)
    ]
    if len(fitting) != 1:
        configured = ", ".join(f"{target.account_id} {target.region}" for target in known)
        raise SettingsError(
            f"{len(fitting)} of the configured places fit account {account_id or 'any'} and region "
            f"{region or 'any'}. Give the table's ARN, or account and region of one of: {configured}."
        )
    dynamodb = client_for("dynamodb", fitting[0], settings)
    try:
        arn = dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    except (ClientError, BotoCoreError) as error:
        raise explain(error, f"describe the table {table}") from error
    return of(settings, known, arn)


def of(settings: Settings, known: Sequence[Target], table_arn: str) -> Place:
    """The table with this ARN.

    Raises:
        SettingsError: its account and region are not configured.
    """
    target = _target(known, table_arn)
    configured = config.load(settings)
    bucket = configured.note(table_name(table_arn)).export_bucket or configured.exports.bucket
    prefix = configured.exports.prefix.strip("/")
    return Place(table_arn, client_for("dynamodb", target, settings), bucket.removeprefix("s3://").strip("/"), prefix)


def target_of(settings: Settings, table_arn: str) -> Target:
    """The configured account and region of a table.

    Raises:
        SettingsError: they are not configured.
    """
    return _target(targets.of(settings), table_arn)


def _target(known: Sequence[Target], table_arn: str) -> Target:
    parts = table_arn.split(":")
    if len(parts) < 6 or parts[2] != "dynamodb":  # noqa: PLR2004
        raise SettingsError(f"{table_arn} is no ARN of a DynamoDB table.")
    region, account = parts[3], parts[4]
    for target in known:
        if (target.account_id, target.region) == (account, region):
            return target
    raise SettingsError(
        f"{table_arn} belongs to account {account} in {region}, which the configuration does not name. Add it there."
    )


def table_name(table_arn: str) -> str:
    """The name in a table's ARN."""
    return table_arn.partition(":table/")[2]
