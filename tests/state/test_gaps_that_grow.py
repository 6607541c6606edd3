"""A gap whose end is not known yet."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dynatrail.state import streams as state
from dynatrail.state.database import session
from dynatrail.state.models import StreamGap

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path))


def gap(hours):
    return state.Gap("kinesis", "table", "stream", None, None, START, START + hours * HOUR, "destination_disabled", "…")


def kept():
    (only,) = state.gaps()
    return only.status, only.remaining


def repair(status, remaining):
    with session() as opened:
        row = opened.get(StreamGap, gap(1).gap_id)
        row.status, row.remaining = status, remaining


def test_its_end_moves_on_and_never_back():
    assert [state.extend(gap(hours)) for hours in (1, 3, 2)] == [True, False, False]
    assert kept() == ("open", ["2026-11-01T00:00:00Z/2026-11-01T03:00:00Z"])


def test_what_was_repaired_of_it_stays_so():
    state.extend(gap(2))
    repair("closed", [])
    state.extend(gap(3))
    assert kept() == ("narrowed", ["2026-11-01T02:00:00Z/2026-11-01T03:00:00Z"])


def test_gap_that_begins_elsewhere_is_another_one():
    state.extend(gap(1))
    state.extend(replace(gap(3), starts_at=START + 2 * HOUR))
    assert len(state.gaps()) == 2
