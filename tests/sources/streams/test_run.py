"""Reading streams, from what AWS shows to rows, checkpoints and gaps, against a server that speaks its API."""

from datetime import timedelta

import pytest

from dynatrail.errors import WarehouseError
from dynatrail.state import streams as state

from .server import shard_id, table_arn

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def statuses():
    return {row.shard_id.rpartition("-")[2]: row.status for row in state.shards()}


def reads(server):
    """Shards in the order in which iterators were asked for."""
    return [body["ShardId"].rpartition("-")[2] for call, body in server.calls if call == "GetShardIterator"]


def test_every_change_lands_once_however_often_it_is_read(server, reading):
    stream = server.stream("Patients")
    written = [server.write(stream, "a", f"pat-{n}") for n in range(5)]
    assert reading.read("Patients").summary.changes == 5
    assert reading.read("Patients").summary.changes == 0
    assert reading.sequences() == written


def test_next_run_goes_on_after_the_last_record(server, reading):
    stream = server.stream("Patients")
    first = server.write(stream, "a", "pat-1")
    reading.read("Patients")
    second = server.write(stream, "a", "pat-1")
    assert reading.read("Patients").summary.records == 1
    assert reading.sequences() == [first, second]


def test_no_value_reaches_table_or_log(server, reading, caplog):
    stream = server.stream("Patients")
    server.write(stream, "a", "pat-4711")
    server.write(stream, "a", "pat-4711", dynamodb={"Keys": "secret-name"})
    reading.read("Patients")
    quarantined = reading.warehouse.dataset("quarantine").to_table().to_pylist()
    text = f"{reading.rows('new_image', 'old_image')} {quarantined} {caplog.text}"
    assert "pat-4711" not in text
    assert "secret-name" not in text


def test_a_child_is_read_after_its_parent(server, reading):
    stream = server.stream("Patients", "a", "b")
    server.write(stream, "a", "pat-1")
    server.split(stream, "a", "c", "d")
    server.write(stream, "c", "pat-1")
    server.split(stream, "c", "e")
    server.write(stream, "e", "pat-1")
    run = reading.read("Patients")
    assert run.summary.changes == 3
    order = reads(server)
    assert order.index("a") < order.index("c") < order.index("e")
    assert statuses() == {"a": "drained", "b": "open", "c": "drained", "d": "open", "e": "open"}


def test_a_child_that_appears_while_its_parent_is_read_is_read_too(server, reading):
    stream = server.stream("Patients")
    server.write(stream, "a", "pat-1")

    def split_late(operation, _):
        if operation == "GetRecords" and "c" not in stream.shards:
            server.split(stream, "a", "c")
            server.write(stream, "c", "pat-1")

    server.before = split_late
    assert reading.read("Patients").summary.changes == 2
    assert statuses() == {"a": "drained", "c": "open"}


def test_a_drained_shard_is_not_read_again(server, reading):
    stream = server.stream("Patients")
    server.write(stream, "a", "pat-1")
    server.split(stream, "a", "c")
    reading.read("Patients")
    server.calls.clear()
    reading.read("Patients")
    assert reads(server) == ["c"]


def test_shards_on_further_pages_are_found(server, reading):
    server.describe_page = 2
    stream = server.stream("Patients", "a", "b", "c", "d", "e")
    for name in "abcde":
        server.write(stream, name, "pat-1")
    assert reading.read("Patients").summary.changes == 5


def test_empty_answers_before_the_records_do_not_end_a_shard(server, reading):
    stream = server.stream("Patients")
    stream.shards["a"].empty = 4
    written = server.write(stream, "a", "pat-1")
    reading.read("Patients")
    assert reading.sequences() == [written]


def test_a_shard_that_is_written_to_without_end_is_read_to_the_runs_beginning(server, reading):
    stream = server.stream("Patients")
    began = server.now + timedelta(seconds=1)

    def write(operation, _):
        if operation in ("GetRecords", "DescribeStream"):
            server.now += timedelta(seconds=1)
            server.write(stream, "a", "pat-1")

    server.before = write
    reading.read("Patients")
    (shard,) = state.shards()
    assert (shard.status, shard.read_until) == ("open", began)
    assert server.now < began + MINUTE


