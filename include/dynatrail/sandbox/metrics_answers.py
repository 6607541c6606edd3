"""GetMetricData, GetMetricStatistics and ListMetrics over the sandbox's own datapoints, in sandbox time."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from dynatrail.sandbox.metrics_store import DAY, Dimensions, MetricStore, Series, is_percentile, statistic
from dynatrail.sandbox.metrics_wire import WireError

Json = dict[str, Any]

NAMESPACE = "AWS/DynamoDB"
MOST_QUERIES = 500
MOST_POINTS = 100_800
_MOST_STATISTICS_POINTS = 1_440
_LISTED = 500
_FORGOTTEN = 14 * DAY
_RECENT = 3 * 3600
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
_STATISTICS = frozenset({"SampleCount", "Sum", "Average", "Minimum", "Maximum"})


def get_metric_data(store: MetricStore, account_id: str, region: str, asked: Json, now: datetime) -> Json:
    """The answer; a page holds at most `MaxDatapoints` points, and a series that goes on in the next `PartialData`.

    Raises:
        WireError: the request is not valid.
    """
    queries = asked.get("MetricDataQueries") or []
    start, end = _window(asked)
    if len(queries) > MOST_QUERIES:
        raise WireError(
            "ValidationError", f"The collection MetricDataQueries must not have a size greater than {MOST_QUERIES}."
        )
    names = [str(query.get("Id", "")) for query in queries]
    if len(set(names)) != len(names):
        raise WireError("ValidationError", "The values for parameter id in MetricDataQueries are not unique.")
    for name in names:
        if not _ID.fullmatch(name):
            raise WireError(
                "ValidationError",
                f"The value {name} for parameter MetricDataQueries.member.Id is not matching the expected pattern "
                "^[a-z][a-zA-Z0-9_]*$",
            )
    most = min(int(asked.get("MaxDatapoints") or MOST_POINTS), MOST_POINTS)
    skipped = _read_token(asked)
    first, left, results, more = skipped == 0, most, [], False
    for query in queries:
        if query.get("ReturnData") is False:
            continue
        points = _query(store, account_id, region, query, start, end, now)
        if asked.get("ScanBy") != "TimestampAscending":
            points.reverse()
        page = points[skipped : skipped + left]
        cut = len(points) - skipped > left
        if page or first:
            results.append(_result(query, page, partial=cut))
        more = more or cut
        left -= len(page)
        skipped = max(skipped - len(points), 0)
    answer: Json = {"MetricDataResults": results, "Messages": []}
    if more:
        answer["NextToken"] = _token(asked, _read_token(asked) + most)
    return answer


def _result(query: Json, points: list[tuple[int, float]], *, partial: bool) -> Json:
    metric = query.get("MetricStat", {}).get("Metric", {})
    return {
        "Id": query["Id"],
        "Label": query.get("Label") or metric.get("MetricName", query["Id"]),
        "Timestamps": [datetime.fromtimestamp(at, UTC) for at, _ in points],
        "Values": [value for _, value in points],
        "StatusCode": "PartialData" if partial else "Complete",
    }


def _query(
    store: MetricStore, account_id: str, region: str, query: Json, start: int, end: int, now: datetime
) -> list[tuple[int, float]]:
    """Points of one query, oldest first."""
    wanted = query.get("MetricStat")
    if not isinstance(wanted, dict):
        raise WireError("ValidationError", "The sandbox answers MetricStat queries only, no expressions.")
    metric, period, name = wanted.get("Metric") or {}, int(wanted.get("Period") or 0), str(wanted.get("Stat"))
    _check_period(period)
    if name not in _STATISTICS and not is_percentile(name):
        raise WireError(
            "ValidationError", f"The value {name} for parameter MetricDataQueries.member.MetricStat.Stat is not valid."
        )
    series = store.find(
        account_id, region, str(metric.get("Namespace")), str(metric.get("MetricName")), named(metric.get("Dimensions"))
    )
    if series is None or wanted.get("Unit", series.unit) != series.unit:
        return []
    return [(at, statistic(found, name)) for at, found in _points(series, start, end, period, now)]


def _points(series: Series, start: int, end: int, period: int, now: datetime) -> list[tuple[int, list[float]]]:
    return series.points(_rounded(start, now), end, max(period, 60), int(now.timestamp()))


def get_metric_statistics(store: MetricStore, account_id: str, region: str, asked: Json, now: datetime) -> Json:
    """At most 1,440 points, which AWS gives in no order.

    Raises:
        WireError: the request is not valid, or asks for more points.
    """
    start, end = _window(asked)
    period = int(asked.get("Period") or 0)
    _check_period(period)
    if (end - start) / period > _MOST_STATISTICS_POINTS:
        raise WireError(
            "InvalidParameterCombination",
            f"You have requested up to {(end - start) // period} datapoints, which exceeds the limit of "
            f"{_MOST_STATISTICS_POINTS}. You may reduce the datapoints requested by increasing Period, or decreasing "
            "the time range.",
        )
    name = str(asked.get("MetricName"))
    series = store.find(account_id, region, str(asked.get("Namespace")), name, named(asked.get("Dimensions")))
    datapoints = []
    for at, found in _points(series, start, end, period, now) if series else ():
        point: Json = {"Timestamp": datetime.fromtimestamp(at, UTC), "Unit": series.unit if series else "None"}
        point |= {wanted: statistic(found, wanted) for wanted in asked.get("Statistics") or []}
        if extended := asked.get("ExtendedStatistics"):
            point["ExtendedStatistics"] = {wanted: statistic(found, wanted) for wanted in extended}
        datapoints.append(point)
    return {"Label": name, "Datapoints": datapoints}


def list_metrics(store: MetricStore, account_id: str, region: str, asked: Json, now: datetime) -> Json:
    """Series that had samples in the last two weeks (three hours with RecentlyActive), 500 a page."""
    second = int(now.timestamp())
    since = second - (_RECENT if asked.get("RecentlyActive") else _FORGOTTEN)
    found = [
        series
        for series in store
        if (series.account_id, series.region) == (account_id, region)
        and series.latest() >= since
        and asked.get("Namespace", series.namespace) == series.namespace
        and asked.get("MetricName", series.name) == series.name
        and all(_has(series.dimensions, wanted) for wanted in asked.get("Dimensions") or [])
    ]
    found.sort(key=lambda series: (series.namespace, series.name, series.dimensions))
    begin = _read_token(asked)
    page = found[begin : begin + _LISTED]
    answer: Json = {
        "Metrics": [
            {
                "Namespace": series.namespace,
                "MetricName": series.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in series.dimensions],
            }
            for series in page
        ]
    }
    if begin + _LISTED < len(found):
        answer["NextToken"] = _token(asked, begin + _LISTED)
    return answer


def names_dynamodb(asked: Mapping[str, Any]) -> bool:
    """Whether a request is about DynamoDB's metrics at all; others are ministack's, which keeps custom metrics."""
    return NAMESPACE in _namespaces(asked)


def _namespaces(asked: Mapping[str, Any]) -> Iterator[str]:
    queries = asked.get("MetricDataQueries")
    if queries is None:
        yield str(asked.get("Namespace", NAMESPACE))
    for query in queries or ():
        yield str(((query.get("MetricStat") or {}).get("Metric") or {}).get("Namespace", NAMESPACE))


def named(sent: list[Json] | None) -> Dimensions:
    """The API's list of dimensions as the store has them."""
    return tuple(sorted((str(part.get("Name")), str(part.get("Value"))) for part in sent or ()))


