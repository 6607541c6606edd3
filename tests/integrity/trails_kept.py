"""A warehouse that holds what was seen of trails and done to them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from dynatrail.clock import hour_of
from dynatrail.integrity.trail_history import SelectorHistory
from dynatrail.settings import Settings
from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Warehouse

Json = dict[str, Any]

ACCOUNT, MEMBER, REGION, BUCKET = "123456789012", "210987654321", "eu-west-1", "audit-logs"
START = datetime(2026, 11, 2, tzinfo=UTC)
TRAIL = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/audit"
SECOND = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/second"
ANA = f"arn:aws:iam::{ACCOUNT}:user/ana"
BATCH = f"arn:aws:iam::{ACCOUNT}:user/batch"


def at(hours: float) -> datetime:
    """So many hours after the beginning."""
    return START + timedelta(hours=hours)


def table(name: str, account: str = ACCOUNT, region: str = REGION) -> str:
    return f"arn:aws:dynamodb:{region}:{account}:table/{name}"


def selectors(**conditions: Json) -> Json:
    """GetEventSelectors' answer of a trail for management events and, narrowed by `conditions`, for every table."""
    fields = [
        {"Field": "eventCategory", "Equals": ["Data"]},
        {"Field": "resources.type", "Equals": ["AWS::DynamoDB::Table"]},
        *({"Field": name.replace("_", "."), **operators} for name, operators in conditions.items()),
    ]
    return {
        "AdvancedEventSelectors": [
            {"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}]},
            {"FieldSelectors": fields},
        ]
    }


WITHOUT_BATCH = selectors(userIdentity_arn={"NotEquals": [BATCH]})


@dataclass(slots=True)
class Kept:
    """Rows as they come; `history` and the findings read what is there."""

    warehouse: Warehouse
    rows: dict[str, list[Json]] = field(default_factory=dict)

    @classmethod
    def under(cls, folder: Path) -> "Kept":
        return cls(Warehouse(str(folder)))

    def look(
        self,
        when: float,
        trail: str = TRAIL,
        *,
        said: Json | None = None,
        account: str = ACCOUNT,
        logging: bool | Json = True,
        **setup: Any,
    ) -> None:
        """A look that saw a trail, with these selectors, logging or not, and set up so."""
        described = {
            "Name": trail.rpartition("/")[2],
            "S3BucketName": BUCKET,
            "IsMultiRegionTrail": False,
            "IsOrganizationTrail": False,
            "HomeRegion": trail.split(":")[3],
            **setup,
        }
        status = {"IsLogging": logging} if isinstance(logging, bool) else logging
        for aspect, document in (
            ("DescribeTrails", described),
            ("GetEventSelectors", selectors() if said is None else said),
            ("GetTrailStatus", status),
        ):
            self.seen(when, trail, aspect, document, account=account)

    def seen(
        self,
        when: float,
        trail: str,
        aspect: str,
        document: Json | None,
        *,
        account: str = ACCOUNT,
        status: str = "present",
    ) -> None:
        self._add(
            "trail_config",
            at(when),
            captured_at=at(when),
            account_id=account,
            region=REGION,
            resource_type="AWS::CloudTrail::Trail",
            resource_arn=trail,
            aspect=aspect,
            document=None if document is None else msgspec.json.encode(document, order="sorted").decode(),
            status=status,
        )
        self.nothing_new(when, account)

    def nothing_new(self, when: float, account: str = ACCOUNT, region: str = REGION) -> None:
        """A look that saw everything as it was."""
        values = {
            "account_id": account,
            "region": region,
            "source": "configuration",
            "status": "complete",
            "records": 0,
        }
        self._add("source_statement", at(when), **values)

    def event(
        self,
        when: float,
        name: str,
        trail: str = TRAIL,
        *,
        asked: Json | None = None,
        actor: str = ANA,
        error: str | None = None,
        answered: bool = True,
    ) -> str:
        """An event of CloudTrail on a trail; its id."""
        key = "trailName" if name == "PutEventSelectors" else "name"
        event_id = f"{name}-{when}"
        self._add(
            "api_event",
            at(when),
            event_id=event_id,
            event_time=at(when),
            recipient_account_id=trail.split(":")[4],
            region=trail.split(":")[3],
            event_source="cloudtrail.amazonaws.com",
            event_name=name,
            principal_arn=actor,
            error_code=error,
            request_parameters=msgspec.json.encode({key: trail.rpartition("/")[2], **_recorded(asked or {})}).decode(),
            response_elements=msgspec.json.encode({"trailARN": trail}).decode() if answered else None,
        )
        return event_id

    def call(self, when: float, account: str = ACCOUNT, folder: str = "AWSLogs") -> None:
        """An event of something else, which tells that events were taken."""
        self._add(
            "api_event",
            at(when),
            event_id=f"call-{account}-{when}",
            event_time=at(when),
            recipient_account_id=account,
            region=REGION,
            event_source="dynamodb.amazonaws.com",
            event_name="GetItem",
            source_uri=f"s3://{BUCKET}/{folder}/{account}/CloudTrail/file.json.gz",
        )

    def has_table(self, arn: str, when: float = 0, *, status: str = "present") -> None:
        """A look that saw a table, or saw it gone."""
        parts = arn.split(":")
        self._add(
            "table_config",
            at(when),
            captured_at=at(when),
            account_id=parts[4],
            region=parts[3],
            resource_type="AWS::DynamoDB::Table",
            resource_arn=arn,
            aspect="DescribeTable",
            status=status,
        )

    def counted(self, when: float, arn: str, operation: str, missing: float, verdict: str = "missing") -> None:
        """Five minutes of an operation in which CloudWatch counted so many calls more than the trail holds."""
        self._add(
            "reconciliation",
            at(when),
            bin_start=at(when),
            bin_s=300,
            account_id=arn.split(":")[4],
            region=arn.split(":")[3],
            table_name=arn.rpartition("/")[2],
            operation=operation,
            measure="requests",
            verdict=verdict,
            difference=missing,
        )

    def history(self, settings: Settings | None = None) -> SelectorHistory:
        self.flush()
        return SelectorHistory.load(settings or self.warehouse)

    def flush(self) -> None:
        """Write what has come."""
        for name, rows in self.rows.items():
            definition = TABLES[name]
            hours = {row["event_hour"] for row in rows}
            unique = {tuple(row[key] for key in definition.natural_key): row for row in rows}
            self.warehouse.replace(name, pa.Table.from_pylist(list(unique.values()), definition.schema), hours=hours)

    def _add(self, name: str, when: datetime, **values: Any) -> None:
        schema = TABLES[name].schema
        hour = hour_of(when)
        empty = {column.name: None if column.nullable else _ANY.get(str(column.type)) for column in schema}
        self.rows.setdefault(name, []).append({**empty, "event_hour": hour, "event_date": hour.date(), **values})


_ANY = {"string": "-", "int32": 0, "int64": 0, "bool": False}


def _recorded(asked: Any) -> Any:
    """Names as a record writes them, with a small first letter."""
    if isinstance(asked, dict):
        return {name[0].lower() + name[1:]: _recorded(value) for name, value in asked.items()}
    return [_recorded(one) for one in asked] if isinstance(asked, list) else asked
