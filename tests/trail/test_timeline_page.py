"""Paging: every record of a window once, in order, however small the pages and however many share a second."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynatrail.clock import DAY, HOUR, hour_of
from dynatrail.trail import timeline
from dynatrail.trail.timeline import Wanted
from dynatrail.warehouse import engine
from dynatrail.warehouse.schema import AUDIT_RECORD

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def row(number, at, **columns):
    filled = {
        "record_id": f"{number:04}",
        "event_time": at,
        "event_hour": hour_of(at),
        "event_date": at.date(),
        "kind": "api_event",
        "account_id": "123456789012",
        "region": "eu-west-1",
        "operation": "Scan",
        "actor": "arn:aws:iam::123456789012:user/anna",
        "activity": "Read",
        "outcome": "success",
        "detail": "anna scanned Patients",
        "ocsf_category_uid": 6,
        "ocsf_class_uid": 6005,
        "ocsf_activity_id": 1,
        "ocsf_type_uid": 600501,
    }
    return dict.fromkeys(AUDIT_RECORD.schema.names) | filled | columns


def pages(warehouse, rows, limit, start=NOON - DAY, end=NOON + DAY, wanted=None):
    table = pa.Table.from_pylist(rows, AUDIT_RECORD.schema)
    found, after = [], None
    with engine.connect(warehouse, extra={"audit_record": table}) as connection:
        while True:
            page, after = timeline.page(connection, start, end, after=after, limit=limit, wanted=wanted)
            found.append(page["record_id"].to_pylist())
            if after is None:
                return found


_OFFSETS = st.sampled_from([0, 0, 1, 2, 3_600_000_000, 7_200_000_001, 40_000_000_000, -50_000_000_000])


@given(offsets=st.lists(_OFFSETS, max_size=25), limit=st.integers(1, 7))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_hold_every_record_once_in_order(offsets, limit, warehouse):
    rows = [row(n, NOON + timedelta(microseconds=offset)) for n, offset in enumerate(offsets)]
    found = pages(warehouse, rows, limit)
    expected = [r["record_id"] for r in sorted(rows, key=lambda r: (r["event_time"], r["record_id"]))]
    assert [one for page in found for one in page] == expected
    assert all(len(page) == limit for page in found[:-1])


def test_last_page_that_is_full_names_no_next(warehouse):
    assert pages(warehouse, [row(n, NOON) for n in range(4)], 2) == [["0000", "0001"], ["0002", "0003"]]


def test_window_is_half_open(warehouse):
    rows = [row(n, NOON + n * HOUR) for n in range(-1, 3)]
    assert pages(warehouse, rows, 10, NOON, NOON + HOUR) == [["0000"]]


def test_empty_window_is_one_empty_page(warehouse):
    assert pages(warehouse, [], 10) == [[]]
    assert pages(warehouse, [row(0, NOON)], 10, NOON, NOON) == [[]]


def test_record_that_comes_while_paging_moves_no_other(warehouse):
    before = [row(n, NOON) for n in (1, 3, 5, 7)]
    for came in (row(2, NOON), row(6, NOON)):
        first = pa.Table.from_pylist(before, AUDIT_RECORD.schema)
        with engine.connect(warehouse, extra={"audit_record": first}) as connection:
            page, after = timeline.page(connection, NOON, NOON + HOUR, limit=2)
        later = pa.Table.from_pylist([*before, came], AUDIT_RECORD.schema)
        with engine.connect(warehouse, extra={"audit_record": later}) as connection:
            rest, _ = timeline.page(connection, NOON, NOON + HOUR, after=after, limit=9)
        told = page["record_id"].to_pylist() + rest["record_id"].to_pylist()
        # What lies before the place is not told any more; all else is, once.
        expected = ["0001", "0003", "0005", "0007", *(["0006"] if came["record_id"] == "0006" else [])]
        assert told == sorted(expected)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(kind="alarm"), ["0001"]),
        (Wanted(actor="anna"), ["0000", "0001", "0003"]),
        (Wanted(actor="arn:aws:iam::123456789012:user/bob"), ["0002"]),
        (Wanted(table="Patients", actor="anna"), ["0003"]),
        (Wanted(actor="%"), []),
    ],
    ids=["kind", "last-part", "arn", "table", "no-pattern"],
)
def test_wanted_records_alone(warehouse, wanted, expected):
    rows = [
        row(0, NOON),
        row(1, NOON, kind="alarm"),
        row(2, NOON, actor="arn:aws:iam::123456789012:user/bob"),
        row(3, NOON + 20 * HOUR, table_name="Patients"),
    ]
    assert pages(warehouse, rows, 50, wanted=wanted) == [expected]
