from datetime import UTC, datetime, timedelta

import pytest

from dynatrail import clock
from dynatrail.cli import doctor_changes
from dynatrail.config import Account, Config, TableNote
from dynatrail.state import streams
from dynatrail.state.database import session
from dynatrail.state.models import StreamGap

HOUR = timedelta(hours=1)
AT = datetime(2026, 11, 1, 3, tzinfo=UTC)
PATIENTS = "arn:aws:dynamodb:eu-central-1:123456789012:table/Patients"
ROOMS = "arn:aws:dynamodb:eu-central-1:123456789012:table/Rooms"
WATCHED = Config()


def gap(table=PATIENTS, start=AT, end=AT + HOUR, status="open", remaining=None):
    recorded = streams.Gap("streams", table, f"{table}/stream/1", "a", "7", start, end, "trimmed", "It was.")
    streams.record(recorded)
    with session() as opened:
        row = opened.get(StreamGap, recorded.gap_id)
        row.status = status
        if remaining is not None:
            row.remaining = remaining


def shard(read_until, table=PATIENTS, source="streams", *, drained=False):
    stream = f"{table}/stream/1"
    streams.observe([streams.SeenShard(stream, "a", source, table, None, "1", None)], AT)
    if read_until:
        streams.advance([streams.Progress(stream, "a", read_until=read_until, drained=drained)])


def told(findings):
    return [(finding.what, finding.state) for finding in findings]


@pytest.mark.usefixtures("home")
def test_nothing_is_said_where_no_changes_were_ever_read():
    assert [*doctor_changes.gaps(), *doctor_changes.checkpoints(WATCHED)] == []


@pytest.mark.usefixtures("home")
def test_gaps_that_are_not_closed_are_counted_and_the_oldest_told():
    gap(start=AT + HOUR, end=AT + 2 * HOUR)
    gap(ROOMS)
    gap(PATIENTS, AT - HOUR, AT, status="closed", remaining=[])
    (finding,) = doctor_changes.gaps()
    assert finding.state == (
        "2 gaps open in the changes of 2 tables; the oldest: Rooms (123456789012, eu-central-1), "
        "2026-11-01T03:00:00Z to 2026-11-01T04:00:00Z"
    )
    assert finding.ok
    assert "docs/cookbooks/repair-a-gap.md" in finding.advice


@pytest.mark.usefixtures("home")
def test_narrowed_gap_is_told_by_what_is_still_missing():
    gap(status="narrowed", remaining=["2026-11-01T03:30:00Z/2026-11-01T03:40:00Z"])
    (finding,) = doctor_changes.gaps()
    assert finding.state == (
        "1 gap open in the changes of 1 table; the oldest: Patients (123456789012, eu-central-1), "
        "2026-11-01T03:30:00Z to 2026-11-01T03:40:00Z"
    )


@pytest.mark.usefixtures("home")
def test_closed_gaps_need_nothing():
    shard(AT)
    gap(status="closed", remaining=[])
    assert told(doctor_changes.gaps()) == [("gaps", "none is open")]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("hours", [2, 18])
def test_checkpoint_is_old_when_it_is_older_than_the_configured_age(hours):
    watched = Config(stream_alarm_hours=hours)
    shard(AT)
    (young,) = doctor_changes.checkpoints(watched, AT + hours * HOUR)
    assert (young.advice, "until 2026-11-01T03:00:00Z" in young.state) == ("", True)
    (old,) = doctor_changes.checkpoints(watched, AT + hours * HOUR + timedelta(seconds=1))
    assert old.state == f"not read: Patients (123456789012, eu-central-1) for {hours} h"
    assert old.ok
    assert "Does extract_streams run?" in old.advice


@pytest.mark.usefixtures("home")
def test_stream_that_was_seen_and_never_read_is_as_old_as_it_was_seen():
    shard(None)
    (finding,) = doctor_changes.checkpoints(WATCHED, AT + 20 * HOUR)
    assert finding.state == "not read: Patients (123456789012, eu-central-1) for 20 h"


@pytest.mark.usefixtures("home")
def test_stream_that_was_read_to_its_end_is_not_behind():
    shard(AT, drained=True)
    assert doctor_changes.checkpoints(WATCHED, AT + 20 * HOUR) == []


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "watched",
    [
        pytest.param(Config(tables=(TableNote(match="Pat*", changes_from="none"),)), id="none"),
        pytest.param(Config(tables=(TableNote(match="Pat*", changes_from="kinesis"),)), id="other origin"),
        pytest.param(Config(accounts=(Account(id="210987654321", regions=("eu-central-1",)),)), id="other account"),
        pytest.param(Config(accounts=(Account(id="123456789012", regions=("us-east-1",)),)), id="other region"),
        pytest.param(
            Config(accounts=(Account(id="123456789012", regions=("eu-central-1",), tables=("Rooms",)),)),
            id="other tables",
        ),
    ],
)
def test_table_that_is_no_longer_read_from_there_is_not_behind(watched):
    shard(AT)
    assert doctor_changes.checkpoints(watched, AT + 20 * HOUR) == []


@pytest.mark.usefixtures("home")
def test_kinesis_that_nobody_reads_names_its_own_dag():
    shard(AT, source="kinesis")
    (finding,) = doctor_changes.checkpoints(
        Config(tables=(TableNote(match="*", changes_from="kinesis"),)), AT + 20 * HOUR
    )
    assert "Does extract_kinesis run?" in finding.advice


def test_doctor_prints_gaps_and_old_checkpoints(cli, home, tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_TRAIL_BUCKET", tmp_path.as_uri())
    shard(clock.now() - 20 * HOUR)
    gap()
    _, out, _ = cli("doctor")
    assert "note gaps" in out
    assert "note streams" in out
    assert "for 20 h" in out
