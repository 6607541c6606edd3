from datetime import datetime, timedelta
from types import SimpleNamespace

import pendulum
import pytest

from dynatrail import clock
from dynatrail.errors import SettingsError
from dynatrail.sources.snapshots import instant

SIX_HOURS = timedelta(hours=6)


def context(run_type, end=None):
    now = clock.now()
    return {"dag_run": SimpleNamespace(run_type=run_type, run_after=now), "data_interval_end": end}


def test_scheduled_run_counts_for_the_end_of_its_interval():
    end = clock.hour_of(clock.now())
    assert instant.of_run(context("scheduled", end), SIX_HOURS) == end


def test_instant_as_airflow_gives_it_becomes_a_plain_one():
    end = pendulum.instance(clock.hour_of(clock.now()))
    assert type(instant.of_run(context("scheduled", end), SIX_HOURS)) is datetime


def test_run_by_hand_counts_for_when_it_was_triggered():
    given = context("manual", clock.hour_of(clock.now()))
    assert instant.of_run(given, SIX_HOURS) == given["dag_run"].run_after


def test_backfill_is_refused_and_says_what_is_there_instead():
    with pytest.raises(SettingsError, match=r"cannot be asked now.*api_event.*without a date"):
        instant.of_run(context("backfill"), SIX_HOURS)


def test_run_that_is_over_for_longer_than_a_period_is_refused():
    with pytest.raises(SettingsError, match="AWS only tells what is"):
        instant.of_run(context("scheduled", clock.now() - timedelta(hours=7)), SIX_HOURS)
