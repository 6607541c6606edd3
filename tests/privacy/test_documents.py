import json
from urllib.parse import quote

import pytest

from dynatrail.privacy.documents import without_item_values
from dynatrail.privacy.tokens import Tokenizer

TOKENS = Tokenizer(bytes(range(32)))
PATIENT = TOKENS.value("pat-4711")


def masked(document):
    return without_item_values(document, lambda: TOKENS)


def policy(condition):
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "dynamodb:*", "Condition": condition}]}


def condition(document):
    return masked(document)["Statement"][0]["Condition"]


@pytest.mark.parametrize(
    "encode", [json.dumps, lambda policy: quote(json.dumps(policy)), dict], ids=["json", "url", "object"]
)
@pytest.mark.parametrize("name", ["dynamodb:LeadingKeys", "DynamoDB:leadingkeys", "dynamodb:FirstPartitionKeyValues"])
def test_key_that_a_policy_names_is_a_token(encode, name):
    given = encode(policy({"ForAllValues:StringEquals": {name: ["pat-4711"]}}))
    assert condition(given) == {"ForAllValues:StringEquals": {name: [PATIENT]}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${aws:userid}", "${aws:userid}"),
        ("pat-4711#${aws:userid}", f"{PATIENT}#${{aws:userid}}".replace(PATIENT + "#", TOKENS.value("pat-4711#"))),
        ("pat-4711*", f"{PATIENT}*"),
        ("*", "*"),
        ("${broken", TOKENS.value("${broken")),
    ],
    ids=["variable", "literal_before_variable", "literal_before_wildcard", "wildcard", "variable_without_end"],
)
def test_variables_and_wildcards_of_a_policy_stay(value, expected):
    assert condition(policy({"StringLike": {"dynamodb:LeadingKeys": value}})) == {
        "StringLike": {"dynamodb:LeadingKeys": expected}
    }


def test_whether_there_is_a_key_at_all_stays():
    told = policy({"Null": {"dynamodb:LeadingKeys": "false"}})
    assert masked(told) == told


def test_policy_that_names_no_key_stays_as_it_came():
    told = json.dumps(policy({"StringEquals": {"aws:SourceAccount": "123456789012"}}))
    assert masked({"Policy": told}) == {"Policy": told}


def test_condition_of_a_finding_is_masked():
    assert masked({"condition": {"dynamodb:LeadingKeys": "pat-4711"}}) == {
        "condition": {"dynamodb:LeadingKeys": PATIENT}
    }


def test_filter_of_an_export_keeps_names_and_loses_values():
    told = {
        "FilterSpecification": {
            "KeyConditionExpression": "patient_id = :p AND d > 20261101",
            "ExpressionAttributeNames": {"#n": "name"},
            "ExpressionAttributeValues": {
                ":p": {"S": "pat-4711"},
                ":n": {"N": "07.0"},
                ":l": {"L": [{"S": "pat-4711"}]},
            },
        }
    }
    found = masked(told)["FilterSpecification"]
    assert found["KeyConditionExpression"] == "patient_id = :p AND d > ***"
    assert found["ExpressionAttributeNames"] == {"#n": "name"}
    assert found["ExpressionAttributeValues"][":p"] == {"S": PATIENT}
    assert found["ExpressionAttributeValues"][":n"] == {"N": TOKENS.value("7")}
    assert "pat-4711" not in json.dumps(found)


def test_dimension_of_an_application_is_a_token_and_that_of_a_resource_stays():
    table, person = {"Name": "TableName", "Value": "Patients"}, {"Name": "patient", "Value": "pat-4711"}
    assert masked({"Metrics": [{"Dimensions": [table, person]}]}) == {
        "Metrics": [{"Dimensions": [table, {"Name": "patient", "Value": PATIENT}]}]
    }


def test_masking_again_changes_nothing():
    told = {"Dimensions": [{"Name": "patient", "Value": "pat-4711"}], "dynamodb:LeadingKeys": ["pat-4711"]}
    assert masked(masked(told)) == masked(told)


def test_key_is_only_loaded_where_there_is_something_to_mask():
    def fail():
        raise AssertionError

    assert without_item_values({"Dimensions": 4, "Tags": [{"Key": "a", "Value": "b"}]}, fail) == {
        "Dimensions": 4,
        "Tags": [{"Key": "a", "Value": "b"}],
    }