def test_checkpoints_move_portion_by_portion(server, reading, monkeypatch):
    monkeypatch.setattr("dynatrail.sources.streams.run.PORTION", 3)
    server.page = 2
    stream = server.stream("Patients")
    written = [server.write(stream, "a", f"pat-{n}") for n in range(9)]
    assert reading.read("Patients").summary.changes == 9
    assert reading.sequences() == written
    assert len(list((reading.home / "quality").glob("run-1-*.json"))) == 3


def test_an_iterator_that_expires_is_renewed_after_the_last_record(server, reading):
    server.page = 2
    stream = server.stream("Patients")
    written = [server.write(stream, "a", f"pat-{n}") for n in range(6)]
    expired = []

    def expire(operation, body):
        if operation == "GetRecords" and '", 4, ' in body["ShardIterator"] and not expired:
            expired.append(body)
            server.faults.append(("GetRecords", 400, "ExpiredIteratorException"))

    server.before = expire
    assert reading.read("Patients").summary.records == 6
    assert reading.sequences() == written
    assert len(reads(server)) == 2


FAULTS = {
    "throttled": (400, "ThrottlingException"),
    "limit": (400, "LimitExceededException"),
    "5xx": (500, "InternalServerError"),
}
PASSING = {
    f"{operation}-{name}": (operation, *fault)
    for operation in ("DescribeStream", "GetShardIterator", "GetRecords")
    for name, fault in FAULTS.items()
} | {"GetRecords-truncated": ("GetRecords", 200, "{cut off")}


@pytest.mark.parametrize("fault", PASSING)
def test_a_passing_fault_is_tried_again(server, reading, fault):
    operation, status, code = PASSING[fault]
    written = server.write(server.stream("Patients"), "a", "pat-1")
    server.faults.append((operation, status, code))
    assert reading.read("Patients").unread == {}
    assert reading.sequences() == [written]


def test_a_lasting_fault_spares_the_other_tables_and_is_named(server, reading):
    for table in ("Patients", "Visits"):
        server.write(server.stream(table), "a", "pat-1")
    server.denied.add("Visits")
    run = reading.read("Patients", "Visits")
    assert reading.rows("table_name") == ["Patients"]
    complaint = run.complaint()
    assert complaint.startswith("1 of 2 tables could not be read to their end; the others landed. Visits: Could not")
    assert "AccessDenied" in complaint


def test_a_table_that_is_deleted_half_way_keeps_what_was_read(server, reading):
    server.page = 1
    stream = server.stream("Patients")
    written = [server.write(stream, "a", f"pat-{n}") for n in range(3)]

    def delete(operation, body):
        if operation == "GetRecords" and '", 2, ' in body["ShardIterator"]:
            server.streams.clear()

    server.before = delete
    run = reading.read("Patients")
    assert reading.sequences() == written[:2]
    assert "Patients" in run.unread
    server.before = None
    assert reading.read("Patients").unread == {}
    assert [gap[0] for gap in reading.gaps()] == ["shard_vanished"]
    assert statuses() == {"a": "lost"}


def test_a_stream_that_is_switched_off_is_read_to_its_end(server, reading):
    stream = server.stream("Patients")
    first = server.write(stream, "a", "pat-1")
    reading.read("Patients")
    second = server.write(stream, "a", "pat-1")
    server.disable(stream)
    reading.read("Patients")
    assert reading.sequences() == [first, second]
    assert statuses() == {"a": "drained"}
    assert reading.gaps() == []


def test_a_stream_that_replaced_another_leaves_a_gap_between_them(server, reading):
    old = server.stream("Patients")
    server.now += 10 * MINUTE
    server.write(old, "a", "pat-1")
    reading.read("Patients")
    server.now += 10 * MINUTE
    server.write(old, "a", "pat-1")
    server.now += 20 * MINUTE
    server.disable(old)
    server.now += HOUR
    new = server.stream("Patients")
    server.write(new, "a", "pat-1")
    for _ in range(2):
        assert reading.read("Patients").unread == {}
    assert len(reading.sequences()) == 3
    assert reading.gaps() == [("stream_replaced", round(20 / 60, 3), round(105 / 60, 3))]


def test_first_start_reads_what_is_left_and_misses_nothing(server, reading):
    stream = server.stream("Patients")
    server.write(stream, "a", "pat-1")
    server.split(stream, "a", "b", "c")
    server.pass_time(20 * HOUR)
    server.write(stream, "b", "pat-1")
    server.pass_time(10 * HOUR)
    run = reading.read("Patients")
    assert (run.summary.changes, run.summary.gaps, reading.gaps()) == (1, 0, [])


