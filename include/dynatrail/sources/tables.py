"""Which tables of an account and region to read, and what DescribeTable says of each.

ListTables gives names in pages of 100, every wanted one is described, a few at a time: the SDK slows all threads of a
client down together when AWS throttles (adaptive retries). Tags are asked for only where the configuration filters by
them, since ListTagsOfResource allows ten calls a second, against 2,500 of DescribeTable ("Service quotas", DynamoDB
developer guide).
"""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from dynatrail import config
from dynatrail.config import TableNote, Target
from dynatrail.errors import SourceError
from dynatrail.settings import Settings
from dynatrail.sources.aws import client_for, explain

_DESCRIBERS = 4
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WatchedTable:
    """A table to read.

    Attributes:
        note: what the configuration says of it.
        latest_stream_arn: DescribeTable's LatestStreamArn; it stays for a day after the stream was switched off.
        stream_view_type: NEW_AND_OLD_IMAGES, NEW_IMAGE, OLD_IMAGE or KEYS_ONLY; None while no stream is enabled.
        key_schema: key attribute -> type (S, N or B), partition key first.
        description: the whole answer of DescribeTable, its `Table`.
    """

    name: str
    arn: str
    account_id: str
    region: str
    note: TableNote = field(hash=False)
    latest_stream_arn: str | None
    stream_view_type: str | None
    key_schema: dict[str, str] = field(hash=False)
    description: dict[str, Any] = field(hash=False, repr=False)

    @property
    def stream_enabled(self) -> bool:
        return self.stream_view_type is not None


@dataclass(frozen=True, slots=True)
class Discovered:
    """Tables to read by name, and why others that were asked for are not among them (name -> reason)."""

    tables: list[WatchedTable]
    left_out: dict[str, str]


def of(settings: Settings, target: Target) -> list[WatchedTable]:
    """The tables of a target that the configuration asks for, by name; those that vanish meanwhile are logged.

    Raises:
        SourceError: AWS refuses or throttles; names the action that is missing.
        SettingsError: the configuration is wrong.
    """
    found = discover(settings, target)
    for name, reason in found.left_out.items():
        _LOG.warning("Table %s of %s in %s is left out: %s", name, target.account_id, target.region, reason)
    return found.tables


def discover(settings: Settings, target: Target) -> Discovered:
    """As `of`, with the reasons for what is left out.

    Raises:
        SourceError: AWS refuses or throttles; names the action that is missing.
        SettingsError: the configuration is wrong.
    """
    chosen = config.load(settings)
    dynamodb = client_for("dynamodb", target, settings)
    wanted = [name for name in _names(dynamodb, target) if target.wants(name)]
    tables, left_out = [], {}
    with ThreadPoolExecutor(_DESCRIBERS, thread_name_prefix="describe") as pool:
        looks = pool.map(lambda name: _look(dynamodb, target, name, chosen.note), wanted)
        for name, seen in zip(wanted, looks, strict=True):
            if isinstance(seen, str):
                left_out[name] = seen
            elif seen is not None:
                tables.append(seen)
    return Discovered(tables, left_out)


def watched(description: dict[str, Any], target: Target, note: TableNote) -> WatchedTable:
    """The table that an answer of DescribeTable, its `Table`, describes."""
    stream = description.get("StreamSpecification") or {}
    types = {entry["AttributeName"]: entry["AttributeType"] for entry in description["AttributeDefinitions"]}
    keys = sorted(description["KeySchema"], key=lambda entry: entry["KeyType"])  # HASH sorts before RANGE
    return WatchedTable(
        name=description["TableName"],
        arn=description["TableArn"],
        account_id=target.account_id,
        region=target.region,
        note=note,
        latest_stream_arn=description.get("LatestStreamArn"),
        stream_view_type=stream.get("StreamViewType") if stream.get("StreamEnabled") else None,
        key_schema={key["AttributeName"]: types[key["AttributeName"]] for key in keys},
        description=description,
    )


def _names(dynamodb: Any, target: Target) -> Iterator[str]:
    try:
        for page in dynamodb.get_paginator("list_tables").paginate():
            yield from page["TableNames"]
    except (ClientError, BotoCoreError) as error:
        raise explain(error, f"list the tables of {target.account_id} in {target.region}") from error


def _look(dynamodb: Any, target: Target, name: str, note_of: Callable[[str], TableNote]) -> WatchedTable | str | None:
    """The table, the reason why there is none, or None for one whose tags are others than those asked for."""
    attempt = f"describe the table {name} of {target.account_id} in {target.region}"
    try:
        description = dynamodb.describe_table(TableName=name)["Table"]
        if target.account.tags:
            attempt = f"list the tags of the table {name} of {target.account_id} in {target.region}"
            pages = dynamodb.get_paginator("list_tags_of_resource").paginate(ResourceArn=description["TableArn"])
            tags = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
            if not target.account.tags.items() <= tags.items():
                return None
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return "it was deleted after ListTables had named it"
        raise explain(error, attempt) from error
    except BotoCoreError as error:
        raise explain(error, attempt) from error
    if (owner := description["TableArn"].split(":")[4]) != target.account_id:
        raise SourceError(
            f"The access that is configured for account {target.account_id} leads into {owner}. Name a role of "
            f"{target.account_id} (role_arn) or a connection into it; nothing was read."
        )
    return watched(description, target, note_of(name))
