import gzip
import json
from typing import Any

import pyarrow as pa
import pytest

from dynatrail.privacy.tokens import Tokenizer
from dynatrail.sources.cloudtrail.parse import Parser

ACCOUNT = "123456789012"
REGION = "eu-central-1"
KEY = bytes(range(32))
URI = f"s3://example-trail/AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/11/01/one.json.gz"
ABSENT = object()
"""As an override: the record lacks this field."""

BASE: dict[str, Any] = {
    "eventVersion": "1.11",
    "userIdentity": {
        "type": "AssumedRole",
        "principalId": "AROAEXAMPLEID:jane@example.com",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/clinic/jane@example.com",
        "accountId": ACCOUNT,
        "accessKeyId": "ASIAEXAMPLE",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": "AROAEXAMPLEID",
                "arn": f"arn:aws:iam::{ACCOUNT}:role/path/clinic",
                "accountId": ACCOUNT,
                "userName": "clinic",
            },
            "attributes": {"creationDate": "2026-11-01T02:58:00Z", "mfaAuthenticated": "false"},
        },
    },
    "eventTime": "2026-11-01T03:04:05Z",
    "eventSource": "dynamodb.amazonaws.com",
    "eventName": "GetItem",
    "awsRegion": REGION,
    "sourceIPAddress": "192.0.2.10",
    "userAgent": "aws-cli/2.31",
    "requestParameters": {"tableName": "Patients", "key": {"patient_id": "pat-4711"}},
    "responseElements": None,
    "requestID": "REQUESTVV4KQNSO5AEMVJF66Q9ASUAAJG",
    "eventID": "00000000-0000-4000-8000-000000000001",
    "readOnly": True,
    "resources": [
        {
            "accountId": ACCOUNT,
            "type": "AWS::DynamoDB::Table",
            "ARN": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Patients",
        }
    ],
    "eventType": "AwsApiCall",
    "apiVersion": "2012-08-10",
    "managementEvent": False,
    "recipientAccountId": ACCOUNT,
    "eventCategory": "Data",
    "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256"},
}


@pytest.fixture
def absent():
    return ABSENT


@pytest.fixture
def make_record():
    """One CloudTrail record: a GetItem by an assumed role, with overrides by field name."""

    def make(**overrides: Any) -> dict[str, Any]:
        fields = BASE | overrides
        return {name: value for name, value in fields.items() if value is not ABSENT}

    return make


@pytest.fixture
def make_call(make_record):
    """A DynamoDB data event of one operation with these request parameters."""

    def make(event_name: str, parameters: Any, **overrides: Any) -> dict[str, Any]:
        return make_record(eventName=event_name, requestParameters=parameters, **overrides)

    return make


@pytest.fixture
def log_file():
    """The bytes of a log file of these records (or of any JSON text)."""

    def make(records: Any) -> bytes:
        text = records if isinstance(records, bytes) else json.dumps({"Records": records}).encode()
        return gzip.compress(text, mtime=0)

    return make


@pytest.fixture
def tokens():
    return Tokenizer(KEY)


@pytest.fixture
def make_parser(tokens):
    def make(key_types: dict[str, dict[str, str]] | None = None, max_bytes: int = 64 << 20) -> Parser:
        return Parser(tokens, key_types or {}, max_bytes=max_bytes)

    return make


@pytest.fixture
def parse(make_parser, log_file):
    """Parse records as one file; gives the rows of `api_event` and of `api_event_item` as dictionaries."""

    def run(*records: Any, **options: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        parser = make_parser(**options)
        read = parser.read(URI, log_file(list(records)), account_id=ACCOUNT)
        assert read.rejected == ()
        events, items = parser.tables()
        assert isinstance(events, pa.Table)
        return events.to_pylist(), items.to_pylist()

    return run


@pytest.fixture
def event_of(parse):
    """The one row of `api_event` that a record gives."""
    return lambda record, **options: parse(record, **options)[0][0]


@pytest.fixture
def items_of(parse):
    """The rows of `api_event_item` that a record gives."""
    return lambda record, **options: parse(record, **options)[1]
