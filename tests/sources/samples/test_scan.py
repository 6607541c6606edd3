"""A Scan for samples: its cost before it begins, its bounds, and what it never says."""

from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.stub import Stubber

from dynatrail.errors import SourceError
from dynatrail.sources.samples import scan
from dynatrail.sources.samples.scan import Limits

AT = datetime(2026, 11, 2, 8, 15, tzinfo=UTC)
KEY = [{"AttributeName": "id", "KeyType": "HASH"}]


def described(items, size):
    return {"TableName": "Patients", "ItemCount": items, "TableSizeBytes": size, "KeySchema": KEY}


def page(count, units, *, last=None):
    answer = {"Items": [{"id": {"S": f"{last}-{n}"}} for n in range(count)], "ScannedCount": count, "Count": count}
    answer["ConsumedCapacity"] = {"TableName": "Patients", "CapacityUnits": units}
    return answer | ({"LastEvaluatedKey": {"id": {"S": last}}} if last else {})


@pytest.fixture
def client():
    made = boto3.client(
        "dynamodb", region_name="us-east-1", aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="example"
    )
    with Stubber(made) as stub:
        made.stub = stub
        yield made
        stub.assert_no_pending_responses()


class Time:
    def __init__(self):
        self.at, self.slept = 0.0, []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.at += seconds

    def now(self):
        return self.at


def test_plan_tells_share_and_cost_by_the_average_item():
    chosen = scan.plan(described(10_000, 10_000 * 1024), Limits(items=1000, capacity=500, rate=25), AT)
    assert (chosen.items, chosen.share, chosen.per_page) == (1000, 0.1, 100)
    assert chosen.units == 10 * 12.5  # ten pages of 100 KB, half a unit for each 4 KB
    assert chosen.told() == (
        "Scan of Patients: at most 1,000 of about 10,000 items (10 %), about 125.0 read units by the average item, "
        "never more than 500.0, 25.0 a second; 100 items a page."
    )


def test_a_page_is_no_larger_than_what_a_second_may_take():
    chosen = scan.plan(described(1000, 1000 * 100 * 1024), Limits(rate=25), AT)
    assert chosen.per_page == 2


def test_a_table_that_was_never_counted_is_still_bounded():
    chosen = scan.plan(described(0, 0), Limits(items=50, capacity=5), AT)
    assert (chosen.items, chosen.share, chosen.units) == (50, 1.0, 5)


def test_of_a_large_table_another_part_is_read_each_week():
    parts = {scan.plan(described(5000, 5000), Limits(items=1000), AT + timedelta(weeks=n)).segment for n in range(5)}
    assert parts == set(range(5))


def test_pages_are_asked_for_until_there_are_enough_items_at_the_pace(client):
    chosen = scan.plan(described(250, 250 * 4096), Limits(items=120, capacity=500, rate=25), AT)
    asked = {"TableName": "Patients", "ReturnConsumedCapacity": "TOTAL", "ConsistentRead": False}
    asked |= {"TotalSegments": 2, "Segment": chosen.segment}
    first, second = asked | {"Limit": 50}, asked | {"Limit": 50, "ExclusiveStartKey": {"id": {"S": "a"}}}
    third = asked | {"Limit": 20, "ExclusiveStartKey": {"id": {"S": "b"}}}
    client.stub.add_response("scan", page(50, 25.0, last="a"), first)
    client.stub.add_response("scan", page(50, 25.0, last="b"), second)
    client.stub.add_response("scan", page(20, 10.0, last="c"), third)
    time = Time()
    found, taken = scan.scan(client, chosen, sleep=time.sleep, now=time.now)
    assert (len(found.images), taken.items, taken.pages, taken.units) == (120, 120, 3, 60.0)
    assert time.at == 60.0 / 25


def test_it_stops_before_a_page_that_might_exceed_the_capacity(client):
    chosen = scan.plan(described(1000, 1000 * 4096), Limits(items=1000, capacity=150, rate=1000), AT)
    client.stub.add_response("scan", page(100, 60.0, last="a"))
    client.stub.add_response("scan", page(1, 60.0, last="b"))
    found, taken = scan.scan(client, chosen, sleep=lambda _: None)
    assert taken.units == 120.0
    assert found.reasons == ["The Scan of Patients stopped at 120.0 read units."]


def test_an_error_tells_neither_the_key_it_was_asked_for_nor_what_aws_says(client):
    chosen = scan.plan(described(1000, 1000), Limits(), AT)
    client.stub.add_response("scan", page(100, 0.5, last="PLANTED"))
    client.stub.add_client_error("scan", "ValidationException", "The starting key PLANTED is wrong")
    with pytest.raises(SourceError) as raised:
        scan.scan(client, chosen, sleep=lambda _: None)
    assert "PLANTED" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
