from datetime import timedelta

import pyarrow as pa
import pytest
import sqlalchemy as sa

from dynatrail.integrity import lineage, sequences
from dynatrail.settings import PROJECT
from dynatrail.sources.exports import compare
from dynatrail.state import exports
from dynatrail.state.database import session
from dynatrail.state.models import PitrExport, StreamShard
from dynatrail.warehouse.schema import QUARANTINE, SOURCE_STATEMENT

from .streams_read import KINESIS, STREAM, TABLE, StreamsRead, at, number

PROVEN = ("proven", None)


@pytest.fixture
def stream(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path))
    return StreamsRead(tmp_path)


@pytest.fixture
def split(stream):
    return stream.split()


def delete(model, *where):
    with session() as opened:
        opened.execute(sa.delete(model).where(*where))


def set_shard(shard_id, **values):
    with session() as opened:
        opened.execute(sa.update(StreamShard).where(StreamShard.shard_id == shard_id).values(**values))


def test_hours_that_were_read_in_order_and_past_their_end_are_proven(split):
    assert split.prove() == 8
    assert split.proofs() == dict.fromkeys(range(8), PROVEN)
    first, *_, last = (row for row in split.rows("sequence_proof") if row["changes"])
    assert (first["shards"], first["first_sequence_number"], first["changes"]) == (1, number(1), 1)
    assert (last["shards"], last["last_sequence_number"], last["net_equal"]) == (2, number(60), None)


def test_proving_again_writes_nothing(split):
    split.prove()
    assert split.prove() == 0
    assert split.prove([at(2)]) == 0


def test_no_hours_are_no_work(split):
    assert sequences.prove(split.settings, []) == 0


def test_an_hour_that_was_not_read_past_is_not_assessable(split):
    split.asked = [at(7), at(8), at(9)]
    split.prove()
    assert split.proofs() == {7: PROVEN, **dict.fromkeys((8, 9), ("not_assessable", ["not_read_past"]))}


def test_the_hour_in_which_reading_began_is_not_assessable(stream):
    stream.shard("a", seen=24.5)
    stream.read("a", {1: 2}, until=26)
    stream.state_hours()
    stream.prove([at(0), at(1)])
    assert stream.proofs() == {0: ("not_assessable", ["reading_began"]), 1: PROVEN}


def test_hours_before_reading_began_have_no_row(stream):
    stream.shard("a", seen=26)
    stream.read("a", {}, until=27)
    stream.prove([at(1), at(2)])
    assert list(stream.proofs()) == [2]


def test_a_row_that_is_gone_shows(split):
    split.remove(20)
    split.prove()
    assert split.proofs() == dict.fromkeys(range(8), PROVEN) | {1: ("broken", ["rows_missing"])}


def test_a_row_that_was_put_in_shows(split):
    split.land("b", {55: 4.6})
    split.prove()
    assert split.proofs()[4] == ("broken", ["rows_added"])


def test_rows_that_came_since_the_hour_was_stated_wait_for_it(split):
    split.read("b", {61: 4.9}, until=9)
    split.prove()
    assert split.proofs()[4] == ("not_assessable", ["not_restated"])
    split.state_hours()
    split.prove()
    assert split.proofs()[4] == PROVEN


def test_a_number_twice_in_a_shard_breaks_the_hours_that_have_it(split):
    split.land("b", {60: 3.5}, change_id="again")
    split.state_hours()
    split.prove()
    found = split.proofs()
    assert found[3] == ("broken", ["number_repeated", "rows_added"])
    assert found[4] == ("broken", ["number_repeated"])


def test_the_same_number_in_two_shards_is_none_twice(split):
    split.read("c", {60: 4.5}, until=9)
    split.state_hours()
    split.prove()
    assert split.proofs()[4] == PROVEN


def test_a_row_beyond_the_checkpoint_breaks_an_hour_that_was_read_past(split):
    split.land("b", {10**15: 4.6})
    split.prove()
    assert split.proofs()[4] == ("broken", ["rows_added", "rows_beyond_checkpoint"])


def test_rows_that_land_before_their_checkpoint_break_nothing(split):
    split.land("b", {70: 8.5})
    split.prove([at(8)])
    assert split.proofs() == {8: ("not_assessable", ["not_read_past"])}


