from datetime import UTC, datetime, timedelta

import pyarrow as pa

from dynatrail.sources.cloudwatch.merge import merge_alarms, merge_metrics, union
from dynatrail.warehouse.schema import ALARM_EVENT, METRIC

HOUR = datetime(2026, 11, 1, 3, tzinfo=UTC)
NOTHING = METRIC.schema.empty_table()
INSIGHT = {"namespace": "DynamoDBContributorInsights", "metric_name": "PKC", "dimensions": '{"TableName":"Patients"}'}
INSIGHT |= {"operation": None, "statistic": "Sum", "period_s": 3600}


def values(rows):
    return sorted((row["period_s"], row["event_time"].minute, row["value"]) for row in rows.to_pylist())


def at(minute, value, **more):
    return {"event_time": HOUR + timedelta(minutes=minute), "value": value} | more


def test_datapoint_read_again_replaces_itself(datapoints):
    merged = merge_metrics(datapoints(at(0, 1.0), at(1, 2.0)), datapoints(at(1, 3.0)))

    assert values(merged) == [(60, 0, 1.0), (60, 1, 3.0)]


def test_what_cloudwatch_no_longer_gives_stays(datapoints):
    assert values(merge_metrics(datapoints(at(0, 1.0)), NOTHING)) == [(60, 0, 1.0)]


def test_finer_datapoints_are_never_made_coarser(datapoints):
    fine, coarse = datapoints(at(0, 1.0), at(7, 2.0)), datapoints(at(0, 1.0, period_s=300), at(5, 2.0, period_s=300))

    assert values(merge_metrics(fine, coarse)) == values(fine)
    assert values(merge_metrics(coarse, fine)) == values(fine)


def test_series_and_hours_are_apart_when_periods_differ(datapoints):
    present = datapoints(at(0, 1.0))
    came = datapoints(
        at(0, 5.0, period_s=300, statistic="Average"), at(0, 9.0, period_s=300, event_hour=HOUR + timedelta(hours=1))
    )

    assert len(merge_metrics(present, came)) == 3


def test_missing_operation_is_a_value_of_its_own_in_the_key(datapoints):
    came = datapoints(at(0, 1.0, contributor_token=None), at(0, 2.0, contributor_token="t1:a"))

    assert len(merge_metrics(came, came)) == 2


def test_contributors_of_a_rule_that_answered_are_replaced_whole(datapoints):
    present = datapoints(INSIGHT | {"contributor_token": "t1:a"}, INSIGHT | {"contributor_token": "t1:b"}, at(0, 1.0))
    came = datapoints(INSIGHT | {"contributor_token": "t1:c"})

    merged = merge_metrics(present, came, {("PKC", '{"TableName":"Patients"}', HOUR)})

    assert sorted(row["contributor_token"] or "" for row in merged.to_pylist()) == ["", "t1:c"]


def test_contributors_of_a_rule_that_did_not_answer_stay(datapoints):
    present = datapoints(INSIGHT | {"contributor_token": "t1:a"})

    assert len(merge_metrics(present, NOTHING, {("PKC", '{"TableName":"Visits"}', HOUR)})) == 1
    assert len(merge_metrics(present, NOTHING, {("PKC", '{"TableName":"Patients"}', HOUR - timedelta(hours=1))})) == 1


def test_datapoint_that_came_twice_is_there_once(datapoints):
    assert values(union(NOTHING, datapoints(at(0, 1.0), at(0, 2.0)), METRIC)) == [(60, 0, 2.0)]


def test_what_a_deleted_alarm_watched_stays_known():
    base = {
        "alarm_event_id": "a" * 64,
        "event_time": HOUR,
        "event_hour": HOUR,
        "event_date": HOUR.date(),
        "account_id": "123456789012",
        "region": "eu-central-1",
        "alarm_name": "scanned",
        "history_item_type": "StateUpdate",
    }
    before = pa.Table.from_pylist(
        [base | {"metric_name": "ReturnedItemCount", "table_name": "Patients"}], ALARM_EVENT.schema
    )

    merged = merge_alarms(before, pa.Table.from_pylist([base], ALARM_EVENT.schema))

    assert merged.to_pylist() == before.to_pylist()
