"""What follows from a loaded export, in one transaction."""

from datetime import UTC, datetime, timedelta

import pytest

from dynatrail.state import exports, streams

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path))


def gap(hours):
    end = START + hours * HOUR
    return streams.Gap("kinesis", "table", "stream", None, None, START, end, "destination_disabled", "…")


def test_what_a_gap_grew_by_while_its_export_was_loaded_stays_missing():
    streams.extend(gap(1))
    streams.extend(gap(3))  # a run of extract_kinesis, while the export of the first hour was loaded
    first = "2026-11-01T00:00:00Z/2026-11-01T01:00:00Z"
    rest = "2026-11-01T01:00:00Z/2026-11-01T03:00:00Z"
    asked = []

    def without_the_first_hour(remaining):
        asked.extend(remaining)
        return [rest] if remaining != [first] else []

    exports.loaded(exports.LoadedExport("export", 0, 0, "sum"), closes={gap(1).gap_id: without_the_first_hour})
    (only,) = streams.gaps()
    assert asked == ["2026-11-01T00:00:00Z/2026-11-01T03:00:00Z"]
    assert (only.status, only.remaining, only.repaired_by) == ("narrowed", [rest], ["export"])