def test_numbers_of_unlike_length_compare_as_numbers(stream):
    stream.shard("a", seen=-1, numbers=(-1, 10**40))
    stream.read("a", {-1: 1.5, 8 * 10**39: 1.6}, until=3)
    stream.state_hours()
    stream.prove([at(1)])
    assert stream.proofs() == {1: PROVEN}
    assert stream.rows("sequence_proof")[0]["first_sequence_number"] == number(-1)


@pytest.mark.parametrize("n", [0, 50], ids=["before it began", "after it ended"])
def test_a_row_outside_of_its_shards_numbers_breaks_its_hour(split, n):
    split.land("a", {n: 1.6})
    split.prove()
    assert split.proofs()[1][0] == "broken"
    assert "rows_outside_shard" in split.proofs()[1][1]


def test_a_row_of_an_unknown_shard_is_foreign(split):
    split.land("elsewhere", {55: 4.6})
    split.prove()
    assert split.proofs()[4] == ("broken", ["foreign_rows", "rows_added"])


def test_a_checkpoint_that_is_gone_leaves_its_rows_foreign_and_its_children_without_a_parent(split):
    delete(StreamShard, StreamShard.shard_id == "a")
    split.prove()
    found = split.proofs()
    assert {code for hour in (0, 1) for code in found[hour][1]} >= {"foreign_rows"}
    assert found[3][0] == "proven"  # reading may have begun with b and c, as far as they know
    set_shard("c", first_seen_at=at(3))
    split.prove()
    assert split.proofs()[3] == ("broken", ["parent_unknown"])


def test_all_checkpoints_gone_leave_only_foreign_rows(split):
    delete(StreamShard, StreamShard.stream_arn == STREAM)
    split.prove()
    assert split.proofs() == dict.fromkeys((0, 1, 2, 4), ("broken", ["foreign_rows"]))


def test_a_hole_in_the_lineage_breaks_the_hours_in_which_it_may_lie(split):
    split.shard("e", "d", seen=6, numbers=(90, None))
    split.read("e", {}, until=9)
    split.prove()
    assert split.proofs()[5] == ("broken", ["parent_unknown"])


def test_a_hole_that_a_gap_speaks_for_is_the_gaps(split):
    split.shard("e", "d", seen=6, numbers=(90, None))
    split.read("e", {}, until=9)
    split.gap(4.5, 5.5, shard="d", reason="lineage_hole")
    split.prove()
    assert split.proofs() == dict.fromkeys(range(8), PROVEN) | dict.fromkeys((4, 5), ("broken", ["lineage_hole"]))


def test_the_first_shard_of_a_young_stream_has_no_unknown_parent(stream):
    young = f"{TABLE}/stream/2026-11-01T00:00:00.000"
    stream.shard("b", "a", seen=2, stream=young)
    stream.read("b", {}, until=9, stream=young)
    stream.prove([at(3)])
    assert stream.proofs(young) == {3: ("broken", ["parent_unknown"])}


def test_a_shard_read_before_the_end_of_its_parent_breaks_its_hours(split):
    set_shard("a", status="closed", read_until=at(9))
    split.prove()
    assert split.proofs()[3] == ("broken", ["parent_not_drained"])


def test_a_lost_shard_without_a_gap_breaks_its_hours(split):
    set_shard("a", status="lost")
    split.prove()
    assert split.proofs()[1] == ("broken", ["shard_lost"])
    assert split.proofs()[3] == PROVEN


def test_an_open_gap_breaks_its_hours_and_a_closed_one_leaves_them_to_the_export(split):
    gap = split.gap(3.2, 4.4)
    split.prove()
    assert split.proofs() == dict.fromkeys(range(8), PROVEN) | dict.fromkeys((3, 4), ("broken", ["trimmed"]))
    split.close(gap)
    split.prove()
    closed = ("not_assessable", ["reconstructed"])
    assert split.proofs() == dict.fromkeys(range(8), PROVEN) | dict.fromkeys((3, 4), closed)


def test_each_hour_belongs_to_the_stream_that_recorded_it(split):
    for shard in ("b", "c"):
        set_shard(shard, status="drained", ending_sequence_number=number(70))
    new = f"{TABLE}/stream/2026-11-01T05:30:00.000"
    split.shard("n", seen=6, stream=new)
    split.read("n", {1: 6.2}, until=9, stream=new)
    split.gap(4.5, 5.6, reason="stream_replaced")
    split.state_hours()
    split.prove()
    old, young = split.proofs(), split.proofs(new)
    assert (sorted(old), sorted(young)) == ([0, 1, 2, 3, 4, 5], [5, 6, 7])
    lost = ("broken", ["stream_replaced"])
    assert (old[3], old[4], old[5], young[5], young[6]) == (PROVEN, lost, lost, lost, PROVEN)


