"""One CloudTrail record from one API call, in AWS's shape ("CloudTrail record contents"; aws-facts a1 to a4).

Every record says that it is simulated: `additionalEventData.dynatrailSandbox` is true.
"""

import hashlib
import re
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from dynatrail.clock import iso
from dynatrail.sandbox.calls import EVENT_SOURCES, Call, service_model
from dynatrail.sandbox.casing import TimeMap, camel, instant_text
from dynatrail.sandbox.identities import Caller, token_claims
from dynatrail.sandbox.parameters import DATA_OPERATIONS, KeyNames, bare_table, data_parameters, tables_of

Json = dict[str, Any]

DYNAMODB_SERVICES = frozenset({"dynamodb", "dynamodbstreams"})
GLOBAL_SERVICES = frozenset({"iam", "organizations"})
_GLOBAL_REGION = "us-east-1"
_REQUEST_ID_END = "VV4KQNSO5AEMVJF66Q9ASUAAJG"
_BASE32HEX = "0123456789ABCDEFGHIJKLMNOPQRSTUV"

_READ = re.compile(
    r"(Get|List|Describe|Lookup|Head|BatchGet|TransactGet|Simulate|Query$|Scan$|SearchVectors$|AssumeRole)"
)
_READ_BUT_SAYS_WRITE = frozenset({"ListExports"})  # a real record of 2024
_DENIED_CODES = frozenset({"AccessDenied", "AccessDeniedException"})
_DENIED = re.compile(r"^(?P<head>User: \S+ is not authorized to perform: [\w-]+:\w+)(?P<tail>(?! on resource).*)$")

# Newer services and regions write newer records; real data of one day mixes 1.08 to 1.11.
_VERSIONS = {
    ("dynamodb", "us-east-1"): "1.11",
    ("dynamodb", "eu-west-1"): "1.10",
    ("dynamodbstreams", "us-east-1"): "1.11",
    ("iam", "us-east-1"): "1.09",
    ("sts", "us-east-1"): "1.08",
    ("cloudtrail", "us-east-1"): "1.11",
}
_VERSION = "1.09"
_SESSION_SECONDS = {"GetSessionToken": 43_200}  # STS's default; 3,600 for roles


class Ids(msgspec.Struct):
    """Event and request ids, the same for the same seed and order of calls."""

    seed: str
    count: int = 0

    def event_id(self) -> str:
        return str(uuid.UUID(bytes=self._bytes("event"), version=4))

    def request_id(self, service: str) -> str:
        """DynamoDB's are 52 characters with a constant end, other services' are UUIDs."""
        if service not in DYNAMODB_SERVICES:
            return str(uuid.UUID(bytes=self._bytes("request"), version=4))
        number = int.from_bytes(self._bytes("request") + self._bytes("request"), "big")
        return "".join(_BASE32HEX[number >> 5 * place & 31] for place in range(26)) + _REQUEST_ID_END

    def _bytes(self, kind: str) -> bytes:
        self.count += 1
        return hashlib.blake2b(f"{self.seed}:{kind}:{self.count}".encode(), digest_size=16).digest()


class Failure(msgspec.Struct, frozen=True):
    """An API error as the caller got it."""

    code: str
    message: str

    @property
    def denied(self) -> bool:
        return self.code in _DENIED_CODES


class Made(msgspec.Struct, frozen=True):
    """What is the same in all copies of one event, ready to be addressed.

    Attributes:
        own_answer: the sandbox itself gave `answer`, so its times are sandbox time already.
    """

    call: Call
    caller: Caller
    account_id: str
    at: datetime
    request_id: str
    answer: Mapping[str, Any] | None = None
    failure: Failure | None = None
    table_created_at: datetime | None = None
    own_answer: bool = False


def region_of(call: Call) -> str:
    """Region that CloudTrail records the call in: global services are in us-east-1."""
    return _GLOBAL_REGION if call.service in GLOBAL_SERVICES else call.region


