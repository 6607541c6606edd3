from datetime import UTC, datetime, timedelta

import pytest

from dynatrail.state import pending
from dynatrail.state import streams as state

HOUR = timedelta(hours=1)
AT = datetime(2026, 11, 1, 3, tzinfo=UTC)
ARN = "arn:aws:dynamodb:eu-central-1:123456789012:table/Patients"
STREAM = f"{ARN}/stream/2026-11-01T00:00:00.000"


def seen(shard="a", parent=None, ending=None):
    return state.SeenShard(STREAM, shard, "streams", ARN, parent, "1", ending)


def progress(shard="a", **fields):
    return state.Progress(STREAM, shard, **fields)


def gap(**fields):
    standard = {
        "source": "streams",
        "table_arn": ARN,
        "stream_arn": STREAM,
        "shard_id": "a",
        "after_sequence_number": "7",
        "starts_at": AT,
        "ends_at": AT + 2 * HOUR,
        "reason": "trimmed",
        "explanation": "It was.",
    }
    return state.Gap(**(standard | fields))


@pytest.fixture
def only(url):
    """The one shard that is known."""

    def only():
        (row,) = state.shards(url=url)
        return row

    state.observe([seen()], AT, url=url)
    return only


def test_a_checkpoint_never_goes_back(url, only):
    state.advance([progress(sequence_number="100", newest_event_at=AT + HOUR, read_until=AT + HOUR)], url=url)
    state.advance([progress(sequence_number="99", newest_event_at=AT, read_until=AT)], url=url)
    row = only()
    assert (row.sequence_number, row.newest_event_at, row.read_until) == ("100", AT + HOUR, AT + HOUR)


def test_sequence_numbers_compare_as_numbers(url, only):
    state.advance([progress(sequence_number="9")], url=url)
    state.advance([progress(sequence_number="10")], url=url)
    assert only().sequence_number == "10"


def test_what_is_not_told_stays(url, only):
    state.advance([progress(sequence_number="5", newest_event_at=AT)], url=url)
    state.advance([progress(read_until=AT + HOUR)], url=url)
    row = only()
    assert (row.sequence_number, row.newest_event_at, row.read_until) == ("5", AT, AT + HOUR)


def test_a_shard_is_open_then_closed_then_drained(url, only):
    assert only().status == "open"
    state.observe([seen(ending="9")], AT, url=url)
    assert only().status == "closed"
    state.advance([progress(drained=True)], url=url)
    state.observe([seen(ending="9")], AT, url=url)
    assert (only().status, only().ending_sequence_number) == ("drained", "9")


def test_checkpoint_and_hours_due_are_one_commit(url, only):
    state.advance([progress(read_until=AT)], url=url)
    state.advance([progress(read_until=AT + 2 * HOUR)], rebuild={"build_trail": {AT}}, url=url)
    assert pending.hours("build_trail", url) == [AT]
    assert set(pending.hours(state.STATEMENTS, url)) >= {AT, AT + HOUR}


def test_a_gap_is_recorded_once_and_its_end_moves_on(url):
    assert state.record(gap(), url=url)
    assert not state.record(gap(ends_at=AT + 3 * HOUR), url=url)
    (row,) = state.gaps(url=url)
    assert (row.status, row.remaining) == ("open", ["2026-11-01T03:00:00Z/2026-11-01T06:00:00Z"])
    assert pending.hours(state.STATEMENTS, url) == [AT, AT + HOUR, AT + 2 * HOUR]


@pytest.mark.parametrize("other", [{"shard_id": "b"}, {"after_sequence_number": None}, {"starts_at": AT + HOUR}])
def test_another_place_or_start_is_another_gap(url, other):
    assert state.record(gap(), url=url)
    assert state.record(gap(**other), url=url)


def test_a_lost_shard_stays_lost(url, only):
    state.record(gap(), lost_shard=True, url=url)
    state.advance([progress(sequence_number="100", drained=True)], url=url)
    assert (only().status, only().sequence_number) == ("lost", None)


def points(url, *rows):
    state.observe([seen(shard, parent) for shard, parent, *_ in rows], AT, url=url)
    state.advance(
        [
            progress(shard, read_until=AT + hours * HOUR if hours is not None else None, drained=drained)
            for shard, _, hours, drained in rows
        ],
        url=url,
    )
    point = state.read_point(state.shards(streams=[STREAM], url=url))
    return None if point is None else (point - AT) / HOUR


@pytest.mark.parametrize(
    ("rows", "hours"),
    [
        ([("a", None, 2, False), ("b", None, 1, False)], 1),
        ([("a", None, 2, False), ("b", None, None, False)], None),
        ([("a", None, 1, True), ("b", "a", 3, False), ("c", "a", 2, False)], 2),
        ([("a", None, 1, True), ("b", "a", None, False)], 1),
        ([("a", None, 1, True)], 1),
        ([("a", None, 1, True), ("b", None, 2, True), ("c", "a b", 3, False)], 3),
        ([("a", None, 1, True), ("b", None, 2, True), ("c", "a b", None, False)], 1),
        ([("a", None, 1, True), ("c", "b", 3, False)], 1),
    ],
    ids=["slowest", "unread", "children", "unread child", "ended", "merged", "unread merged", "met together"],
)
def test_a_stream_has_been_read_up_to_where_its_slowest_branch_has(url, rows, hours):
    assert points(url, *rows) == hours
