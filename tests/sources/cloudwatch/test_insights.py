from datetime import UTC, datetime

import pytest

from dynatrail.sources.cloudwatch import insights
from dynatrail.sources.cloudwatch.insights import Rule
from dynatrail.warehouse.schema import METRIC

HOUR = datetime(2026, 11, 1, 3, tzinfo=UTC)
PKC = Rule("DynamoDBContributorInsights-PKC-Patients-1", "PKC", "Patients", None, (("patient_id", "S"),))
SKC = Rule("DynamoDBContributorInsights-SKC-Visits-1", "SKC", "Visits", None, (("patient_id", "S"), ("visit", "N")))


def said(*contributors, total=None):
    return {
        "AggregationStatistic": "Sum",
        "AggregateValue": total if total is not None else sum(value for _, value in contributors),
        "Contributors": [{"Keys": list(keys), "ApproximateAggregateValue": value} for keys, value in contributors],
    }


@pytest.fixture
def made(target, tokens):
    def make(rule, report):
        rows, strange = insights.rows([(rule, HOUR, report)], target, tokens)
        assert rows.schema.equals(METRIC.schema)
        return rows.to_pylist(), strange

    return make


def test_partition_key_that_is_the_whole_key_has_the_items_token(made, tokens):
    rows, _ = made(PKC, said((["pat-4711"], 7.0)))

    assert rows[0]["contributor_token"] == tokens.item([("patient_id", "pat-4711")])
    assert (rows[0]["value"], rows[0]["metric_name"], rows[0]["table_name"]) == (7.0, "PKC", "Patients")


def test_pair_of_keys_has_the_items_token_with_the_number_as_dynamodb_stores_it(made, tokens):
    rows, _ = made(SKC, said((["pat-4711", "07.0"], 2.0)))

    assert rows[0]["contributor_token"] == tokens.item([("patient_id", "pat-4711"), ("visit", "7")])


def test_all_contributors_together_are_a_row_without_token(made):
    rows, _ = made(PKC, said((["a"], 1.0), (["b"], 1.0), total=9.0))

    assert [(row["contributor_token"] is None, row["value"]) for row in rows] == [
        (False, 1.0),
        (False, 1.0),
        (True, 9.0),
    ]


def test_hour_without_contributors_has_no_rows(made):
    assert made(PKC, said(total=0.0)) == ([], [])


def test_no_key_is_in_clear(made):
    rows, _ = made(SKC, said((["pat-4711", "7"], 2.0)))

    assert "pat-4711" not in str(rows)


def test_contributor_of_another_form_is_left_out_and_told_without_its_value(made):
    rows, strange = made(PKC, said((["pat-4711", "7"], 2.0)))

    assert rows == []
    assert len(strange) == 1
    assert "pat-4711" not in strange[0]