def is_data_event(call: Call) -> bool:
    return call.service in DYNAMODB_SERVICES and call.operation in DATA_OPERATIONS


def is_read_only(operation: str) -> bool:
    """What `readOnly` says, which is not always true: PartiQL SELECT and ListExports have false."""
    return bool(_READ.match(operation)) and operation not in _READ_BUT_SAYS_WRITE


def build(made: Made, identity: Json, key_names: KeyNames, at: TimeMap) -> Json:
    """The record without `eventID`, `recipientAccountId` and `sharedEventID`, which differ between copies."""
    call, caller, failure = made.call, made.caller, made.failure
    data, region = is_data_event(call), region_of(call)
    denied = failure is not None and failure.denied
    record: Json = {
        "eventVersion": _VERSIONS.get((call.service, region), _VERSION),
        "userIdentity": identity,
        "eventTime": iso(made.at.replace(microsecond=0)),
        "eventSource": EVENT_SOURCES[call.service],
        "eventName": call.operation,
        "awsRegion": region,
        "sourceIPAddress": caller.invoked_by or caller.source_ip_address,
        "userAgent": caller.invoked_by or caller.user_agent[:1024],
    }
    if failure is not None:
        record["errorCode"] = "AccessDenied" if denied else failure.code
        record["errorMessage"] = _with_resource(failure.message, made)[:1024]
    record |= {
        "requestParameters": None if denied else _request_parameters(made, key_names) or None,
        "responseElements": None if failure or data else _response_elements(made, _as_it_is if made.own_answer else at),
        "additionalEventData": {"dynatrailSandbox": True},
        "requestID": made.request_id,
        "readOnly": is_read_only(call.operation),
    }
    if not denied and (resources := _resources(made)):
        record["resources"] = resources
    record["eventType"] = "AwsApiCall"
    if call.service in DYNAMODB_SERVICES and not denied:
        record["apiVersion"] = "2012-08-10"
    record |= {"managementEvent": not data, "eventCategory": "Data" if data else "Management"}
    if caller.vpc_endpoint_id:
        record["vpcEndpointId"] = caller.vpc_endpoint_id
    if not caller.invoked_by:
        record["tlsDetails"] = _tls(call, region)
    if caller.console:
        record["sessionCredentialFromConsole"] = "true"
    return record


def _as_it_is(instant: datetime) -> datetime:
    """Callers live in sandbox time, and so do the sandbox's own answers."""
    return instant


def _request_parameters(made: Made, key_names: KeyNames) -> Json:
    call, at = made.call, _as_it_is
    if is_data_event(call):
        return data_parameters(call.operation, call.parameters, key_names)
    if call.service == "s3":
        return call.parameters
    sent = call.parameters
    if call.operation == "AssumeRoleWithSAML":  # the assertion itself is not logged, its id is
        sent = {name: value for name, value in sent.items() if name != "SAMLAssertion"}
        name = str((made.answer or {}).get("AssumedRoleUser", {}).get("Arn", "")).rsplit("/", 1)[-1]
        assertion = hashlib.sha256(call.parameters["SAMLAssertion"].encode()).hexdigest()[:32]
        return {"sAMLAssertionID": f"_{assertion}", "roleSessionName": name, **camel(sent, _shape(call), at)}
    if call.operation == "AssumeRoleWithWebIdentity":
        sent = {name: value for name, value in sent.items() if name != "WebIdentityToken"}
    shown: Json = camel(sent, _shape(call), at)
    return shown


def _shape(call: Call) -> Any:
    return service_model(call.service).operation_model(call.operation).input_shape