def test_what_was_trimmed_is_a_gap_to_the_first_record_that_is_left(server, reading):
    stream = server.stream("Patients")
    server.write(stream, "a", "pat-1")
    reading.read("Patients")
    server.now += HOUR
    server.write(stream, "a", "pat-1")
    server.now += HOUR
    last = server.write(stream, "a", "pat-1")
    server.pass_time(23.5 * HOUR)
    run = reading.read("Patients")
    assert run.summary.gaps == 1
    assert reading.sequences()[-1] == last
    assert reading.gaps() == [("trimmed", 0, round(2 + 1 / 3600, 3))]
    assert "repair_changes" in run.summary.warnings[0]


def test_a_gap_is_recorded_once_and_then_reading_goes_on(server, reading):
    stream = server.stream("Patients")
    server.write(stream, "a", "pat-1")
    reading.read("Patients")
    server.pass_time(30 * HOUR)
    after = server.write(stream, "a", "pat-1")
    assert reading.read("Patients").summary.gaps == 1
    assert reading.read("Patients").summary.gaps == 0
    assert reading.sequences()[-1] == after


def test_two_outages_are_two_gaps(server, reading):
    stream = server.stream("Patients")
    server.write(stream, "a", "pat-1")
    reading.read("Patients")
    for _ in range(2):
        server.pass_time(30 * HOUR)
        reading.read("Patients")
    assert [gap[0] for gap in reading.gaps()] == ["trimmed", "trimmed"]


def test_an_idle_shard_whose_last_record_was_trimmed_misses_nothing(server, reading):
    stream = server.stream("Patients")
    server.write(stream, "a", "pat-1")
    for _ in range(6):
        assert reading.read("Patients").summary.gaps == 0
        server.pass_time(5 * HOUR)
    server.write(stream, "a", "pat-1")
    assert reading.read("Patients").summary.changes == 1
    assert reading.gaps() == []


def test_a_shard_without_a_checkpoint_that_aged_is_a_gap(server, reading):
    stream = server.stream("Patients")
    reading.read("Patients")
    server.now += HOUR
    server.write(stream, "a", "pat-1")
    server.pass_time(25 * HOUR)
    left = server.write(stream, "a", "pat-1")
    reading.read("Patients")
    assert reading.sequences() == [left]
    assert [gap[0] for gap in reading.gaps()] == ["trimmed"]


def test_a_shard_that_vanished_unread_is_a_gap_and_its_children_go_on(server, reading):
    stream = server.stream("Patients")
    server.write(stream, "a", "pat-1")
    reading.read("Patients")
    server.now += HOUR
    server.write(stream, "a", "pat-1")
    server.split(stream, "a", "b")
    server.now += 2 * HOUR
    left = server.write(stream, "b", "pat-1")
    server.pass_time(23.5 * HOUR)
    reading.read("Patients")
    assert statuses() == {"a": "lost", "b": "open"}
    assert reading.sequences()[-1] == left
    (gap,) = reading.gaps()
    assert gap == ("shard_vanished", 0, 3.5)


def test_a_shard_that_was_seen_and_vanished_before_it_was_read_is_a_gap(server, reading):
    stream = server.stream("Patients")
    server.write(stream, "a", "pat-1")
    server.faults.extend([("GetRecords", 400, "AccessDeniedException")])
    assert reading.read("Patients").unread
    server.split(stream, "a", "b")
    server.pass_time(25 * HOUR)
    reading.read("Patients")
    assert [gap[0] for gap in reading.gaps()] == ["never_read"]


def test_a_shard_that_came_and_went_between_two_runs_is_a_gap(server, reading):
    stream = server.stream("Patients")
    server.write(stream, "a", "pat-1")
    server.split(stream, "a", "b")
    reading.read("Patients")
    stream.shards["b"].closed = True
    reading.read("Patients")
    server.now += HOUR
    server.split(stream, "b", "c")
    server.write(stream, "c", "pat-1")
    server.split(stream, "c", "d")
    server.now += HOUR
    left = server.write(stream, "d", "pat-1")
    server.pass_time(23.5 * HOUR)
    reading.read("Patients")
    assert [gap[0] for gap in reading.gaps()] == ["lineage_hole"]
    assert reading.gaps()[0][1:] == (0, 2.5)
    assert reading.sequences()[-1] == left


