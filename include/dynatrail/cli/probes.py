"""One cheap call for each thing that the sources ask of AWS, to see whether it is allowed.

Only calls that change nothing. What a call answers does not matter, only whether AWS refuses it: an answer that there
is no such thing comes after the permission was given. Which statement grants an action is read from the policies under
`docs/reference/`.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from dynatrail import clock
from dynatrail.config import Target
from dynatrail.settings import PROJECT
from dynatrail.sources.tables import WatchedTable

POLICIES = PROJECT / "docs" / "reference"
_REFUSALS = frozenset(("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "403"))


@dataclass(frozen=True, slots=True)
class Place:
    """One account-region and what is known of it: its tables, and those with a stream."""

    target: Target
    tables: list[WatchedTable]

    @property
    def table(self) -> str | None:
        return self.tables[0].name if self.tables else None

    @property
    def table_arn(self) -> str | None:
        return self.tables[0].arn if self.tables else None

    @property
    def stream(self) -> str | None:
        return next((one.latest_stream_arn for one in self.tables if one.stream_enabled), None)


@dataclass(frozen=True, slots=True)
class Probe:
    """A call.

    Attributes:
        action: the IAM action that it needs.
        service: boto3's name of the service.
        source: the DAG that needs it, where no policy of its own says so.
        ask: makes the call on the service's client; returns False where there is nothing to ask it of.
        once: one region answers for the account, because the service is global or the call of little weight.
    """

    action: str
    service: str
    source: str
    ask: Callable[[Any, Place], object]
    once: bool = False


def _of_table(method: str) -> Callable[[Any, Place], object]:
    return lambda client, place: place.table is not None and getattr(client, method)(TableName=place.table)


def _of_arn(method: str) -> Callable[[Any, Place], object]:
    return lambda client, place: place.table_arn is not None and getattr(client, method)(ResourceArn=place.table_arn)


def _of_stream(client: Any, place: Place) -> object:
    return place.stream is not None and client.describe_stream(StreamArn=place.stream, Limit=1)


def _iterator(client: Any, place: Place) -> Any:
    if place.stream is None:
        return None
    shards = client.describe_stream(StreamArn=place.stream, Limit=1)["StreamDescription"]["Shards"]
    if not shards:
        return None
    asked = {"StreamArn": place.stream, "ShardId": shards[0]["ShardId"], "ShardIteratorType": "LATEST"}
    return client.get_shard_iterator(**asked)["ShardIterator"]


def _records(client: Any, place: Place) -> object:
    iterator = _iterator(client, place)
    return iterator is not None and client.get_records(ShardIterator=iterator, Limit=1)


def _metric(client: Any, _: Place) -> object:
    metric = {"Namespace": "AWS/DynamoDB", "MetricName": "UserErrors"}
    query = {"Id": "probe", "MetricStat": {"Metric": metric, "Period": 3600, "Stat": "Sum"}}
    now = clock.now()
    return client.get_metric_data(MetricDataQueries=[query], StartTime=now - timedelta(hours=1), EndTime=now)


def _log_events(client: Any, place: Place) -> object:
    here = place.target.region
    filters = [one for one in place.target.account.log_filters if not one.regions or here in one.regions]
    return bool(filters) and client.filter_log_events(logGroupName=filters[0].log_group, limit=1)


PROBES = (
    Probe("dynamodb:ListTagsOfResource", "dynamodb", "snapshot_configuration", _of_arn("list_tags_of_resource")),
    Probe("dynamodb:ListStreams", "dynamodbstreams", "extract_streams", lambda client, _: client.list_streams(Limit=1)),
    Probe("dynamodb:DescribeStream", "dynamodbstreams", "extract_streams", _of_stream),
    Probe("dynamodb:GetShardIterator", "dynamodbstreams", "extract_streams", _iterator),
    Probe("dynamodb:GetRecords", "dynamodbstreams", "extract_streams", _records),
    Probe(
        "dynamodb:DescribeKinesisStreamingDestination",
        "dynamodb",
        "extract_kinesis",
        _of_table("describe_kinesis_streaming_destination"),
    ),
    Probe("cloudwatch:GetMetricData", "cloudwatch", "extract_cloudwatch", _metric),
    Probe(
        "cloudwatch:DescribeAlarms",
        "cloudwatch",
        "extract_cloudwatch",
        lambda client, _: client.describe_alarms(MaxRecords=1),
    ),
    Probe(
        "cloudwatch:DescribeAlarmHistory",
        "cloudwatch",
        "extract_cloudwatch",
        lambda client, _: client.describe_alarm_history(MaxRecords=1),
    ),
    Probe(
        "logs:DescribeLogGroups", "logs", "extract_cloudwatch", lambda client, _: client.describe_log_groups(limit=1)
    ),
    Probe("logs:FilterLogEvents", "logs", "extract_cloudwatch", _log_events),
    Probe(
        "dynamodb:ListContributorInsights",
        "dynamodb",
        "extract_cloudwatch",
        lambda client, _: client.list_contributor_insights(MaxResults=1),
    ),
    Probe("dynamodb:DescribeTimeToLive", "dynamodb", "snapshot_configuration", _of_table("describe_time_to_live")),
    Probe("dynamodb:GetResourcePolicy", "dynamodb", "snapshot_configuration", _of_arn("get_resource_policy")),
    Probe("dynamodb:ListBackups", "dynamodb", "snapshot_configuration", lambda client, _: client.list_backups(Limit=1)),
    Probe("dynamodb:ListExports", "dynamodb", "repair_changes", lambda client, _: client.list_exports(MaxResults=1)),
    Probe(
        "dynamodb:DescribeContinuousBackups",
        "dynamodb",
        "repair_changes",
        _of_table("describe_continuous_backups"),
    ),
    Probe(
        "application-autoscaling:DescribeScalableTargets",
        "application-autoscaling",
        "snapshot_configuration",
        lambda client, _: client.describe_scalable_targets(ServiceNamespace="dynamodb", MaxResults=1),
        once=True,
    ),
    Probe(
        "backup:ListProtectedResources",
        "backup",
        "snapshot_configuration",
        lambda client, _: client.list_protected_resources(MaxResults=1),
        once=True,
    ),
    Probe(
        "iam:GetAccountAuthorizationDetails",
        "iam",
        "snapshot_iam",
        lambda client, _: client.get_account_authorization_details(MaxItems=1),
        once=True,
    ),
    Probe("iam:GetAccountSummary", "iam", "snapshot_iam", lambda client, _: client.get_account_summary(), once=True),
    Probe(
        "access-analyzer:ListAnalyzers",
        "accessanalyzer",
        "snapshot_iam",
        lambda client, _: client.list_analyzers(maxResults=1),
        once=True,
    ),
)


def refused(probe: Probe, client: Any, place: Place) -> str | None:
    """The action that AWS refuses; None where the call is allowed, or cannot be judged."""
    try:
        probe.ask(client, place)
    except ClientError as error:
        # A probe may need another call before its own, whose refusal is not its own.
        own = error.operation_name == probe.action.partition(":")[2]
        return probe.action if own and error.response.get("Error", {}).get("Code") in _REFUSALS else None
    except BotoCoreError:
        return None  # no endpoint in this region, for instance
    return None


def needed_by(action: str) -> str:
    """Who needs an action and which statement grants it, as a sentence."""
    given = list(_granting(action))
    own = [stem for stem, _, _ in given if stem != "iam-policy"]
    sources = own or [probe.source for probe in PROBES if probe.action == action] or ["every source"]
    where = " or ".join(f"{sid} of {path}" for _, sid, path in given)
    return f"{' and '.join(sources)} {'needs' if len(sources) == 1 else 'need'} it: " + (
        f"add the statement {where}." if where else "allow it."
    )


def _granting(action: str) -> Iterator[tuple[str, str, str]]:
    for stem, path, statements in _policies():
        for sid, actions in statements:
            if action in actions:
                yield stem, sid, path


@cache
def _policies() -> tuple[tuple[str, str, tuple[tuple[str, frozenset[str]], ...]], ...]:
    """Name, path from the project's root, and (Sid, actions) of each reference policy."""
    found = []
    for path in (POLICIES / "iam-policy.json", *sorted((POLICIES / "iam").glob("*.json"))):
        if path.is_file():
            statements = json.loads(path.read_text(encoding="utf-8"))["Statement"]
            found.append(
                (
                    path.stem,
                    path.relative_to(PROJECT).as_posix(),
                    tuple((one["Sid"], frozenset(_listed(one["Action"]))) for one in statements),
                )
            )
    return tuple(found)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
