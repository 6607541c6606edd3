from datetime import UTC, datetime, timedelta

import pytest

from dynatrail.clock import HOUR
from dynatrail.config import Account, Target
from dynatrail.quality.gate import Rejection
from dynatrail.settings import settings
from dynatrail.sources.cloudwatch import spool as spools
from dynatrail.sources.cloudwatch.reading import Reading
from dynatrail.sources.cloudwatch.report import Report
from dynatrail.sources.cloudwatch.spool import Spool
from dynatrail.sources.cloudwatch.writing import ANNOUNCE, write
from dynatrail.state import pending
from dynatrail.warehouse.schema import METRIC, TABLES
from dynatrail.warehouse.store import Warehouse

START = datetime(2026, 11, 1, 3, tzinfo=UTC)
HOURS = [START, START + HOUR]


class KilledError(BaseException):
    pass


class Dying(Warehouse):
    """Dies before or after a table is written."""

    table, when = "", ""

    def replace(self, table, *args, **kwargs):
        if (table, self.when) == (self.table, "before"):
            raise KilledError
        written = super().replace(table, *args, **kwargs)
        if table == self.table:
            raise KilledError
        return written


@pytest.fixture
def warehouse(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path))
    return Dying(settings().warehouse_root)


@pytest.fixture
def land(warehouse, target, tokens, tmp_path):
    """Write what a reading of two hours gave: rows of `metric`, rejected ones, and what is lacking."""

    def landed(rows, *, rejected=(), report=None, place=target):
        with Spool() as spool:
            read = Reading(
                settings=settings(),
                target=place,
                hours=HOURS,
                now=START + timedelta(days=1),
                named=frozenset(),
                spool=spool,
                report=report or Report(HOURS),
                tokens=tokens,
                records=tmp_path,
            )
            if len(rows):
                spool.add(METRIC, rows)
            for row in rejected:
                read.rejected.append(read._quarantined(METRIC, row, Rejection(0, "value_negative", "Why.")))
            write(warehouse, read)

    return landed


def at(minute, value=1.0, **more):
    time = START + timedelta(minutes=minute)
    return {"event_time": time, "event_hour": time.replace(minute=0), "value": value} | more


def digests(warehouse):
    return {name: warehouse.digest(name) for name in TABLES}


def statements(warehouse):
    rows = warehouse.dataset("source_statement").to_table().sort_by("event_hour").to_pylist()
    return [(row["status"], row["records"]) for row in rows]


def test_every_hour_of_the_window_has_a_statement_with_its_rows(land, warehouse, datapoints):
    land(datapoints(at(0), at(5), at(60)))

    assert statements(warehouse) == [("complete", 2), ("complete", 1)]


def test_statement_counts_what_is_there_not_what_came_this_time(land, warehouse, datapoints):
    land(datapoints(at(0), at(5)))
    land(datapoints(at(5), at(7)))

    assert statements(warehouse) == [("complete", 3), ("complete", 0)]


def test_timeline_is_behind_where_requests_were_throttled_and_nowhere_else(land, datapoints):
    land(datapoints(at(0), at(60)))
    assert pending.hours(pending.TIMELINE) == []
    land(datapoints(at(5), at(65, metric_name="ReadThrottleEvents")))
    assert pending.hours(pending.TIMELINE) == [START + HOUR]


def test_portions_of_hours_give_the_same_as_all_at_once(land, warehouse, datapoints, monkeypatch):
    rows = datapoints(at(0), at(5), at(60), at(61))
    land(rows)
    before = digests(warehouse)
    monkeypatch.setattr(spools, "TOGETHER", 1)
    land(rows)

    assert digests(warehouse) == before


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("table", ["metric", "alarm_event", "log_event", "quarantine", "source_statement"])
def test_run_that_dies_anywhere_is_made_good_by_the_next(land, warehouse, datapoints, table, when):
    rows = datapoints(at(0), at(60))
    warehouse.table, warehouse.when = table, when
    with pytest.raises(KilledError):
        land(rows)
    assert pending.hours(ANNOUNCE) == HOURS
    warehouse.table = ""
    land(rows)
    landed = digests(warehouse)
    land(rows)

    assert digests(warehouse) == landed
    assert statements(warehouse) == [("complete", 1), ("complete", 1)]


def test_rows_of_another_account_stay(land, warehouse, datapoints):
    other = Target(Account(id="210987654321", regions=("eu-central-1",)), "eu-central-1")
    land(datapoints(at(0)))
    land(datapoints(at(0, account_id="210987654321")), place=other)

    assert warehouse.dataset("metric").count_rows() == 2
    assert len(statements(warehouse)) == 4


def test_rejected_row_is_quarantined_once_and_goes_when_it_is_right(land, warehouse, datapoints):
    bad = datapoints(at(0, -1.0)).to_pylist()
    land(METRIC.schema.empty_table(), rejected=bad)
    land(METRIC.schema.empty_table(), rejected=bad)
    kept = warehouse.dataset("quarantine").to_table().to_pylist()
    assert [(row["source"], row["reason_code"], row["event_hour"]) for row in kept] == [
        ("cloudwatch", "value_negative", START)
    ]
    land(datapoints(at(0)))

    assert warehouse.dataset("quarantine").count_rows() == 0


def test_what_was_quarantined_stays_while_its_source_cannot_be_read(land, warehouse, datapoints):
    land(METRIC.schema.empty_table(), rejected=datapoints(at(0, -1.0)).to_pylist())
    report = Report(HOURS)
    report.lack("metrics", "cloudwatch:GetMetricData is not allowed")
    land(METRIC.schema.empty_table(), report=report)

    assert warehouse.dataset("quarantine").count_rows() == 1
    assert statements(warehouse) == [("incomplete", 0), ("incomplete", 0)]


def test_idle_hours_are_stated_and_not_announced(land, warehouse):
    land(METRIC.schema.empty_table())

    assert statements(warehouse) == [("complete", 0), ("complete", 0)]
    assert pending.hours(ANNOUNCE) == []
