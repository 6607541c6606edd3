"""Whatever befalls a stream while it is read, what the reader leaves contradicts itself nowhere: gaps speak for all."""

from datetime import timedelta

import pytest
from tests.sources.streams.conftest import home, reading, server
from tests.sources.streams.server import START

from dynatrail.integrity import sequence_findings, sequences
from dynatrail.settings import Settings
from dynatrail.state import streams as state

__all__ = ["home", "reading", "server"]

HOUR = timedelta(hours=1)


def befallen(server, reading):
    """Splits, an outage of more than a day, a stream that is replaced, and what is read of all that."""
    stream = server.stream("Patients")
    for hour in range(4):
        server.write(stream, "a", f"pat-{hour}")
        server.now += HOUR
    reading.read("Patients")
    server.split(stream, "a", "b", "c")
    server.write(stream, "b", "pat-1")
    server.write(stream, "c", "pat-2")
    server.now += HOUR
    reading.read("Patients")
    server.split(stream, "b", "d")
    server.write(stream, "d", "pat-1")
    server.pass_time(30 * HOUR)
    server.write(stream, "d", "pat-4")
    server.split(stream, "d", "e")
    server.now += HOUR
    reading.read("Patients")
    server.disable(stream)
    reading.read("Patients")
    server.now += 2 * HOUR
    young = server.stream("Patients")
    server.write(young, "a", "pat-1")
    server.now += 2 * HOUR
    reading.read("Patients")
    reading.statements()


@pytest.mark.slow
def test_only_gaps_break_what_was_read_and_each_is_a_finding(server, reading):
    befallen(server, reading)
    hours = [START + n * HOUR for n in range(-1, (server.now - START) // HOUR + 1)]
    settings = Settings(home=reading.home)
    sequences.prove(settings, hours)
    sequence_findings.find(settings, hours)
    rows = reading.warehouse.dataset("sequence_proof").to_table().to_pylist()
    reasons = {reason for row in rows for reason in row["reasons"] or ()}
    assert reasons.isdisjoint(sequences.CONTRADICTIONS)
    assert {row["status"] for row in rows} == {"proven", "broken", "not_assessable"}
    assert sum(row["changes"] for row in rows) == reading.warehouse.dataset("item_change").count_rows()
    found = reading.warehouse.dataset("finding").to_table().to_pylist()
    assert sorted(one["evidence_ids"][0] for one in found) == sorted(gap.gap_id for gap in state.gaps())
