import pytest

from dynatrail.errors import SourceError
from dynatrail.sources.configuration import aspects
from dynatrail.sources.snapshots.asking import Api, member

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/a"


def test_pages_are_put_together(stubbed):
    asker, stub = stubbed
    dynamodb = stub("dynamodb")
    dynamodb.add_response("list_tables", {"TableNames": ["one"], "LastEvaluatedTableName": "one"}, {})
    dynamodb.add_response("list_tables", {"TableNames": ["two"]}, {"ExclusiveStartTableName": "one"})
    assert asker.ask(aspects.LIST_TABLES).value == ["one", "two"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("PolicyNotFoundException", "absent"),
        ("ResourceNotFoundException", "gone"),
        ("AccessDeniedException", "unreadable"),
        ("ValidationException", "unreadable"),
        ("ThrottlingException", "missed"),
        ("InternalServerError", "missed"),
    ],
)
def test_each_refusal_means_something_of_its_own(stubbed, code, kind):
    asker, stub = stubbed
    stub("dynamodb").add_client_error("get_resource_policy", code, "a value that must not be repeated")
    answer = asker.ask(aspects.GET_RESOURCE_POLICY, {"ResourceArn": ARN})
    assert answer.kind == kind
    assert "must not be repeated" not in answer.reason


def test_denial_names_the_missing_action(stubbed):
    asker, stub = stubbed
    stub("dynamodb").add_client_error("get_resource_policy", "AccessDeniedException")
    reason = asker.ask(aspects.GET_RESOURCE_POLICY, {"ResourceArn": ARN}).reason
    assert reason == "dynamodb:GetResourcePolicy is not allowed"


def test_credentials_that_do_not_work_are_an_error(stubbed):
    asker, stub = stubbed
    stub("dynamodb").add_client_error("list_tables", "UnrecognizedClientException")
    with pytest.raises(SourceError, match="access key is unknown"):
        asker.ask(aspects.LIST_TABLES)


def test_api_that_the_installed_sdk_lacks_is_told_apart(stubbed):
    asker, _ = stubbed
    assert asker.ask(Api("dynamodb", "DescribeFuture", "dynamodb:DescribeFuture")).kind == "lacking"


def test_member_follows_names_and_stops_where_one_is_missing():
    assert member({"a": {"b": 1}}, "a.b") == 1
    assert member({"a": None}, "a.b") is None


def test_every_api_of_the_tables_of_questions_is_in_the_installed_sdk():
    from botocore.session import get_session

    from dynatrail.sources.iam import aspects as iam
    from dynatrail.sources.snapshots.questions import Aspect, Listing

    apis = {value for module in (aspects, iam) for value in vars(module).values() if isinstance(value, Api)}
    for module in (aspects, iam):
        for value in vars(module).values():
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, Aspect | Listing):
                    apis.add(one.api)
                if isinstance(one, Listing) and one.detail:
                    apis.add(one.detail[0])
    session = get_session()
    unknown = [
        api.operation for api in apis if api.operation not in session.get_service_model(api.service).operation_names
    ]
    assert len(apis) > 45
    assert unknown == []


def test_values_that_an_export_was_filtered_by_are_masked(home, stubbed):
    asker, stub = stubbed
    arn = f"{ARN}/export/01693685827463-2d8752fd"
    told = {"KeyConditionExpression": "id = :p", "ExpressionAttributeValues": {":p": {"S": "pat-4711"}}}
    stub("dynamodb").add_response("describe_export", {"ExportDescription": {"FilterSpecification": told}})
    api, _ = next(one.detail for one in aspects.TABLE_LISTINGS if one.name == "ListExports")
    found = asker.ask(api, {"ExportArn": arn}).value["FilterSpecification"]
    assert found["KeyConditionExpression"] == "id = :p"
    assert "pat-4711" not in str(found)


def test_keys_that_a_resource_policy_names_are_masked(home, stubbed):
    asker, stub = stubbed
    policy = '{"Statement":[{"Condition":{"ForAllValues:StringEquals":{"dynamodb:LeadingKeys":["pat-4711"]}}}]}'
    stub("dynamodb").add_response("get_resource_policy", {"Policy": policy})
    assert "pat-4711" not in str(asker.ask(aspects.GET_RESOURCE_POLICY, {"ResourceArn": ARN}).value)
