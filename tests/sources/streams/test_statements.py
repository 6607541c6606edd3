from datetime import timedelta

import pytest

from dynatrail.config import Account, Target
from dynatrail.settings import Settings
from dynatrail.sources.changes.rows import ChangedTable
from dynatrail.sources.streams import statements
from dynatrail.state import streams as state

from .server import ACCOUNT, REGION, START, table_arn

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
TARGET = Target(Account(id=ACCOUNT, regions=(REGION,)), REGION)


@pytest.fixture
def stream(server):
    return server.stream("Patients")


def stated(reading):
    return {hour: said for (table, hour), said in reading.statements().items() if table == "Patients"}


def rows(reading):
    return reading.warehouse.dataset("source_statement").to_table().to_pylist()


def test_an_hour_is_complete_when_everything_was_read_past_it(server, reading, stream):
    server.write(stream, "a", "pat-1")
    server.now += 2 * HOUR + 5 * MINUTE
    reading.read("Patients")
    assert stated(reading) == {0: ("complete", None), 1: ("complete", None)}
    assert {row["event_hour"]: row["records"] for row in rows(reading)} == {START: 1, START + HOUR: 0}


def test_an_hour_is_not_stated_before_late_records_can_no_longer_come(server, reading, stream):
    server.now += HOUR + 4 * MINUTE
    reading.read("Patients")
    assert stated(reading) == {}
    server.now += MINUTE
    reading.read("Patients")
    assert stated(reading) == {0: ("complete", None)}


def test_an_hour_waits_for_the_slowest_shard(server, reading, stream):
    server.split(stream, "a", "b", "c")
    server.write(stream, "b", "pat-1")
    server.now += 2 * HOUR
    server.faults.append(("GetRecords", 400, "AccessDeniedException"))
    reading.read("Patients")
    assert stated(reading) == {}


def test_the_hour_in_which_the_stream_began_is_not_complete(server, reading):
    server.now += 30 * MINUTE
    server.stream("Patients")
    server.now += HOUR
    reading.read("Patients")
    assert stated(reading) == {0: ("incomplete", ["reading_began"])}


def test_hours_before_the_first_day_that_could_be_read_are_not_stated(server, reading, stream):
    server.pass_time(100 * HOUR + 30 * MINUTE)
    reading.read("Patients")
    found = stated(reading)
    assert (min(found), found[min(found)]) == (76, ("incomplete", ["reading_began"]))
    assert found[77] == ("complete", None)


def test_a_gap_makes_its_hours_incomplete_and_its_repair_reconstructed(server, reading, stream):
    server.write(stream, "a", "pat-1")
    reading.read("Patients")
    server.pass_time(30 * HOUR)
    reading.read("Patients")
    found = stated(reading)
    assert found[5] == ("incomplete", ["trimmed"])
    assert found[20] == ("complete", None)
    (gap,) = state.gaps()
    from dynatrail.state.database import session

    with session() as opened:
        gap = opened.merge(gap)
        gap.remaining, gap.status = ["2026-11-01T03:00:00Z/2026-11-01T05:00:00Z"], "narrowed"
    table = ChangedTable(ACCOUNT, REGION, "Patients", table_arn("Patients"))
    hours = {START + n * HOUR for n in range(10)}
    assert statements.rebuild(Settings(home=reading.home), table, hours) == sorted(hours)
    found = stated(reading)
    assert (found[1], found[2]) == (("incomplete", ["trimmed"]), ("reconstructed", ["trimmed"]))


def test_stating_again_writes_nothing(server, reading, stream):
    server.now += 2 * HOUR
    reading.read("Patients")
    stated(reading)
    version = reading.warehouse.versions(["source_statement"])
    table = ChangedTable(ACCOUNT, REGION, "Patients", table_arn("Patients"))
    statements.rebuild(Settings(home=reading.home), table, {START})
    assert reading.warehouse.versions(["source_statement"]) == version


def test_a_stream_that_replaced_another_leaves_the_hours_between_incomplete(server, reading, stream):
    reading.read("Patients")
    server.disable(stream)
    server.now += 2 * HOUR
    server.stream("Patients")
    server.now += 2 * HOUR + 10 * MINUTE
    reading.read("Patients")
    found = stated(reading)
    assert [found[hour] for hour in range(4)] == [("incomplete", ["stream_replaced"])] * 3 + [("complete", None)]


