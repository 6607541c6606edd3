"""The ledger: which objects a run shall take, whatever was retried, killed, taken twice or changed."""

import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dynatrail.errors import StateError
from dynatrail.state.ledger import Ledger, SeenObject, TakenObject

HOUR = datetime(2026, 11, 1, 3, tzinfo=UTC)
ONE_HOUR = timedelta(hours=1)


def seen(name, delivered_at=HOUR, etag="e1", size=100, region="eu-central-1"):
    return SeenObject(f"s3://trail-bucket/{name}", "123456789012", region, delivered_at, size, etag)


def taken(name, *hours, etag="e1", sha256="0" * 64):
    instants = [hour + timedelta(minutes=10) for hour in hours]
    return TakenObject(
        f"s3://trail-bucket/{name}",
        etag=etag,
        sha256=sha256,
        records=len(hours),
        quarantined=0,
        event_hours=set(hours),
        oldest_event_at=min(instants, default=None),
        newest_event_at=max(instants, default=None),
    )


@pytest.fixture
def ledger(url):
    return Ledger(url=url)


def discover(ledger, *objects, run_id="run", window=None):
    found = ledger.discover(objects, run_id=run_id, retake_window=window)
    return [row.uri.removeprefix("s3://trail-bucket/") for row in found]


def test_a_new_object_is_to_be_taken(ledger):
    [row] = ledger.discover([seen("a")], run_id="run-1")
    assert (row.status, row.run_id, row.delivered_at, row.size, row.changed) == (
        "discovered",
        "run-1",
        HOUR,
        100,
        False,
    )


def test_discovering_again_gives_the_same_answer(ledger):
    assert discover(ledger, seen("a"), seen("b")) == discover(ledger, seen("a"), seen("b")) == ["a", "b"]


def test_a_listing_that_shows_an_object_twice_gives_it_once(ledger):
    assert discover(ledger, seen("a"), seen("a")) == ["a"]


def test_the_order_is_region_then_delivery_then_address(ledger):
    objects = [seen("d", region="us-east-1"), seen("c"), seen("b"), seen("a", HOUR + ONE_HOUR)]
    assert discover(ledger, *objects) == ["b", "c", "a", "d"]


def test_a_taken_object_is_not_taken_again(ledger):
    discover(ledger, seen("a"), seen("b"))
    ledger.taken([taken("a", HOUR)])
    assert discover(ledger, seen("a"), seen("b"), run_id="run-2") == ["b"]


def test_what_a_killed_run_left_is_taken_by_the_next_though_it_is_not_listed(ledger):
    discover(ledger, seen("a"), run_id="killed")
    assert discover(ledger, seen("b"), run_id="next") == ["a", "b"]


def test_a_failed_object_is_tried_again_and_keeps_its_reason_until_then(ledger):
    discover(ledger, seen("a"))
    ledger.failed("s3://trail-bucket/a", "AccessDenied: allow s3:GetObject")
    [row] = ledger.discover([], run_id="next")
    assert (row.status, row.error) == ("failed", "AccessDenied: allow s3:GetObject")
    ledger.taken([taken("a", HOUR)])
    [row] = ledger.discover([], run_id="later", retake_window=(HOUR, HOUR + ONE_HOUR))
    assert (row.status, row.error) == ("taken", None)


def test_sources_do_not_see_each_other(ledger, url):
    discover(ledger, seen("a"))
    assert Ledger("digest", url).discover([], run_id="run") == []


def test_a_window_takes_again_what_was_delivered_in_it_half_open(ledger):
    objects = [seen("before", HOUR - timedelta(minutes=1)), seen("in", HOUR), seen("after", HOUR + ONE_HOUR)]
    discover(ledger, *objects)
    ledger.taken([taken(name) for name in ("before", "in", "after")])
    assert discover(ledger, *objects, window=(HOUR, HOUR + ONE_HOUR)) == ["in"]


def test_a_window_takes_again_known_objects_with_events_in_it_whenever_they_came(ledger):
    late = seen("late", HOUR + timedelta(days=9))
    discover(ledger, late, seen("other"))
    ledger.taken([taken("late", HOUR - 5 * ONE_HOUR, HOUR, HOUR + 5 * ONE_HOUR), taken("other", HOUR + ONE_HOUR)])
    assert discover(ledger, window=(HOUR, HOUR + ONE_HOUR)) == ["late"]
    assert discover(ledger, window=(HOUR + timedelta(minutes=20), HOUR + timedelta(minutes=40))) == ["late"]
    assert discover(ledger, window=(HOUR - ONE_HOUR, HOUR)) == []


def test_a_window_includes_what_was_never_taken(ledger):
    assert discover(ledger, seen("a"), window=(HOUR - 9 * ONE_HOUR, HOUR - 8 * ONE_HOUR)) == ["a"]


def test_an_object_that_changed_since_it_was_taken_is_returned_and_flagged(ledger):
    discover(ledger, seen("a"))
    ledger.taken([taken("a", HOUR, sha256="1" * 64)])
    [row] = ledger.discover([seen("a", etag="e2")], run_id="run-2")
    assert (row.changed, row.previous_sha256, row.etag, row.status) == (True, "1" * 64, "e2", "discovered")
    [again] = ledger.discover([seen("a", etag="e2")], run_id="run-3")
    assert again.changed
    ledger.taken([taken("a", HOUR, etag="e2", sha256="2" * 64)])
    assert discover(ledger, seen("a", etag="e2")) == []
    [row] = ledger.discover([], run_id="run-4", retake_window=(HOUR, HOUR + ONE_HOUR))
    assert (row.changed, row.previous_sha256, row.changed_at is None) == (False, "1" * 64, False)


