"""The hour's statement over tables on disk; what each table contributes is tested in tests/sql/coverage."""

from datetime import timedelta

import pytest

from dynatrail.clock import DAY, HOUR
from dynatrail.integrity import coverage
from dynatrail.settings import settings
from dynatrail.state import pending, streams
from dynatrail.warehouse.store import Warehouse

from .rows import ACCOUNT, ARN, MINUTE, PLACE, REGION, START, TABLE, counted, digest, event, file, put, said


@pytest.fixture
def warehouse(tmp_path, monkeypatch):
    """Two calls in an hour, delivered, listed in digests, counted by CloudWatch; and everything came hours ago."""
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path))
    monkeypatch.setenv("DYNATRAIL_TRAIL_BUCKET", "trail.example.com")
    made = Warehouse.from_settings(settings())
    put(made, "api_event", [event(1, START + 4 * MINUTE), event(2, START + 5 * MINUTE)])
    put(made, "log_file", [file(START + 10 * MINUTE)])
    put(made, "trail_digest", [digest(START + n * HOUR + 30 * MINUTE) for n in range(9)])
    put(made, "reconciliation", [counted(START, 2)])
    put(made, "source_statement", [said(START + n * HOUR) for n in range(8)])
    return made


def rows(warehouse, *columns):
    found = warehouse.dataset("coverage").to_table().sort_by([("event_hour", "ascending"), ("operation", "ascending")])
    return [tuple(row[name] for name in columns) for row in found.to_pylist()]


def build(*hours):
    return coverage.build(settings(), hours or (START,))


def test_hour_of_which_everything_is_there_is_complete(warehouse):
    assert build() == 2
    assert rows(warehouse, "operation", "events", "metric_count", "statement", "reasons") == [
        ("*", 2, 2.0, "complete", None),
        ("GetItem", 2, 2.0, "complete", None),
    ]
    assert rows(warehouse, "table_arn", "digests_valid", "log_files", "log_files_attested")[0] == (ARN, True, 1, 1)


def test_stating_again_from_the_same_tables_commits_nothing(warehouse):
    build()
    before = warehouse.versions(["coverage"])

    assert build() == 0
    assert warehouse.versions(["coverage"]) == before


def test_changed_statement_keeps_each_earlier_one(warehouse):
    put(warehouse, "trail_digest", [digest(START + n * HOUR + 30 * MINUTE) for n in range(2)])
    warehouse.replace(
        "trail_digest", lambda present: present.slice(0, 0), hours=[START + n * HOUR for n in range(2, 9)]
    )
    build()
    put(warehouse, "reconciliation", [counted(START, 14, verdict="missing", difference=12.0)])
    build()
    build()
    put(warehouse, "reconciliation", [counted(START, 2)])
    put(warehouse, "trail_digest", [digest(START + n * HOUR + 30 * MINUTE) for n in range(9)])
    build()

    assert rows(warehouse, "operation", "statement", "earlier_statements")[1] == (
        "GetItem",
        "complete",
        [
            "complete_provisional: may_still_be_late",
            "incomplete: count_shortfall: 12; may_still_be_late",
        ],
    )


def test_hour_that_turns_out_to_lack_writes_is_to_be_attributed_again(warehouse):
    build()
    assert pending.hours(pending.BUILD) == []
    put(warehouse, "reconciliation", [counted(START, 14, operation="PutItem", verdict="missing", difference=12.0)])
    build()
    assert pending.hours(pending.BUILD) == [START]
    pending.done(pending.BUILD, pending.seen(pending.BUILD))
    build()
    assert pending.hours(pending.BUILD) == []


def test_operation_that_turns_out_never_to_have_been_called_keeps_its_row_and_history(warehouse):
    put(warehouse, "reconciliation", [counted(START, 2, verdict="extra", difference=-2.0)])
    build()
    put(warehouse, "log_file", [file(START + 10 * MINUTE, status="forged")])
    warehouse.replace("reconciliation", lambda present: present.slice(0, 0), hours=[START])
    build()

    assert rows(warehouse, "operation", "events", "statement", "reasons", "earlier_statements")[1] == (
        "GetItem",
        0,
        "incomplete",
        ["log_file_forged: 1"],
        ["not_assessable: count_surplus: 2"],
    )


