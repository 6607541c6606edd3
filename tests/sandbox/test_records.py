"""One record, field by field."""

from datetime import UTC, datetime
from typing import Any

import pytest

from dynatrail.sandbox.calls import Call
from dynatrail.sandbox.identities import Caller
from dynatrail.sandbox.records import Failure, Ids, Made, build

NOW = datetime(2026, 11, 9, 13, 5, 7, 999_000, tzinfo=UTC)
ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/Music"
IDENTITY = {"type": "IAMUser", "accountId": "123456789012", "arn": "arn:aws:iam::123456789012:user/alice"}


def record(
    operation: str,
    sent: dict[str, Any],
    *,
    service: str = "dynamodb",
    answer: dict[str, Any] | None = None,
    failure: Failure | None = None,
    **caller: Any,
) -> dict[str, Any]:
    call = Call(service, operation, sent, "us-east-1", "AKIAEXAMPLE")
    who = Caller(**{"source_ip_address": "192.0.2.1", "user_agent": "agent", **caller})
    made = Made(call, who, "123456789012", NOW, "REQUEST", answer, failure)
    return build(made, IDENTITY, lambda _table: ("id",), lambda instant: instant)


GET = {"TableName": "Music", "Key": {"id": {"S": "1"}}}


def test_a_data_event_has_the_fields_of_a_real_one():
    assert record("GetItem", GET) == {
        "eventVersion": "1.11",
        "userIdentity": IDENTITY,
        "eventTime": "2026-11-09T13:05:07Z",
        "eventSource": "dynamodb.amazonaws.com",
        "eventName": "GetItem",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "192.0.2.1",
        "userAgent": "agent",
        "requestParameters": {"tableName": "Music", "key": {"id": "1"}},
        "responseElements": None,
        "additionalEventData": {"dynatrailSandbox": True},
        "requestID": "REQUEST",
        "readOnly": True,
        "resources": [{"accountId": "123456789012", "type": "AWS::DynamoDB::Table", "ARN": ARN}],
        "eventType": "AwsApiCall",
        "apiVersion": "2012-08-10",
        "managementEvent": False,
        "eventCategory": "Data",
        "tlsDetails": {
            "tlsVersion": "TLSv1.3",
            "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": "dynamodb.us-east-1.amazonaws.com",
        },
    }


def test_a_denied_call_loses_parameters_resources_and_api_version():
    message = (
        "User: arn:aws:iam::123456789012:user/alice is not authorized to perform: dynamodb:GetItem "
        "because no identity-based policy allows the dynamodb:GetItem action"
    )
    denied = record("GetItem", GET, failure=Failure("AccessDeniedException", message))
    assert denied["requestParameters"] is None
    assert "resources" not in denied
    assert "apiVersion" not in denied
    assert denied["errorCode"] == "AccessDenied"
    assert denied["errorMessage"] == (
        "User: arn:aws:iam::123456789012:user/alice is not authorized to perform: dynamodb:GetItem "
        f"on resource: {ARN} because no identity-based policy allows the dynamodb:GetItem action"
    )


def test_a_denial_on_an_index_names_the_index():
    query = {"TableName": "Music", "IndexName": "ByYear"}
    denied = record(
        "Query", query, failure=Failure("AccessDenied", "User: arn:x is not authorized to perform: dynamodb:Query")
    )
    assert denied["errorMessage"].endswith(f"on resource: {ARN}/index/ByYear")


def test_a_denied_transaction_names_the_table_of_the_member_that_was_denied():
    members = [{"Put": {"TableName": "Other"}}, {"ConditionCheck": {"TableName": "Music"}}]
    message = "User: arn:x is not authorized to perform: dynamodb:ConditionCheckItem"
    denied = record("TransactWriteItems", {"TransactItems": members}, failure=Failure("AccessDeniedException", message))
    assert denied["errorMessage"].endswith(f"on resource: {ARN}")


def test_a_failed_condition_keeps_parameters_and_resources():
    failed = record(
        "GetItem", GET, failure=Failure("ConditionalCheckFailedException", "The conditional request failed")
    )
    assert failed["errorCode"] == "ConditionalCheckFailedException"
    assert failed["requestParameters"] == {"tableName": "Music", "key": {"id": "1"}}
    assert failed["resources"][0]["ARN"] == ARN


@pytest.mark.parametrize(
    ("operation", "read_only"),
    [
        ("GetItem", True),
        ("Scan", True),
        ("TransactGetItems", True),
        ("ListTables", True),
        ("ExecuteStatement", False),
        ("ListExports", False),
        ("PutItem", False),
    ],
)
def test_read_only_says_what_aws_says_even_where_that_is_wrong(operation: str, read_only: bool):
    assert record(operation, {"Statement": "SELECT * FROM Music"})["readOnly"] is read_only


def test_a_management_write_shows_its_answer_in_cloudtrails_case():
    answer = {"TableDescription": {"TableName": "Music", "SSEDescription": {"KMSMasterKeyArn": "arn:k"}}}
    sent = {"TableName": "Music", "SSESpecification": {"Enabled": True, "KMSMasterKeyId": "k"}}
    made = record("UpdateTable", sent, answer=answer)
    assert made["responseElements"] == {
        "tableDescription": {"tableName": "Music", "sSEDescription": {"kMSMasterKeyArn": "arn:k"}}
    }
    assert made["requestParameters"]["sSESpecification"] == {"enabled": True, "kMSMasterKeyId": "k"}
    assert made["eventCategory"] == "Management"


def test_times_in_answers_are_written_out():
    answer = {"TableDescription": {"CreationDateTime": 1609140921.0}}
    made = record("CreateTable", {"TableName": "Music"}, answer=answer)
    assert made["responseElements"]["tableDescription"]["creationDateTime"] == "Dec 28, 2020, 7:35:21 AM"


def test_a_management_read_has_no_answer():
    assert record("DescribeTable", {"TableName": "Music"}, answer={"Table": {}})["responseElements"] is None


def test_secrets_are_left_out_of_answers():
    answer = {"AccessKey": {"AccessKeyId": "AKIAEXAMPLE", "SecretAccessKey": "very secret"}}
    made = record("CreateAccessKey", {"UserName": "alice"}, service="iam", answer=answer)
    assert made["responseElements"] == {"accessKey": {"accessKeyId": "AKIAEXAMPLE"}}


def test_a_service_made_call_names_the_service_everywhere_and_has_no_tls():
    made = record("GetItem", GET, invoked_by="lambda.amazonaws.com")
    assert (made["sourceIPAddress"], made["userAgent"]) == ("lambda.amazonaws.com", "lambda.amazonaws.com")
    assert "tlsDetails" not in made


def test_the_console_says_so_in_a_string():
    assert record("GetItem", GET, console=True)["sessionCredentialFromConsole"] == "true"


def test_dynamodb_request_ids_are_52_characters_with_the_constant_end():
    ids = Ids("seed")
    for _ in range(20):
        text = ids.request_id("dynamodb")
        assert len(text) == 52
        assert text.endswith("VV4KQNSO5AEMVJF66Q9ASUAAJG")
        assert set(text) <= set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def test_ids_are_the_same_for_the_same_seed_and_never_repeat():
    first, second = Ids("seed"), Ids("seed")
    made = [first.event_id() for _ in range(100)]
    assert made == [second.event_id() for _ in range(100)]
    assert len(set(made)) == 100
