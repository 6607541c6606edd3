"""CloudTrail Insights of data events: CloudTrail's own count of what each trail selects, beside the log files.

PutInsightSelectors, GetInsightSelectors and ListInsightsMetricData ("CloudTrail Insights", API reference). No public
record tells what the values of a period above a minute are; here they are sums, so a reader should ask for minutes.
ListInsightsMetricData without a trail's name (management events) answers with nothing.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from dynatrail.clock import parse_instant
from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.parts import Seen
from dynatrail.sandbox.posture import is_unknown, json_answer, json_error
from dynatrail.sandbox.trails import Trail, Trails

Json = dict[str, Any]

KEPT = {60: timedelta(days=15), 300: timedelta(days=63), 3600: timedelta(days=90)}
"""How long datapoints of each period can be asked for."""

_MOST = 21_600
_RATE, _ERRORS = "ApiCallRateInsight", "ApiErrorRateInsight"


class _Series(msgspec.Struct, frozen=True):
    """What is counted; `error_code` is empty for all calls, whatever their outcome."""

    trail_arn: str
    account_id: str
    region: str
    event_source: str
    event_name: str
    error_code: str = ""


class _State(msgspec.Struct):
    selectors: dict[str, list[Json]] = {}
    counts: list[tuple[_Series, dict[int, int]]] = []


class TrailInsights:
    """The part; see `parts.Part`. It is asked about trails that it finds in `trails`."""

    name = "trail_insights"

    def __init__(self, trails: Trails) -> None:
        self._trails = trails
        self._selectors: dict[str, list[Json]] = {}
        self._counts: dict[_Series, Counter[int]] = {}

    def count(self, trail: Trail, record: Mapping[str, Any]) -> None:
        """A trail selects a record; data events are counted."""
        if record["eventCategory"] != "Data":
            return
        minute = int(parse_instant(record["eventTime"]).timestamp()) // 60 * 60
        place = (trail.arn, record["recipientAccountId"], record["awsRegion"])
        for code in {"", record.get("errorCode", "")}:
            series = _Series(*place, record["eventSource"], record["eventName"], code)
            self._counts.setdefault(series, Counter())[minute] += 1

    def saw(self, seen: Seen) -> None:
        pass

    def answer(self, seen: Seen) -> Response | None:
        call = seen.call
        if call.service != "cloudtrail" or not is_unknown(seen.response):
            return None
        name = str(call.parameters.get("TrailName", ""))
        trail = self._trails.find(name, seen.account_id)
        arn = trail.arn if trail else name
        match call.operation:
            case "PutInsightSelectors":
                self._selectors[arn] = list(call.parameters.get("InsightSelectors") or ())
                return json_answer({"TrailARN": arn, "InsightSelectors": self._selectors[arn]})
            case "GetInsightSelectors":
                if selectors := self._selectors.get(arn):
                    return json_answer({"TrailARN": arn, "InsightSelectors": selectors})
                return json_error("InsightNotEnabledException", "The trail does not have Insights enabled.")
            case "ListInsightsMetricData":
                return self._metric_data(seen, arn)
        return None

    def tick(self, now: datetime) -> None:
        pass

    def save(self) -> bytes:
        counts = [(series, dict(points)) for series, points in self._counts.items()]
        return msgspec.msgpack.encode(_State(self._selectors, counts))

    def load(self, saved: bytes) -> None:
        state = msgspec.msgpack.decode(saved, type=_State)
        self._selectors = state.selectors
        self._counts = {series: Counter(points) for series, points in state.counts}

    def _metric_data(self, seen: Seen, trail_arn: str) -> Response:
        sent, now = seen.call.parameters, seen.now
        kind, code = sent.get("InsightType"), sent.get("ErrorCode", "")
        period, most = sent.get("Period", 3600), sent.get("MaxResults", _MOST)
        if kind not in (_RATE, _ERRORS) or (kind == _ERRORS) != bool(code) or period not in KEPT:
            return json_error("InvalidParameterException", "InsightType, ErrorCode or Period is not valid.")
        if trail_arn and not self._counts_data(trail_arn, kind):
            return json_error("InvalidParameterException", "Insights of data events are not enabled on this trail.")
        series = _Series(trail_arn, seen.account_id, seen.call.region, sent["EventSource"], sent["EventName"], code)
        start = max(float(sent.get("StartTime", 0)), (now - KEPT[period]).timestamp())
        end = min(float(sent.get("EndTime", now.timestamp())), now.timestamp())
        points = dict(self._points(series, period, start, end, fill=sent.get("DataType") == "FillWithZeros"))
        begin = int(sent.get("NextToken") or 0)
        page = sorted(points.items())[begin : begin + most]
        answer: Json = {
            "TrailARN": trail_arn,
            "EventSource": series.event_source,
            "EventName": series.event_name,
            "InsightType": kind,
            "Timestamps": [at for at, _ in page],
            "Values": [float(value) for _, value in page],
        }
        if code:
            answer["ErrorCode"] = code
        if begin + most < len(points):
            answer["NextToken"] = str(begin + most)
        return json_answer(answer)

    def _counts_data(self, trail_arn: str, kind: str) -> bool:
        return any(
            selector.get("InsightType") == kind and "Data" in (selector.get("EventCategories") or ["Management"])
            for selector in self._selectors.get(trail_arn, ())
        )

    def _points(
        self, series: _Series, period: int, start: float, end: float, *, fill: bool
    ) -> Iterator[tuple[int, int]]:
        """(start of the period, count) of every period that begins in [start, end)."""
        summed: Counter[int] = Counter()
        for minute, count in self._counts.get(series, {}).items():
            summed[minute // period * period] += count
        if fill:
            first = -(-int(start) // period) * period
            yield from ((at, summed[at]) for at in range(first, int(end), period))
            return
        yield from ((at, count) for at, count in summed.items() if start <= at < end)
