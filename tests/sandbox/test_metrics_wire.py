"""CloudWatch's CBOR and JSON, against boto3's own reader and writer."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from dynatrail.sandbox.calls import decode, service_model
from dynatrail.sandbox.hop import Request, Response
from dynatrail.sandbox.metrics_wire import WireError, encode, read_json, refuse

OPERATION = service_model("cloudwatch").operation_model("GetMetricData")
NOW = datetime(2026, 11, 23, 12, 30, 15, tzinfo=UTC)
SENT = {"MetricDataQueries": [{"Id": "a", "ReturnData": True}], "StartTime": NOW - timedelta(hours=1), "EndTime": NOW}
SIGNED = "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20261123/us-east-1/monitoring/aws4_request"


def parsed(response: Response, protocol: str) -> dict[str, Any]:
    raw = {
        "status_code": response.status,
        "headers": {name.lower(): value for name, value in response.headers},
        "body": response.body,
    }
    found: dict[str, Any] = create_parser(protocol).parse(raw, OPERATION.output_shape)  # type: ignore[arg-type]
    return found


def test_what_boto3_sends_is_read_as_it_was_given():
    sent = create_serializer("smithy-rpc-v2-cbor").serialize_to_request(SENT, OPERATION)  # type: ignore[attr-defined]
    request = Request("POST", sent["url_path"], {"authorization": SIGNED}, sent["body"], "127.0.0.1")
    call = decode(request)
    assert call is not None
    assert (call.service, call.operation, call.region) == ("cloudwatch", "GetMetricData", "us-east-1")
    assert call.parameters == SENT


def test_json_gives_instants_too():
    body = f'{{"StartTime": {NOW.timestamp()}, "EndTime": "{NOW.isoformat()}"}}'.encode()
    assert read_json(body, OPERATION.input_shape) == {"StartTime": NOW, "EndTime": NOW}


@pytest.mark.parametrize("protocol", ["smithy-rpc-v2-cbor", "json"])
def test_boto3_reads_what_is_answered(protocol: str):
    result = {"Id": "a", "Label": "é", "Timestamps": [NOW], "Values": [0.1], "StatusCode": "Complete"}
    response = encode({"MetricDataResults": [result]}, OPERATION.output_shape, cbor="cbor" in protocol)
    assert parsed(response, protocol)["MetricDataResults"] == [result]


@pytest.mark.parametrize("protocol", ["smithy-rpc-v2-cbor", "json"])
def test_boto3_reads_the_code_of_a_refusal(protocol: str):
    error = parsed(refuse(WireError("Throttling", "Rate exceeded"), cbor="cbor" in protocol), protocol)["Error"]
    assert (error["Code"], error["Message"]) == ("Throttling", "Rate exceeded")
