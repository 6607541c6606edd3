"""A gap of a real stream in the sandbox, repaired from a real export, step by step."""

import subprocess
import sys
from pathlib import Path

import pytest

from dynatrail.errors import ExportError
from dynatrail.privacy.tokens import Tokenizer, load_key
from dynatrail.sources.exports import ask
from dynatrail.sources.exports.windows import Span, merged
from dynatrail.state import exports as state
from dynatrail.state import pending, streams

from .conftest import ARN, at, spoilt

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gaps(world):
    """After 03:00 of the first day nothing was read until 06:00 of the second, when the stream had kept 24 hours."""
    for patient in ("again", "gone", "changed", "later"):
        world.put(patient, state="first")
    world.pass_to(3)
    world.read_streams()
    world.pass_to(4)
    world.put("again", state="missed")  # and written again when the stream still had it
    world.delete("gone")
    world.put("passing")  # and deleted before the gap ended
    world.put("new", state="missed")
    world.pass_to(5)
    world.put("changed", state="missed once")
    world.put("changed", state="missed twice")
    world.delete("passing")
    world.pass_to(6.5)
    world.put("again", state="seen")
    world.put("later", state="seen")
    world.pass_to(30)
    world.read_streams()
    return streams.gaps([ARN], unrepaired=True)


@pytest.fixture(scope="module")
def token(world):
    tokens = Tokenizer(load_key(world.settings))
    return lambda patient: tokens.item([("patient_id", patient)])


@pytest.fixture(scope="module")
def before(world, gaps):
    return world.statements(), world.changes()


@pytest.fixture(scope="module")
def asked(world, gaps, before):
    return world.ask()


@pytest.fixture(scope="module")
def killed(world, asked):
    """A load that died between its rows and its state; the tables that it left, and the gaps."""
    (arn,) = asked.exports
    world.wait([arn])
    died = subprocess.run([sys.executable, str(Path(__file__).with_name("dying.py")), arn], check=False, timeout=120)
    return died.returncode, world.digests(), [gap.status for gap in streams.gaps([ARN])]


@pytest.fixture(scope="module")
def loaded(world, asked, killed):
    (arn,) = asked.exports
    return arn, world.load(arn)


def test_stream_says_what_it_lost(gaps, before):
    statements, changes = before
    assert gaps
    assert all(Span(gap.starts_at, gap.ends_at).covers(Span(at(4), at(6))) for gap in gaps)
    assert statements[at(4)] == ("incomplete", sorted({gap.reason for gap in gaps}))
    assert sorted({row["event_time"] for row in changes}) == [at(0), at(6.5)]


def test_gap_is_asked_for_once(world, asked):
    assert (asked.left, asked.failed) == ([], [])
    assert world.ask() == asked
    assert len(world.dynamodb.list_exports(TableArn=ARN)["ExportSummaries"]) == 1


def test_request_names_the_window_and_why(asked, gaps):
    row = state.get(asked.exports[0])
    spans = merged(Span.read(text) for gap in gaps for text in gap.remaining)
    assert row.asked_for == [str(span) for span in spans]
    assert Span(row.starts_at, row.ends_at).covers(spans[0])
    assert (row.requested_by, row.purpose, row.bucket, row.prefix) == (
        "automatic",
        "repair",
        "example-exports",
        "audit",
    )
    assert row.reason.startswith(f"{min(gap.reason for gap in gaps)}: ")


def test_what_the_stream_did_not_give_is_loaded_and_labelled(world, loaded, token):
    rows = world.changes(reconstructed=True)
    assert [(row["item_key_token"], row["change_type"], row["time_precision"]) for row in rows] == [
        *sorted([(token("gone"), "REMOVE", "MICROSECOND"), (token("new"), "INSERT", "MICROSECOND")], key=order(rows)),
        (token("changed"), "MODIFY", "MICROSECOND"),
        (token("again"), "MODIFY", None),
    ]
    assert {row["change_origin"] for row in rows} == {"export"}
    assert {row["by_ttl"] for row in rows} == {None}
    assert {row["view_type"] for row in rows} == {"NEW_AND_OLD_IMAGES"}
    assert all(row["reconstructed_from"] <= row["event_time"] < row["reconstructed_to"] for row in rows)
    assert all(row["source_uri"].startswith("s3://example-exports/audit/AWSDynamoDB/data/") for row in rows)