def _has(dimensions: Dimensions, wanted: Json) -> bool:
    return any(name == wanted.get("Name") and wanted.get("Value", value) == value for name, value in dimensions)


def _window(asked: Json) -> tuple[int, int]:
    start, end = asked.get("StartTime"), asked.get("EndTime")
    if not isinstance(start, datetime) or not isinstance(end, datetime):
        raise WireError("ValidationError", "The parameters StartTime and EndTime must be given.")
    if start >= end:
        raise WireError("ValidationError", "The parameter StartTime must be less than the parameter EndTime.")
    return int(start.timestamp()), -int(-end.timestamp() // 1)


def _rounded(start: int, now: datetime) -> int:
    """StartTime rounded down as AWS does it: to the minute, five minutes or hour, by age."""
    age = int(now.timestamp()) - start
    grain = 60 if age <= 15 * DAY else 300 if age <= 63 * DAY else 3600
    return start // grain * grain


def _check_period(period: int) -> None:
    if period not in {1, 5, 10, 20, 30} and (period < 60 or period % 60):  # noqa: PLR2004
        raise WireError("ValidationError", "Period must be 1, 5, 10, 20, 30, or a multiple of 60.")


def _token(asked: Json, place: int) -> str:
    return base64.urlsafe_b64encode(f"{_fingerprint(asked)}:{place}".encode()).decode()


def _read_token(asked: Json) -> int:
    if not (token := asked.get("NextToken")):
        return 0
    try:
        fingerprint, _, place = base64.urlsafe_b64decode(token).decode().partition(":")
        if fingerprint == _fingerprint(asked):
            return int(place)
    except ValueError:
        pass
    raise WireError("InvalidNextToken", "The token is not one of this request.")


def _fingerprint(asked: Json) -> str:
    """A token goes with the request that it continues."""
    rest = sorted((name, value) for name, value in asked.items() if name not in {"NextToken", "MaxDatapoints"})
    return hashlib.sha256(repr(rest).encode()).hexdigest()[:16]
