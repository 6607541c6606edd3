"""GetMetricData: ask, read all pages, ask again for what came only in part, and make rows of `metric`.

An answer may be partial in three ways: `PartialData` (more pages, or CloudWatch gave up), `InternalError` (of one query
among many) and `Forbidden` (of one query). The first two are asked for again; what remains is counted in the report.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from botocore.exceptions import BotoCoreError, ClientError

from dynatrail.clock import hours_between
from dynatrail.config import Target
from dynatrail.sources.cloudwatch.catalogue import Series
from dynatrail.sources.cloudwatch.plan import DATAPOINTS, Request
from dynatrail.sources.cloudwatch.report import Report
from dynatrail.warehouse.schema import INSTANT, METRIC

ACTION = "cloudwatch:GetMetricData"
ASKERS = 4
"""Requests at a time. CloudWatch gives 180,000 datapoints a second of the last three hours, 396,000 of older ones; four
requests at a time reach that, and the SDK slows all of them down when AWS throttles."""

_AHEAD = 8
_ATTEMPTS = 3
_AGAIN = frozenset(("InternalError", "PartialData"))


@dataclass(slots=True)
class Answer:
    """What one request gave.

    Attributes:
        points: (series, statistic) -> instants and values, as CloudWatch gave them.
        lacking: status code -> queries that kept it.
    """

    request: Request
    points: dict[tuple[Series, str], tuple[list[datetime], list[float]]] = field(default_factory=dict)
    lacking: Counter[str] = field(default_factory=Counter)


def read(client: Any, target: Target, requests: Iterable[Request], report: Report) -> Iterator[Answer]:
    """The answers to `requests` in their order, asked by a few threads a little ahead.

    A request that fails is noted in the report and left out; after a refusal no further one is made.
    """
    rest = iter(requests)
    with ThreadPoolExecutor(ASKERS, thread_name_prefix="metrics") as pool:
        ahead: deque[tuple[Request, Future[Answer]]] = deque()
        while True:
            for request in islice(rest, _AHEAD - len(ahead) if ACTION not in report.denied else 0):
                ahead.append((request, pool.submit(ask, client, request)))
            if not ahead:
                return
            request, asked = ahead.popleft()
            try:
                answer = asked.result()
            except (ClientError, BotoCoreError) as error:
                attempt = f"read {len(request.series)} metrics of {target.account_id} in {target.region}"
                hours = hours_between(request.start, request.end)
                report.failed("metrics", ACTION, error, attempt, hours, all_of_it=True)
                continue
            for status, count in sorted(answer.lacking.items()):
                reason = f"CloudWatch answered {status} for {count} of {len(request.queries)} queries"
                report.lack("metrics", reason, hours_between(request.start, request.end))
            yield answer


def ask(client: Any, request: Request) -> Answer:
    """One request with all its pages, and again for the queries that did not come whole.

    Raises:
        ClientError, BotoCoreError: AWS refuses, or the SDK's own attempts were not enough.
    """
    answer = Answer(request)
    by_id = {series.query_id(stat): (series, stat) for series in request.series for stat in series.statistics}
    queries = request.queries
    for attempt in range(_ATTEMPTS):
        statuses = _pages(client, request, queries, by_id, answer)
        again = {name for name, status in statuses.items() if status in _AGAIN}
        lost = Counter(status for status in statuses.values() if status not in _AGAIN and status != "Complete")
        answer.lacking += lost
        queries = [query for query in queries if query["Id"] in again]
        if not queries:
            return answer
        if attempt < _ATTEMPTS - 1:
            for name in again:
                answer.points.pop(by_id[name], None)
    answer.lacking += Counter(statuses[str(query["Id"])] for query in queries)
    return answer


def _pages(
    client: Any,
    request: Request,
    queries: Sequence[dict[str, object]],
    by_id: dict[str, tuple[Series, str]],
    answer: Answer,
) -> dict[str, str]:
    """Put all datapoints into `answer`; returns the last status of each query."""
    statuses = {str(query["Id"]): "PartialData" for query in queries}
    asked: dict[str, Any] = {
        "MetricDataQueries": queries,
        "StartTime": request.start,
        "EndTime": request.end,
        "ScanBy": "TimestampAscending",
        "MaxDatapoints": DATAPOINTS,
    }
    token = None
    while True:
        page = client.get_metric_data(**asked, **({"NextToken": token} if token else {}))
        for result in page["MetricDataResults"]:
            name = result["Id"]
            if name not in by_id:
                continue
            statuses[name] = result.get("StatusCode", "Complete")
            if result["Timestamps"]:
                times, values = answer.points.setdefault(by_id[name], ([], []))
                times += result["Timestamps"]
                values += result["Values"]
        token = page.get("NextToken")
        if not token:
            return statuses


def rows(answer: Answer, target: Target) -> pa.Table:
    """The datapoints of an answer as rows of `metric`, exactly those within the request's window."""
    named = list(answer.points.items())
    index = pa.array([at for at, (_, (times, _v)) in enumerate(named) for _ in times], pa.int32())
    times = pa.array([time for _, (those, _v) in named for time in those], INSTANT)
    values = pa.array([value for _, (_t, those) in named for value in those], pa.float64())
    table_of = [series.dimension("TableName") for (series, _), _ in named]
    words: dict[str, list[str | None]] = {
        "namespace": [series.namespace for (series, _), _ in named],
        "metric_name": [series.metric for (series, _), _ in named],
        "table_name": table_of,
        "operation": [series.dimension("Operation") for (series, _), _ in named],
        "index_name": [
            series.dimension("GlobalSecondaryIndexName") or series.dimension("VectorIndexName")
            for (series, _), _ in named
        ],
        "dimensions": [series.dimensions_json for (series, _), _ in named],
        "statistic": [statistic for (_, statistic), _ in named],
        "unit": ["Count" if statistic == "SampleCount" else series.unit for (series, statistic), _ in named],
    }
    columns: dict[str, Any] = {name: pa.array(of, pa.string()).take(index) for name, of in words.items()}
    columns |= {
        "event_time": times,
        "value": values,
        "account_id": pa.repeat(pa.scalar(target.account_id), len(times)),
        "region": pa.repeat(pa.scalar(target.region), len(times)),
        "period_s": pa.repeat(pa.scalar(answer.request.period_s, pa.int32()), len(times)),
        "contributor_token": pa.nulls(len(times), pa.string()),
    }
    made = with_hours(columns, METRIC.schema)
    start, end = (pa.scalar(at, INSTANT) for at in (answer.request.start, answer.request.end))
    inside = pc.and_(pc.greater_equal(made["event_time"], start), pc.less(made["event_time"], end))
    return made.filter(inside)


def with_hours(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    """A table of `schema` from its columns, `event_hour` and `event_date` derived from `event_time`."""
    hours = pc.floor_temporal(columns["event_time"], unit="hour")
    columns |= {"event_hour": hours, "event_date": hours.cast(pa.date32())}
    return pa.table([columns[name] for name in schema.names], schema=schema)


def with_traffic(answers: Iterable[Answer]) -> set[str]:
    """The tables for which a metric that tells traffic was above zero."""
    return {
        table
        for answer in answers
        for (series, statistic), (_, values) in answer.points.items()
        if series.tells_traffic and statistic == "Sum" and any(values) and (table := series.dimension("TableName"))
    }