def order(rows):
    places = [row["item_key_token"] for row in rows]
    return lambda one: places.index(one[0])


def test_images_of_each_item_now_form_a_chain(world, loaded):
    chains = {}
    for row in world.changes(table_arn=ARN):
        chains.setdefault(row["item_key_token"], []).append((row["old_image"], row["new_image"]))
    assert len(chains) == 5
    for links in chains.values():
        assert links[0][0] is None
        assert [new for _, new in links[:-1]] == [old for old, _ in links[1:]]


def test_no_value_is_in_clear(world, loaded):
    assert "missed" not in str(world.changes())


def test_killed_load_leaves_rows_that_the_next_one_gives_again(killed, world, loaded):
    code, digests, gaps = killed
    assert (code, set(gaps)) == (9, {"open"})
    assert digests["item_change"] == world.digests()["item_change"]


def test_gaps_are_closed_by_that_export(loaded, gaps):
    assert [(gap.status, gap.remaining, gap.repaired_by) for gap in streams.gaps([ARN])] == [
        ("closed", [], [loaded[0]])
    ] * len(gaps)
    row = state.get(loaded[0])
    assert (row.status, row.loaded_rows, row.error) == ("loaded", 4, None)


def test_hours_are_stated_as_reconstructed_and_are_due_for_the_trail(world, loaded, gaps):
    assert world.statements()[at(4)] == ("reconstructed", sorted({gap.reason for gap in gaps}))
    assert at(4) in pending.hours("build_trail")


def test_nothing_is_asked_once_the_gap_is_closed(world, loaded):
    assert world.ask().exports == []


def test_loading_again_gives_the_same_tables(world, loaded):
    before = world.digests()
    summary = world.load(loaded[0])
    assert summary.rows == 4
    assert world.digests() == before


def test_line_that_cannot_be_read_goes_to_quarantine_and_a_new_gap_stays_open(world, loaded):
    """The stream loses the same hours once more; the export is the same, but for one line of it."""
    row = state.get(loaded[0])
    lost = Span(at(4), at(5))
    gap = streams.Gap("streams", ARN, f"{ARN}/stream/x", None, None, lost.start, lost.end, "never_read", "A test.")
    assert streams.record(gap)
    with spoilt(world, row.bucket, f"{row.prefix}/AWSDynamoDB"):
        (arn,) = world.ask().exports
        assert arn == loaded[0]
        summary = world.load(arn)
    assert (summary.quarantined, summary.closed) == (1, 0)
    (piece,) = world.warehouse.dataset("quarantine").to_table().to_pylist()
    assert (piece["source"], piece["reason_code"], piece["position"]) == ("exports", "write_time_form", "line 1")
    assert [one.status for one in streams.gaps([ARN], unrepaired=True)] == ["open"]
    assert "in quarantine" in state.get(arn).error
    assert world.ask().exports == []  # paying for another one would not help

    again = ask.Form(ARN, None, None, None, arn, "the file was restored", "jane")
    assert ask.for_form(world.settings, again, "repair").exports == [arn]
    assert world.load(arn).quarantined == 0
    assert len(world.warehouse.dataset("quarantine").to_table()) == 0
    assert streams.gaps([ARN], unrepaired=True) == []


def test_refused_export_changes_nothing_and_is_asked_for_anew_three_times(world, loaded):
    before = world.digests()
    lost = Span(at(8), at(9))
    gap = streams.Gap("streams", ARN, f"{ARN}/stream/x", None, None, lost.start, lost.end, "never_read", "A test.")
    assert streams.record(gap)
    tried = set()
    for _ in range(ask.MOST_ATTEMPTS):
        (arn,) = world.ask().exports
        world.wait([arn])
        world.s3.delete_object(
            Bucket="example-exports", Key=f"audit/AWSDynamoDB/{arn.rpartition('/')[2]}/manifest-files.json"
        )
        with pytest.raises(ExportError, match="refused, and nothing of it was loaded"):
            world.load(arn)
        assert state.get(arn).status == "refused"
        tried.add(arn)
    assert len(tried) == ask.MOST_ATTEMPTS
    asked = world.ask()
    assert asked.exports == []
    assert "No further one is paid for by itself" in asked.failed[0]
    assert world.digests() == before
    assert [one.status for one in streams.gaps([ARN], unrepaired=True)] == ["open"]
