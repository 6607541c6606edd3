import pyarrow as pa
import pytest

from dynatrail.clock import hour_of
from dynatrail.integrity import findings
from dynatrail.integrity.findings import Finding
from dynatrail.warehouse.schema import API_EVENT_ITEM, LOG_FILE, RECONCILIATION, TRAIL_DIGEST

from .streams_read import ACCOUNT, NAME, REGION, STREAM, TABLE, StreamsRead, at
from .trails_kept import WITHOUT_BATCH, Kept, selectors

GAP, BROKEN, UNEXPLAINED = (
    "completeness.stream_gap",
    "completeness.sequence_broken",
    "completeness.unexplained_changes",
)


@pytest.fixture
def split(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path))
    return StreamsRead(tmp_path).split()


def found(stream, *hours):
    """Rule, first and last hour after START, how many: of what is in the warehouse after looking at these hours."""
    stream.prove()
    stream.find([at(hour) for hour in hours] or None)
    hour = lambda time: round((time - at(0)) / (at(1) - at(0)), 3)  # noqa: E731
    return [
        (row["rule_id"], hour(row["event_time"]), hour(row["ends_at"]), row["how_many"])
        for row in stream.rows("finding")
    ]


def reconciled(stream, *spans, told=12.0):
    """Spans of five minutes: hour, recorded writes, changes, verdict; the trail has delivered up to `told`."""
    rows = [
        dict.fromkeys(RECONCILIATION.schema.names)
        | {
            "bin_start": at(hour),
            "bin_s": 300,
            "event_hour": at(hour).replace(minute=0),
            "event_date": at(hour).date(),
            "account_id": ACCOUNT,
            "region": REGION,
            "table_name": NAME,
            "measure": "changes",
            "trail_count": trail,
            "witness_count": float(changes),
            "verdict": verdict,
            "difference": float(changes - trail),
        }
        for hour, trail, changes, verdict in spans
    ]
    hours = {row["event_hour"] for row in rows}
    stream.warehouse.replace("reconciliation", pa.Table.from_pylist(rows, RECONCILIATION.schema), hours=hours)
    digest = dict.fromkeys(TRAIL_DIGEST.schema.names) | {
        "digest_end_time": at(told),
        "event_hour": hour_of(at(told)),
        "event_date": at(told).date(),
        "account_id": ACCOUNT,
        "region": REGION,
        "trail_name": "audit",
        "home_region": REGION,
        "chain": "standard",
        "status": "valid",
    }
    digests = pa.Table.from_pylist([digest], TRAIL_DIGEST.schema)
    stream.warehouse.replace("trail_digest", digests, hours=[hour_of(at(told))])


def test_what_is_proven_gives_no_finding(split):
    assert found(split) == []


def test_an_open_gap_is_one_finding_that_goes_when_it_is_closed(split):
    gap = split.gap(3.25, 5.5)
    assert found(split) == [(GAP, 3.25, 5.5, 3)]
    (row,) = split.rows("finding")
    assert "repair_changes" in row["explanation"]
    assert "2026-11-01T03:15:00Z to 2026-11-01T05:30:00Z" in row["explanation"]
    assert (row["table_arn"], row["evidence_ids"]) == (TABLE, [gap.gap_id])
    split.close(gap)
    assert found(split) == []


def test_a_gap_is_found_from_any_hour_that_it_touches(split):
    gap = split.gap(3.25, 5.5)
    assert found(split, 5) == [(GAP, 3.25, 5.5, 3)]
    split.close(gap)
    assert found(split, 4) == []


def test_a_gap_elsewhere_is_left_alone(split):
    split.gap(3.25, 5.5)
    assert found(split, 0, 1) == []


def test_a_narrowed_gap_says_what_is_left(split):
    gap = split.gap(3.25, 5.5)
    split.narrow(gap, "2026-11-01T05:00:00Z/2026-11-01T05:30:00Z")
    assert found(split) == [(GAP, 3.25, 5.5, 1)]
    (row,) = split.rows("finding")
    assert row["title"].endswith("from 2026-11-01T05:00:00Z to 2026-11-01T05:30:00Z")


def test_broken_hours_in_a_row_are_one_finding(split):
    split.remove(20)
    split.remove(50)
    assert found(split) == [(BROKEN, 1, 3, 2)]
    (row,) = split.rows("finding")
    assert "rows_missing" in row["explanation"]
    assert STREAM in row["explanation"]


def test_broken_hours_apart_are_findings_apart(split):
    split.remove(20)
    split.remove(60)
    assert found(split) == [(BROKEN, 1, 2, 1), (BROKEN, 4, 5, 1)]


def test_hours_that_only_a_gap_breaks_have_no_finding_of_their_own(split):
    split.remove(60)
    split.gap(1.5, 1.8)
    assert found(split) == [(GAP, 1.5, 1.8, 1), (BROKEN, 4, 5, 1)]