def test_records_in_quarantine_leave_their_hour_open(split):
    row = dict.fromkeys(QUARANTINE.schema.names) | {
        "event_hour": at(4),
        "event_date": at(4).date(),
        "account_id": "123456789012",
        "region": "eu-central-1",
        "source": "streams",
        "source_uri": f"{STREAM}/b",
        "position": number(57),
        "reason_code": "not_json",
        "reason": "The record is no JSON.",
        "quarantine_id": "q",
        "payload_bytes": 1,
    }
    split.warehouse.replace("quarantine", pa.Table.from_pylist([row], QUARANTINE.schema), hours=[at(4)])
    split.prove()
    assert split.proofs()[4] == ("not_assessable", ["quarantined"])


def export_said(stream, reasons):
    row = {
        "event_hour": at(4),
        "event_date": at(4).date(),
        "account_id": "123456789012",
        "region": "eu-central-1",
        "source": compare.SOURCE,
        "table_name": "Patients",
        "status": "incomplete" if reasons else "complete",
        "reasons": reasons,
        "records": 1,
    }
    where = {"account_id": "123456789012", "region": "eu-central-1", "source": compare.SOURCE}
    rows = pa.Table.from_pylist([dict.fromkeys(SOURCE_STATEMENT.schema.names) | row], SOURCE_STATEMENT.schema)
    stream.warehouse.replace("source_statement", rows, hours=[at(4)], where=where)
    for name, purpose in (("01", "verify"), ("02", "repair")):
        arn = f"{TABLE}/export/{name}"
        exports.note(
            exports.AskedExport(
                arn, TABLE, purpose, at(3.5), at(5.5), [], "NEW_AND_OLD_IMAGES", "b", "p", None, "a test", "jane"
            )
        )
        exports.loaded(exports.LoadedExport(arn, 1, 0, "00"))


@pytest.mark.parametrize(
    ("reasons", "equal", "said"),
    [
        (None, True, PROVEN),
        ([compare.DIFFER], False, ("broken", ["export_differs"])),
        ([compare.NOT_COMPARABLE], None, PROVEN),
        ([compare.NOT_READABLE], None, PROVEN),
    ],
    ids=["equal", "differs", "images not shown", "lines not read"],
)
def test_an_hour_says_what_an_export_of_it_said(split, reasons, equal, said):
    export_said(split, reasons)
    split.prove()
    row = next(row for row in split.rows("sequence_proof") if row["event_hour"] == at(4))
    assert (row["export_arn"], row["net_equal"]) == (f"{TABLE}/export/01", equal)
    assert split.proofs()[4] == said


def test_an_export_that_does_not_cover_the_hour_is_not_named(split):
    export_said(split, None)
    with session() as opened:
        opened.execute(sa.update(PitrExport).values(ends_at=at(5) - timedelta(minutes=1)))
    split.prove()
    assert {(row["export_arn"], row["net_equal"]) for row in split.rows("sequence_proof")} == {(None, None)}


def test_of_kinesis_only_faults_can_be_shown(stream):
    stream.shard("k", numbers=(1, None), stream=KINESIS)
    stream.read("k", {1: 0, 20: 1.5}, until=6, stream=KINESIS)
    stream.state_hours()
    stream.land("elsewhere", {3: 2.5}, stream=KINESIS)
    stream.prove([at(1), at(2)])
    assert stream.proofs(KINESIS) == {
        1: ("not_assessable", ["delivery_not_numbered"]),
        2: ("broken", ["delivery_not_numbered", "foreign_rows", "rows_added"]),
    }


def test_rows_of_a_kinesis_stream_that_was_made_anew_are_not_foreign(stream):
    stream.land("k", {1: 1.5}, stream=KINESIS)
    stream.prove()
    assert stream.proofs(KINESIS) == {1: ("not_assessable", ["stream_forgotten"])}


def test_the_page_names_every_reason():
    page = (PROJECT / "docs" / "reference" / "sequences.md").read_text(encoding="utf-8")
    codes = {**lineage.CONTRADICTIONS, **sequences.CONTRADICTIONS, **sequences.OPEN_QUESTIONS}
    assert [code for code in codes if f"`{code}`" not in page] == []
