"""What a signed HTTP request asks for: service, operation and parameters, whatever protocol it came in.

JSON protocols (DynamoDB, Streams, CloudTrail, KMS, Organizations, Logs) name the operation in `X-Amz-Target`; the Query
protocol (IAM, STS) in the form field `Action`; CBOR (CloudWatch) in the path; S3's REST calls in method, path and
sub-resource.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.loaders import Loader
from botocore.model import ListShape, ServiceModel, Shape, StructureShape

from dynatrail.sandbox.hop import Request
from dynatrail.sandbox.metrics_wire import read_cbor, read_json

_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")

_TARGETS = {
    "DynamoDB_20120810": "dynamodb",
    "DynamoDBStreams_20120810": "dynamodbstreams",
    "CloudTrail_20131101": "cloudtrail",
    "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101": "cloudtrail",
    "TrentService": "kms",
    "AWSOrganizationsV20161128": "organizations",
    "AnyScaleFrontendService": "application-autoscaling",
    "Logs_20140328": "logs",
    "Kinesis_20131202": "kinesis",
    "SWBExternalService": "sso-admin",
    "AWSIdentityStore": "identitystore",
}
_ANALYZER_PATHS = {
    ("GET", "/analyzer"): "ListAnalyzers",
    ("POST", "/findingv2"): "ListFindingsV2",
    ("GET", "/findingv2/"): "GetFindingV2",
}
_CLOUDWATCH_TARGET = "GraniteServiceVersion20100801"
_CLOUDWATCH_PATH = re.compile(rf"/service/{_CLOUDWATCH_TARGET}/operation/(?P<operation>\w+)")
_QUERY_SERVICES = frozenset({"iam", "sts"})

EVENT_SOURCES = {
    "dynamodb": "dynamodb.amazonaws.com",
    "dynamodbstreams": "dynamodb.amazonaws.com",  # not streams.…, as the docs' GetRecords sample shows
    "sts": "sts.amazonaws.com",
    "iam": "iam.amazonaws.com",
    "kms": "kms.amazonaws.com",
    "s3": "s3.amazonaws.com",
    "cloudtrail": "cloudtrail.amazonaws.com",
    "organizations": "organizations.amazonaws.com",
    "application-autoscaling": "application-autoscaling.amazonaws.com",
    "cloudwatch": "monitoring.amazonaws.com",
    "logs": "logs.amazonaws.com",
    "kinesis": "kinesis.amazonaws.com",
    "sso-admin": "sso.amazonaws.com",
    "identitystore": "identitystore.amazonaws.com",
    "accessanalyzer": "access-analyzer.amazonaws.com",
}

UNSELECTED = frozenset(
    {
        *(("cloudwatch", name) for name in ("GetMetricData", "GetMetricStatistics", "ListMetrics", "PutMetricData")),
        *(("logs", name) for name in ("FilterLogEvents", "GetLogEvents", "PutLogEvents")),
        *(("kinesis", name) for name in ("GetRecords", "GetShardIterator", "PutRecord", "PutRecords")),
    }
)
"""Data events of other services than DynamoDB: no trail of the sandbox selects them, so none is recorded."""

_S3_SUBRESOURCES = {
    "policy": "Policy",
    "versioning": "Versioning",
    "lifecycle": "Lifecycle",
    "encryption": "Encryption",
    "publicAccessBlock": "PublicAccessBlock",
    "logging": "Logging",
    "object-lock": "ObjectLockConfiguration",
    "acl": "Acl",
    "ownershipControls": "OwnershipControls",
    "location": "Location",
    "tagging": "Tagging",
    "replication": "Replication",
    "notification": "Notification",
    "policyStatus": "PolicyStatus",
}


@dataclass(slots=True)
class Call:
    """One API call.

    Attributes:
        service: botocore's service name.
        operation: API operation.
        parameters: as the API names them; DynamoDB values stay typed (`{"S": "…"}`).
        region: region that the request was signed for; us-east-1 for unsigned ones.
        access_key_id: key that signed it; empty for the unsigned STS calls.
    """

    service: str
    operation: str
    parameters: dict[str, Any] = field(default_factory=dict)
    region: str = "us-east-1"
    access_key_id: str = ""


@cache
def service_model(service: str) -> ServiceModel:
    """The botocore model of `service`."""
    return ServiceModel(_LOADER.load_service_model(service, "service-2"), service)


_LOADER = Loader()


def decode(request: Request) -> Call | None:
    """Read a request; None for what is not recorded: S3 object calls, unsigned reads, services unknown here."""
    signed = _CREDENTIAL.search(request.headers.get("authorization", ""))
    key, region, scope = (signed["key"], signed["region"], signed["service"]) if signed else ("", "us-east-1", "")
    target, _, operation = request.headers.get("x-amz-target", "").rpartition(".")
    if target in _TARGETS:
        return Call(_TARGETS[target], operation, _json_object(request.body), region, key) if signed else None
    if signed and scope == "monitoring" and (found := _cloudwatch_call(request, target, operation)):
        return Call("cloudwatch", *found, region, key)
    if scope == "s3":
        return _s3_call(request, region, key)
    if scope == "access-analyzer":
        return _analyzer_call(request, region, key)
    form = "x-www-form-urlencoded" in request.headers.get("content-type", "")
    if form and scope in {*_QUERY_SERVICES, ""}:
        fields = {name: values[0] for name, values in parse_qs(request.body.decode(), keep_blank_values=True).items()}
        return _query_call(fields, scope or "sts", region, key)
    return None


def _cloudwatch_call(request: Request, target: str, operation: str) -> tuple[str, dict[str, Any]] | None:
    if found := _CLOUDWATCH_PATH.match(request.path):
        return found["operation"], read_cbor(request.body)
    model = service_model("cloudwatch")
    if target != _CLOUDWATCH_TARGET or operation not in model.operation_names:
        return None
    return operation, read_json(request.body, model.operation_model(operation).input_shape)


def _analyzer_call(request: Request, region: str, key: str) -> Call | None:
    address = urlsplit(request.path)
    folder, slash, name = unquote(address.path).removeprefix("/").partition("/")
    operation = _ANALYZER_PATHS.get((request.method, f"/{folder}{slash}"))
    if operation is None:
        return None
    parameters = {field: values[0] for field, values in parse_qs(address.query).items()} | _json_object(request.body)
    return Call("accessanalyzer", operation, parameters | ({"id": name} if name else {}), region, key)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        return {}  # ministack refuses it; AWS records the refusal without parameters
    return value if isinstance(value, dict) else {}


def _query_call(fields: Mapping[str, str], service: str, region: str, key: str) -> Call | None:
    operation = fields.get("Action", "")
    model = service_model(service)
    if operation not in model.operation_names:
        return None
    shape = model.operation_model(operation).input_shape
    return Call(service, operation, _structure(fields, shape, "") if shape else {}, region, key)


def _structure(fields: Mapping[str, str], shape: StructureShape, prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, member in shape.members.items():
        value = _value(fields, member, f"{prefix}{name}")
        if value is not None:
            found[name] = value
    return found


def _value(fields: Mapping[str, str], shape: Shape, path: str) -> Any:
    if isinstance(shape, ListShape):
        items: list[Any] = []
        while (item := _value(fields, shape.member, f"{path}.member.{len(items) + 1}")) is not None:
            items.append(item)
        return items or None
    if isinstance(shape, StructureShape):
        return _structure(fields, shape, f"{path}.") or None
    if path not in fields:
        return None
    text = fields[path]
    if shape.type_name in {"integer", "long"}:
        return int(text)
    return text == "true" if shape.type_name == "boolean" else text


def _s3_call(request: Request, region: str, key: str) -> Call | None:
    """Bucket-level calls only, named as CloudTrail names them."""
    address = urlsplit(request.path)
    bucket, _, name = unquote(address.path).lstrip("/").partition("/")
    if name:
        return None
    if not bucket:
        return Call("s3", "ListBuckets", {}, region, key) if request.method == "GET" else None
    query = parse_qs(address.query, keep_blank_values=True)
    thing = next((label for sub, label in _S3_SUBRESOURCES.items() if sub in query), None)
    parameters: dict[str, Any] = {"bucketName": bucket, "Host": f"{bucket}.s3.{region}.amazonaws.com"}
    if thing is not None:
        parameters.update({sub: "" for sub in query if sub in _S3_SUBRESOURCES})
        if thing == "Policy" and request.method == "PUT":
            parameters["bucketPolicy"] = _json_object(request.body)
        verb = {"GET": "Get", "PUT": "Put", "DELETE": "Delete"}.get(request.method)
        return Call("s3", f"{verb}Bucket{thing}", parameters, region, key) if verb else None
    plain = {"PUT": "CreateBucket", "DELETE": "DeleteBucket", "HEAD": "HeadBucket"}.get(request.method)
    return Call("s3", plain, parameters, region, key) if plain else None
