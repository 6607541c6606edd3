"""Makes a small Dynatrail home whose contents are those that the pages' examples speak of.

Run as a program (home, folder of the trail's copy), because the warehouse may not be used by a process that forks.
One day: generated traffic of forty callers, and a few calls around the patient P-000007.
"""

import base64
import gzip
import json
import os
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
ACCOUNT, REGION = "123456789012", "us-east-1"
DAY = datetime(2026, 11, 1, tzinfo=UTC)
KEY = b"dynatrail-example-key-0123456789"
"""The masking key that the tokens in the pages are made with."""

PATIENT = {"patient_id": "P-000007"}
KEYS = {
    "Patients": {"patient_id": "S"},
    "Appointments": {"clinic_id": "S", "starts_at": "S"},
    "Invoices": {"invoice_number": "N"},
    "Sessions": {"session_id": "S"},
    "Audit": {"setting": "S"},
}
SSO = "aws-reserved/sso.amazonaws.com"


def session(role: str, name: str, key: str, path: str = "") -> dict[str, Any]:
    return {
        "type": "AssumedRole",
        "principalId": f"AROAEXAMPLE{role[:9].upper()}:{name}",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}",
        "accountId": ACCOUNT,
        "accessKeyId": key,
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": f"AROAEXAMPLE{role[:9].upper()}",
                "arn": f"arn:aws:iam::{ACCOUNT}:role/{path}{role}",
                "accountId": ACCOUNT,
                "userName": role,
            },
            "attributes": {"creationDate": "2026-11-01T08:55:00Z", "mfaAuthenticated": "true"},
        },
    }


NURSE = session("AWSReservedSSO_Nurse_0a1b2c3d4e5f6071", "nurse.alice", "ASIAEXAMPLENURSE0001", f"{SSO}/")
DEVELOPER = session("DeveloperRole", "tomas", "ASIAEXAMPLEDEVEL0001")
BILLING = session("BillingJobRole", "billing", "ASIAEXAMPLEBILLG0001")
ANALYST = session("AnalyticsReadRole", "ines", "ASIAEXAMPLEANALY0001")
SUPPORT = session("SupportRole", "robert", "ASIAEXAMPLESUPPO0001")


def record(number: int, at: str, who: dict[str, Any], name: str, asked: Any, **other: Any) -> dict[str, Any]:
    table = other.pop("table", "Patients")
    return {
        "eventVersion": "1.11",
        "userIdentity": who,
        "eventTime": f"2026-11-01T{at}Z",
        "eventSource": "dynamodb.amazonaws.com",
        "eventName": name,
        "awsRegion": REGION,
        "sourceIPAddress": "192.0.2.17",
        "userAgent": "aws-cli/2.31.0",
        "requestParameters": asked,
        "responseElements": None,
        "requestID": f"{number:026d}VV4KQNSO5AEMVJF66Q9ASUAAJG",
        "eventID": str(uuid.UUID(int=number, version=4)),
        "readOnly": name in ("GetItem", "Query", "Scan"),
        "resources": [
            {
                "accountId": ACCOUNT,
                "type": "AWS::DynamoDB::Table",
                "ARN": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}",
            }
        ],
        "eventType": "AwsApiCall",
        "apiVersion": "2012-08-10",
        "managementEvent": False,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Data",
    } | other


def story() -> list[dict[str, Any]]:
    denied = record(4, "09:30:00", DEVELOPER, "GetItem", None, errorCode="AccessDenied")
    denied["errorMessage"] = (
        f"User: {DEVELOPER['arn']} is not authorized to perform: dynamodb:GetItem on resource: "
        f"{denied['resources'][0]['ARN']} because no identity-based policy allows the dynamodb:GetItem action"
    )
    del denied["resources"], denied["apiVersion"]
    update = {
        "tableName": "Patients",
        "key": PATIENT,
        "updateExpression": "SET #p = :p",
        "expressionAttributeNames": {"#p": "phone"},
    }
    transaction = [
        {"operation": "Put", "tableName": "Invoices", "key": {"invoice_number": "1042"}, "items": ["invoice_number"]},
        {"operation": "ConditionCheck", "tableName": "Patients", "key": PATIENT},
    ]
    statement = "SELECT * FROM \"Patients\" WHERE patient_id = 'P-000007'"
    scans = [
        record(10 + page, f"22:0{page}:00", ANALYST, "Scan", {"tableName": "Patients", "limit": 100})
        for page in range(3)
    ]
    return [
        record(1, "09:10:05", NURSE, "GetItem", {"tableName": "Patients", "key": PATIENT}),
        record(2, "09:12:40", NURSE, "UpdateItem", update),
        record(3, "09:20:00", NURSE, "Query", {"tableName": "Appointments", "key": {"clinic_id": "C-1"}})
        | {"resources": record(0, "00:00:00", NURSE, "Query", None, table="Appointments")["resources"]},
        denied,
        record(5, "10:05:00", BILLING, "TransactWriteItems", {"requestItems": transaction}),
        *scans,
        record(20, "23:10:00", SUPPORT, "ExecuteStatement", {"statement": statement}),
    ]


