"""The one place that reads the wall clock, and the hours that work is cut into.

Everything else takes instants as arguments, so a run over last week's window gives last week's answer.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def now() -> datetime:
    """The present instant, UTC."""
    return datetime.now(UTC)


def plain(instant: datetime) -> datetime:
    """The same instant, UTC, as Python's own type: Airflow gives pendulum's, whose differences do not divide."""
    utc = instant.astimezone(UTC)
    return datetime(utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond, tzinfo=UTC)


def hour_of(instant: datetime) -> datetime:
    """The start of the UTC hour that `instant` lies in."""
    return plain(instant).replace(minute=0, second=0, microsecond=0)


def hours_between(start: datetime, end: datetime) -> Iterator[datetime]:
    """The starts of all UTC hours that the half-open window [start, end) touches, in order."""
    hour = hour_of(start)
    while hour < end:
        yield hour
        hour += HOUR


def by_date(hours: Iterable[datetime]) -> Iterator[list[datetime]]:
    """The UTC hours that these instants lie in, each once and in order, those of one date together."""
    for _, of_date in groupby(sorted({hour_of(hour) for hour in hours}), key=datetime.date):
        yield list(of_date)


def days_between(start: datetime, end: datetime) -> Iterator[date]:
    """The UTC days that end within the half-open window (start, end], in order: those that it closes.

    A daily run at 06:00 closes one day; a window from midnight to midnight closes each of its days.
    """
    midnight = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    while midnight <= end:
        yield (midnight - DAY).date()
        midnight += DAY


def iso(instant: datetime) -> str:
    """`2026-11-01T03:00:00Z`: how instants are written in file names, XCom, manifests and messages."""
    text = instant.astimezone(UTC).isoformat(timespec="microseconds" if instant.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 instant or date; one without an offset is UTC.

    Raises:
        ValueError: `text` is neither.
    """
    instant = datetime.fromisoformat(text)
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
