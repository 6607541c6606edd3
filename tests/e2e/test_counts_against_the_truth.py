"""Counts of the trail against CloudWatch's, over what `make run` leaves of the tiny scenario."""

import json
import shutil
from collections import Counter

import pyarrow.compute as pc
import pytest

from dynatrail.clock import hours_between, parse_instant
from dynatrail.integrity import reconcile
from dynatrail.settings import Settings
from dynatrail.warehouse.store import Warehouse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def copied(home, tmp_path):
    """Settings of a copy of the warehouse, and the hours of the scenario."""
    shutil.copytree(home / "warehouse", tmp_path / "warehouse")
    summary = json.loads((home / "sandbox" / "truth" / "tiny.summary.json").read_text())
    return Settings(home=tmp_path), list(hours_between(*map(parse_instant, summary["window"])))


def compared(settings):
    rows = Warehouse.from_settings(settings).dataset("reconciliation").to_table().to_pylist()
    return [row for row in rows if row["measure"] == "requests" and row["reason_code"] != "no_metric"]


def test_every_span_of_every_table_and_operation_agrees(copied):
    settings, hours = copied
    reconcile.run(settings, hours)
    rows = compared(settings)
    assert len(rows) > 30
    assert {row["verdict"] for row in rows} == {"agrees"}
    assert all(row["trail_count"] == row["witness_count"] for row in rows)


def test_exactly_the_events_that_were_taken_away_are_missing(copied):
    settings, hours = copied
    warehouse = Warehouse.from_settings(settings)
    taken: Counter[tuple[str, str]] = Counter()

    def without(present):
        calls = present.filter(pc.and_(pc.is_null(present["error_code"]), pc.equal(present["event_category"], "Data")))
        chosen = [row for row in calls.to_pylist() if row["event_name"] in {"GetItem", "TransactWriteItems", "Scan"}]
        chosen = sorted(chosen, key=lambda row: row["event_id"])[::2]
        taken.update((name, row["event_name"]) for row in chosen for name in row["table_names"])
        gone = pc.is_in(
            present["event_id"], value_set=pc.unique(pc.cast([row["event_id"] for row in chosen], "string"))
        )
        return present.filter(pc.invert(gone))

    before = warehouse.dataset("api_event").to_table()
    warehouse.replace("api_event", without(before), hours=pc.unique(before["event_hour"]).to_pylist())
    reconcile.run(settings, hours)
    missing: Counter[tuple[str, str]] = Counter()
    for row in compared(settings):
        if row["verdict"] != "agrees":
            assert row["verdict"] == "missing"
            missing[row["table_name"], row["operation"]] += row["difference"]
    assert missing == taken
    assert taken.total() > 5