def test_hours_after_a_stream_ended_are_not_stated_by_it(server, reading, stream):
    server.now += HOUR + 10 * MINUTE
    reading.read("Patients")
    server.disable(stream)
    server.now += 3 * HOUR
    reading.read("Patients")
    assert stated(reading) == {0: ("complete", None)}


@pytest.mark.parametrize(
    ("state_it", "reason"),
    [
        (lambda settings, table: statements.without_stream(settings, TARGET, [table]), "no_stream"),
        (lambda settings, table: statements.unreadable(settings, TARGET, {table.name: "denied"}), "not_readable"),
    ],
    ids=["no_stream", "not_readable"],
)
def test_hours_of_a_table_that_cannot_be_read_are_not_assessable(reading, state_it, reason):
    table = ChangedTable(ACCOUNT, REGION, "Patients", table_arn("Patients"))
    settings = Settings(home=reading.home)
    state_it(settings, table)
    found = rows(reading)
    assert len(found) >= 23
    assert {(row["status"], *row["reasons"], row["records"]) for row in found} == {("not_assessable", reason, None)}
    version = reading.warehouse.versions(["source_statement"])
    state_it(settings, table)
    assert reading.warehouse.versions(["source_statement"]) == version


def test_an_hour_of_which_a_record_is_in_quarantine_is_incomplete(server, reading, stream):
    server.write(stream, "a", "pat-1", dynamodb={"Keys": "no keys"})
    server.now += 2 * HOUR + 5 * MINUTE
    server.write(stream, "a", "pat-1")
    reading.read("Patients")
    assert stated(reading) == {0: ("incomplete", ["quarantined"]), 1: ("complete", None)}


def test_hours_between_two_streams_are_not_stated_before_the_gap_is_recorded(server, reading, stream, monkeypatch):
    reading.read("Patients")
    server.disable(stream)
    server.now += 2 * HOUR
    server.stream("Patients")
    server.now += 2 * HOUR + 10 * MINUTE
    with monkeypatch.context() as patch:
        patch.setattr("dynatrail.sources.streams.lineage.replaced", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            reading.read("Patients")
    assert stated(reading) == {3: ("complete", None)}
    reading.read("Patients")
    assert {said for hour, (said, _) in stated(reading).items() if hour < 3} == {"incomplete"}
    assert set(stated(reading)) == {0, 1, 2, 3}


def test_a_statement_is_made_of_what_is_known_when_it_is_written(server, reading, stream, monkeypatch):
    """Another task records a gap, and states its hour, between this one's look and its write."""
    server.now += 2 * HOUR + 5 * MINUTE
    reading.read("Patients")
    settings = Settings(home=reading.home)
    table = ChangedTable(ACCOUNT, REGION, "Patients", table_arn("Patients"))
    counted = statements._counts

    def overtaken(*given):
        monkeypatch.setattr(statements, "_counts", counted)
        gap = state.Gap("streams", table.arn, stream.arn, "x", None, START, START + HOUR, "trimmed", "A test.")
        assert state.record(gap)
        statements.rebuild(settings, table, {START})
        return counted(*given)

    monkeypatch.setattr(statements, "_counts", overtaken)
    statements.rebuild(settings, table, {START})
    (row,) = rows(reading)
    assert (row["status"], row["reasons"]) == ("incomplete", ["trimmed"])


@pytest.mark.parametrize("unread", ["one shard", "two shards"])
def test_an_outage_over_shards_that_came_and_went_ends(server, reading, stream, unread):
    server.write(stream, "a", "pat-1")
    reading.read("Patients")
    server.split(stream, "a", "b")
    if unread == "one shard":
        reading.read("Patients")
    server.pass_time(4 * HOUR)
    server.split(stream, "b", "c")
    server.pass_time(4 * HOUR)
    server.split(stream, "c", "d")
    server.pass_time(29 * HOUR)
    run = reading.read("Patients")
    found = stated(reading)
    assert run.complaint() is None
    assert "lineage_hole" in found[5][1]
    assert found[max(found)] == ("complete", None)
    assert max(found) == 35
