import json
from datetime import UTC, datetime, timedelta

import pytest

from dynatrail.sources.cloudwatch import alarms
from dynatrail.warehouse.schema import ALARM_EVENT

AT = datetime(2026, 11, 1, 3, 4, 5, 678000, tzinfo=UTC)
OWN = (
    "Threshold Crossed: 1 out of the last 1 datapoints [26.0 (01/11/26 03:00:00)] was greater than or equal to the "
    "threshold (25.0) (minimum 1 datapoint for OK -> ALARM transition)."
)


@pytest.fixture
def row(target, tokens):
    """The row of one entry; keyword arguments change the entry."""

    def make(subjects=None, **changes):
        entry = {
            "AlarmName": "patients-scanned",
            "AlarmType": "MetricAlarm",
            "Timestamp": AT,
            "HistoryItemType": "StateUpdate",
            "HistorySummary": "Alarm updated from OK to ALARM",
            "HistoryData": json.dumps(
                {
                    "version": "1.0",
                    "oldState": {"stateValue": "OK", "stateReason": "Unchecked: Initial alarm creation"},
                    "newState": {"stateValue": "ALARM", "stateReason": OWN, "stateReasonData": {"threshold": 25.0}},
                }
            ),
        } | changes
        rows = alarms.rows(iter([entry]), subjects or {}, target, tokens)
        assert rows.schema.equals(ALARM_EVENT.schema)
        return rows.to_pylist()[0]

    return make


def test_transition_has_its_states_and_cloudwatchs_own_reason(row):
    made = row({"patients-scanned": ("ReturnedItemCount", "Patients")})

    assert (made["old_state"], made["new_state"], made["reason"]) == ("OK", "ALARM", OWN)
    assert (made["metric_name"], made["table_name"]) == ("ReturnedItemCount", "Patients")
    assert made["summary"] == "Alarm updated from OK to ALARM"
    assert json.loads(made["history_data"])["newState"]["stateReasonData"] == {"threshold": 25.0}


def test_reason_that_a_caller_wrote_is_masked(row, tokens):
    data = {"newState": {"stateValue": "ALARM", "stateReason": "jane.roe@example.com said so"}}

    made = row(HistoryData=json.dumps(data))

    assert made["reason"] == f"{tokens.value('jane.roe@example.com')} said so"
    assert "jane" not in made["history_data"]


@pytest.mark.parametrize("text", ["Threshold Crossed: Jane Roe", f"{OWN} Jane 4711"], ids=["instead", "behind"])
def test_text_that_only_begins_like_cloudwatchs_is_masked_as_any(row, text):
    made = row(HistoryData=json.dumps({"newState": {"stateReason": f"{text} 'Roe'"}}))

    assert "4711" not in made["reason"]
    assert "'Roe'" not in made["reason"]


def test_description_and_unknown_fields_are_tokens(row, tokens):
    data = {"type": "Update", "updatedAlarm": {"alarmDescription": "Jane's ward", "new": {"x": "Jane", "y": 12}}}

    made = json.loads(row(HistoryItemType="ConfigurationUpdate", HistoryData=json.dumps(data))["history_data"])

    assert made["updatedAlarm"] == {
        "alarmDescription": tokens.value("Jane's ward"),
        "new": {"x": tokens.value("Jane"), "y": tokens.value("12")},
    }


def test_dimension_of_an_applications_own_metric_is_masked(row, tokens):
    dimensions = [{"name": "TableName", "value": "Patients"}, {"name": "Patient", "value": "Jane"}]
    data = {"createdAlarm": {"metricName": "Visits", "dimensions": dimensions}}

    made = json.loads(row(HistoryData=json.dumps(data))["history_data"])

    assert made["createdAlarm"]["dimensions"] == [dimensions[0], {"name": "Patient", "value": tokens.value("Jane")}]


def test_deleted_alarm_still_tells_what_it_watched(row):
    data = {
        "type": "Delete",
        "deletedAlarm": {"metricName": "UserErrors", "dimensions": [{"name": "TableName", "value": "Patients"}]},
    }

    made = row(HistoryItemType="ConfigurationUpdate", HistoryData=json.dumps(data))

    assert (made["metric_name"], made["table_name"]) == ("UserErrors", "Patients")


def test_entry_has_the_same_id_at_every_reading_and_another_for_other_content(row):
    assert row()["alarm_event_id"] == row()["alarm_event_id"]
    others = {
        row(**change)["alarm_event_id"]
        for change in (
            {"AlarmName": "other"},
            {"Timestamp": AT + timedelta(milliseconds=1)},
            {"HistoryData": "{}"},
            {"HistoryItemType": "Action"},
        )
    }
    assert len(others - {row()["alarm_event_id"]}) == 4


def test_history_data_that_is_no_json_is_a_token(row, tokens):
    assert json.loads(row(HistoryData="Jane")["history_data"]) == {"unreadable": tokens.value("Jane")}


def test_summary_of_an_action_keeps_the_arn_and_a_strange_one_is_masked(row):
    action = "Successfully executed action arn:aws:sns:us-east-1:123456789012:security-alerts"

    assert row(HistorySummary=action)["summary"] == action
    assert "4711" not in row(HistorySummary="Failed for patient 4711")["summary"]


def test_reason_data_that_a_person_gave_keeps_no_value(row):
    given = {"pat-4711": 1, "alarmName": "pat-4711", "id": "Jane", "name": "TableName", "more": {"pat-4711": "Jane"}}
    data = {"newState": {"stateValue": "ALARM", "stateReasonData": given | {"unit": "Percent", "threshold": 25.0}}}
    made = row(HistoryData=json.dumps(data))["history_data"]
    assert "4711" not in made
    assert "Jane" not in made
    kept = json.loads(made)["newState"]["stateReasonData"]
    assert (kept["unit"], kept["threshold"]) == ("Percent", 25.0)