def _response_elements(made: Made, at: TimeMap) -> Json | None:
    call, answer = made.call, made.answer
    session = call.service == "sts" and call.operation != "GetCallerIdentity"
    if not answer or call.service == "s3" or (is_read_only(call.operation) and not session):
        return None
    shape = service_model(call.service).operation_model(call.operation).output_shape
    if shape is None:
        return None
    shown: Json = camel(answer, shape, at)
    if "credentials" in shown:  # ministack cuts the expiry to the second of real time
        seconds = call.parameters.get("DurationSeconds") or _SESSION_SECONDS.get(call.operation, 3600)
        shown["credentials"]["expiration"] = instant_text(made.at + timedelta(seconds=seconds))
    if made.table_created_at and "tableDescription" in shown:
        # ministack keeps whole seconds of real time, in which hours of sandbox time may pass.
        shown["tableDescription"]["creationDateTime"] = instant_text(made.table_created_at)
    if call.operation == "AssumeRoleWithWebIdentity":
        claims = token_claims(call.parameters.get("WebIdentityToken", ""))
        host = str(claims.get("iss", "")).split("://", 1)[-1]
        shown["subjectFromWebIdentityToken"] = str(claims.get("sub", ""))
        shown["provider"] = f"arn:aws:iam::{call.parameters['RoleArn'].split(':')[4]}:oidc-provider/{host}"
    return shown or None


def resource_arns(made: Made) -> list[str]:
    """ARNs of the resources a call works on; for DynamoDB its tables, in the order of the request."""
    call, account = made.call, made.account_id
    if call.service in DYNAMODB_SERVICES:
        tables = tables_of(call.operation, call.parameters)
        return [f"arn:aws:dynamodb:{call.region}:{account}:table/{table}" for table in tables]
    if call.service == "sts":
        return [call.parameters["RoleArn"]] if "RoleArn" in call.parameters else []
    if call.service == "s3":
        bucket = call.parameters.get("bucketName")
        return [f"arn:aws:s3:::{bucket}"] if bucket else []
    return []


_MEMBER_ACTIONS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "Get": "GetItem",
    "ConditionCheck": "ConditionCheckItem",
}
_RESOURCE_TYPES = {"s3": "AWS::S3::Bucket", "sts": "AWS::IAM::Role"}


def _resources(made: Made) -> list[Json]:
    kind = _RESOURCE_TYPES.get(made.call.service, "AWS::DynamoDB::Table")
    found = []
    for arn in resource_arns(made):
        owner = arn.split(":")[4] or made.account_id
        found.append({"accountId": owner, "type": kind, "ARN": arn})
    return found


def _with_resource(message: str, made: Made) -> str:
    """The denial as AWS words it: ministack leaves out `on resource: ARN`."""
    found = _DENIED.match(message)
    if not found:
        return message
    return f"{found['head']} on resource: {_denied_resource(made, found['head'].rsplit(':', 1)[-1])}{found['tail']}"


def _denied_resource(made: Made, action: str) -> str:
    call, account = made.call, made.account_id
    for member in call.parameters.get("TransactItems") or []:  # the member that was denied, by its action
        for kind, part in member.items():
            if action == _MEMBER_ACTIONS.get(kind) and "TableName" in part:
                return f"arn:aws:dynamodb:{call.region}:{account}:table/{bare_table(part['TableName'])}"
    if arns := resource_arns(made):
        index = call.parameters.get("IndexName")
        return f"{arns[0]}/index/{index}" if index else arns[0]
    if call.service in DYNAMODB_SERVICES:
        return f"arn:aws:dynamodb:{call.region}:{account}:table/*"
    if call.service == "cloudtrail":
        name = call.parameters.get("Name") or call.parameters.get("TrailName") or "*"
        return name if name.startswith("arn:") else f"arn:aws:cloudtrail:{call.region}:{account}:trail/{name}"
    if call.service == "iam":
        for field, kind in (("UserName", "user"), ("RoleName", "role"), ("GroupName", "group")):
            if field in call.parameters:
                return f"arn:aws:iam::{account}:{kind}/{call.parameters[field]}"
    return "*"


def _tls(call: Call, region: str) -> Json:
    host = {"iam": "iam.amazonaws.com", "dynamodbstreams": f"streams.dynamodb.{region}.amazonaws.com"}.get(
        call.service, f"{call.service}.{region}.amazonaws.com"
    )
    return {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256", "clientProvidedHostHeader": host}
