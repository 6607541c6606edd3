import json

import pytest

from dynatrail.privacy.actions import KEEP
from dynatrail.privacy.actions import TOKEN as TOKENS
from dynatrail.privacy.policy import TableMasks
from dynatrail.privacy.tokens import Tokenizer
from dynatrail.sources.changes.parse import ChangeParser, Place
from dynatrail.sources.changes.rows import ChangedTable

ACCOUNT = "123456789012"
REGION = "eu-central-1"
ARN = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Patients"
STREAM = f"{ARN}/stream/2026-11-01T00:00:00.000"
ABSENT = object()


@pytest.fixture
def tokens():
    return Tokenizer(bytes(range(32)))


@pytest.fixture
def table():
    return ChangedTable(ACCOUNT, REGION, "Patients", ARN, TableMasks(((("status",), KEEP),), otherwise=TOKENS))


@pytest.fixture
def place():
    return Place(STREAM, "shard-1")


@pytest.fixture
def record():
    """A record as bytes; keywords replace fields of it, `body` those below `dynamodb`, ABSENT takes one away."""

    def make(body=None, **fields):
        inner = {
            "ApproximateCreationDateTime": 1793502245,
            "Keys": {"id": {"S": "pat-4711"}},
            "OldImage": {"id": {"S": "pat-4711"}, "name": {"S": "Jane"}},
            "NewImage": {"id": {"S": "pat-4711"}, "name": {"S": "Joan"}},
            "SequenceNumber": "100",
            "SizeBytes": 40,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        } | (body or {})
        whole = {
            "eventID": "event-1",
            "eventName": "MODIFY",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": REGION,
            "dynamodb": {name: value for name, value in inner.items() if value is not ABSENT},
        } | fields
        return json.dumps({name: value for name, value in whole.items() if value is not ABSENT}).encode()

    return make


@pytest.fixture
def parse(tokens, table, place):
    """Rows and rejected records of some records."""

    def parse(*records, **options):
        parser = ChangeParser(tokens, table, **options)
        parser.add(records, place)
        rows, rejected = parser.take()
        return rows.to_pylist(), rejected

    return parse


@pytest.fixture
def row(parse, record):
    """The one row of one record."""

    def row(*arguments, **fields):
        rows, rejected = parse(record(*arguments, **fields))
        assert rejected == []
        return rows[0]

    return row