def test_a_stream_that_began_and_was_trimmed_during_an_outage_is_a_gap(server, reading):
    old = server.stream("Patients")
    server.write(old, "a", "pat-1")
    reading.read("Patients")
    server.disable(old)
    server.pass_time(HOUR)
    new = server.stream("Patients")
    server.write(new, "a", "pat-1")
    server.pass_time(30 * HOUR)
    left = server.write(new, "a", "pat-1")
    reading.read("Patients")
    assert reading.sequences()[-1] == left
    assert sorted(gap[0] for gap in reading.gaps()) == ["shard_vanished", "stream_replaced", "trimmed"]


def test_a_checkpoint_that_is_too_old_is_told_before_and_after(server, reading):
    stream = server.stream("Patients")
    server.write(stream, "a", "pat-1")
    reading.read("Patients")
    server.pass_time(19 * HOUR)
    run = reading.read("Patients")
    assert run.complaint() is None  # it has been read since
    assert "had not been read for 19.0 h" in run.summary.warnings[0]
    server.pass_time(19 * HOUR)
    server.faults.append(("GetRecords", 400, "AccessDeniedException"))
    complaint = reading.read("Patients").complaint()
    assert "1 tables lie behind by more than 18 h, Patients by 19.0 h." in complaint


def test_a_record_from_the_future_is_kept_out_and_moves_no_time(server, reading):
    stream = server.stream("Patients")
    server.write(stream, "a", "pat-1", dynamodb={"ApproximateCreationDateTime": 4_000_000_000})
    run = reading.read("Patients")
    (shard,) = state.shards()
    assert (run.summary.changes, run.summary.quarantined) == (0, 1)
    assert (shard.newest_event_at, shard.read_until) == (None, server.now)
    (row,) = reading.warehouse.dataset("quarantine").to_table().to_pylist()
    assert (row["reason_code"], row["source"]) == ("event_time_too_late", "streams")


def test_a_record_that_cannot_be_read_is_quarantined_once(server, reading):
    stream = server.stream("Patients")
    bad = server.write(stream, "a", "pat-1", dynamodb={"Keys": None})
    for _ in range(2):
        reading.read("Patients")
    (row,) = reading.warehouse.dataset("quarantine").to_table().to_pylist()
    assert (row["position"], row["reason_code"]) == (f"sequence {bad}", "record_form")
    assert row["source_uri"] == f"{stream.arn}/{shard_id('a')}"


def test_touched_hours_are_noted_for_the_next_stage(server, reading):
    from dynatrail.state import pending

    stream = server.stream("Patients")
    server.write(stream, "a", "pat-1")
    reading.read("Patients")
    assert pending.hours("build_trail") == [server.now]


def test_many_streams_are_read_side_by_side(server, reading):
    tables = [f"Table{n}" for n in range(12)]
    for table in tables:
        server.write(server.stream(table), "a", "pat-1")
    assert reading.read(*tables).summary.changes == 12
    assert {row.table_arn for row in state.shards()} == {table_arn(table) for table in tables}


def test_a_gap_grows_while_what_follows_it_cannot_be_landed(server, reading, monkeypatch):
    stream = server.stream("Patients")
    server.write(stream, "a", "pat-1")
    reading.read("Patients")
    server.pass_time(30 * HOUR)
    for _ in range(2):
        server.write(stream, "a", "pat-1")
        with monkeypatch.context() as patch:
            patch.setattr("dynatrail.sources.streams.run.land", refuse)
            with pytest.raises(WarehouseError):
                reading.read("Patients")
        server.pass_time(30 * HOUR)
    server.write(stream, "a", "pat-1")
    reading.read("Patients")
    assert reading.gaps() == [("trimmed", 0, 67)]


def refuse(*given, **more):
    raise WarehouseError("The disk is full.")


def test_a_shard_that_could_not_be_read_since_it_was_met_has_lost_what_was_trimmed(server, reading):
    stream = server.stream("Patients")
    server.now += 20 * HOUR
    server.write(stream, "a", "pat-1")
    server.faults.append(("GetRecords", 400, "AccessDeniedException"))
    assert reading.read("Patients").unread
    server.pass_time(30 * HOUR)
    server.write(stream, "a", "pat-1")
    reading.read("Patients")
    assert reading.gaps() == [("trimmed", 0, 27)]
    assert reading.statements()["Patients", 20] == ("incomplete", ["trimmed"])