def test_a_change_of_an_object_that_was_unreadable_is_flagged_too(ledger):
    discover(ledger, seen("a"))
    ledger.taken([taken("a", sha256=None)])
    [row] = ledger.discover([seen("a", etag="e2")], run_id="run-2")
    assert (row.changed, row.previous_sha256) == (True, None)


def test_an_object_that_changed_before_it_was_taken_is_only_noted_anew(ledger):
    discover(ledger, seen("a"))
    [row] = ledger.discover([seen("a", size=200)], run_id="run-2")
    assert (row.changed, row.size) == (False, 200)


def test_an_object_that_changed_between_listing_and_reading_is_seen_by_the_next_run(ledger):
    discover(ledger, seen("a"))
    ledger.taken([taken("a", HOUR, etag="e2")])
    assert discover(ledger, seen("a", etag="e2")) == []
    assert discover(ledger, seen("a", etag="e3")) == ["a"]


def test_a_batch_is_looked_up_by_its_number(ledger):
    rows = ledger.discover([seen(name) for name in "cab"], run_id="run")
    uris = [row.uri for row in rows]
    ledger.assign("run", [uris[:2], uris[2:]])
    assert [row.uri[-1] for row in ledger.batch("run", 0)] == ["a", "b"]
    assert [row.uri[-1] for row in ledger.batch("run", 1)] == ["c"]
    assert ledger.batch("run", 2) == ledger.batch("other", 0) == []


def test_a_retried_batch_has_what_it_took_already_too(ledger):
    discover(ledger, seen("a"), seen("b"))
    ledger.assign("run", [["s3://trail-bucket/a", "s3://trail-bucket/b"]])
    ledger.taken([taken("a", HOUR)])
    assert [row.status for row in ledger.batch("run", 0)] == ["taken", "discovered"]


def test_taking_the_same_again_changes_only_the_time(ledger):
    discover(ledger, seen("a"))
    ledger.taken([taken("a", HOUR)])
    ledger.taken([taken("a", HOUR)])
    [row] = ledger.discover([], run_id="x", retake_window=(HOUR, HOUR + ONE_HOUR))
    assert (row.records, row.event_hours, row.newest_event_at) == (
        1,
        ["2026-11-01T03:00:00Z"],
        HOUR + timedelta(minutes=10),
    )


def test_the_hours_of_objects_are_those_of_all_their_events(ledger):
    discover(ledger, seen("a"), seen("b"), seen("c"))
    ledger.taken([taken("a", HOUR, HOUR + ONE_HOUR), taken("b", HOUR + ONE_HOUR, HOUR + 30 * ONE_HOUR)])
    uris = [f"s3://trail-bucket/{name}" for name in "abc"]
    assert ledger.hours_of(uris) == {HOUR, HOUR + ONE_HOUR, HOUR + 30 * ONE_HOUR}
    assert ledger.hours_of([]) == set()


def test_an_unknown_object_is_an_error_and_nothing_is_noted(ledger):
    discover(ledger, seen("a"))
    with pytest.raises(StateError, match="does not know s3://trail-bucket/b"):
        ledger.taken([taken("a", HOUR), taken("b", HOUR)])
    assert discover(ledger) == ["a"]


def test_nothing_to_do_is_no_error(ledger):
    ledger.taken([])
    ledger.assign("run", [])
    assert discover(ledger) == []


def test_twenty_thousand_objects_take_seconds(ledger):
    objects = [seen(f"{number:06d}", HOUR + timedelta(minutes=number % 600)) for number in range(20_000)]
    started = time.monotonic()
    uris = [row.uri for row in ledger.discover(objects, run_id="run")]
    ledger.assign("run", [uris[number::20] for number in range(20)])
    ledger.taken([replace(taken("x", HOUR), uri=uri) for uri in uris])
    assert len(ledger.batch("run", 7)) == 1_000
    assert ledger.discover(objects, run_id="run-2") == []
    assert ledger.hours_of(uris) == {HOUR}
    assert time.monotonic() - started < 60  # measured 4 s on SQLite and 7 s on PostgreSQL, on two cores


@pytest.mark.slow
def test_runs_at_the_same_time_know_each_object_once_and_do_not_lock_each_other_out(ledger, url):
    script = """
import random, sys
from datetime import UTC, datetime
from dynatrail.state.ledger import Ledger, SeenObject, TakenObject
hour = datetime(2026, 11, 1, 3, tzinfo=UTC)
ledger, run = Ledger(url=sys.argv[1]), sys.argv[2]
names = [f"s3://trail-bucket/{n:04d}" for n in range(500)]
for turn in range(4):
    random.shuffle(names)
    found = [row.uri for row in ledger.discover(
        [SeenObject(name, "123456789012", "eu-central-1", hour, 1, "e") for name in names], run_id=run,
        retake_window=(hour, datetime(2026, 11, 1, 4, tzinfo=UTC)))]
    assert len(found) == 500
    random.shuffle(found)
    ledger.assign(run, [found[:250], found[250:]])
    ledger.taken([TakenObject(uri, "e", "0" * 64, 1, 0, {hour}, hour, hour) for uri in found])
"""
    started = [
        subprocess.Popen([sys.executable, "-c", script, url, f"run-{n}"], stderr=subprocess.PIPE, text=True)
        for n in range(4)
    ]
    for process in started:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert discover(ledger) == []
    assert len(ledger.discover([], run_id="x", retake_window=(HOUR, HOUR + ONE_HOUR))) == 500
