"""Calls that CloudWatch counts exactly and a trail records to the second, with clocks that differ a little."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.clock import HOUR
from dynatrail.integrity import reconcile, reconcile_findings
from dynatrail.settings import Settings
from dynatrail.warehouse.schema import API_EVENT, INSTANT, METRIC, SOURCE_STATEMENT, TABLES, Table
from dynatrail.warehouse.store import Warehouse

from .trails_kept import ACCOUNT, BUCKET, REGION, START, Kept, at, table

_EVENT: dict[str, Any] = {
    "recipient_account_id": ACCOUNT,
    "region": REGION,
    "event_source": "dynamodb.amazonaws.com",
    "event_category": "Data",
    "source_uri": "s3://audit-logs/a.json.gz",
    "source_sha256": "0" * 64,
    "attestation": "attested",
}
_METRIC: dict[str, Any] = {
    "account_id": ACCOUNT,
    "region": REGION,
    "namespace": "AWS/DynamoDB",
    "metric_name": "SuccessfulRequestLatency",
    "statistic": "SampleCount",
    "period_s": 60,
    "unit": "Count",
}


@dataclass(slots=True)
class Counted:
    """Calls as they come; `land` writes what trail and CloudWatch made of them."""

    home: Path
    settings: Settings = field(init=False)
    warehouse: Warehouse = field(init=False)
    trails: Kept = field(init=False)
    events: list[pa.Table] = field(default_factory=list)
    metrics: list[pa.Table] = field(default_factory=list)
    numbered: int = 0

    def __post_init__(self) -> None:
        self.settings = Settings(home=self.home, trail_bucket=BUCKET)
        self.warehouse = Warehouse.from_settings(self.settings)
        self.trails = Kept(self.warehouse)

    def calls(
        self,
        name: str,
        hours: np.ndarray,
        *,
        operation: str = "GetItem",
        late: np.ndarray | float = 0.0,
        lost: Collection[int] = (),
        uncounted: np.ndarray | None = None,
    ) -> None:
        """Successful calls of a table's operation.

        Args:
            name: of the table.
            hours: when CloudWatch saw each, hours after START.
            operation: API operation.
            late: seconds until the trail has it, each or all; below zero: before.
            lost: places of those that the trail lacks.
            uncounted: for each, whether CloudWatch lacks it.
        """
        seconds = np.sort(np.asarray(hours, float)) * 3600
        recorded = np.floor(np.delete(seconds + late, list(lost)) if len(lost) else seconds + late)
        self._events(name, operation, recorded)
        counted = seconds if uncounted is None else seconds[~uncounted]
        minutes, counts = np.unique(np.floor(counted / 60).astype(np.int64), return_counts=True)
        dimensions = f'{{"Operation":"{operation}","TableName":"{name}"}}'
        named = {"table_name": name, "operation": operation, "dimensions": dimensions, "value": counts.astype(float)}
        self.metrics.append(_rows(METRIC, minutes * 60, _METRIC | named))

    def _events(self, name: str, operation: str, seconds: np.ndarray) -> None:
        ids = [f"e{self.numbered + n}" for n in range(len(seconds))]
        self.numbered += len(seconds)
        lists = {
            "table_names": pa.array([[name]] * len(seconds), pa.list_(pa.string())),
            "table_arns": pa.array([[table(name)]] * len(seconds), pa.list_(pa.string())),
        }
        self.events.append(_rows(API_EVENT, seconds, _EVENT | {"event_id": ids, "event_name": operation} | lists))

    def land(self, hours: int, *, unread: Collection[int] = ()) -> None:
        """Write everything; extract_cloudwatch read so many hours, without the `unread` ones."""
        for definition, rows in ((API_EVENT, self.events), (METRIC, self.metrics)):
            whole = pa.concat_tables(rows)
            if definition is METRIC:
                whole = whole.filter(
                    pc.invert(pc.is_in(whole["event_hour"], pa.array([at(n) for n in unread], INSTANT)))
                )
            self.warehouse.replace(definition.name, whole, hours=pc.unique(whole["event_hour"]).to_pylist())
        read = [at(n) for n in range(hours) if n not in unread]
        stated = [
            dict.fromkeys(SOURCE_STATEMENT.schema.names)
            | {"account_id": ACCOUNT, "region": REGION, "source": "cloudwatch", "status": "complete", "records": 1}
            | {"event_hour": hour, "event_date": hour.date()}
            for hour in read
        ]
        rows = pa.Table.from_pylist(stated, SOURCE_STATEMENT.schema)
        self.warehouse.replace("source_statement", rows, hours=read)
        self.trails.look(-48)
        self.trails.flush()

    def run(self, first: int, end: int) -> int:
        return reconcile.run(self.settings, hours_of(first, end))

    def find(self, first: int, end: int, until: float | None = None) -> list[dict[str, Any]]:
        instant = None if until is None else at(until)
        reconcile_findings.find(self.settings, hours_of(first, end), until=instant)
        return self.rows("finding")

    def rows(self, name: str, **having: Any) -> list[dict[str, Any]]:
        found = self.warehouse.dataset(name).to_table().to_pylist()
        rows = [row for row in found if all(row[column] == value for column, value in having.items())]
        return sorted(rows, key=lambda row: [str(row[column]) for column in TABLES[name].natural_key])


def hours_of(first: int, end: int) -> list[datetime]:
    return [START + n * HOUR for n in range(first, end)]


def _rows(definition: Table, seconds: np.ndarray, values: dict[str, Any]) -> pa.Table:
    """Rows at these seconds after START; a value is each row's, or an array of them."""
    size = len(seconds)
    since = int((START - datetime.fromtimestamp(0, START.tzinfo)) / timedelta(microseconds=1))
    times = pa.array(since + np.asarray(seconds, np.int64) * 1_000_000, pa.int64()).cast(INSTANT)
    hours = pc.floor_temporal(times, unit="hour")
    said = {"event_time": times, "event_hour": hours, "event_date": hours.cast(pa.date32())} | values
    columns = []
    for column in definition.schema:
        value = said.get(column.name)
        if value is None and not column.nullable:
            value = 0 if pa.types.is_integer(column.type) else "-"
        if isinstance(value, pa.Array | list | np.ndarray):
            columns.append(pa.array(value, column.type) if not isinstance(value, pa.Array) else value)
        else:
            columns.append(
                pa.nulls(size, column.type) if value is None else pa.repeat(pa.scalar(value, column.type), size)
            )
    return pa.table(columns, schema=definition.schema)
