"""CloudWatch Contributor Insights for DynamoDB: the keys that a table's calls name most, in clear.

Inferred: each read or write that names an item counts one for its key, a Query one for its partition key, a Scan and
PartiQL nothing; the labels of a rule's keys are the attributes' names.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from dynatrail.sandbox.calls import Call, service_model
from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.metrics import owner_of
from dynatrail.sandbox.metrics_counting import TableShape, error_code, is_throttle
from dynatrail.sandbox.metrics_store import MINUTE
from dynatrail.sandbox.metrics_wire import WireError, encode, is_cbor, refuse
from dynatrail.sandbox.parameters import bare_table, equality_key, plain_key
from dynatrail.sandbox.parts import Seen

Json = dict[str, Any]
Shapes = Mapping[str, Mapping[str, TableShape]]

_EVERYTHING = "ACCESSED_AND_THROTTLED_KEYS"
_CONTRIBUTORS, _MOST = 10, 100
_LONGEST_NAME = 128


class Watch(msgspec.Struct):
    """Contributor Insights of one table or index.

    Attributes:
        key: key attributes of what is watched.
        counts: by PKC, SKC, PKT or SKT, then by minute, then by the key's values.
    """

    table: str
    index: str | None
    mode: str
    enabled: bool
    since: datetime
    key: list[str]
    counts: dict[str, dict[int, dict[str, int]]] = {}

    def rules(self) -> dict[str, str]:
        """Rule name -> kind. A name ends with the time of its making."""
        kinds = ["PKC", "SKC", "PKT", "SKT"] if self.mode == _EVERYTHING else ["PKT", "SKT"]
        resource = f"{self.table}-{self.index}" if self.index else self.table
        stamp = f"-{int(self.since.timestamp() * 1000)}"
        names = {}
        for kind in kinds:
            if len(self.key) > 1 or kind.startswith("P"):
                names[f"DynamoDBContributorInsights-{kind}-{resource}"[: _LONGEST_NAME - len(stamp)] + stamp] = kind
        return names


class Insights:
    """The part. `shapes` are the tables that the metrics' part knows; it must come before this one."""

    name = "insights"

    def __init__(self, shapes: Callable[[], Shapes]) -> None:
        self._shapes = shapes
        self._watches: dict[str, Watch] = {}

    def saw(self, seen: Seen) -> None:
        call = seen.call
        if call.service != "dynamodb":
            return
        place = f"{owner_of(call, seen.account_id)}/{call.region}"
        shapes = self._shapes().get(place, {})
        if call.operation == "UpdateContributorInsights" and seen.ok:
            self._switch(call, place, shapes, seen.now)
        elif call.operation == "DeleteTable" and seen.ok:
            for key in [key for key, watch in self._watches.items() if key.startswith(place) and _of(call, watch)]:
                del self._watches[key]

    def gave(self, seen: Seen) -> None:
        call = seen.call
        if call.service == "dynamodb" and self._watches and seen.caller.recorded:
            place = f"{owner_of(call, seen.account_id)}/{call.region}"
            self._count(call, seen.response, place, self._shapes().get(place, {}), seen.now)

    def answer(self, seen: Seen) -> Response | None:
        call = seen.call
        if call.service == "dynamodb" and seen.ok:
            return self._describe(seen) if "ContributorInsights" in call.operation else None
        give = {"GetInsightRuleReport": self._report, "DescribeInsightRules": self._rules}.get(call.operation)
        if call.service != "cloudwatch" or give is None:
            return None
        cbor = is_cbor(seen.response)
        try:
            answer = give(seen)
        except WireError as error:
            return refuse(error, cbor=cbor)
        shape = service_model("cloudwatch").operation_model(call.operation).output_shape
        return encode(answer, shape, cbor=cbor)  # type: ignore[arg-type]  # both have an answer

    def tick(self, now: datetime) -> None:
        """Nothing happens by itself."""

    def save(self) -> bytes:
        return msgspec.msgpack.encode(self._watches)

    def load(self, saved: bytes) -> None:
        self._watches = msgspec.msgpack.decode(saved, type=dict[str, Watch])

    def _switch(self, call: Call, place: str, shapes: Mapping[str, TableShape], now: datetime) -> None:
        sent = call.parameters
        table, index = bare_table(sent["TableName"]), sent.get("IndexName")
        shape = shapes.get(table, TableShape())
        key = shape.indexes.get(index, []) if index else shape.key
        enable = sent.get("ContributorInsightsAction") == "ENABLE"
        mode = sent.get("ContributorInsightsMode") or _EVERYTHING
        watch = self._watches.get(f"{place}/{table}/{index or ''}")
        if watch and watch.enabled and enable:
            watch.mode = mode
            return
        self._watches[f"{place}/{table}/{index or ''}"] = Watch(table, index, mode, enable, now, list(key))

    def _count(
        self, call: Call, response: Response, place: str, shapes: Mapping[str, TableShape], now: datetime
    ) -> None:
        code = error_code(response)
        if code is not None and not is_throttle(code):
            return
        kind, minute = "C" if code is None else "T", int(now.timestamp()) // MINUTE * MINUTE
        for table, index, key in keys_of(call, shapes):
            watch = self._watches.get(f"{place}/{table}/{index or ''}")
            if watch is None or not watch.enabled or (kind == "C" and watch.mode != _EVERYTHING):
                continue
            values = [key.get(name) for name in watch.key]
            for level, needed in (("PK", values[:1]), ("SK", values if len(values) > 1 else [])):
                if needed and None not in needed:
                    counts = watch.counts.setdefault(f"{level}{kind}", {}).setdefault(minute, {})
                    text = json.dumps(needed, ensure_ascii=False)
                    counts[text] = counts.get(text, 0) + 1

    def _describe(self, seen: Seen) -> Response | None:
        """Ministack's answer with mode, rules and sandbox time."""
        call, answer = seen.call, json.loads(seen.response.body)
        place = f"{owner_of(call, seen.account_id)}/{call.region}"
        if call.operation == "ListContributorInsights":
            told = answer.get("ContributorInsightsSummaries", [])
        else:
            told = [answer]
        for summary in told:
            watch = self._watches.get(f"{place}/{bare_table(summary['TableName'])}/{summary.get('IndexName') or ''}")
            if watch is None:
                continue
            summary["ContributorInsightsMode"] = watch.mode
            if call.operation != "UpdateContributorInsights":  # ministack stays at ENABLING until it is described
                summary["ContributorInsightsStatus"] = "ENABLED" if watch.enabled else "DISABLED"
            if call.operation == "DescribeContributorInsights":
                summary["LastUpdateDateTime"] = watch.since.timestamp()
                summary["ContributorInsightsRuleList"] = list(watch.rules()) if watch.enabled else []
        body = json.dumps(answer, separators=(",", ":")).encode()
        return Response(200, [("Content-Type", "application/x-amz-json-1.0")], body)

    def _found(self, seen: Seen) -> Iterator[tuple[str, str, Watch]]:
        """(rule, kind, watch) of the caller's account and region."""
        place = f"{seen.account_id}/{seen.call.region}/"
        for key, watch in self._watches.items():
            if key.startswith(place) and watch.enabled:
                for rule, kind in watch.rules().items():
                    yield rule, kind, watch

    def _rules(self, seen: Seen) -> Json:
        return {
            "InsightRules": [
                {
                    "Name": rule,
                    "State": "ENABLED",
                    "Schema": '{"Name":"CloudWatchLogRule","Version":1}',
                    "Definition": json.dumps({"Contribution": {"Keys": watch.key[: 2 if kind[0] == "S" else 1]}}),
                    "ManagedRule": True,
                }
                for rule, kind, watch in self._found(seen)
            ]
        }

    def _report(self, seen: Seen) -> Json:
        sent = seen.call.parameters
        found = {rule: (kind, watch) for rule, kind, watch in self._found(seen)}
        if sent.get("RuleName") not in found:
            raise WireError("ResourceNotFoundException", f"The rule {sent.get('RuleName')} does not exist.", 404)
        kind, watch = found[sent["RuleName"]]
        most, period = int(sent.get("MaxContributorCount") or _CONTRIBUTORS), int(sent.get("Period") or MINUTE)
        start, end = sent.get("StartTime"), sent.get("EndTime")
        if not isinstance(start, datetime) or not isinstance(end, datetime) or start >= end:
            raise WireError("InvalidParameterValueException", "StartTime must lie before EndTime.")
        if not 1 <= most <= _MOST or period < MINUTE or period % MINUTE:
            raise WireError(
                "InvalidParameterValueException",
                f"MaxContributorCount is 1 to {_MOST}, Period a multiple of {MINUTE}.",
            )
        by_period: dict[int, Counter[str]] = {}
        for minute, counts in watch.counts.get(kind, {}).items():
            if start.timestamp() <= minute < end.timestamp() and minute + MINUTE <= seen.now.timestamp():
                by_period.setdefault(minute // period * period, Counter()).update(counts)
        return _report(by_period, watch.key[: 2 if kind.startswith("S") else 1], most, sent)


def _report(by_period: dict[int, Counter[str]], labels: list[str], most: int, sent: Json) -> Json:
    total: Counter[str] = Counter()
    for counts in by_period.values():
        total.update(counts)
    by_maximum = sent.get("OrderBy") == "Maximum"
    rank = {
        key: max(counts[key] for counts in by_period.values()) if by_maximum else value for key, value in total.items()
    }
    first = sorted(total, key=lambda key: (-rank[key], key))[:most]
    return {
        "KeyLabels": labels,
        "AggregationStatistic": "Sum",
        "AggregateValue": float(total.total()),
        "ApproximateUniqueCount": len(total),
        "Contributors": [
            {
                "Keys": json.loads(key),
                "ApproximateAggregateValue": float(total[key]),
                "Datapoints": [
                    {"Timestamp": datetime.fromtimestamp(at, UTC), "ApproximateValue": float(counts[key])}
                    for at, counts in sorted(by_period.items())
                    if counts[key]
                ],
            }
            for key in first
        ],
        "MetricDatapoints": [
            _datapoint(at, counts, sent.get("Metrics") or []) for at, counts in sorted(by_period.items())
        ],
    }


def _datapoint(at: int, counts: Counter[str], wanted: list[str]) -> Json:
    values = [float(value) for value in counts.values()]
    known = {
        "UniqueContributors": float(len(values)),
        "MaxContributorValue": max(values),
        "SampleCount": sum(values),
        "Sum": sum(values),
        "Minimum": min(values),
        "Maximum": max(values),
        "Average": sum(values) / len(values),
    }
    return {
        "Timestamp": datetime.fromtimestamp(at, UTC),
        **{name: value for name, value in known.items() if name in wanted},
    }


def keys_of(call: Call, shapes: Mapping[str, TableShape]) -> Iterator[tuple[str, str | None, Json]]:
    """(table, index, key attributes with plain values) of each item, or partition, that a call names."""
    sent = call.parameters
    if call.operation == "Query":
        yield bare_table(sent["TableName"]), sent.get("IndexName"), equality_key(sent)
        return
    for table, part in _parts_of(call):
        name = bare_table(table)
        attributes = part.get("Key") or part.get("Item") or {}
        names = shapes[name].key if name in shapes else list(part.get("Key") or ())
        yield name, None, plain_key({key: attributes[key] for key in names if key in attributes})


def _parts_of(call: Call) -> Iterator[tuple[str, Json]]:
    """(table, what is asked of one item)."""
    sent = call.parameters
    match call.operation:
        case "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem":
            yield sent["TableName"], sent
        case "BatchGetItem":
            for table, wanted in sent.get("RequestItems", {}).items():
                yield from ((table, {"Key": key}) for key in wanted.get("Keys", []))
        case "BatchWriteItem":
            for table, requests in sent.get("RequestItems", {}).items():
                yield from ((table, next(iter(request.values()))) for request in requests)
        case "TransactGetItems" | "TransactWriteItems":
            parts = [next(iter(member.values())) for member in sent.get("TransactItems", [])]
            yield from ((part["TableName"], part) for part in parts)


def _of(call: Call, watch: Watch) -> bool:
    return watch.table == bare_table(str(call.parameters.get("TableName", "")))
