"""What state an alarm is in: its periods' statistics held against its threshold ("Using Amazon CloudWatch alarms").

Inferred: an alarm looks at its metric at the end of each of its periods and knows the answer about a minute later;
CloudWatch also looks back over periods without data, the sandbox does not.
"""

import operator
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from dynatrail.sandbox.metrics_answers import named
from dynatrail.sandbox.metrics_store import MINUTE, MetricStore, Series, statistic

Json = dict[str, Any]

OK, ALARM, UNKNOWN = "OK", "ALARM", "INSUFFICIENT_DATA"

_COMPARED: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


class Alarm(msgspec.Struct):
    """A metric alarm and the state that it is in.

    Attributes:
        settings: the parameters of PutMetricAlarm.
        judged: end of the last period that was looked at, seconds since the epoch.
        updated_at: of the state; `configured_at` of the settings.
    """

    account_id: str
    region: str
    settings: Json
    configured_at: datetime
    updated_at: datetime
    judged: int
    state: str = UNKNOWN
    reason: str = "Unchecked: Initial alarm creation"
    reason_data: Json | None = None

    @property
    def name(self) -> str:
        return str(self.settings["AlarmName"])

    @property
    def arn(self) -> str:
        return f"arn:aws:cloudwatch:{self.region}:{self.account_id}:alarm:{self.name}"

    @property
    def period(self) -> int:
        return max(int(self.settings.get("Period") or MINUTE), MINUTE)

    @property
    def statistic(self) -> str:
        return str(self.settings.get("ExtendedStatistic") or self.settings.get("Statistic") or "Average")

    def series(self, store: MetricStore) -> Series | None:
        """What it watches; None until there was a sample, and for metric math, which the sandbox leaves unknown."""
        sent = self.settings
        return store.find(
            self.account_id,
            self.region,
            str(sent.get("Namespace")),
            str(sent.get("MetricName")),
            named(sent.get("Dimensions")),
        )


class Verdict(NamedTuple):
    """A state with its reason, as text and as `stateReasonData`."""

    state: str
    reason: str
    data: Json


def judge(alarm: Alarm, series: Series | None, end: int, at: datetime) -> Verdict | None:
    """The state after the period that ends at `end`, judged at `at`; None for "as it was"."""
    sent, period = alarm.settings, alarm.period
    several = int(sent.get("EvaluationPeriods") or 1)
    found = []  # newest first
    for number in range(several):
        start = end - (number + 1) * period
        if samples := _samples(series, start, period):
            found.append((start, len(samples), statistic(samples, alarm.statistic)))
    compare, words = _COMPARED.get(str(sent.get("ComparisonOperator")), (operator.gt, "greater than"))
    threshold = float(sent.get("Threshold") or 0.0)
    treatment = str(sent.get("TreatMissingData") or "missing")
    breaching = sum(compare(value, threshold) for _, _, value in found)
    if treatment == "breaching":
        breaching += several - len(found)
    data = _reason_data(alarm, end - several * period, found, threshold, at)
    if not found and treatment in {"missing", "ignore"}:
        reason = f"Insufficient Data: {_count(several)} unknown."
        return None if treatment == "ignore" else Verdict(UNKNOWN, reason, data)
    state = ALARM if breaching >= int(sent.get("DatapointsToAlarm") or several) else OK
    if not found:
        kind = "Breaching" if treatment == "breaching" else "NonBreaching"
        periods = f"{several} period{'s' if several > 1 else ''}"
        reason = (
            f"Threshold Crossed: no datapoints were received for {periods} and "
            f"{several} missing datapoint{'s were' if several > 1 else ' was'} treated as [{kind}]."
        )
        return Verdict(state, reason, data)
    shown = ", ".join(f"{value} ({_minute(start)})" for start, _, value in found)
    reason = (
        f"Threshold Crossed: {len(found)} datapoint{'s' if len(found) > 1 else ''} [{shown}] "
        f"{'were' if len(found) > 1 else 'was'} {'' if state == ALARM else 'not '}{words} the threshold ({threshold})."
    )
    return Verdict(state, reason, data)


def _samples(series: Series | None, start: int, period: int) -> list[float]:
    if series is None:
        return []
    minutes = series.minutes
    return [value for minute in range(start, start + period, MINUTE) for value in minutes.get(minute, ())]


def _reason_data(alarm: Alarm, start: int, found: list[tuple[int, int, float]], threshold: float, at: datetime) -> Json:
    return {
        "version": "1.0",
        "queryDate": _stamp(at),
        **({"startDate": _stamp(datetime.fromtimestamp(found[-1][0] if found else start, UTC))} if found else {}),
        "statistic": alarm.statistic,
        "period": alarm.period,
        "recentDatapoints": [value for _, _, value in reversed(found)],
        "threshold": threshold,
        "evaluatedDatapoints": [
            {"timestamp": _stamp(datetime.fromtimestamp(begin, UTC)), "sampleCount": float(count), "value": value}
            for begin, count, value in found
        ],
    }


def _count(number: int) -> str:
    return f"{number} datapoint{'s were' if number > 1 else ' was'}"


def _stamp(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{instant.microsecond // 1000:03d}+0000"


def _minute(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%d/%m/%y %H:%M:%S}"
