from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pyarrow as pa
import pytest
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from dynatrail.clock import DAY, hour_of
from dynatrail.trail import timeline
from dynatrail.trail.ocsf import CLASS_NAMES, VERSION, class_uid
from dynatrail.trail.ocsf_parts import PROFILES
from dynatrail.warehouse.engine import connect
from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Warehouse

ACCOUNT = "123456789012"
REGION = "eu-west-1"
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def table_arn(name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:dynamodb:{REGION}:{account}:table/{name}"


def _row(table: str, values: dict[str, Any]) -> dict[str, Any]:
    hour = hour_of(values["event_time"])
    return dict.fromkeys(TABLES[table].schema.names) | values | {"event_hour": hour, "event_date": hour.date()}


@pytest.fixture(autouse=True)
def state_of_its_own(tmp_path, monkeypatch) -> None:
    """What is written leaves marks in the state database."""
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path / "home"))


@pytest.fixture
def make_event() -> Callable[..., dict[str, Any]]:
    """A successful PutItem by an IAM user, with overrides; its OCSF class follows from them."""

    def make(event_id: str = "e-1", **overrides: Any) -> dict[str, Any]:
        values = {
            "event_id": event_id,
            "event_time": NOON,
            "recipient_account_id": ACCOUNT,
            "account_id": ACCOUNT,
            "region": REGION,
            "event_source": "dynamodb.amazonaws.com",
            "event_name": "PutItem",
            "event_version": "1.11",
            "event_type": "AwsApiCall",
            "event_category": "Data",
            "management_event": False,
            "read_only": False,
            "api_version": "2012-08-10",
            "principal_type": "IAMUser",
            "principal_arn": f"arn:aws:iam::{ACCOUNT}:user/ward/nurse-anna",
            "principal_id": "AIDAEXAMPLE",
            "user_name": "nurse-anna",
            "access_key_id": "AKIAEXAMPLE",
            "source_ip_address": "192.0.2.10",
            "user_agent": "aws-cli/2.31",
            "request_id": f"REQUEST-{event_id}",
            "source_uri": "s3://trail.example.com/file.json.gz",
            "source_sha256": "00",
            "source_index": 0,
            "attestation": "attested",
        } | overrides
        named = (values[n] for n in ("event_source", "event_name", "event_category", "management_event"))
        return _row("api_event", {"ocsf_class_uid": class_uid(*named)} | values)

    return make


@pytest.fixture
def make_item() -> Callable[..., dict[str, Any]]:
    """An item put in Patients, with overrides."""

    def make(event_id: str = "e-1", ordinal: int = 0, **overrides: Any) -> dict[str, Any]:
        values = {
            "event_id": event_id,
            "event_time": NOON,
            "recipient_account_id": ACCOUNT,
            "region": REGION,
            "table_name": "Patients",
            "table_arn": table_arn("Patients"),
            "item_key_token": f"tok-{ordinal}",
            "operation": "Put",
            "ordinal": ordinal,
            "source_uri": "s3://trail.example.com/file.json.gz",
            "source_sha256": "00",
            "source_index": 0,
        } | overrides
        return _row("api_event_item", values)

    return make


_BASES: dict[str, dict[str, Any]] = {
    "item_change": {
        "change_id": "c-1",
        "table_name": "Patients",
        "table_arn": table_arn("Patients"),
        "item_key_token": "tok-1",
        "key_attributes": ["patient_id"],
        "change_type": "MODIFY",
        "view_type": "NEW_AND_OLD_IMAGES",
        "change_origin": "stream",
        "reconstructed": False,
        "source_uri": "stream",
        "source_position": "1",
    },
    "attribution": {
        "change_id": "c-1",
        "table_name": "Patients",
        "table_arn": table_arn("Patients"),
        "item_key_token": "tok-1",
        "event_id": "e-1",
        "principal_arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/clinic/claimed",
        "method": "alignment",
        "confidence": "certain",
        "candidates": 1,
    },
    "alarm_event": {
        "alarm_event_id": "a-1",
        "alarm_name": "scanned",
        "alarm_type": "MetricAlarm",
        "history_item_type": "StateUpdate",
        "reason": "Threshold Crossed: 1 datapoint (50.0) was greater than the threshold (20.0).",
        "table_name": "Patients",
    },
    "metric": {
        "namespace": "AWS/DynamoDB",
        "metric_name": "ThrottledRequests",
        "table_name": "Patients",
        "operation": "GetItem",
        "dimensions": '{"Operation":"GetItem","TableName":"Patients"}',
        "statistic": "Sum",
        "period_s": 60,
        "value": 1.0,
    },
    "iam_snapshot": {
        "captured_at": NOON - DAY,
        "event_hour": NOON - DAY,
        "region": "global",
        "resource_type": "AWS::IAM::Role",
        "resource_arn": f"arn:aws:iam::{ACCOUNT}:role/apps/clinic",
        "aspect": "GetAccountAuthorizationDetails",
        "resource_name": "clinic",
        "sha256": "aa",
        "status": "present",
    },
    "table_config": {
        "captured_at": NOON - DAY,
        "event_hour": NOON - DAY,
        "resource_type": "AWS::DynamoDB::Table",
        "resource_arn": table_arn("Patients"),
        "aspect": "DescribeTable",
        "resource_name": "Patients",
        "sha256": "aa",
        "status": "present",
    },
    "finding": {
        "finding_id": "f-1",
        "producer": "digests",
        "kind": "integrity",
        "rule_id": "integrity.log_file_forged",
        "severity": "High",
        "table_name": "Patients",
        "table_arn": table_arn("Patients"),
        "title": "A log file is forged",
        "explanation": "Its digest says so.",
    },
    "privacy_event": {
        "privacy_event_id": "p-1",
        "kind": "reveal",
        "subject": "t1:" + "a" * 32,
        "table_name": "Patients",
        "table_arn": table_arn("Patients"),
        "item_key_token": "tok-1",
        "change_id": "c-1",
        "attributes": ["diagnosis"],
        "actor": "carol@example.com",
        "actor_claimed": True,
        "ticket": "INC-7",
        "reason": "request 17",
    },
}


