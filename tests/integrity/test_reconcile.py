import numpy as np
import pytest

from dynatrail.integrity import reconcile

from .counted import Counted, hours_of
from .rows import put
from .trails_kept import ACCOUNT, REGION, WITHOUT_BATCH, at

SHORTFALL, SURPLUS = "completeness.count_shortfall", "completeness.count_surplus"


@pytest.fixture
def counted(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path))
    return Counted(tmp_path)


def regular(first=0.0, end=4.0, an_hour=60):
    """Calls at the same distance from each other, in the middle of it."""
    return np.arange(first, end, 1 / an_hour) + 0.5 / an_hour


def verdicts(counted):
    rows = counted.rows("reconciliation", measure="requests")
    return [(row["bin_start"], row["verdict"], row["difference"]) for row in rows if row["verdict"] != "agrees"]


def told(found):
    return [(row["rule_id"], row["severity"], row["event_time"], row["how_many"], row["title"]) for row in found]


def test_a_whole_trail_agrees_in_every_span(counted):
    counted.calls("Patients", regular())
    counted.land(4)
    assert counted.run(0, 4) == 48
    assert verdicts(counted) == []
    assert counted.find(0, 4) == []


def test_one_missing_call_is_missing_in_its_span(counted):
    counted.calls("Patients", regular(), lost=[90])
    counted.land(4)
    counted.run(0, 4)
    assert verdicts(counted) == [(at(1.5), "missing", 1.0)]
    assert told(counted.find(0, 4)) == [
        (SHORTFALL, "High", at(1), 1, "1 of 60 GetItem calls on Patients are not in the trail")
    ]


def test_one_missing_call_is_seen_at_any_volume_after_an_exact_history(counted):
    counted.calls("Patients", regular(0, 30, an_hour=1200), lost=[1200 * 25 + 7])
    counted.land(30)
    counted.run(0, 24)
    counted.run(24, 30)
    assert verdicts(counted) == [(at(25), "missing", 1.0)]
    (row,) = counted.rows("reconciliation", bin_start=at(25))
    assert (row["expected_ratio"], row["spread"], row["samples"]) == (1.0, 0.0, 288)


def test_whoever_takes_events_away_from_the_first_day_on_does_not_become_normal(counted):
    lost = [n for n in range(60 * 28) if n % 3 == 0]
    counted.calls("Patients", regular(0, 28), lost=lost)
    counted.land(28)
    counted.run(0, 24)
    counted.run(24, 28)
    rows = counted.rows("reconciliation", event_hour=at(27))
    assert {row["expected_ratio"] for row in rows} == {1.0}
    assert {row["spread"] for row in rows} == {0.0}
    assert sum(row["difference"] for row in rows) == 20


def test_an_event_at_the_edge_of_a_span_is_no_difference(counted):
    counted.calls("Patients", np.append(regular(), [1.0 - 0.2 / 3600, 2.0 - 0.2 / 3600]), late=0.5)
    counted.land(4)
    counted.run(0, 4)
    rows = counted.rows("reconciliation", bin_start=at(1))
    assert [(row["trail_count"], row["witness_count"], row["verdict"]) for row in rows] == [(6, 5.0, "agrees")]
    assert verdicts(counted) == []


def test_hours_give_the_same_rows_whichever_are_done_together(counted):
    random = np.random.default_rng(7)
    counted.calls("Patients", random.uniform(0, 8, 2000), late=random.exponential(2.0, 2000), lost=[500])
    counted.land(8)
    counted.run(0, 8)
    together = counted.warehouse.digest("reconciliation")
    for hour in (5, 2, 7, 0):
        assert counted.run(hour, hour + 1) == 0
    assert counted.warehouse.digest("reconciliation") == together


def test_exactly_the_asked_hours_are_replaced(counted):
    counted.calls("Patients", regular())
    counted.land(4)
    counted.run(1, 3)
    assert {row["event_hour"] for row in counted.rows("reconciliation")} == {at(1), at(2)}


def test_hours_without_metrics_are_not_comparable_and_nothing_is_found_in_them(counted):
    counted.calls("Patients", regular())
    counted.land(4, unread=[1])
    counted.run(0, 4)
    rows = counted.rows("reconciliation", measure="requests")
    assert {(row["event_hour"], row["reason_code"]) for row in rows if row["verdict"] == "not_comparable"} == {
        (at(1), "metrics_incomplete")
    }
    assert counted.find(0, 4) == []


def test_an_hour_that_is_not_settled_has_no_finding_yet(counted):
    counted.calls("Patients", regular(), lost=[90])
    counted.land(4)
    counted.run(0, 4)
    assert counted.find(0, 4, until=2.5) == []
    assert len(counted.find(0, 4, until=3)) == 1


