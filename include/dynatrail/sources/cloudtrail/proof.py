"""Which hours of delivery `extract_cloudtrail` verifies before and after it takes files, and `verify_trail` again."""

from datetime import datetime, timedelta

from dynatrail.integrity import attest
from dynatrail.settings import Settings
from dynatrail.sources.cloudtrail import layout
from dynatrail.state import pending

AGAIN = timedelta(days=7)
"""How far back `verify_trail` looks by itself. AWS may bring a digest for a day; who hides something waits longer."""


def before(settings: Settings, start: datetime, end: datetime, *, run_id: str) -> attest.Summary:
    """Verify the digests of what the run is about to take, so that its rows say at once what is known of their files.

    Raises:
        As `attest.run`.
    """
    hours = _window(settings, start, end) | set(pending.hours(attest.STAGE))
    return attest.run(settings, hours, until=end, run_id=run_id)


def after(settings: Settings, start: datetime, end: datetime, *, run_id: str) -> attest.Summary:
    """Judge what has been taken: in the window, and wherever else a run took files and was killed before it got here.

    Raises:
        As `attest.run`; the hours stay pending.
    """
    with pending.working(attest.STAGE, _window(settings, start, end)) as hours:
        return attest.run(settings, hours, until=end, run_id=run_id)


def again(settings: Settings, start: datetime, end: datetime, *, run_id: str) -> attest.Summary:
    """Verify a window anew, and note what the ledger does not know, or knew otherwise, for the next extract.

    Raises:
        As `attest.run`.
    """
    hours = attest.window_hours(start, end)
    return attest.run(settings, hours, until=end, run_id=run_id, note_unknown=True)


def _window(settings: Settings, start: datetime, end: datetime) -> set[datetime]:
    return attest.window_hours(start - timedelta(hours=settings.lookback_hours), end + layout.MARGIN)
