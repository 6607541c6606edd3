from datetime import UTC, datetime

import pyarrow as pa
import pytest

from dynatrail.integrity import trail_doubts
from dynatrail.warehouse import sqlfiles
from dynatrail.warehouse.schema import COVERAGE

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def stated():
    """Rows of `coverage` of (table, operation, reasons)."""

    def make(*told):
        place = {"event_hour": NOON, "event_date": NOON.date(), "account_id": "123456789012", "region": "eu-west-1"}
        return pa.Table.from_pylist(
            [
                dict.fromkeys(COVERAGE.schema.names)
                | place
                | {"selection": "FULL", "statement": "complete"}
                | {"table_name": table, "operation": operation, "reasons": reasons}
                for table, operation, reasons in told
            ],
            schema=COVERAGE.schema,
        )

    return make


def told(rows):
    return {(table, code) for *_, table, code in trail_doubts.doubts(rows)}


def test_what_the_trail_lacks_of_writes_counts_and_nothing_else(stated):
    rows = stated(
        ("Patients", "PutItem", ["count_shortfall: 2", "digest_pending"]),
        ("Patients", "*", ["count_shortfall: 2", "stream_gap: 1", "selectors_partial"]),
        ("Visits", "Query", ["count_shortfall: 9"]),
        ("Visits", "*", ["count_shortfall: 9", "sequence_broken: 1"]),
        ("Idle", "*", None),
    )
    assert told(rows) == {("Patients", "count_shortfall"), ("Patients", "selectors_partial")}


def test_whole_tables_count_where_another_one_lost_writes(stated):
    rows = stated(
        ("Visits", "*", ["unexplained_changes: 3"]),
        ("Patients", "*", ["stream_not_read"]),
        ("Patients", "PutItem", None),
        ("Late", "*", ["may_still_be_late"]),
    )
    assert told(rows) == {("Patients", "whole")}


def test_nothing_stated_is_nothing(stated):
    assert told(stated()) == set()


@pytest.mark.parametrize("path", ["trail/attributable_changes.sql", "report/changes_without_request.sql"])
def test_statements_know_the_same_codes_and_operations(path):
    text = sqlfiles.load(path).text
    assert [word for word in (*trail_doubts.LACKING, *trail_doubts.WRITES) if f"'{word}'" not in text] == []
