"""When and where records are delivered."""

import gzip
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from dynatrail.clock import iso
from dynatrail.errors import SandboxError
from dynatrail.sandbox.delivery import Delivery, File, Outage, Pending, Plan
from dynatrail.sandbox.trails import Trail

START = datetime(2026, 11, 9, tzinfo=UTC)
TRAIL = Trail(
    arn="arn:aws:cloudtrail:us-east-1:123456789012:trail/main",
    name="main",
    account_id="123456789012",
    home_region="us-east-1",
    bucket="logs",
    organization=True,
)


def records(count: int, at: datetime = START + timedelta(hours=5), region: str = "us-east-1") -> list[dict[str, Any]]:
    return [
        {
            "eventID": f"00000000-0000-4000-8000-{number:012d}",
            "eventTime": iso(at + timedelta(seconds=number % 240)),
            "recipientAccountId": "123456789012",
            "awsRegion": region,
            "requestID": "r",
            "sourceIPAddress": "192.0.2.1",
            "userAgent": "agent",
        }
        for number in range(count)
    ]


def planned(delivery: Delivery, sent: list[dict[str, Any]], last: datetime | None = None) -> list[Pending]:
    plan = Plan(delivery, START, last)
    return [item for record in sent for item in plan.of(record, TRAIL)]


def written(
    delivery: Delivery, sent: list[dict[str, Any]], last: datetime | None = None, trail: Trail = TRAIL
) -> list[File]:
    plan = Plan(delivery, START, last)
    until = START + timedelta(days=40)
    return plan.files(planned(delivery, sent, last), until, {trail.arn: trail}, "o-exampleorgid")[0]


def content(file: File) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(gzip.decompress(file.body))["Records"]
    return found


def test_a_file_lies_in_the_organizations_layout_under_its_delivery_time():
    (file,) = written(Delivery.regular(grid=timedelta(hours=1)), records(3))
    assert re.fullmatch(
        r"AWSLogs/o-exampleorgid/123456789012/CloudTrail/us-east-1/2026/11/09/"
        r"123456789012_CloudTrail_us-east-1_20261109T0600Z_[A-Za-z0-9]{16}\.json\.gz",
        file.log.key,
    )


def test_a_prefix_and_the_single_account_layout_change_the_folder_only():
    trail = msgspec.structs.replace(TRAIL, organization=False, prefix="audit")
    (file,) = written(Delivery.regular(grid=timedelta(hours=1)), records(1), trail=trail)
    assert file.log.key.startswith("audit/AWSLogs/123456789012/CloudTrail/us-east-1/2026/11/09/")


def test_regular_delivery_comes_within_minutes_on_a_five_minute_grid():
    for item in planned(Delivery.regular(), records(300)):
        assert item.slot.minute % 5 == 0
        assert item.slot.second == 0
        delay = (item.slot - datetime.fromisoformat(item.record["eventTime"])).total_seconds()
        assert 45 <= delay <= 610 + 300


def test_a_file_holds_at_most_five_thousand_records():
    files = written(Delivery.regular(grid=timedelta(days=1)), records(12_000))
    assert sorted(file.records for file in files) == [2000, 5000, 5000]
    assert len({file.log.key for file in files}) == 3


def test_nothing_is_lost_or_added_whatever_is_irregular():
    sent = records(400)
    irregular = Delivery(late=0.2, duplicates=0.2, corrections=0.2, out_of_order=0.5)
    got = [record for file in written(irregular, sent) for record in content(file)]
    superseded = {
        record["addendum"]["originalEventID"] for record in got if "originalEventID" in record.get("addendum", {})
    }
    corrections = {record["eventID"] for record in got if "originalEventID" in record.get("addendum", {})}
    assert {record["eventID"] for record in got} - corrections == {record["eventID"] for record in sent}
    assert len(superseded) == len(corrections) > 20


def test_a_duplicate_is_the_same_record_in_another_file():
    files = written(Delivery.regular(duplicates=1), records(20))
    for event_id in (record["eventID"] for record in records(20)):
        copies = [(file.log.key, record) for file in files for record in content(file) if record["eventID"] == event_id]
        assert len(copies) == 2
        assert copies[0][0] != copies[1][0]
        assert copies[0][1] == copies[1][1]


def test_a_correction_names_what_it_supersedes_and_comes_later():
    (first, second) = planned(Delivery.regular(corrections=1), records(1))
    assert first.record["sourceIPAddress"] == "AWS Internal"
    assert second.record["sourceIPAddress"] == "192.0.2.1"
    assert second.record["addendum"] == {
        "reason": "UPDATED_DATA",
        "updatedFields": "sourceIPAddress,userAgent",
        "originalRequestID": "r",
        "originalEventID": first.record["eventID"],
    }
    assert second.slot > first.slot


def test_late_records_come_hours_later_and_half_say_so():
    items = planned(Delivery.regular(late=1, late_hours=(2, 3)), records(200))
    assert all(item.slot >= START + timedelta(hours=7) for item in items)
    said = sum(item.record.get("addendum") == {"reason": "DELIVERY_DELAY"} for item in items)
    assert 70 <= said <= 130


def test_after_an_outage_everything_comes_at_once():
    outage = Outage(region="us-east-1", after_hours=4, hours=10)
    (file,) = written(Delivery.regular(outages=(outage,)), records(50))
    assert file.records == 50
    assert file.log.written_at == START + timedelta(hours=14)


def test_an_outage_concerns_its_region_only():
    outage = Outage(region="us-east-1", after_hours=4, hours=10)
    items = planned(Delivery.regular(outages=(outage,)), records(50, region="eu-west-1"))
    assert all(item.slot < START + timedelta(hours=6) for item in items)


def test_files_out_of_order_reach_the_bucket_after_younger_ones():
    times = [START + timedelta(minutes=5 * number) for number in range(60)]
    files = written(Delivery.regular(out_of_order=0.4), [r for at in times for r in records(1, at)])
    names = [re.search(r"_(\d{8}T\d{4}Z)_", file.log.key)[1] for file in files]
    assert names != sorted(names)
    assert [file.log.written_at for file in files] == sorted(file.log.written_at for file in files)


def test_the_last_instant_bounds_every_delivery():
    last = START + timedelta(hours=6)
    irregular = Delivery(late=0.5, duplicates=0.5, corrections=0.5, out_of_order=0.5)
    assert all(file.log.written_at <= last for file in written(irregular, records(200), last))


def test_the_same_seed_delivers_the_same_and_another_does_not():
    sent = records(200)
    once, again, other = (
        [(file.log.key, file.body) for file in written(Delivery(late=0.3, seed=seed), sent)] for seed in (1, 1, 2)
    )
    assert once == again
    assert once != other


@pytest.mark.parametrize("count", [0, 5001])
def test_a_size_that_cloudtrail_does_not_write_is_refused(count: int):
    with pytest.raises(SandboxError, match="give 1 to 5000"):
        Delivery(most_records=count)


def test_two_trails_into_one_folder_never_write_one_object():
    other = msgspec.structs.replace(TRAIL, arn="arn:aws:cloudtrail:us-east-1:123456789012:trail/other", name="other")
    plan = Plan(Delivery.regular(grid=timedelta(hours=1)), START)
    sent = [item for trail in (TRAIL, other) for record in records(3) for item in plan.of(record, trail)]
    trails = {trail.arn: trail for trail in (TRAIL, other)}
    one, two = plan.files(sent, START + timedelta(days=1), trails, "o-exampleorgid")[0]
    assert one.body == two.body
    assert one.log.key != two.log.key
