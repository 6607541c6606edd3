"""When trails were logging, as CloudTrail's own events and snapshots of the configuration tell it."""

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from dynatrail.clock import hour_of
from dynatrail.integrity import logging_spans
from dynatrail.warehouse.schema import API_EVENT, TRAIL_CONFIG
from dynatrail.warehouse.store import Warehouse

ACCOUNT, HOME = "123456789012", "us-east-1"
ARN = f"arn:aws:cloudtrail:{HOME}:{ACCOUNT}:trail/main"
DAY = datetime(2026, 11, 1, tzinfo=UTC)
JANE = f"arn:aws:iam::{ACCOUNT}:user/jane"


class Told:
    """A warehouse with what was told of trails, and the spans that follow."""

    def __init__(self, warehouse):
        self.warehouse = warehouse
        self.events, self.snapshots = [], []

    def event(self, hour, name, sent=None, answer=None, **more):
        at = DAY + timedelta(hours=hour)
        row = dict.fromkeys(API_EVENT.schema.names) | {
            "event_id": f"event-{len(self.events)}",
            "event_time": at,
            "event_hour": hour_of(at),
            "event_date": at.date(),
            "recipient_account_id": ACCOUNT,
            "region": HOME,
            "event_source": logging_spans.CLOUDTRAIL,
            "event_name": name,
            "principal_arn": JANE,
            "request_parameters": json.dumps({"name": ARN} | (sent or {})),
            "response_elements": json.dumps(answer) if answer else None,
            "source_uri": "s3://trail/file",
            "source_sha256": "00",
            "source_index": len(self.events),
            "attestation": "attested",
            "ocsf_class_uid": 6003,
        }
        self.events.append(row | more)

    def snapshot(self, hour, aspect, document, **more):
        at = DAY + timedelta(hours=hour)
        row = dict.fromkeys(TRAIL_CONFIG.schema.names) | {
            "captured_at": at,
            "event_hour": hour_of(at),
            "event_date": at.date(),
            "account_id": ACCOUNT,
            "region": HOME,
            "resource_type": "AWS::CloudTrail::Trail",
            "resource_arn": ARN,
            "aspect": aspect,
            "document": json.dumps(document),
            "sha256": f"{aspect}-{hour}",
            "status": "present",
        }
        self.snapshots.append(row | more)

    def history(self):
        for table, rows in ((API_EVENT, self.events), (TRAIL_CONFIG, self.snapshots)):
            if rows:
                hours = {row["event_hour"] for row in rows}
                self.warehouse.replace(table.name, pa.Table.from_pylist(rows, table.schema), hours=hours)
        return logging_spans.load(self.warehouse)

    def spans(self):
        """(start, end, validation) in hours of the day."""

        def hour(at):
            return None if at is None else (at - DAY) // timedelta(hours=1)

        return [(hour(span.start), hour(span.end), span.validation) for span in self.history().spans]


@pytest.fixture
def told(tmp_path):
    return Told(Warehouse(str(tmp_path / "warehouse")))


def test_nothing_is_known_of_an_empty_warehouse(told):
    assert told.spans() == []


def test_trail_logs_from_its_start_on(told):
    told.event(1, "CreateTrail", {"name": "main", "enableLogFileValidation": True}, {"trailARN": ARN})
    told.event(2, "StartLogging")
    assert told.spans() == [(2, None, True)]


def test_stopped_trail_says_since_when_and_by_whom(told):
    told.event(5, "StopLogging")
    told.event(7, "StartLogging")
    assert told.spans() == [(None, 5, True), (7, None, True)]
    (before, _) = told.history().spans
    assert (before.ended.event_name, before.ended.actor, before.ended.event_id) == ("StopLogging", JANE, "event-0")


def test_switching_validation_off_begins_another_span(told):
    told.event(1, "StartLogging")
    told.event(4, "UpdateTrail", {"enableLogFileValidation": False})
    told.event(6, "UpdateTrail", {"enableLogFileValidation": True})
    assert told.spans() == [(1, 4, True), (4, 6, False), (6, None, True)]


def test_update_that_says_nothing_of_validation_changes_nothing(told):
    told.event(1, "StartLogging")
    told.event(4, "UpdateTrail", {"s3KeyPrefix": "other"})
    assert told.spans() == [(1, None, True)]


@pytest.mark.parametrize("more", [{"attestation": "forged"}, {"error_code": "AccessDenied"}], ids=["forged", "refused"])
def test_event_that_is_not_to_be_believed_explains_nothing(told, more):
    told.event(1, "StartLogging")
    told.event(4, "StopLogging", **more)
    assert told.spans() == [(1, None, True)]


def test_snapshots_tell_what_no_event_does(told):
    told.snapshot(0, "DescribeTrails", {"LogFileValidationEnabled": True, "IsOrganizationTrail": False})
    told.snapshot(0, "GetTrailStatus", {"IsLogging": True})
    told.snapshot(9, "GetTrailStatus", {"IsLogging": False})
    assert told.spans() == [(None, 9, True)]
    assert told.history().spans[0].ended.event_name == "snapshot"


def test_snapshot_that_sees_what_an_event_did_is_no_second_change(told):
    told.event(1, "StartLogging")
    told.event(4, "StopLogging")
    told.snapshot(6, "GetTrailStatus", {"IsLogging": False})
    assert told.spans() == [(1, 4, True)]


def test_organization_trail_delivers_of_every_account(told):
    told.event(2, "StartLogging")
    assert told.history().spans[0].account_ids == {ACCOUNT}
    told.snapshot(3, "DescribeTrails", {"LogFileValidationEnabled": True, "IsOrganizationTrail": True})
    assert told.history().spans[0].account_ids is None


def test_arn_of_a_trail_is_known_from_its_snapshot(told):
    told.snapshot(3, "DescribeTrails", {"LogFileValidationEnabled": True})
    assert told.history().arns == {("main", HOME): ARN}


def test_deleted_trail_logs_no_more(told):
    told.event(2, "StartLogging")
    told.event(8, "DeleteTrail")
    assert told.spans() == [(2, 8, True)]
