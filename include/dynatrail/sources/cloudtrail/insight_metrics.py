"""CloudTrail's own count of data events, where a trail has Insights for them: a second witness beside CloudWatch.

ListInsightsMetricData gives, for each trail, event source, event name and error code, how many events CloudTrail saw in
each minute of the last 15 days, independently of the log files. Coarser periods reach further back, but no public
source tells whether their values are sums or means, so only minutes are read. Which account may ask: "For data event
Insights on organization trails, only the management account and delegated administrator accounts can call
ListInsightsMetricData", and they get their own account's counts (API reference).
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa
from botocore.exceptions import ClientError

from dynatrail.clock import hour_of
from dynatrail.config import Target
from dynatrail.warehouse.schema import METRIC

NAMESPACE = "CloudTrail"
ACTION = "cloudtrail:ListInsightsMetricData"
KEPT = timedelta(days=15)
PERIOD_S = 60

OPERATIONS = (
    *("BatchExecuteStatement", "BatchGetItem", "BatchWriteItem", "DeleteItem", "ExecuteStatement"),
    *("ExecuteTransaction", "GetItem", "GetRecords", "GetShardIterator", "PutItem", "Query", "Scan", "SearchVectors"),
    *("TransactGetItems", "TransactWriteItems", "UpdateItem"),
)
ERRORS = (
    *("AccessDenied", "ConditionalCheckFailedException", "InternalServerError"),
    *("ProvisionedThroughputExceededException", "ResourceNotFoundException", "ThrottlingException"),
    *("TransactionCanceledException", "TransactionConflictException", "ValidationException"),
)
"""Error codes that are asked about; the API counts one at a time."""

_SOURCE = "dynamodb.amazonaws.com"
_RATE, _ERROR_RATE = "ApiCallRateInsight", "ApiErrorRateInsight"
_LOG = logging.getLogger(__name__)
_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Watched:
    """A trail with Insights of data events; `kinds` are the insight types that it has."""

    arn: str
    kinds: frozenset[str]

    @property
    def name(self) -> str:
        return self.arn.rpartition("/")[2]


def watched(client_in: Callable[[str], Any], target: Target) -> list[Watched]:
    """The account's own trails that count data events.

    Args:
        client_in: region -> a boto3 client of CloudTrail.
        target: the account and region that are read.

    Raises:
        ClientError, BotoCoreError: AWS refuses or fails.
    """
    client = client_in(target.region)
    if not hasattr(client, "list_insights_metric_data"):
        _LOG.info("This boto3 does not know ListInsightsMetricData; CloudTrail's own counts are left out.")
        return []
    found = []
    for trail in client.describe_trails(includeShadowTrails=True)["trailList"]:
        arn, home = trail["TrailARN"], trail.get("HomeRegion") or target.region
        if arn.split(":")[4] != target.account_id:
            continue
        try:
            selectors = client_in(home).get_insight_selectors(TrailName=arn).get("InsightSelectors", ())
        except ClientError as error:
            if error.response["Error"]["Code"] != "InsightNotEnabledException":
                raise
            continue
        kinds = {one["InsightType"] for one in selectors if "Data" in one.get("EventCategories", ())}
        if kinds:
            found.append(Watched(arn, frozenset(kinds)))
    return sorted(found, key=lambda trail: trail.arn)


def read(client: Any, trail: Watched, target: Target, start: datetime, end: datetime) -> pa.Table:
    """What a trail counted of the target in each minute of [start, end), as rows of `metric`; idle ones have none.

    Raises:
        ClientError, BotoCoreError: AWS refuses or fails.
    """
    rows: list[dict[str, Any]] = []
    for operation in OPERATIONS if _RATE in trail.kinds else ():
        counted = list(_points(client, trail, start, end, {"EventName": operation, "InsightType": _RATE}))
        rows += _rows(trail, target, operation, None, counted)
        for code in ERRORS if counted and _ERROR_RATE in trail.kinds else ():
            asked = {"EventName": operation, "InsightType": _ERROR_RATE, "ErrorCode": code}
            rows += _rows(trail, target, operation, code, _points(client, trail, start, end, asked))
    return pa.Table.from_pylist(rows, METRIC.schema)


def _points(
    client: Any, trail: Watched, start: datetime, end: datetime, asked: Mapping[str, str]
) -> Iterator[tuple[datetime, float]]:
    token: dict[str, str] = {}
    while True:
        page = client.list_insights_metric_data(
            TrailName=trail.arn,
            EventSource=_SOURCE,
            StartTime=start,
            EndTime=end,
            Period=PERIOD_S,
            DataType="NonZeroData",
            **asked,
            **token,
        )
        yield from zip(page.get("Timestamps", ()), page.get("Values", ()), strict=True)
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def _rows(
    trail: Watched, target: Target, operation: str, code: str | None, points: Iterable[tuple[datetime, float]]
) -> Iterator[dict[str, Any]]:
    named = {"EventName": operation, "EventSource": _SOURCE, "TrailName": trail.name}
    dimensions = _encode(named | ({"ErrorCode": code} if code else {})).decode()
    for at, value in points:
        instant = at.astimezone(UTC)
        hour = hour_of(instant)
        yield {
            "event_time": instant,
            "event_hour": hour,
            "event_date": hour.date(),
            "account_id": target.account_id,
            "region": target.region,
            "namespace": NAMESPACE,
            "metric_name": _ERROR_RATE if code else _RATE,
            "operation": operation,
            "dimensions": dimensions,
            "statistic": "Sum",
            "period_s": PERIOD_S,
            "value": float(value),
            "unit": "Count",
        }
