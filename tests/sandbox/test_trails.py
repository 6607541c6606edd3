"""Which records a trail selects."""

from typing import Any

import pytest

from dynatrail.sandbox.trails import Trail

ORGANIZATION = frozenset({"123456789012", "210987654321"})
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/Patients"


def trail(**changes: Any) -> Trail:
    fields = {
        "arn": "arn:aws:cloudtrail:us-east-1:123456789012:trail/main",
        "name": "main",
        "account_id": "123456789012",
        "home_region": "us-east-1",
        "bucket": "logs",
        "logging": True,
        "multi_region": True,
    }
    return Trail(**{**fields, **changes})


def record(**changes: Any) -> dict[str, Any]:
    fields = {
        "recipientAccountId": "123456789012",
        "awsRegion": "us-east-1",
        "eventCategory": "Data",
        "eventSource": "dynamodb.amazonaws.com",
        "eventName": "GetItem",
        "readOnly": True,
        "userIdentity": {"arn": "arn:aws:iam::123456789012:user/alice"},
        "resources": [{"type": "AWS::DynamoDB::Table", "ARN": TABLE}],
    }
    return {**fields, **changes}


def data_selector(**fields: Any) -> dict[str, Any]:
    selectors = [{"Field": "eventCategory", "Equals": ["Data"]}]
    selectors += [{"Field": name.replace("_", "."), **tests} for name, tests in fields.items()]
    return {"FieldSelectors": selectors}


def test_a_new_trail_selects_management_events_only():
    assert trail().selects(record(eventCategory="Management", resources=[]), ORGANIZATION)
    assert not trail().selects(record(), ORGANIZATION)


def test_a_stopped_trail_selects_nothing():
    assert not trail(logging=False).selects(record(eventCategory="Management"), ORGANIZATION)


def test_a_trail_of_one_region_leaves_other_regions_out():
    elsewhere = record(eventCategory="Management", awsRegion="eu-west-1")
    assert not trail(multi_region=False).selects(elsewhere, ORGANIZATION)


@pytest.mark.parametrize(("organization", "selected"), [(True, True), (False, False)])
def test_only_an_organization_trail_gets_other_accounts_records(organization: bool, selected: bool):
    other = record(eventCategory="Management", recipientAccountId="210987654321")
    assert trail(organization=organization).selects(other, ORGANIZATION) is selected


@pytest.mark.parametrize(
    ("values", "selected"), [(["arn:aws:dynamodb"], True), ([TABLE], True), ([TABLE + "X"], False)]
)
def test_a_basic_selector_names_all_tables_or_one(values: list[str], selected: bool):
    basic = [{"ReadWriteType": "All", "DataResources": [{"Type": "AWS::DynamoDB::Table", "Values": values}]}]
    assert trail(basic=basic).selects(record(), ORGANIZATION) is selected


def test_read_write_type_decides_by_what_the_record_says():
    basic = [
        {
            "ReadWriteType": "WriteOnly",
            "DataResources": [{"Type": "AWS::DynamoDB::Table", "Values": ["arn:aws:dynamodb"]}],
        }
    ]
    assert not trail(basic=basic).selects(record(readOnly=True), ORGANIZATION)
    assert trail(basic=basic).selects(record(readOnly=False), ORGANIZATION)


@pytest.mark.parametrize(
    ("fields", "selected"),
    [
        ({"resources_type": {"Equals": ["AWS::DynamoDB::Table"]}}, True),
        ({"resources_ARN": {"StartsWith": [TABLE[:-2]]}}, True),
        ({"resources_ARN": {"NotStartsWith": [TABLE[:-2]]}}, False),
        ({"eventName": {"Equals": ["PutItem"], "StartsWith": ["Get"]}}, True),
        ({"eventName": {"NotEquals": ["PutItem"], "NotStartsWith": ["Get"]}}, False),
        ({"readOnly": {"Equals": ["false"]}}, False),
        ({"userIdentity_arn": {"NotEndsWith": ["/alice"]}}, False),
        ({"eventName": {"Equals": ["GetItem"]}, "readOnly": {"Equals": ["false"]}}, False),
    ],
)
def test_advanced_fields_are_anded_and_their_operators_ored(fields: dict[str, Any], selected: bool):
    assert trail(advanced=[data_selector(**fields)]).selects(record(), ORGANIZATION) is selected


def test_a_denied_data_event_is_selected_by_type_although_it_lost_its_resources():
    advanced = [data_selector(resources_type={"Equals": ["AWS::DynamoDB::Table"]})]
    assert trail(advanced=advanced).selects(record(resources=[]), ORGANIZATION)
