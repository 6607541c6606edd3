"""One table, and what AWS may answer about it; the answers are botocore's stub's."""

import pytest

from dynatrail.sources.configuration import aspects, tables
from dynatrail.sources.snapshots.pieces import PRESENT, UNREADABLE
from dynatrail.sources.snapshots.versions import Known

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/Patients"
STREAM = f"{ARN}/stream/2026-01-01T00:00:00.000"
DESCRIBED = {
    "TableName": "Patients",
    "TableArn": ARN,
    "ItemCount": 7,
    "StreamSpecification": {"StreamEnabled": True},
    "LatestStreamArn": STREAM,
    "ProvisionedThroughput": {"ReadCapacityUnits": 5},
    "SSEDescription": {"KMSMasterKeyArn": "arn:aws:kms:us-east-1:123456789012:key/one"},
}


def answer(dynamodb, **instead):
    """Queue the answers of a whole table, in the order of the questions; a text instead of one is an error code."""
    answers = {
        "list_tags_of_resource": {"Tags": []},
        "describe_table": {"Table": DESCRIBED},
        "describe_continuous_backups": {"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED"}},
        "describe_time_to_live": {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}},
        "get_resource_policy": "PolicyNotFoundException",
        "describe_kinesis_streaming_destination": {"KinesisDataStreamDestinations": []},
        "describe_contributor_insights": {"ContributorInsightsStatus": "DISABLED"},
    } | instead
    for operation, told in answers.items():
        if isinstance(told, str):
            dynamodb.add_client_error(operation, told)
        else:
            dynamodb.add_response(operation, told)


@pytest.fixture
def look(stubbed):
    """What is captured of the table, given answers that differ from those of a table that is as it should be."""
    asker, stub = stubbed

    def go(*, known=None, scaled=(), stream=True, **instead):
        answer(stub("dynamodb"), **instead)
        if stream:
            stub("dynamodb").add_client_error("get_resource_policy", "PolicyNotFoundException")
        return tables._table(asker, "Patients", known or {}, set(scaled))

    return go


def test_every_aspect_of_table_and_stream_is_a_piece(look):
    capture, key = look()
    assert {piece.key for piece in capture.pieces} == {
        *((ARN, name) for name in ("DescribeTable", "ListTagsOfResource", "DescribeTimeToLive", "GetResourcePolicy")),
        *((ARN, name) for name in ("DescribeContinuousBackups", "DescribeContributorInsights")),
        (ARN, "DescribeKinesisStreamingDestination"),
        (STREAM, "GetResourcePolicy"),
    }
    assert key == "arn:aws:kms:us-east-1:123456789012:key/one"


def test_what_is_not_configured_is_null_and_present(look):
    capture, _ = look()
    policy = next(piece for piece in capture.pieces if piece.key == (ARN, "GetResourcePolicy"))
    assert (policy.status, policy.document) == (PRESENT, "null")


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("list_tags_of_resource", "ResourceNotFoundException"),
        ("describe_table", "ResourceNotFoundException"),
        ("describe_continuous_backups", "TableNotFoundException"),
        ("describe_contributor_insights", "ResourceNotFoundException"),
    ],
)
def test_table_that_is_deleted_half_way_gives_nothing(look, operation, code):
    capture, key = look(**{operation: code})
    assert (capture.pieces, key) == ([], None)


def test_denied_description_leaves_the_stream_as_it_was(look):
    known = {(STREAM, "GetResourcePolicy"): Known(aspects.STREAM, "Patients", PRESENT, "0" * 64)}
    capture, _ = look(known=known, stream=False, describe_table="AccessDeniedException")
    assert capture.unchanged == {(STREAM, "GetResourcePolicy")}
    assert [piece.aspect for piece in capture.pieces if piece.status == UNREADABLE] == ["DescribeTable"]


def test_throttled_api_is_missed_and_the_others_are_seen(look):
    capture, _ = look(describe_time_to_live="ThrottlingException")
    assert capture.missed == {(ARN, "DescribeTimeToLive"): "DescribeTimeToLive: AWS answered ThrottlingException"}
    assert len(capture.pieces) == 7


def test_capacity_that_auto_scaling_sets_is_left_out(look):
    capture, _ = look(scaled=["table/Patients/index/ByName"])
    (document,) = [piece.document for piece in capture.pieces if piece.aspect == "DescribeTable"]
    assert "ReadCapacityUnits" not in document


def test_other_table_s_auto_scaling_changes_nothing(look):
    capture, _ = look(scaled=["table/PatientsArchive"])
    (document,) = [piece.document for piece in capture.pieces if piece.aspect == "DescribeTable"]
    assert '"ReadCapacityUnits":5' in document
