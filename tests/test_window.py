from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pendulum
import pytest

from dynatrail import clock, window
from dynatrail.errors import SettingsError


def at(*parts):
    return datetime(2026, 11, *parts, tzinfo=UTC)


def context(first=None, last=None, **interval):
    return {"params": {"from": first, "to": last}, **interval}


def test_form_wins_over_the_data_interval():
    run = context("2026-11-01", "2026-11-02T03:00", data_interval_start=at(5), data_interval_end=at(6))
    assert window.of_run(run) == (at(1), at(2, 3))


def test_data_interval_is_taken_where_the_form_is_empty():
    assert window.of_run(context("", None, data_interval_start=at(5, 3), data_interval_end=at(5, 4))) == (
        at(5, 3),
        at(5, 4),
    )


def test_interval_as_airflow_gives_it_becomes_plain_instants():
    """Pendulum's instants are datetimes, but their differences do not divide by an hour."""
    start, end = pendulum.instance(at(5, 3)), pendulum.instance(at(5, 5))
    first, last = window.of_run(context(data_interval_start=start, data_interval_end=end))
    assert {type(first), type(last)} == {datetime}
    assert (last - first) // clock.HOUR == 2
    assert type(clock.hour_of(start)) is datetime


@pytest.mark.parametrize(
    ("unit", "expected"), [(clock.HOUR, (at(5, 2), at(5, 3))), (clock.DAY, (at(4), at(5)))], ids=["hour", "day"]
)
def test_run_with_neither_gets_the_last_unit_that_is_over(unit, expected, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: at(5, 3, 59))
    assert window.of_run(context(), unit=unit) == expected


def test_empty_interval_is_none(monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: at(9))
    run = context(data_interval_start=at(5, 3, 10), data_interval_end=at(5, 3, 10))
    assert window.of_run(run) == (at(5, 2), at(5, 3))


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("2026-11-01", None, "both ends"),
        (None, "2026-11-01", "both ends"),
        ("2026-11-01", "", "both ends"),
        ("yesterday", "2026-11-01", "`from` is 'yesterday'.*Write 2026-11-01"),
        ("2026-11-01", "2026-11-31", "`to` is '2026-11-31'"),
        ("2026-11-01", "2026-11-01", "empty"),
        ("2026-11-02", "2026-11-01", "is not before"),
        ("2024-01-01", "2026-11-01", "longer than 400 days"),
        ("0001-01-01T00:00+05:00", "2026-11-01", "`from`"),
    ],
)
def test_wrong_window_says_what_is_wrong(first, last, said):
    with pytest.raises(SettingsError, match=said):
        window.parse(first, last)


def test_offset_is_brought_to_utc():
    assert window.parse("2026-11-01T05:00+02:00", "2026-11-01T04:00") == (at(1, 3), at(1, 4))


def test_hours_named_by_events_are_read_together():
    events = [SimpleNamespace(extra={"hours": ["2026-11-01T03:00:00Z"]}), SimpleNamespace(extra=None)]
    events.append(SimpleNamespace(extra={"hours": ["2026-11-01T03:00:00Z", "2026-11-02T04:00:00Z"]}))
    assert window.hours_named(events) == {at(1, 3), at(2, 4)}


def test_longest_window_is_allowed():
    first, last = window.parse("2025-10-01", "2026-11-05")
    assert last - first == timedelta(days=400)


def test_run_is_woken_for_the_hours_that_chosen_assets_name_and_for_its_form():
    def event(name, hour):
        return SimpleNamespace(asset=SimpleNamespace(name=name), extra={"hours": [hour]})

    events = {1: [event("api_event", "2026-11-01T03:00:00Z")], 2: [event("finding", "2026-11-02T04:00:00Z")]}
    run = context("2026-11-05T01:00", "2026-11-05T02:00", triggering_asset_events=events)
    assert window.hours_of_trigger(run, ("api_event", "item_change")) == {at(1, 3), at(5, 1)}
    assert window.hours_of_trigger(run, ()) == {at(5, 1)}
