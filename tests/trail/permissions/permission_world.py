"""A small account whose policies, changes and calls a test writes down, and what permissions say of it."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from dynatrail.clock import hour_of
from dynatrail.trail import permissions
from dynatrail.trail.permissions.explaining import Explanation
from dynatrail.warehouse import engine
from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Warehouse

ACCOUNT, OTHER = "123456789012", "210987654321"
REGION = "eu-west-1"
MONDAY = datetime(2026, 11, 2, 6, tzinfo=UTC)
"""When the account is looked at first."""
TUESDAY, WEDNESDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Music"
USER = f"arn:aws:iam::{ACCOUNT}:user/anna"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/Ward"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/Ward/anna"
USER_ID, ROLE_ID = "AIDAEXAMPLE0000000001", "AROAEXAMPLE0000000001"

Json = dict[str, Any]


def allow(actions: str | list[str], resources: str | list[str] = "*", **more: Any) -> Json:
    return {"Effect": "Allow", "Action": actions, "Resource": resources} | more


def deny(actions: str | list[str], resources: str | list[str] = "*", **more: Any) -> Json:
    return allow(actions, resources, **more) | {"Effect": "Deny"}


def policy(*statements: Json, version: str = "2012-10-17") -> Json:
    return {"Version": version, "Statement": list(statements)}


class World:
    """Rows of the tables that permissions are read from."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.rows: dict[str, list[Json]] = {
            name: [] for name in ("api_event", "api_event_item", "iam_snapshot", "table_config", "source_statement")
        }

    def look(self, at: datetime, source: str = "iam", account: str = ACCOUNT) -> None:
        """A whole look that found nothing unreadable."""
        region = "global" if source == "iam" else REGION
        self._add("source_statement", at, account_id=account, region=region, source=source, status="complete")

    def identity(self, arn: str, at: datetime = MONDAY, *, status: str = "present", **detail: Any) -> None:
        """A user, role or group as seen; `inline`: name → document; the rest as AWS has it."""
        kind = {"user": "User", "role": "Role", "group": "Group"}[arn.split(":")[5].split("/", maxsplit=1)[0]]
        inline = detail.pop("inline", {})
        ids = {"User": USER_ID, "Role": ROLE_ID, "Group": "AGPAEXAMPLE"}
        document = {f"{kind}Id": ids[kind], "Arn": arn} | detail
        document[f"{kind}PolicyList"] = [{"PolicyName": n, "PolicyDocument": d} for n, d in inline.items()]
        self._seen("iam_snapshot", at, f"AWS::IAM::{kind}", arn, status, document)

    def managed(self, arn: str, document: Any, at: datetime = MONDAY, **versions: Any) -> None:
        """A managed policy as seen; `versions`: id → document of those that are not the default."""
        listed = [{"VersionId": "v1", "IsDefaultVersion": True, "Document": document}]
        listed += [{"VersionId": n, "IsDefaultVersion": False, "Document": d} for n, d in versions.items()]
        self._seen("iam_snapshot", at, "AWS::IAM::ManagedPolicy", arn, "present", {"PolicyVersionList": listed})

    def table(self, document: Any = None, at: datetime = MONDAY, arn: str = TABLE) -> None:
        """The policy of a table as seen; None: it has none."""
        held = None if document is None else {"Policy": document, "RevisionId": "1"}
        kind = "AWS::DynamoDB::Stream" if "/stream/" in arn else "AWS::DynamoDB::Table"
        self._seen("table_config", at, kind, arn, "present", held, aspect="GetResourcePolicy")

    def change(self, event_id: str, at: datetime, event_name: str, answer: Any = None, **asked: Any) -> None:
        """A call that changes permissions."""
        source = "dynamodb" if "ResourcePolicy" in event_name or "Table" in event_name else "iam"
        self.call(
            event_id,
            at,
            event_name=event_name,
            event_source=f"{source}.amazonaws.com",
            request_parameters=json.dumps(asked),
            response_elements=json.dumps(answer),
            principal_arn=f"arn:aws:iam::{ACCOUNT}:user/admin",
            table_names=None,
            table_arns=None,
        )

    def call(self, event_id: str, at: datetime, *, members: Iterable[tuple[str, str]] = (), **overrides: Any) -> None:
        """A GetItem of `Music` by the user Anna, with overrides; `members`: operation and table ARN of its items."""
        values = {
            "event_id": event_id,
            "recipient_account_id": ACCOUNT,
            "account_id": ACCOUNT,
            "region": REGION,
            "event_source": "dynamodb.amazonaws.com",
            "event_name": "GetItem",
            "event_version": "1.11",
            "event_type": "AwsApiCall",
            "principal_type": "IAMUser",
            "principal_arn": USER,
            "principal_id": USER_ID,
            "user_name": "anna",
            "access_key_id": "AKIAEXAMPLE",
            "source_ip_address": "192.0.2.10",
            "user_agent": "aws-cli/2.31",
            "tls_version": "TLSv1.3",
            "table_names": ["Music"],
            "table_arns": [TABLE],
            "attestation": "attested",
        }
        self._add("api_event", at, **(values | overrides))
        for ordinal, (operation, arn) in enumerate(members):
            named = {"event_id": event_id, "recipient_account_id": ACCOUNT, "region": REGION}
            self._add("api_event_item", at, ordinal=ordinal, operation=operation, table_arn=arn, **named)

    def as_role(self, event_id: str, at: datetime, **overrides: Any) -> None:
        """The same by a session of the role Ward."""
        who = {
            "principal_type": "AssumedRole",
            "principal_arn": SESSION,
            "principal_id": f"{ROLE_ID}:anna",
            "session_issuer_arn": ROLE,
            "access_key_id": "ASIAEXAMPLE",
            "user_name": None,
            "mfa_authenticated": False,
        }
        self.call(event_id, at, **(who | overrides))

    def decided(self, **more: Any) -> pa.Table:
        with self._connect() as connection:
            return permissions.decided(connection, MONDAY, TUESDAY, **more)

    def explain(self, event_id: str) -> Explanation:
        with self._connect() as connection:
            return permissions.explain_event(connection, event_id)

    def _connect(self) -> Any:
        extra = {}
        for name, rows in self.rows.items():
            schema = TABLES[name].schema
            filled = [{field: row.get(field) for field in schema.names} for row in rows]
            extra[name] = pa.Table.from_pylist(filled, schema)
        return engine.connect(Warehouse(str(self.home)), extra=extra)

    def _seen(self, table: str, at: datetime, kind: str, arn: str, status: str, document: Any, **more: Any) -> None:
        account = ACCOUNT if "::aws:" in arn else arn.split(":")[4]
        values = {
            "captured_at": at,
            "account_id": account,
            "region": "global" if table == "iam_snapshot" else REGION,
            "resource_type": kind,
            "resource_arn": arn,
            "aspect": "GetAccountAuthorizationDetails",
            "status": status,
            "document": document
            if isinstance(document, str)
            else json.dumps(document)
            if status == "present"
            else None,
        }
        self._add(table, at, **(values | more))

    def _add(self, table: str, at: datetime, **values: Any) -> None:
        hour = hour_of(at)
        self.rows[table].append({"event_time": at, "event_hour": hour, "event_date": hour.date()} | values)
