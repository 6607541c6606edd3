"""Which hours got rows that the next stage was not told of yet, from the state database, so that a kill loses none."""

from collections.abc import Iterable

from dynatrail import clock
from dynatrail.sources.snapshots import versions
from dynatrail.state import pending


def hours(snapshots: Iterable[str]) -> list[str]:
    """The waiting hours of these snapshot tables, as an asset's event names them; no longer waiting afterwards."""
    told = set()
    for name in snapshots:
        with pending.working(versions.stage(name), ()) as due:
            told |= due
    return [clock.iso(hour) for hour in sorted(told)]
