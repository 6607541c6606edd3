from datetime import UTC, datetime

import pyarrow as pa
import pytest

from dynatrail.clock import HOUR
from dynatrail.warehouse.portions import portions
from dynatrail.warehouse.schema import INSTANT, QUARANTINE
from dynatrail.warehouse.store import Warehouse

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOURS = [NOON + n * HOUR for n in range(6)]


@pytest.fixture
def filled(tmp_path):
    """Quarantine with 2, 1, 1, 9, 0 and 1 rows an hour from noon."""
    warehouse = Warehouse(str(tmp_path / "warehouse"))
    hours = [HOURS[at] for at, count in enumerate((2, 1, 1, 9, 0, 1)) for _ in range(count)]
    columns = {
        "event_hour": pa.array(hours, INSTANT),
        "event_date": pa.array([hour.date() for hour in hours]),
        "payload_bytes": pa.array([1] * len(hours), pa.int64()),
    }
    texts = [str(number) for number in range(len(hours))]
    rows = [columns[f.name] if f.name in columns else pa.array(texts, f.type) for f in QUARANTINE.schema]
    warehouse.replace("quarantine", pa.Table.from_arrays(rows, schema=QUARANTINE.schema), hours=HOURS)
    return warehouse


def cut(warehouse, hours, rows):
    return [[(hour - NOON) // HOUR for hour in p] for p in portions(warehouse, "quarantine", hours, rows=rows)]


def test_hours_with_few_rows_go_together_and_a_busy_hour_alone(filled):
    assert cut(filled, HOURS, 3) == [[0, 1], [2], [3], [4, 5]]


def test_all_hours_go_together_if_their_rows_are_few(filled):
    assert cut(filled, HOURS, 14) == [[0, 1, 2, 3, 4, 5]]


def test_rows_of_hours_between_do_not_count(filled):
    assert cut(filled, [HOURS[2], HOURS[4]], 1) == [[2, 4]]


def test_no_hours_give_no_portion(filled):
    assert cut(filled, [], 3) == []


def test_table_that_was_never_written_is_one_portion(tmp_path):
    assert cut(Warehouse(str(tmp_path / "none")), HOURS, 1) == [[0, 1, 2, 3, 4, 5]]
