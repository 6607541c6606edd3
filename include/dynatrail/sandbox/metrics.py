"""CloudWatch's AWS/DynamoDB metrics, counted from the calls that the sandbox sees.

Counted is what callers got, independent of the CloudTrail record. What the account's maker does
outside of any history (`Caller.recorded` is false) is not.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from dynatrail.sandbox.calls import Call, service_model
from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.journal import Change, Journal
from dynatrail.sandbox.metrics_answers import get_metric_data, get_metric_statistics, list_metrics, names_dynamodb
from dynatrail.sandbox.metrics_counting import Sample, TableShape, dimensions, samples
from dynatrail.sandbox.metrics_sizes import item_size, write_units
from dynatrail.sandbox.metrics_store import MetricStore, Series
from dynatrail.sandbox.metrics_throttling import WHOLE, cut_batch, refuse_read
from dynatrail.sandbox.metrics_wire import WireError, encode, is_cbor, refuse
from dynatrail.sandbox.parts import Seen

Json = dict[str, Any]
_Answer = Callable[[MetricStore, str, str, Json, datetime], Json]

_ANSWERS: dict[str, _Answer] = {
    "GetMetricData": get_metric_data,
    "GetMetricStatistics": get_metric_statistics,
    "ListMetrics": list_metrics,
}
_BASE_MS = {"GetItem": 2.4, "Query": 4.1, "Scan": 8.6, "GetRecords": 6.0, "BatchGetItem": 4.4, "PutItem": 3.6}
_OTHER_MS = 5.2


class Mismatches(msgspec.Struct, frozen=True, kw_only=True):
    """Where metrics and trail shall differ, as shares of the calls; which calls are hit depends on the seed only.

    Attributes:
        missing: not counted at all: an event without metric.
        phantom: counted once more than there are events.
        late: counted only `late_by` after the call.
        throttled_reads: GetItem, Query and Scan calls that are refused for want of throughput.
        partial_batches: BatchGetItem calls that leave a key unprocessed: a success, with one throttle event.
        plain_partiql: PartiQL statements have a series without `Verb` and `OperationType` too.
    """

    missing: float = 0.0
    phantom: float = 0.0
    late: float = 0.0
    late_by: timedelta = timedelta(minutes=45)
    throttled_reads: float = 0.0
    partial_batches: float = 0.0
    plain_partiql: bool = True


class _Saved(msgspec.Struct):
    series: list[Series] = []
    shapes: dict[str, dict[str, TableShape]] = {}
    mismatches: Mismatches = Mismatches()
    calls: int = 0


class Metrics:
    """The part.

    Attributes:
        store: all datapoints; alarms read it too.
        shapes: tables by `ACCOUNT/REGION` and name.
        mismatches: may be set at any time, for the calls from then on.
    """

    name = "metrics"

    def __init__(self, seed: str, journal: Journal) -> None:
        self.store = MetricStore()
        self.shapes: dict[str, dict[str, TableShape]] = {}
        self.mismatches = Mismatches()
        self._seed = seed
        self._calls = 0
        self._throttled = 0
        journal.listen(self._note)

    def throttle(self, calls: int) -> None:
        """Refuse the next `calls` calls that ask for metrics with `Throttling`."""
        self._throttled = calls

    def saw(self, seen: Seen) -> None:
        if seen.call.service == "dynamodb" and seen.ok and seen.call.operation in {"CreateTable", "DeleteTable"}:
            self._learn(seen.call, _place(seen))

    def answer(self, seen: Seen) -> Response | None:
        call = seen.call
        if call.service == "dynamodb":
            return self._throttling(seen) if seen.ok and seen.caller.recorded else None
        give = _ANSWERS.get(call.operation)
        if call.service != "cloudwatch" or give is None or not names_dynamodb(call.parameters):
            return None
        cbor = is_cbor(seen.response)
        if self._throttled:
            self._throttled -= 1
            return refuse(WireError("Throttling", "Rate exceeded"), cbor=cbor)
        try:
            answer = give(self.store, seen.account_id, call.region, call.parameters, seen.now)
        except WireError as error:
            return refuse(error, cbor=cbor)
        shape = service_model("cloudwatch").operation_model(call.operation).output_shape
        return encode(answer, shape, cbor=cbor)  # type: ignore[arg-type]  # all three have an answer

    def gave(self, seen: Seen) -> None:
        call = seen.call
        if call.service not in {"dynamodb", "dynamodbstreams"} or not seen.caller.recorded:
            return
        place = _place(seen)
        found = samples(call, seen.response, self.shapes.get(place, {}), plain=self.mismatches.plain_partiql)
        self._take(found, call, place, seen.now)
        self._calls += 1

    def tick(self, now: datetime) -> None:
        self.store.settle(now)

    def save(self) -> bytes:
        return msgspec.msgpack.encode(_Saved(self.store.dump(), self.shapes, self.mismatches, self._calls))

    def load(self, saved: bytes) -> None:
        state = msgspec.msgpack.decode(saved, type=_Saved)
        self.store.load(state.series)
        self.shapes, self.mismatches, self._calls = state.shapes, state.mismatches, state.calls

    def _learn(self, call: Call, place: str) -> None:
        tables, sent = self.shapes.setdefault(place, {}), call.parameters
        if call.operation == "DeleteTable":
            tables.pop(sent["TableName"], None)
            return
        tables[sent["TableName"]] = TableShape(
            _names(sent["KeySchema"]),
            {index["IndexName"]: _names(index["KeySchema"]) for index in sent.get("GlobalSecondaryIndexes") or ()},
        )

    def _note(self, change: Change) -> None:
        """Count what DynamoDB does by itself."""
        account, region = change.account_id, change.region
        if change.cause == "ttl":
            table = dimensions(TableName=change.table)
            self.store.add(account, region, "TimeToLiveDeletedItemCount", table, change.at, 1.0)
        elif change.cause == "replication":
            units = write_units(max(item_size(change.old or {}), item_size(change.new or {})))
            source = dimensions(TableName=change.table, Source="GlobalTable")
            self.store.add(account, region, "ConsumedWriteCapacityUnits", source, change.at, units)

    def _throttling(self, seen: Seen) -> Response | None:
        call, shares, (chance, *_) = seen.call, self.mismatches, self._chances()
        if call.operation in WHOLE and chance < shares.throttled_reads:
            return refuse_read()
        if call.operation == "BatchGetItem" and chance < shares.partial_batches:
            return cut_batch(call, seen.response)
        return None

    def _take(self, found: list[Sample], call: Call, place: str, now: datetime) -> None:
        _, wrong, late, speed = self._chances()
        shares = self.mismatches
        if wrong < shares.missing:
            return
        account, _, region = place.partition("/")
        visible = now + shares.late_by if late < shares.late else None
        latency = round(_BASE_MS.get(call.operation, _OTHER_MS) * (0.6 + speed + 6 * speed**12), 3)
        for sample in found * (2 if wrong >= 1 - shares.phantom else 1):
            value = latency if sample.value is None else sample.value
            self.store.add(account, region, sample.name, sample.dimensions, now, value, sample.unit, visible_at=visible)

    def _chances(self) -> tuple[float, float, float, float]:
        """Four numbers in [0, 1) of this call, the same for the same seed and order of calls."""
        digest = hashlib.blake2b(f"{self._seed}:{self._calls}".encode(), digest_size=16).digest()
        first, second, third, fourth = (int.from_bytes(digest[at : at + 4]) / 2**32 for at in (0, 4, 8, 12))
        return first, second, third, fourth


def _place(seen: Seen) -> str:
    return f"{owner_of(seen.call, seen.account_id)}/{seen.call.region}"


def owner_of(call: Call, account_id: str) -> str:
    """Account whose table is called: that of an ARN in place of the name, else the caller's."""
    name = call.parameters.get("TableName")
    return name.split(":")[4] if isinstance(name, str) and name.startswith("arn:") else account_id


def _names(key_schema: list[Json]) -> list[str]:
    return [part["AttributeName"] for part in key_schema]
