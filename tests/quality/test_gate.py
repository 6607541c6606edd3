import json
import logging
import time
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from dynatrail.errors import QualityError, SettingsError
from dynatrail.quality import gate
from dynatrail.quality.gate import check

SECRET = "jane.roe@example.com"
TOKEN = "t1:" + "a" * 32


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """Writes a suite of its own, so that a rule of the gate is tested without one of the shipped suites."""

    def write(*expectations):
        (tmp_path / "own.yaml").write_text(json.dumps({"name": "own", "expectations": expectations}))
        return "own"

    monkeypatch.setattr(gate, "SUITES", tmp_path)
    gate._read.cache_clear()
    yield write
    gate._read.cache_clear()


def expectation(severity, **kwargs):
    return {
        "type": "expect_column_values_to_not_be_null",
        "kwargs": {"column": "name", **kwargs},
        "meta": {"severity": severity, "reason_code": "name_missing", "reason": "The row has no name."},
    }


def test_good_rows_all_pass_unchanged(events, parameters):
    rows = events()

    result = check(rows, "api_event", record=None, parameters=parameters)

    assert result.success
    assert rows.equals(result.passed)
    assert result.rejected == ()


@pytest.mark.parametrize(
    ("column", "value", "reason_code"),
    [
        ("event_id", None, "event_id_missing"),
        ("event_id", "7", "event_id_form"),
        ("event_id", "00000000-0000-0000-0000-000000000000\n", "event_id_form"),
        ("event_time", None, "event_time_missing"),
        ("event_time", datetime(2012, 1, 1, tzinfo=UTC), "event_time_range"),
        ("event_time", datetime(2026, 11, 1, 4, 0, 1, tzinfo=UTC), "event_time_range"),
        ("recipient_account_id", None, "account_missing"),
        ("recipient_account_id", "12345678901", "account_form"),
        ("region", "us-east-1; drop", "region_form"),
        ("event_source", "DynamoDB", "event_source_form"),
        ("event_name", "Get Item", "event_name_form"),
    ],
)
def test_a_row_of_wrong_form_is_rejected_by_position_and_the_rest_goes_on(
    events, parameters, column, value, reason_code
):
    rows = events(5, {3: {column: value}})

    result = check(rows, "api_event", record=None, parameters=parameters)

    assert [(r.row, r.reason_code) for r in result.rejected] == [(3, reason_code)]
    assert rows.take([0, 1, 2, 4]).equals(result.passed)


@pytest.mark.parametrize("column", ["region", "source_uri"])
@pytest.mark.parametrize("value", ["Not\nit", None])
def test_columns_that_hold_few_values_are_decided_as_any_other(events, parameters, column, value, tmp_path):
    rows = events(6, {1: {column: value}, 4: {column: value}})
    at = rows.schema.get_field_index(column)
    encoded = rows.set_column(at, column, rows[column].dictionary_encode())

    plain, few = (outcome(table, parameters, tmp_path / "result.json") for table in (rows, encoded))

    assert plain == few


def outcome(rows, parameters, record):
    try:
        result = check(rows, "api_event", record=record, parameters=parameters)
    except QualityError as error:
        return str(error), record.read_text()
    return result.rejected, result.passed["event_id"].to_pylist(), result.warnings, record.read_text()


def test_results_are_kept_in_the_order_of_the_suite(suite, tmp_path):
    columns = ("name", "age", "name")
    asked = [expectation("quarantine", column=column) for column in columns]
    asked[2]["meta"] = asked[2]["meta"] | {"reason_code": "again"}
    rows = pa.table({"name": [None], "age": [1]})

    result = check(rows, suite(*asked), record=tmp_path / "result.json")

    kept = json.loads((tmp_path / "result.json").read_text())["results"]
    assert [one["expectation_config"]["kwargs"]["column"] for one in kept] == list(columns)
    assert [rejected.reason_code for rejected in result.rejected] == ["name_missing"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("region", "us-gov-west-1"),
        ("region", "us-isob-east-1"),
        ("region", "eusc-de-east-1"),
        ("event_source", "tagging.us-east-1.amazonaws.com"),
        ("event_name", "UpdateFunctionCode20150331v2"),
        ("event_name", "REST.GET.OBJECT"),
        ("event_time", datetime(2026, 11, 1, 4, tzinfo=UTC)),
    ],
)
def test_a_row_of_unusual_but_right_form_passes(events, parameters, column, value):
    result = check(events(2, {1: {column: value}}), "api_event", record=None, parameters=parameters)

    assert result.rejected == ()


