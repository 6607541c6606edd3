from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Warehouse

ACCOUNT = "123456789012"
REGION = "eu-central-1"
HOUR = datetime(2026, 11, 1, 3, tzinfo=UTC)

Events = Callable[..., pa.Table]


def make_events(
    hours: Sequence[datetime] = (HOUR,), per_hour: int = 3, name: str = "event", **columns: object
) -> pa.Table:
    """Rows of `api_event`: `per_hour` in each of `hours`, every column filled; `columns` override."""
    starts = [start for start in hours for _ in range(per_hour)]
    named = {
        "event_time": lambda row: starts[row] + timedelta(seconds=row % 3600),
        "event_date": lambda row: starts[row].date(),
        "event_id": lambda row: f"{name}-{starts[row]:%d%H}-{row:06d}",
        "recipient_account_id": lambda _: ACCOUNT,
        "region": lambda _: REGION,
    }
    typed = {
        pa.timestamp("us", "UTC"): lambda row: starts[row],
        pa.string(): lambda row: f"text {row % 7}",
        pa.bool_(): lambda row: row % 2 == 0,
        pa.int32(): lambda row: row,
        pa.int64(): lambda row: row,
        pa.list_(pa.string()): lambda row: ["a", "b"][: row % 3],
    }

    def column(field: pa.Field) -> pa.Array:
        if field.name in columns:
            return pa.array([columns[field.name]] * len(starts), field.type)
        fill = named.get(field.name) or typed[field.type]
        return pa.array([fill(row) for row in range(len(starts))], field.type)

    schema = TABLES["api_event"].schema
    return pa.table([column(field) for field in schema], schema=schema)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(str(tmp_path / "warehouse"))


@pytest.fixture
def slice_of() -> dict[str, str]:
    return {"recipient_account_id": ACCOUNT, "region": REGION}


@pytest.fixture
def hour() -> datetime:
    return HOUR


@pytest.fixture
def events() -> Events:
    return make_events