def put(trail: Path, delivered: datetime, unique: str, content: bytes) -> None:
    path = trail / (
        f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/{delivered:%Y/%m/%d}/"
        f"{ACCOUNT}_CloudTrail_{REGION}_{delivered:%Y%m%dT%H%MZ}_{unique}.json.gz"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def make_trail(trail: Path) -> None:
    from benchmarks.cloudtrail_files import generate

    generate(trail, records=1_000, per_file=100)
    whole = gzip.compress(json.dumps({"Records": [*story(), "not a record"]}).encode(), mtime=0)
    put(trail, DAY + timedelta(hours=23, minutes=15), "story00000000000", whole)
    put(trail, DAY + timedelta(hours=12), "cut0000000000000", whole[:300])


def fill() -> None:
    from dynatrail.clock import now
    from dynatrail.settings import settings
    from dynatrail.sources.cloudtrail import extract
    from dynatrail.state import pending
    from dynatrail.state.database import session as opened
    from dynatrail.state.models import TableKey
    from dynatrail.trail import sessions, timeline
    from dynatrail.warehouse.store import Warehouse

    chosen = settings()
    with opened() as database:
        for region in (REGION, "eu-west-1"):
            for table, attributes in KEYS.items():
                for name, kind in attributes.items():
                    arn = f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/{table}"
                    database.add(
                        TableKey(
                            table_arn=arn,
                            attribute_name=name,
                            attribute_type=kind,
                            key_type="HASH",
                            learned_at=now(),
                        )
                    )
    batches = extract.discover(chosen, DAY, DAY + timedelta(hours=24), retake=False, run_id="docs")
    for number in batches:
        extract.take(chosen, number, run_id="docs")
    with pending.working("build_trail", ()) as due:
        warehouse = Warehouse.from_settings(chosen)
        sessions.build(warehouse, due)
        timeline.build(warehouse, due)


def fill_signals() -> None:
    """What CloudWatch saw of one hour of the story."""
    import pyarrow as pa

    from dynatrail.privacy.tokens import Tokenizer
    from dynatrail.settings import settings
    from dynatrail.warehouse.schema import TABLES
    from dynatrail.warehouse.store import Warehouse

    hour = DAY + timedelta(hours=9)
    place = {"account_id": ACCOUNT, "region": REGION, "event_hour": hour, "event_date": hour.date()}
    counted = place | {"namespace": "AWS/DynamoDB", "metric_name": "SuccessfulRequestLatency", "unit": "Count"}
    counted |= {"statistic": "SampleCount", "period_s": 60, "value": 1.0, "table_name": "Patients"}
    line = place | {"log_event_id": "0" * 64, "log_group": "/aws/lambda/booking-api", "filter_name": "booking errors"}
    line |= {"event_time": hour, "event_id": "0" * 56, "message": f"no slot for {Tokenizer(KEY).value('P-000007')}"}
    rows = {
        "metric": [
            counted
            | {
                "event_time": hour + timedelta(minutes=minute),
                "operation": name,
                "dimensions": f'{{"Operation":"{name}","TableName":"Patients"}}',
            }
            for minute, name in ((10, "GetItem"), (12, "UpdateItem"))
        ],
        "log_event": [line],
        "source_statement": [place | {"source": "cloudwatch", "status": "complete", "records": 3}],
    }
    for name, those in rows.items():
        made = [{column: row.get(column) for column in TABLES[name].schema.names} for row in those]
        table = pa.Table.from_pylist(made, TABLES[name].schema)
        Warehouse.from_settings(settings()).replace(name, table, hours=[hour], where={"account_id": ACCOUNT})


def fill_changes() -> None:
    """What became of the patient P-000007: its record, with an encrypted diagnosis, got another phone number."""
    import pyarrow as pa

    from dynatrail.clock import hour_of
    from dynatrail.privacy import subjects
    from dynatrail.privacy.tokens import Tokenizer
    from dynatrail.settings import settings
    from dynatrail.trail import attribution
    from dynatrail.warehouse.schema import TABLES
    from dynatrail.warehouse.store import Warehouse

    tokens, keys = Tokenizer(KEY), subjects.load(settings())
    table = {"account_id": ACCOUNT, "region": REGION, "table_name": "Patients"}
    table |= {"table_arn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Patients", "key_attributes": ["patient_id"]}
    stream = {"view_type": "NEW_AND_OLD_IMAGES", "change_origin": "stream", "reconstructed": False, "by_ttl": False}
    stream |= {"time_precision": "SECOND", "source_uri": f"{table['table_arn']}/stream/2026-11-01T00:00:00.000"}

    def image(phone: str) -> str:
        texts = {"patient_id": PATIENT["patient_id"], "phone": phone}
        masked = {name: {"S": tokens.attribute((name,), "S", text)} for name, text in texts.items()}
        masked["diagnosis"] = {"S": keys.encrypt(tokens.item(PATIENT.items()), ("diagnosis",), "S", "J11.1")}
        return json.dumps(masked, sort_keys=True, separators=(",", ":"))

    old, new = image("+1-555-0100"), image("+1-555-0111")
    told = [("1", DAY + timedelta(hours=8), "INSERT", None, old)]
    told += [("2", DAY + timedelta(hours=9, minutes=12, seconds=39), "MODIFY", old, new)]
    rows = [
        table
        | stream
        | {"change_id": number.zfill(64), "sequence_number": number, "source_position": number, "event_time": at}
        | {"event_hour": hour_of(at), "event_date": at.date(), "change_type": kind, "old_image": before}
        | {"new_image": after, "changed_attributes": ["phone"] if before else None}
        | {"item_key_token": tokens.item(PATIENT.items())}
        for number, at, kind, before, after in told
    ]
    names = TABLES["item_change"].schema.names
    made = pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows], TABLES["item_change"].schema)
    warehouse = Warehouse.from_settings(settings())
    hours = [row["event_hour"] for row in rows]
    warehouse.replace("item_change", made, hours=hours)
    attribution.build(warehouse, hours)


