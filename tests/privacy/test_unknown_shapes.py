import json

import pytest

from dynatrail.privacy.requests import DataRequests
from dynatrail.privacy.unknown_shapes import mask_data, mask_other


@pytest.fixture
def requests(tokens):
    return DataRequests(tokens, {})


@pytest.fixture
def masked(requests):
    return lambda value, call="NewCall": mask_data(requests, call, json.dumps(value).encode())


def test_an_attribute_without_a_name_names_no_table(masked, tokens):
    read = masked({"key": {"": "pat-4711"}, "": "pat-4712"})
    assert read.tables == ()
    assert json.loads(read.parameters) == {
        "key": {"": tokens.value("pat-4711")},
        "": tokens.value("pat-4712"),
    }


def test_an_operation_that_dynamodb_does_not_have_is_a_value(masked, tokens):
    read = masked({"operation": "pat-4711", "key": {"id": "pat-4712"}}, "BatchWriteItem")
    assert json.loads(read.parameters)["operation"] == tokens.value("pat-4711")
    assert read.items == ()


def test_each_value_found_can_be_masked_in_a_message(masked, tokens):
    assert masked({"a": "pat-4711", "b": [7]}).values == {"pat-4711": tokens.value("pat-4711"), "7": tokens.value("7")}


def test_exact_numbers_keep_their_text(requests, tokens):
    raw = b'{"n": 0.10000000000000000001}'
    assert json.loads(mask_data(requests, "X", raw).parameters) == {"n": tokens.value("0.10000000000000000001")}


@pytest.mark.parametrize(
    "name",
    ["sessionToken", "secretAccessKey", "masterUserPassword", "webIdentityToken", "sAMLAssertion", "tokenCode"],
)
def test_credentials_are_hidden(name, requests):
    told = json.dumps({"outer": [{name: "s3cr3t", "other": 1}]}).encode()
    assert json.loads(mask_other(requests, told)) == {"outer": [{name: "***", "other": 1}]}


def test_escaping_a_name_hides_no_secret(requests):
    assert json.loads(mask_other(requests, rb'{"session\u0054oken": "s3cr3t"}')) == {"sessionToken": "***"}


def test_saml_assertion_id_is_no_secret(requests):
    told = b'{"sAMLAssertionID":"_abc"}'
    assert mask_other(requests, told) == told.decode()


def test_filter_of_an_export_keeps_its_names_only(requests):
    told = {
        "filterSpecification": {
            "keyConditionExpression": "patient_id = :p AND d > 20261101",
            "expressionAttributeValues": {":p": {"S": "pat-4711"}},
        }
    }
    assert json.loads(mask_other(requests, json.dumps(told).encode())) == {
        "filterSpecification": {
            "keyConditionExpression": "patient_id = :p AND d > ***",
            "expressionAttributeValues": {":p": "***"},
        }
    }


def test_item_key_in_a_management_event_is_masked(requests, tokens):
    told = b'{"tableName":"T","key":{"patient_id":"pat-4711"},"tags":[{"key":"team","value":"ward"}]}'
    assert json.loads(mask_other(requests, told)) == {
        "tableName": "T",
        "key": {"patient_id": tokens.value("pat-4711")},
        "tags": [{"key": "team", "value": "ward"}],
    }


def test_key_that_a_policy_names_is_masked(requests, tokens):
    def told(value):
        condition = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [value]}}
        return {"policyDocument": json.dumps({"Statement": [{"Condition": condition}]}), "roleName": "R"}

    found = json.loads(mask_other(requests, json.dumps(told("pat-4711")).encode()))
    assert json.loads(found["policyDocument"]) == json.loads(told(tokens.value("pat-4711"))["policyDocument"])
    assert found["roleName"] == "R"


def test_configuration_without_secrets_stays_byte_for_byte(requests):
    told = b'{"tableName" : "T", "tags":[{"key":"team","value":"ward"}]}'
    assert mask_other(requests, told) == told.decode()