def test_a_stretch_that_heals_in_its_middle_becomes_two(split):
    split.land("b", {51: 3.5})
    split.state_hours()
    split.land("b", {52: 2.7, 53: 3.7, 57: 4.7})
    assert found(split) == [(BROKEN, 2, 5, 3)]
    split.remove(53)
    split.remove(51)
    assert found(split, 3) == [(BROKEN, 2, 3, 1), (BROKEN, 4, 5, 1)]


def test_looking_again_changes_nothing(split):
    split.remove(20)
    first = found(split)
    version = split.warehouse.versions(["finding"])
    assert found(split) == first
    assert split.warehouse.versions(["finding"]) == version


def test_findings_of_others_stay(split):
    other = Finding(
        rule_id="x", severity="Low", event_time=at(4), account_id=ACCOUNT, region=REGION, title="t", explanation="e"
    )
    findings.write(split.warehouse, "reconcile", ACCOUNT, REGION, [at(4)], [other])
    split.prove()
    split.find()
    assert [row["producer"] for row in split.rows("finding")] == ["reconcile"]


def test_changes_beyond_recorded_writes_are_one_finding_a_stretch_of_hours(split):
    reconciled(split, (2.5, 0, 1, "missing"), (4.5, 1, 1, "agrees"), (3.0, 1, 3, "missing"))
    assert found(split) == [(UNEXPLAINED, 2.5, 3.083, 3)]
    (row,) = split.rows("finding")
    assert row["title"].startswith("3 changes of Patients between 2026-11-01T02:30:00Z and 2026-11-01T03:05:00Z")


def test_unexplained_changes_are_named_those_of_unnamed_items_first(split):
    items = [
        dict.fromkeys(API_EVENT_ITEM.schema.names)
        | {
            "event_id": "e",
            "event_time": at(2.5),
            "event_hour": at(2),
            "event_date": at(2).date(),
            "recipient_account_id": ACCOUNT,
            "region": REGION,
            "table_name": NAME,
            "table_arn": TABLE,
            "item_key_token": "t1:00",
            "operation": "Put",
            "ordinal": 0,
            "source_uri": "s3://trail.example.com/f",
            "source_sha256": "00",
            "source_index": 0,
        }
    ]
    split.warehouse.replace("api_event_item", pa.Table.from_pylist(items, API_EVENT_ITEM.schema), hours=[at(2)])
    split.read("c", {58: 2.51}, until=9, item_key_token="t1:01")
    split.state_hours()
    reconciled(split, (2.5, 1, 2, "missing"))
    assert found(split) == [(UNEXPLAINED, 2.5, 2.583, 1)]
    (row,) = split.rows("finding")
    assert row["evidence_ids"] == sorted([f"{STREAM}c58", f"{STREAM}b50"])
    assert "1 of the 2 changes named here are in no recorded write" in row["explanation"]


@pytest.mark.parametrize(
    "span", [(2.5, 1, 1, "agrees"), (2.5, 0, 9, "not_comparable"), (2.5, 9, 1, "extra")], ids=lambda span: span[3]
)
def test_spans_that_are_explained_give_no_finding(split, span):
    reconciled(split, span)
    assert found(split) == []


def test_no_more_than_twenty_changes_are_named(split):
    split.read("c", dict.fromkeys(range(100, 130), 6.1), until=9)
    split.state_hours()
    reconciled(split, (6.1, 0, 15, "missing"), (6.0, 0, 15, "missing"))
    found(split)
    (row,) = split.rows("finding")
    assert len(row["evidence_ids"]) == 20
    assert row["how_many"] == 30


def test_changes_wait_for_what_the_trail_delivers_late(split):
    reconciled(split, (2.5, 0, 1, "missing"), told=3.99)
    assert found(split) == []
    reconciled(split, (2.5, 0, 1, "missing"), told=4.0)
    assert found(split) == [(UNEXPLAINED, 2.5, 2.583, 1)]


@pytest.mark.parametrize(
    ("said", "expected"),
    [(WITHOUT_BATCH, []), (selectors(), [(UNEXPLAINED, 2.5, 2.583, 1)])],
    ids=["a writer is left out", "all writers are recorded"],
)
def test_changes_that_no_trail_was_to_record_are_the_selectors(split, said, expected):
    kept = Kept(split.warehouse)
    trail = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/audit"
    kept.look(-23, trail, said=said, IsMultiRegionTrail=True)  # its beginning is a day after this one's
    kept.flush()
    reconciled(split, (2.5, 0, 1, "missing"))
    assert found(split) == expected


def test_changes_of_an_hour_whose_log_files_were_lost_are_those_files(split):
    reconciled(split, (2.5, 0, 1, "missing"))
    file = dict.fromkeys(LOG_FILE.schema.names) | {
        "delivered_at": at(2.6),
        "event_hour": at(2),
        "event_date": at(2).date(),
        "account_id": ACCOUNT,
        "region": REGION,
        "source_uri": "s3://trail.example.com/f",
        "status": "missing",
    }
    split.warehouse.replace("log_file", pa.Table.from_pylist([file], LOG_FILE.schema), hours=[at(2)])
    assert found(split) == []
