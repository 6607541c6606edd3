"""The suites of what CloudWatch saw: each rule with a row that breaks it."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from dynatrail.errors import QualityError
from dynatrail.quality.gate import check
from dynatrail.warehouse.schema import TABLES

HOUR = datetime(2026, 11, 1, 3, tzinfo=UTC)
LATEST = HOUR + timedelta(hours=1) - timedelta(microseconds=1)
PLACE = {
    "event_time": HOUR,
    "event_hour": HOUR,
    "event_date": HOUR.date(),
    "account_id": "123456789012",
    "region": "eu-central-1",
}
GOOD = {
    "metric": PLACE
    | {
        "namespace": "AWS/DynamoDB",
        "metric_name": "SuccessfulRequestLatency",
        "table_name": "Patients",
        "operation": "GetItem",
        "dimensions": "{}",
        "statistic": "SampleCount",
        "period_s": 60,
        "value": 0.0,
    },
    "alarm_event": PLACE
    | {
        "alarm_event_id": "a" * 64,
        "alarm_name": "scanned",
        "history_item_type": "StateUpdate",
        "new_state": "ALARM",
        "table_name": "Patients",
    },
    "log_event": PLACE
    | {
        "log_event_id": "b" * 64,
        "log_group": "/aws/lambda/booking-api",
        "event_id": "0" * 56,
        "filter_name": "errors",
        "message": "ERROR for t1:0123456789abcdef0123456789abcdef",
    },
}


def checked(suite, **changes):
    row = GOOD[suite] | changes
    names = TABLES[suite].schema.names
    schema = pa.schema([field.with_nullable(True) for field in TABLES[suite].schema])
    rows = pa.Table.from_pylist([{name: row.get(name) for name in names}], schema)
    parameters = {"earliest_event_time": HOUR, "latest_event_time": LATEST}
    if suite == "alarm_event":
        parameters["known_tables"] = ["Patients"]
    return check(rows, suite, record=None, parameters=parameters)


@pytest.mark.parametrize("suite", GOOD)
def test_good_row_passes(suite):
    assert checked(suite).success


@pytest.mark.parametrize(
    ("suite", "column", "value", "code"),
    [
        ("metric", "namespace", "AWS/EC2", "namespace_unknown"),
        ("metric", "account_id", "12", "account_form"),
        ("metric", "metric_name", "x; drop", "metric_name_form"),
        ("metric", "statistic", "Total", "statistic_unknown"),
        ("metric", "period_s", 61, "period_unknown"),
        ("metric", "value", None, "value_missing"),
        ("metric", "value", -0.5, "value_negative"),
        ("metric", "event_time", HOUR - timedelta(microseconds=1), "event_time_range"),
        ("metric", "event_time", LATEST + timedelta(microseconds=1), "event_time_range"),
        ("alarm_event", "alarm_name", None, "alarm_name_missing"),
        ("alarm_event", "history_item_type", None, "history_item_type_missing"),
        ("alarm_event", "account_id", "12", "account_form"),
        ("alarm_event", "event_time", LATEST + timedelta(hours=1), "event_time_range"),
        ("alarm_event", "new_state", "FINE", "state_unknown"),
        ("log_event", "event_id", None, "event_id_missing"),
        ("log_event", "filter_name", None, "filter_missing"),
        ("log_event", "account_id", "12", "account_form"),
        ("log_event", "log_group", "a b", "log_group_form"),
        ("log_event", "event_time", None, "event_time_missing"),
        ("log_event", "event_time", HOUR - timedelta(days=9), "event_time_range"),
    ],
    ids=lambda value: "-" if isinstance(value, (datetime, float, int)) else str(value),
)
def test_bad_row_is_kept_out_with_its_reason(suite, column, value, code):
    result = checked(suite, **{column: value})

    assert [rejection.reason_code for rejection in result.rejected] == [code]
    assert len(result.passed) == 0


@pytest.mark.parametrize(
    ("suite", "column", "value"),
    [
        ("metric", "contributor_token", "pat-4711"),
        ("alarm_event", "alarm_event_id", "1"),
        ("log_event", "log_event_id", "x"),
        ("log_event", "message", "mail to jane.roe@example.com"),
    ],
    ids=["key", "alarm_id", "log_id", "mail"],
)
def test_what_must_never_be_written_stops_the_batch(suite, column, value):
    with pytest.raises(QualityError, match="Nothing of this batch was written") as raised:
        checked(suite, **{column: value})
    assert "jane" not in str(raised.value)


@pytest.mark.parametrize(
    ("suite", "column", "value", "said"),
    [
        ("metric", "operation", "SearchVectorsTwice", "does not know"),
        ("alarm_event", "history_item_type", "Novelty", "does not know"),
        ("alarm_event", "table_name", "Pateints", "not among the account's watched tables"),
    ],
    ids=["operation", "kind", "table"],
)
def test_what_is_worth_a_look_goes_on_with_a_warning(suite, column, value, said):
    result = checked(suite, **{column: value})

    assert len(result.passed) == 1
    assert said in result.warnings[0]


def test_alarm_without_a_table_is_nothing_to_warn_of():
    assert checked("alarm_event", table_name=None).success
