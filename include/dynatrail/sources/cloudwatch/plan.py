"""How many datapoints of which period to ask for in which requests of GetMetricData.

CloudWatch keeps datapoints of 60 seconds for 15 days, of 300 for 63, of an hour for 455 ("Metrics retention",
CloudWatch user guide). One request takes 500 queries and gives 100,800 datapoints; up to five statistics of one metric
in one request cost as much as one, so a series' statistics are never torn apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from dynatrail.clock import HOUR
from dynatrail.sources.cloudwatch.catalogue import Series

QUERIES = 500
DATAPOINTS = 100_800
PERIODS = ((60, timedelta(days=15)), (300, timedelta(days=63)), (3600, timedelta(days=455)))
"""Seconds of a period, and how long CloudWatch keeps it."""

_MARGIN = timedelta(hours=2)
"""A run lasts, and clocks differ: what is about to expire is asked for as if it had."""


@dataclass(frozen=True, slots=True)
class Request:
    """One GetMetricData over [start, end): all statistics of these series."""

    start: datetime
    end: datetime
    period_s: int
    series: tuple[Series, ...]

    @property
    def queries(self) -> list[dict[str, object]]:
        """As GetMetricData takes them."""
        return [
            {
                "Id": series.query_id(statistic),
                "MetricStat": {
                    "Metric": {
                        "Namespace": series.namespace,
                        "MetricName": series.metric,
                        "Dimensions": [{"Name": name, "Value": value} for name, value in series.dimensions],
                    },
                    "Period": self.period_s,
                    "Stat": statistic,
                },
                "ReturnData": True,
            }
            for series in self.series
            for statistic in series.statistics
        ]


def period_of(hour: datetime, now: datetime) -> int | None:
    """The finest period that CloudWatch still has of an hour, seconds; None when it has nothing any more."""
    age = now - hour + _MARGIN
    return next((period for period, kept in PERIODS if age <= kept), None)


def requests(series: Sequence[Series], hours: Sequence[datetime], now: datetime) -> Iterator[Request]:
    """The requests that give all datapoints of `series` in `hours` (ascending, without gaps), in a fixed order."""
    for kept, run in groupby(hours, key=lambda hour: period_of(hour, now)):
        if kept is None:
            continue
        those = list(run)
        start, end = those[0], those[-1] + HOUR
        for period in sorted({max(kept, one.period_s) for one in series}):
            batch = [one for one in series if max(kept, one.period_s) == period]
            limit = min(QUERIES, max(1, DATAPOINTS // ((end - start) // timedelta(seconds=period))))
            for part in _parts(batch, limit):
                yield Request(start, end, period, tuple(part))


def _parts(series: Sequence[Series], limit: int) -> Iterator[list[Series]]:
    part: list[Series] = []
    size = 0
    for one in series:
        if part and size + len(one.statistics) > limit:
            yield part
            part, size = [], 0
        part.append(one)
        size += len(one.statistics)
    if part:
        yield part
