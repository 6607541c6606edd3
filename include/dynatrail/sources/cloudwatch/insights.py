"""Contributor Insights: the keys that a table's or index's requests went to most, by the hour, as tokens.

AWS keeps four rules for a table: PKC and SKC count what partition keys and whole keys consumed, PKT and SKT how often
they were throttled. A report names the top contributors only and is approximate: never a census of what was accessed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa

from dynatrail.clock import HOUR
from dynatrail.config import Target
from dynatrail.privacy.tokens import Tokenizer, canonical_number
from dynatrail.sources.cloudwatch.metrics import with_hours
from dynatrail.sources.tables import WatchedTable
from dynatrail.warehouse.schema import METRIC

NAMESPACE = "DynamoDBContributorInsights"
LIST = "dynamodb:ListContributorInsights"
DESCRIBE = "dynamodb:DescribeContributorInsights"
REPORT = "cloudwatch:GetInsightRuleReport"
KEPT = timedelta(days=15)
TOP = 100
"""Contributors that one report names at most."""

_RULE = re.compile(rf"{NAMESPACE}-(PKC|SKC|PKT|SKT)-.+")
_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a table or of one of its global secondary indexes.

    Attributes:
        kind: PKC, SKC, PKT or SKT.
        keys: key attribute -> type, partition key first, as far as the rule's contributors have them.
    """

    name: str
    kind: str
    table: str
    index: str | None
    keys: tuple[tuple[str, str], ...]

    @property
    def dimensions(self) -> str:
        named = {"TableName": self.table, **({"GlobalSecondaryIndexName": self.index} if self.index else {})}
        return _encode(named).decode()


def rules(client: Any, tables: Mapping[str, WatchedTable]) -> Iterator[Rule]:
    """The rules of those of `tables` that have Contributor Insights enabled.

    Raises:
        ClientError, BotoCoreError: AWS refuses or fails.
    """
    token: dict[str, str] = {}
    while True:
        page = client.list_contributor_insights(MaxResults=100, **token)
        for summary in page.get("ContributorInsightsSummaries", ()):
            table = tables.get(summary["TableName"])
            if table is not None and summary["ContributorInsightsStatus"] in {"ENABLED", "DISABLING"}:
                yield from _rules(client, table, summary.get("IndexName"))
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def _rules(client: Any, table: WatchedTable, index: str | None) -> Iterator[Rule]:
    named = {"TableName": table.name, **({"IndexName": index} if index else {})}
    try:
        described = client.describe_contributor_insights(**named)
    except client.exceptions.ResourceNotFoundException:
        return  # deleted since it was listed, and its rules with it
    keys = tuple(_keys(table, index).items())
    for name in sorted(described.get("ContributorInsightsRuleList", ())):
        if found := _RULE.fullmatch(name):
            kind = found[1]
            yield Rule(name, kind, table.name, index, keys[:1] if kind.startswith("PK") else keys)


def _keys(table: WatchedTable, index: str | None) -> dict[str, str]:
    if index is None:
        return table.key_schema
    types = {entry["AttributeName"]: entry["AttributeType"] for entry in table.description["AttributeDefinitions"]}
    for one in table.description.get("GlobalSecondaryIndexes", ()):
        if one["IndexName"] == index:
            keys = sorted(one["KeySchema"], key=lambda entry: entry["KeyType"])
            return {key["AttributeName"]: types[key["AttributeName"]] for key in keys}
    return {}


def report(client: Any, rule: Rule, hour: datetime) -> Mapping[str, Any]:
    """The report of one hour.

    Raises:
        ClientError, BotoCoreError: AWS refuses or fails.
    """
    answer: Mapping[str, Any] = client.get_insight_rule_report(
        RuleName=rule.name, StartTime=hour, EndTime=hour + HOUR, Period=3600, MaxContributorCount=TOP, OrderBy="Sum"
    )
    return answer


def rows(
    reports: Sequence[tuple[Rule, datetime, Mapping[str, Any]]], target: Target, tokens: Tokenizer
) -> tuple[pa.Table, list[str]]:
    """Reports as rows of `metric`: one a contributor, and one without token for all contributors together.

    Returns:
        the rows, and a sentence for each rule whose contributors have another form than its key.
    """
    made: list[dict[str, Any]] = []
    strange: set[str] = set()
    for rule, hour, said in reports:
        base = {
            "event_time": hour,
            "account_id": target.account_id,
            "region": target.region,
            "namespace": NAMESPACE,
            "metric_name": rule.kind,
            "table_name": rule.table,
            "index_name": rule.index,
            "dimensions": rule.dimensions,
            "statistic": said.get("AggregationStatistic", "Sum"),
            "period_s": 3600,
        }
        sums: dict[str, float] = {}
        for contributor in said.get("Contributors", ()):
            token = _token(rule, contributor["Keys"], tokens)
            if token is None:
                strange.add(f"A contributor of {rule.kind} of {rule.table} does not have that rule's key; left out.")
                continue
            sums[token] = sums.get(token, 0.0) + contributor["ApproximateAggregateValue"]
        made += [base | {"contributor_token": token, "value": value} for token, value in sums.items()]
        if sums and "AggregateValue" in said:
            made.append(base | {"value": said["AggregateValue"]})
    columns = {
        name: pa.array([row.get(name) for row in made], METRIC.schema.field(name).type)
        for name in METRIC.schema.names
        if name not in {"event_hour", "event_date"}
    }
    return with_hours(columns, METRIC.schema), sorted(strange)


def _token(rule: Rule, keys: Sequence[str], tokens: Tokenizer) -> str | None:
    if not keys or len(keys) != len(rule.keys):
        return None
    texts = (canonical_number(text) if kind == "N" else text for text, (_, kind) in zip(keys, rule.keys, strict=True))
    return tokens.item([(name, text) for (name, _), text in zip(rule.keys, texts, strict=True)])