def prove() -> None:
    from dynatrail.integrity import proving
    from dynatrail.settings import settings

    end = DAY + timedelta(hours=24)
    proving.run(settings(), asked=(DAY, end), now=end)


def fill_discovery() -> None:
    """What two looks at samples of Patients found."""
    import pyarrow as pa

    from dynatrail.settings import settings
    from dynatrail.warehouse.schema import TABLES
    from dynatrail.warehouse.store import Warehouse

    at = DAY + timedelta(days=1, hours=8, minutes=15)
    hour = at.replace(minute=0)
    row = {"account_id": ACCOUNT, "region": REGION, "table_name": "Patients", "captured_at": at, "event_hour": hour}
    row |= {"event_date": at.date(), "table_arn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Patients"}
    row |= {"in_names": False, "images": 412, "sampled_from": ["stream"], "sampled": 412, "status": "known"}
    row |= {"action": "redact", "protection": "hidden"}
    found = [
        ("phone", "phone", 0.99, 398, 391, "known", 0.99, "keep", "clear"),
        ("diagnosis", "health_code", 0.95, 301, 44, "known", 0.95, "redact", "hidden"),
        ("notes", "iban", 0.99, 7, 7, "new", None, "redact", "hidden"),
    ]
    names = ("path", "detected_class", "confidence", "matched", "distinct_values", "status", "previous_confidence")
    names += ("action", "protection")
    rows = pa.Table.from_pylist(
        [row | dict(zip(names, one, strict=True)) for one in found], TABLES["sensitive_attribute"].schema
    )
    where = {"account_id": ACCOUNT, "region": REGION}
    Warehouse.from_settings(settings()).replace("sensitive_attribute", rows, hours=[hour], where=where)


def main(home: Path, trail: Path) -> None:
    sys.path.insert(0, str(PROJECT))
    os.environ |= {
        "DYNATRAIL_HOME": str(home),
        "DYNATRAIL_TRAIL_BUCKET": trail.as_uri(),
        "AIRFLOW_HOME": str(home / "airflow"),
    }
    home.mkdir(parents=True)
    key = home / "token.key"
    key.write_text(base64.b64encode(KEY).decode() + "\n")
    key.chmod(0o600)
    make_trail(trail)
    fill()
    fill_changes()
    fill_signals()
    fill_discovery()
    prove()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