def test_hours_that_follow_one_another_are_one_finding_that_grows_and_goes(counted):
    counted.calls("Patients", regular(), lost=[70, 130])
    counted.land(4)
    counted.run(0, 4)
    assert told(counted.find(2, 3)) == [
        (SHORTFALL, "High", at(1), 2, "2 of 120 GetItem calls on Patients are not in the trail")
    ]
    counted.events.clear()
    counted.calls("Patients", regular(), lost=[130])
    counted.metrics.pop()
    counted.land(4)
    counted.run(1, 2)
    assert told(counted.find(1, 2)) == [
        (SHORTFALL, "High", at(2), 1, "1 of 60 GetItem calls on Patients are not in the trail")
    ]


def test_operations_of_a_table_are_one_finding(counted):
    counted.calls("Patients", regular(), lost=[70])
    counted.calls("Patients", regular(an_hour=12), operation="Query", lost=[13, 14])
    counted.land(4)
    counted.run(0, 4)
    assert told(counted.find(0, 4)) == [
        (SHORTFALL, "High", at(1), 3, "3 of 72 calls on Patients (GetItem, Query) are not in the trail")
    ]


def test_more_events_than_datapoints_is_a_low_finding(counted):
    late = np.zeros(240, bool)
    late[[70, 71]] = True
    counted.calls("Patients", regular(), uncounted=late)
    counted.land(4)
    counted.run(0, 4)
    assert told(counted.find(0, 4)) == [
        (SURPLUS, "Low", at(1), 2, "The trail holds 2 more GetItem calls on Patients than CloudWatch counted")
    ]


def test_what_selectors_leave_out_is_theirs_to_tell(counted):
    counted.calls("Patients", regular(), lost=[90])
    counted.trails.look(-40, said=WITHOUT_BATCH)
    counted.land(4)
    counted.run(0, 4)
    (row,) = (row for row in counted.rows("reconciliation") if row["verdict"] == "missing")
    assert row["reason_code"] == "selection_partial"
    assert counted.find(0, 4) == []


def test_a_lost_log_file_speaks_for_its_hours(counted):
    counted.calls("Patients", regular(), lost=[90, 210])
    counted.land(4)
    counted.trails._add(
        "log_file",
        at(2.1),
        delivered_at=at(2.1),
        account_id="123456789012",
        region="eu-west-1",
        source_uri="s3://audit-logs/lost",
        status="missing",
    )
    counted.trails.flush()
    counted.run(0, 4)
    assert [row["event_time"] for row in counted.find(0, 4)] == [at(3)]


@pytest.mark.slow
@pytest.mark.parametrize("clock", ["equal", "late", "slow", "early"])
def test_clocks_that_differ_raise_no_false_alarm(counted, clock):
    """Fifteen tables of all volumes, two days: no span is missing or too much."""
    hours = 48
    for seed in range(15):
        random = np.random.default_rng(seed)
        calls = random.uniform(-1, hours + 1, random.poisson(10 ** random.uniform(-0.5, 2.6) * (hours + 2)))
        late = {
            "equal": np.zeros(len(calls)),
            "late": random.exponential(0.05, len(calls)),
            "slow": random.exponential(1.5, len(calls)),
            "early": random.exponential(0.5, len(calls)) - 1.0,
        }[clock]
        counted.calls(f"Table{seed}", calls, late=late)
    counted.land(hours + 1)
    for day in range(2):
        counted.run(24 * day, 24 * day + 24)
    assert verdicts(counted) == []
    assert counted.find(0, hours) == []


def test_rows_are_computed_without_being_written(counted):
    counted.calls("Patients", regular())
    counted.land(4)
    assert len(reconcile.derive(counted.settings, counted.warehouse, hours_of(0, 4))) == 48
    assert counted.rows("reconciliation") == []


def test_window_of_the_past_takes_no_finding_of_later_hours_away(counted):
    counted.calls("Patients", regular(), lost=[70, 130])
    counted.land(4)
    place = {"account_id": ACCOUNT, "region": REGION, "trail_name": "trail", "home_region": REGION, "chain": "standard"}
    ends = {"digest_start_time": at(5), "digest_end_time": at(6), "event_hour": at(6)}
    put(counted.warehouse, "trail_digest", [place | ends | {"status": "valid"}])
    counted.run(0, 4)
    found = counted.find(0, 4)

    assert len(found) == 1
    assert counted.find(0, 4, until=1) == found
    assert counted.find(1, 2, until=2) == found