def test_idle_hour_of_a_known_table_is_stated_from_its_creation_to_its_end(warehouse):
    config = {
        **PLACE,
        "resource_type": "AWS::DynamoDB::Table",
        "resource_arn": ARN,
        "aspect": "DescribeTable",
        "resource_name": TABLE,
        "status": "present",
        "document": '{"CreationDateTime":"2026-11-01T02:20:00Z"}',
    }
    gone = config | {"document": None, "status": "gone", "captured_at": START + 3 * HOUR}
    put(
        warehouse,
        "table_config",
        [
            config | {"captured_at": START + HOUR, "event_hour": START + HOUR},
            gone | {"event_hour": START + 3 * HOUR},
        ],
    )
    build(*(START + n * HOUR for n in range(-3, 5)))

    hours = {hour for hour, operation in rows(warehouse, "event_hour", "operation") if operation == "*"}
    assert hours == {START + n * HOUR for n in (-1, 0, 1, 2)}


def test_open_gap_makes_the_tables_hour_incomplete_and_not_its_operations(warehouse):
    streams.record(
        streams.Gap(
            source="streams",
            table_arn=ARN,
            stream_arn=f"{ARN}/stream/2026-01-01T00:00:00.000",
            shard_id="shardId-1",
            after_sequence_number=None,
            starts_at=START + 10 * MINUTE,
            ends_at=START + 20 * MINUTE,
            reason="trimmed",
            explanation="It was trimmed.",
        )
    )
    build()

    assert rows(warehouse, "operation", "statement", "reasons") == [
        ("*", "incomplete", ["stream_gap: 1"]),
        ("GetItem", "complete", None),
    ]


def test_hours_of_several_days_with_gaps_are_stated_each_by_itself(warehouse):
    alone = build(START + DAY, START + 25 * HOUR, START)
    stated = rows(warehouse, "event_hour", "operation", "statement")
    build(START)

    assert alone == 2
    assert rows(warehouse, "event_hour", "operation", "statement") == stated


def test_due_are_provisional_hours_of_a_week_others_of_days_and_those_without_a_statement(warehouse):
    until = START + 10 * HOUR

    def stated(hour, statement):
        return PLACE | {
            "event_hour": hour,
            "table_name": TABLE,
            "operation": "*",
            "selection": "FULL",
            "statement": statement,
        }

    window = [START + n * HOUR for n in range(-24 * 8, 10)]
    put(
        warehouse,
        "coverage",
        [
            *(
                stated(hour, "complete")
                for hour in window[:-1]
                if hour not in (START, START - 6 * DAY, START - 8 * DAY)
            ),
            stated(START, "not_assessable"),
            stated(START - 6 * DAY, "complete_provisional"),
            stated(START - 8 * DAY, "complete_provisional"),
        ],
    )

    assert coverage.due(warehouse, until + timedelta(minutes=5)) == [START - 6 * DAY, START, window[-1]]


def test_account_and_region_are_named(warehouse):
    build()
    assert set(rows(warehouse, "account_id", "region", "table_name")) == {(ACCOUNT, REGION, TABLE)}


def test_call_that_names_a_table_of_another_region_is_none_on_the_table_of_that_name_here(warehouse):
    there = ARN.replace(REGION, "us-east-1")
    put(
        warehouse,
        "api_event",
        [
            event(1, START + 4 * MINUTE),
            event(2, START + 5 * MINUTE),
            event(3, START + 6 * MINUTE, table_arns=[there], error_code="ValidationException"),
            event(4, START + 7 * MINUTE, region="us-east-1", table_arns=[there]),
        ],
    )
    build()

    assert rows(warehouse, "region", "operation", "events", "failed_events", "table_arn") == [
        (REGION, "*", 2, 0, ARN),
        ("us-east-1", "*", 1, 0, there),
        (REGION, "GetItem", 2, 0, ARN),
        ("us-east-1", "GetItem", 1, 0, there),
    ]