def test_a_row_with_several_faults_is_rejected_once(events, parameters):
    result = check(
        events(2, {0: {"event_id": "7", "region": "nowhere"}}), "api_event", record=None, parameters=parameters
    )

    assert [(r.row, r.reason_code) for r in result.rejected] == [(0, "event_id_form")]


@pytest.mark.parametrize(
    "clear",
    [
        f'{{"key":{{"mail":"{SECRET}"}}}}',
        f'{{"Key":{{"mail":"{SECRET}"}}}}',
        f'{{"key":{{"id":"{TOKEN}","mail":"{SECRET}"}}}}',
        f'{{"requestItems":[{{"key":{{"id":"{TOKEN}"}}}},{{"key":{{"mail":"{SECRET}"}}}}]}}',
        f'{{"requestItems":{{"Patients":{{"keys":[{{"id":"{TOKEN}"}},{{"mail":"{SECRET}"}}]}}}}}}',
        f'{{"exclusiveStartKey":{{"mail":{{"S":"{SECRET}"}}}}}}',
        f'{{"key":{{"id":"{TOKEN}{SECRET}"}}}}',
        '{"key":{"id":7}}',
        f'{{"key":{{"mail":"{SECRET}"',
    ],
)
def test_a_key_in_clear_stops_the_batch_without_being_quoted(events, parameters, tmp_path, clear):
    record = tmp_path / "run.json"

    with pytest.raises(QualityError, match=r"1 of .* record 1 of s3://") as caught:
        check(events(3, {1: {"request_parameters": clear}}), "api_event", record=record, parameters=parameters)

    assert SECRET not in str(caught.value)
    assert SECRET not in record.read_text()


@pytest.mark.parametrize(
    "masked",
    [
        None,
        "{}",
        f'{{"key":{{"id":"{TOKEN}","at":"{TOKEN}"}}}}',
        f'{{"key":{{"id":{{"S":"{TOKEN}"}},"gone":null}}}}',
        '{"key":{"id":"***(Redacted)"}}',
        '{"tags":[{"key":"team","value":"clinic"}],"tagKeys":["key"]}',
        r'{"updateExpression":"set a = \"key\":{\"b\":1}"}',
    ],
)
def test_what_is_masked_or_no_key_passes_the_masking_guard(events, parameters, masked):
    result = check(events(2, {1: {"request_parameters": masked}}), "api_event", record=None, parameters=parameters)

    assert result.success


def test_the_masking_guard_leaves_other_services_alone(events, parameters):
    other = {"event_source": "kms.amazonaws.com", "request_parameters": '{"key":{"id":"alias/clinic"}}'}

    assert check(events(2, {1: other}), "api_event", record=None, parameters=parameters).success


def test_too_few_rows_stop_the_batch(events, parameters):
    with pytest.raises(QualityError, match="expect_table_row_count_to_be_between on the batch: saw 0"):
        check(events(0), "api_event", record=None, parameters=parameters)


def test_an_empty_batch_passes_where_none_was_expected(events, parameters):
    assert check(events(0), "api_event", record=None, parameters=parameters | {"expected_rows": 0}).success


def test_event_ids_missing_in_most_rows_stop_the_batch(events, parameters):
    missing = {number: {"event_id": None} for number in range(6)}

    with pytest.raises(QualityError, match="6 of 10 rows"):
        check(events(10, missing), "api_event", record=None, parameters=parameters)


def test_another_column_type_stops_the_batch(events, parameters):
    rows = events()
    column = rows.schema.get_field_index("source_index")

    with pytest.raises(QualityError, match="source_index is string, not int64"):
        check(
            rows.set_column(column, "source_index", rows["source_index"].cast(pa.string())),
            "api_event",
            record=None,
            parameters=parameters,
        )


def test_a_missing_column_stops_the_batch(events, parameters):
    with pytest.raises(QualityError, match="event_name is missing, not string"):
        check(events().drop_columns(["event_name"]), "api_event", record=None, parameters=parameters)


def test_a_new_category_of_events_only_warns(events, parameters):
    result = check(events(4, {2: {"event_category": "Dream"}}), "api_event", record=None, parameters=parameters)

    assert result.passed.num_rows == 4
    assert len(result.warnings) == 1
    assert "1 of 4 rows" in result.warnings[0]


def test_an_item_key_that_is_no_token_stops_the_batch(items):
    with pytest.raises(QualityError, match="item_key_token") as caught:
        check(items(3, {1: {"item_key_token": SECRET}}), "api_event_item", record=None)

    assert SECRET not in str(caught.value)


