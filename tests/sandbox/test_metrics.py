"""The part that counts: mismatches between metrics and trail, and what DynamoDB does by itself."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dynatrail.sandbox.identities import Caller
from dynatrail.sandbox.journal import Change, Journal
from dynatrail.sandbox.metrics import Metrics, Mismatches
from dynatrail.sandbox.parts import Seen

See = Callable[..., Seen]
Json = dict[str, Any]
END = datetime(2026, 11, 23, tzinfo=UTC)
KEY = {"id": {"S": "a"}}
GET = ("dynamodb", "GetItem", {"TableName": "T", "Key": KEY})


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    return Metrics("seed", Journal(tmp_path, lambda: END))


def play(metrics: Metrics, seen: Seen) -> Seen:
    metrics.saw(seen)
    answered = metrics.answer(seen)
    if answered is not None:
        seen = Seen(seen.call, answered, seen.account_id, seen.caller, seen.now)
    metrics.gave(seen)
    return seen


def requests(metrics: Metrics) -> int:
    return sum(len(v) for s in metrics.store if s.name == "SuccessfulRequestLatency" for v in s.minutes.values())


def names(metrics: Metrics) -> set[str]:
    return {series.name for series in metrics.store if series.minutes}


def test_the_makers_own_calls_are_not_counted(metrics: Metrics, see: See):
    play(metrics, see(*GET, caller=Caller(recorded=False)))
    assert requests(metrics) == 0


def test_a_call_that_the_selectors_leave_out_is_counted(metrics: Metrics, see: See):
    play(metrics, see(*GET, caller=Caller(selected=False)))
    assert requests(metrics) == 1


def test_latencies_are_the_same_for_the_same_seed_and_order(tmp_path: Path, see: See):
    kept = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        metrics = Metrics("seed", Journal(tmp_path / name, lambda: END))
        for _ in range(20):
            play(metrics, see(*GET))
        kept.append(metrics.store.dump())
    assert kept[0] == kept[1]


@pytest.mark.parametrize(
    ("mismatches", "counted"),
    [(Mismatches(missing=1.0), 0), (Mismatches(phantom=1.0), 20), (Mismatches(late=1.0), 0), (Mismatches(), 10)],
    ids=["missing", "phantom", "late", "none"],
)
def test_metrics_differ_from_the_calls_as_asked(metrics: Metrics, see: See, mismatches: Mismatches, counted: int):
    metrics.mismatches = mismatches
    for _ in range(10):
        play(metrics, see(*GET))
    assert requests(metrics) == counted


def test_late_metrics_come_in_the_end(metrics: Metrics, see: See):
    metrics.mismatches = Mismatches(late=1.0, late_by=timedelta(minutes=30))
    play(metrics, see(*GET))
    metrics.tick(END + timedelta(minutes=30))
    assert requests(metrics) == 1


def test_a_throttled_read_is_an_error_to_the_caller_and_to_the_metrics(metrics: Metrics, see: See):
    metrics.mismatches = Mismatches(throttled_reads=1.0)
    seen = play(metrics, see(*GET))
    assert b"ProvisionedThroughputExceeded" in seen.response.body
    assert names(metrics) == {"ThrottledRequests", "ReadThrottleEvents"}


def test_a_batch_throttled_in_part_leaves_its_last_key(metrics: Metrics, see: See):
    metrics.mismatches = Mismatches(partial_batches=1.0)
    keys = [{"id": {"S": name}} for name in "ab"]
    sent = {"RequestItems": {"T": {"Keys": keys}}}
    seen = play(metrics, see("dynamodb", "BatchGetItem", sent, {"Responses": {"T": keys}}))
    answer = json.loads(seen.response.body)
    assert (answer["Responses"]["T"], answer["UnprocessedKeys"]["T"]["Keys"]) == (keys[:1], keys[1:])
    assert {"SuccessfulRequestLatency", "ReadThrottleEvents"} <= names(metrics)


@pytest.mark.parametrize(
    ("cause", "found"),
    [
        ("ttl", {("TimeToLiveDeletedItemCount", (("TableName", "T"),))}),
        ("replication", {("ConsumedWriteCapacityUnits", (("Source", "GlobalTable"), ("TableName", "T")))}),
        ("call", set()),
    ],
)
def test_what_dynamodb_does_by_itself_is_counted(metrics: Metrics, cause: Any, found: set[Any]):
    change = Change(
        sequence=1,
        at=END,
        account_id="123456789012",
        region="us-east-1",
        table="T",
        key=KEY,
        old=KEY,
        new=None,
        cause=cause,
    )
    metrics._note(change)
    assert {(series.name, series.dimensions) for series in metrics.store} == found


def test_it_goes_on_after_a_restart(metrics: Metrics, tmp_path: Path, see: See):
    play(metrics, see(*GET))
    (tmp_path / "again").mkdir()
    again = Metrics("seed", Journal(tmp_path / "again", lambda: END))
    again.load(metrics.save())
    for one in (metrics, again):
        play(one, see(*GET))
    assert metrics.store.dump() == again.store.dump()
