"""Generate a folder of CloudTrail log files in S3's layout: a realistic mix of calls, reproducible by seed.

The shapes are those of real records (GetItem, PutItem, UpdateItem, Query, Scan, DeleteItem, TransactWriteItems,
PartiQL, denials, IAM); identities repeat as they do in life, keys and ids do not.
"""

import json
import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import deflate

ACCOUNT = "123456789012"
REGIONS = ("us-east-1", "eu-west-1")
START = datetime(2026, 11, 1, tzinfo=UTC)
TABLES = ("Patients", "Appointments", "Invoices", "Sessions", "Audit")
MIX = (
    [("GetItem", 42), ("Query", 17), ("PutItem", 15), ("UpdateItem", 13), ("DeleteItem", 3), ("Scan", 1)]
    + [("TransactWriteItems", 3), ("ExecuteStatement", 2), ("Denied", 2), ("AssumeRole", 2)]
)  # fmt: skip
AGENT = (
    "Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux#6.1.127 md/arch#x86_64 lang/python#3.12.6 md/pyimpl#CPython "
    "exec-env/AWS_Lambda_python3.12 cfg/retry-mode#standard"
)


def generate(folder: Path, *, records: int, per_file: int = 2_000, hours: int = 12, seed: int = 7) -> list[Path]:
    """Write `records` records into files of `per_file`, evenly over regions and hours; returns the files."""
    count = -(-records // per_file)
    jobs = [(folder, n, min(per_file, records - n * per_file), hours, count, seed) for n in range(count)]
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(_write, jobs, chunksize=8))


def _write(job: tuple[Path, int, int, int, int, int]) -> Path:
    folder, number, size, hours, files, seed = job
    rng = random.Random(f"{seed}/{number}")
    region = REGIONS[number % len(REGIONS)]
    start = START + timedelta(hours=hours) * (number / files)
    span = timedelta(hours=hours) / files * len(REGIONS)
    delivered = start + span + timedelta(minutes=5)
    content = json.dumps({"Records": list(_records(rng, size, region, start, span))}, separators=(",", ":")).encode()
    unique = "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", k=16))
    path = folder / (
        f"AWSLogs/{ACCOUNT}/CloudTrail/{region}/{delivered:%Y/%m/%d}/"
        f"{ACCOUNT}_CloudTrail_{region}_{delivered:%Y%m%dT%H%MZ}_{unique}.json.gz"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(deflate.gzip_compress(content, 6))
    return path


def _records(rng: random.Random, size: int, region: str, start: datetime, span: timedelta) -> Iterator[dict]:
    names, weights = zip(*MIX, strict=True)
    people = [_identity(rng, start, n) for n in range(40)]
    for kind in rng.choices(names, weights, k=size):
        when = (start + span * rng.random()).strftime("%Y-%m-%dT%H:%M:%SZ")
        yield _record(rng, kind, region, when, rng.choice(people))


def _identity(rng: random.Random, start: datetime, number: int) -> dict:
    role = f"service-{number % 12}"
    name = f"session-{number}"
    return {
        "type": "AssumedRole",
        "principalId": f"AROAEXAMPLE{number % 12:010d}:{name}",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}",
        "accountId": ACCOUNT,
        "accessKeyId": f"ASIAEXAMPLE{rng.randrange(10**9):09d}",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": f"AROAEXAMPLE{number % 12:010d}",
                "arn": f"arn:aws:iam::{ACCOUNT}:role/{role}",
                "accountId": ACCOUNT,
                "userName": role,
            },
            "attributes": {"creationDate": start.strftime("%Y-%m-%dT%H:00:00Z"), "mfaAuthenticated": "false"},
        },
    }


def _record(rng: random.Random, kind: str, region: str, when: str, identity: dict) -> dict:
    table = rng.choice(TABLES)
    key = {"pk": f"user-{rng.randrange(10**6)}@example.com", "sk": str(rng.randrange(10**4))}
    record = {
        "eventVersion": "1.11",
        "userIdentity": identity,
        "eventTime": when,
        "eventSource": "dynamodb.amazonaws.com",
        "eventName": kind,
        "awsRegion": region,
        "sourceIPAddress": f"192.0.2.{rng.randrange(256)}",
        "userAgent": AGENT,
        "requestParameters": {"tableName": table, "key": key},
        "responseElements": None,
        "requestID": f"{rng.getrandbits(130):033X}"[:26].ljust(26, "0") + "VV4KQNSO5AEMVJF66Q9ASUAAJG",
        "eventID": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "readOnly": kind in ("GetItem", "Query", "Scan"),
        "resources": [
            {
                "accountId": ACCOUNT,
                "type": "AWS::DynamoDB::Table",
                "ARN": f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/{table}",
            }
        ],
        "eventType": "AwsApiCall",
        "apiVersion": "2012-08-10",
        "managementEvent": False,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Data",
        "tlsDetails": {
            "tlsVersion": "TLSv1.3",
            "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": f"dynamodb.{region}.amazonaws.com",
        },
    }
    asked = record["requestParameters"]
    if kind == "PutItem":
        asked["items"] = ["pk", "sk", "name", "note", "updated_at"]
    elif kind == "UpdateItem":
        asked["updateExpression"] = "SET #s = :s, updated_at = :t"
        asked["expressionAttributeNames"] = {"#s": "status"}
    elif kind == "Query":
        asked["key"] = {"pk": key["pk"]}
        asked["keyConditionExpression"] = "pk = :pk"
    elif kind == "Scan":
        record["requestParameters"] = {"tableName": table, "limit": 100}
    elif kind == "TransactWriteItems":
        members = [
            {"operation": "Put", "tableName": table, "key": key, "items": ["pk", "sk", "name"]},
            {"operation": "Delete", "TableName": rng.choice(TABLES), "Key": {"pk": key["pk"], "sk": "0"}},
        ]
        record["requestParameters"] = {"requestItems": members}
    elif kind == "ExecuteStatement":
        statement = f"SELECT * FROM \"{table}\" WHERE pk = '{key['pk']}' AND note = ***(Redacted)"
        record["requestParameters"] = {"statement": statement}
    elif kind == "Denied":
        record |= {"eventName": "GetItem", "errorCode": "AccessDenied", "requestParameters": None}
        record["errorMessage"] = (
            f"User: {identity['arn']} is not authorized to perform: dynamodb:GetItem on resource: "
            f"{record['resources'][0]['ARN']} because no identity-based policy allows the dynamodb:GetItem action"
        )
        del record["resources"], record["apiVersion"]
    elif kind == "AssumeRole":
        record |= {"eventSource": "sts.amazonaws.com", "managementEvent": True, "eventCategory": "Management"}
        record["requestParameters"] = {"roleArn": f"arn:aws:iam::{ACCOUNT}:role/service-1", "roleSessionName": "s"}
        record["responseElements"] = {
            "credentials": {"accessKeyId": f"ASIAEXAMPLE{rng.randrange(10**9):09d}", "sessionToken": "x" * 300}
        }
        record["apiVersion"] = "2011-06-15"
    return record
