"""Where the sandbox keeps datapoints: each series' samples by minute of sandbox time.

CloudWatch's retention is applied when points are read: minutes for 15 days, five minutes for 63, hours for 455. A
minute without samples does not exist, which is not the same as zero.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

Dimensions = tuple[tuple[str, str], ...]
"""Sorted by name."""

MINUTE = 60
DAY = 86_400
RETENTION = ((60, 15 * DAY), (300, 63 * DAY), (3600, 455 * DAY))
"""Finest period, and for how many seconds it can be had."""


class Series(msgspec.Struct):
    """One metric: a name with one set of dimensions, in one account and region.

    Attributes:
        minutes: samples by the minute's first second since the epoch.
        late: (second from which on it can be seen, minute, sample), while that is still to come.
    """

    account_id: str
    region: str
    namespace: str
    name: str
    dimensions: Dimensions
    unit: str
    minutes: dict[int, list[float]] = {}
    late: list[tuple[int, int, float]] = []

    def points(self, start: int, end: int, period: int, now: int) -> list[tuple[int, list[float]]]:
        """(first second, samples) of each period in [start, end) that has any and is still kept, oldest first."""
        found: dict[int, list[float]] = {}
        for minute in self._between(start, end):
            if age_allows(minute, period, now) and minute + MINUTE <= now:  # a minute is told when it is over
                found.setdefault(minute // period * period, []).extend(self.minutes[minute])
        return sorted(found.items())

    def _between(self, start: int, end: int) -> Iterable[int]:
        if (end - start) // MINUTE < len(self.minutes):
            return (minute for minute in range(start // MINUTE * MINUTE, end, MINUTE) if minute in self.minutes)
        return sorted(minute for minute in self.minutes if start <= minute < end)

    def latest(self) -> int:
        """The last minute with samples, -1 for none."""
        return max(self.minutes, default=-1)


def age_allows(minute: int, period: int, now: int) -> bool:
    """Whether a period this fine can still be had of that minute."""
    return any(now - minute <= kept and period % finest == 0 for finest, kept in RETENTION)


class MetricStore:
    """All series. Not thread-safe: parts run under the recorder's lock."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, str, str, Dimensions], Series] = {}
        self._waiting = False

    def __iter__(self) -> Iterator[Series]:
        return iter(self._series.values())

    def add(  # noqa: PLR0913  a sample has that many independent parts
        self,
        account_id: str,
        region: str,
        name: str,
        dimensions: Dimensions,
        at: datetime,
        value: float,
        unit: str = "Count",
        *,
        namespace: str = "AWS/DynamoDB",
        visible_at: datetime | None = None,
    ) -> None:
        """Take one sample; `visible_at` when CloudWatch shows it later than its minute's end."""
        key = (account_id, region, namespace, name, dimensions)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = Series(account_id, region, namespace, name, dimensions, unit)
        minute = int(at.timestamp()) // MINUTE * MINUTE
        if visible_at is None:
            series.minutes.setdefault(minute, []).append(value)
        else:
            series.late.append((int(visible_at.timestamp()), minute, value))
            self._waiting = True

    def find(self, account_id: str, region: str, namespace: str, name: str, dimensions: Dimensions) -> Series | None:
        """The series with exactly these dimensions."""
        return self._series.get((account_id, region, namespace, name, dimensions))

    def settle(self, now: datetime) -> None:
        """Show the late samples whose time has come."""
        if not self._waiting:
            return
        second = int(now.timestamp())
        self._waiting = False
        for series in self._series.values():
            if series.late:
                for due, minute, value in series.late:
                    if due <= second:
                        series.minutes.setdefault(minute, []).append(value)
                series.late = [waiting for waiting in series.late if waiting[0] > second]
                self._waiting = self._waiting or bool(series.late)

    def dump(self) -> list[Series]:
        return list(self._series.values())

    def load(self, series: Iterable[Series]) -> None:
        self._waiting = True
        self._series = {(s.account_id, s.region, s.namespace, s.name, s.dimensions): s for s in series}


def statistic(samples: list[float], name: str) -> float:
    """`SampleCount`, `Sum`, `Average`, `Minimum`, `Maximum` or a percentile such as `p99.9`.

    Raises:
        ValueError: there is no such statistic.
    """
    match name:
        case "SampleCount":
            return float(len(samples))
        case "Sum":
            return float(sum(samples))
        case "Average":
            return sum(samples) / len(samples)
        case "Minimum":
            return min(samples)
        case "Maximum":
            return max(samples)
    if not is_percentile(name):
        raise ValueError(name)
    ordered, rank = sorted(samples), float(name[1:]) / 100 * (len(samples) - 1)
    low = int(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (rank - low) * (ordered[high] - ordered[low])


def is_percentile(name: str) -> bool:
    """`p0` to `p100`, with decimals or without."""
    if not name.startswith("p"):
        return False
    try:
        return 0 <= float(name[1:]) <= 100  # noqa: PLR2004
    except ValueError:
        return False