@pytest.fixture(scope="session")
def make_row() -> Callable[..., dict[str, Any]]:
    """A row of one of the tables that the timeline reads beside events, at noon, with overrides."""

    def make(table: str, **overrides: Any) -> dict[str, Any]:
        given = {"event_time": NOON, "account_id": ACCOUNT, "region": REGION} | _BASES[table] | overrides
        hour = hour_of(given.get("event_hour", given["event_time"]))
        names = TABLES[table].schema.names
        row = dict.fromkeys(names) | {name: value for name, value in given.items() if name in names}
        return row | {"event_hour": hour, "event_date": hour.date()}

    return make


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    return Warehouse(str(tmp_path / "warehouse"))


@pytest.fixture
def write(warehouse) -> Callable[..., None]:
    """Writes rows of a table, replacing the hours that they lie in."""

    def write(table: str, rows: list[dict[str, Any]]) -> None:
        hours = {row["event_hour"] for row in rows}
        warehouse.replace(table, pa.Table.from_pylist(rows, schema=TABLES[table].schema), hours=hours)

    return write


@pytest.fixture(scope="session")
def rows_of() -> Callable[..., pa.Table]:
    return lambda table, rows: pa.Table.from_pylist(rows, schema=TABLES[table].schema)


@pytest.fixture
def derived(warehouse, rows_of, monkeypatch) -> Callable[..., list[dict[str, Any]]]:
    """The records that `timeline.derive` makes of these events and items, without writing anything."""

    def derive(events: list[dict[str, Any]], items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        given = {"api_event": rows_of("api_event", events), "api_event_item": rows_of("api_event_item", items)}
        monkeypatch.setattr(timeline.engine, "connect", lambda of, *, extra: connect(of, extra={**extra, **given}))
        return timeline.derive(warehouse, [NOON]).to_pylist()

    return derive


class Published:
    """The published OCSF schema, as `ocsf-json-schema` ships it, and what JSON Schema alone does not check of it."""

    def __init__(self) -> None:
        self.raw = get_ocsf_schema(version=VERSION)
        self._schemas = OcsfJsonSchemaEmbedded(self.raw)
        self._validators: dict[int, jsonschema.Draft202012Validator] = {}

    def faults(self, event: dict[str, Any]) -> list[str]:
        uid = event["class_uid"]
        if uid not in self._validators:
            schema = self._schemas.get_class_schema(self._schemas.lookup_class_name_from_uid(uid), list(PROFILES))
            self._validators[uid] = jsonschema.Draft202012Validator(schema)
        found = [f"{error.json_path}: {error.message}" for error in self._validators[uid].iter_errors(event)]
        definition = next(c for c in self.raw["classes"].values() if c["uid"] == uid)
        return found + list(self._beyond(event, definition["attributes"], CLASS_NAMES[uid]))

    def _beyond(self, value: dict[str, Any], attributes: dict[str, Any], at: str):
        for name, inner in value.items():
            definition = attributes.get(name)
            if definition is None:
                yield f"{at}.{name} is unknown"
                continue
            if "@deprecated" in definition:
                yield f"{at}.{name} is deprecated"
            if inner is None:
                yield f"{at}.{name} is null"
            caption = definition.get("enum", {}).get(str(inner), {}).get("caption")
            sibling = definition.get("sibling")
            if caption and sibling and inner != 99 and value.get(sibling) != caption:
                yield f"{at}.{name} is {inner}, {caption}, but {sibling} is {value.get(sibling)}"
            if caption and sibling and inner == 99 and not value.get(sibling):
                yield f"{at}.{name} is 99 but {sibling} does not say what"
            if definition["type"] == "object_t" and definition["object_type"] != "object":
                of = self.raw["objects"][definition["object_type"]]["attributes"]
                for each in inner if isinstance(inner, list) else [inner]:
                    yield from self._beyond(each, of, f"{at}.{name}")


@pytest.fixture(scope="session")
def published() -> Published:
    return Published()