def test_an_item_whose_key_aws_redacted_passes(items):
    assert check(items(3, {1: {"item_key_token": None}}), "api_event_item", record=None).success


def test_an_item_of_unknown_operation_is_rejected(items):
    result = check(items(3, {1: {"operation": "Touch"}}), "api_event_item", record=None)

    assert [(r.row, r.reason_code) for r in result.rejected] == [(1, "operation_unknown")]


def test_neither_record_nor_log_holds_a_value_that_was_not_expected(events, parameters, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    record = tmp_path / "run.json"
    changes = {0: {"event_id": SECRET}, 1: {"event_name": SECRET}, 2: {"region": SECRET}}

    result = check(events(8, changes), "api_event", record=record, parameters=parameters)

    assert len(result.rejected) == 3
    assert SECRET not in record.read_text()
    assert SECRET not in caplog.text


def test_the_record_tells_what_was_expected_and_at_which_rows_it_was_not_met(events, parameters, tmp_path):
    record = tmp_path / "api_event" / "run.json"

    check(events(8, {5: {"region": "X"}}), "api_event", record=record, parameters=parameters)

    document = json.loads(record.read_text())
    failed = [r for r in document["results"] if not r["success"]]
    assert [r["expectation_config"]["meta"]["reason_code"] for r in failed] == ["region_form"]
    assert failed[0]["result"]["unexpected_index_list"] == [5]
    assert document["statistics"]["unsuccessful_expectations"] == 1


def test_the_same_rows_give_the_same_record(events, parameters, tmp_path):
    one, other = tmp_path / "one.json", tmp_path / "other.json"

    for record in (one, other):
        check(events(8, {5: {"region": "X"}}), "api_event", record=record, parameters=parameters)

    assert one.read_bytes() == other.read_bytes()


def test_the_record_is_kept_when_the_gate_stops_the_batch(events, parameters, tmp_path):
    record = tmp_path / "run.json"

    with pytest.raises(QualityError, match=r"run\.json"):
        check(events(0), "api_event", record=record, parameters=parameters)

    assert not json.loads(record.read_text())["success"]


def test_a_parameter_that_the_caller_does_not_give_is_named(events):
    with pytest.raises(SettingsError, match="expected_rows, latest_event_time"):
        check(events(), "api_event", record=None)


def test_an_unknown_suite_names_the_known_ones(events):
    with pytest.raises(SettingsError, match="api_event, api_event_item"):
        check(events(), "no_such_suite", record=None)


def test_a_fail_expectation_stops_even_when_others_only_quarantine(suite):
    name = suite(expectation("quarantine"), expectation("fail", mostly=0.9))

    with pytest.raises(QualityError, match="1 of 2 rows"):
        check(pa.table({"name": ["a", None]}), name, record=None)


def test_mostly_does_not_let_a_quarantined_row_through(suite):
    name = suite(expectation("quarantine", mostly=0.1))

    result = check(pa.table({"name": ["a", None]}), name, record=None)

    assert [r.row for r in result.rejected] == [1]


def test_an_expectation_on_a_column_that_is_not_there_stops_the_batch(suite):
    name = suite(expectation("quarantine", column="absent"))

    with pytest.raises(QualityError, match="could not be evaluated"):
        check(pa.table({"name": ["a"]}), name, record=None)


def test_an_expectation_that_great_expectations_refuses_is_not_passed_over(suite):
    wrong = expectation("fail") | {"type": "expect_column_values_to_be_lovely"}

    with pytest.raises(SettingsError):
        check(pa.table({"name": ["a"]}), suite(expectation("fail"), wrong), record=None)


def test_a_wrong_argument_of_an_expectation_is_not_passed_over(suite):
    with pytest.raises(SettingsError):
        check(pa.table({"name": ["a"]}), suite(expectation("fail", mostly="much")), record=None)


def test_an_expectation_without_a_known_severity_is_refused(suite):
    with pytest.raises(SettingsError, match="fail, quarantine, warn"):
        check(pa.table({"name": ["a"]}), suite(expectation("critical")), record=None)


@pytest.mark.slow
def test_two_hundred_thousand_events_take_under_two_seconds_of_a_processor(events, parameters):
    rows = events(2000)
    many = pa.concat_tables([rows] * 100)
    check(rows, "api_event", record=None, parameters=parameters)  # the import is paid once a process

    started = time.process_time()
    check(many, "api_event", record=None, parameters=parameters)

    assert time.process_time() - started < 2
