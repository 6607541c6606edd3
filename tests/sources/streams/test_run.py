"""Reading streams, from what AWS shows to rows, checkpoints and gaps, against a server that speaks its API."""

from datetime import timedelta

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def test_every_change_lands_once_however_often_it_is_read(server, reading):
    stream = server.stream("Patients")
    written = [server.write(stream, "a", f"pat-{n}") for n in range(5)]
    assert reading.read("Patients").summary.changes == 5
    assert reading.read("Patients").summary.changes == 0
    assert reading.sequences() == written


def test_next_run_goes_on_after_the_last_record(server, reading):
    stream = server.stream("Patients")
    first = server.write(stream, "a", "pat-1")
    reading.read("Patients")
    second = server.write(stream, "a", "pat-1")
    assert reading.read("Patients").summary.records == 1
    assert reading.sequences() == [first, second]
