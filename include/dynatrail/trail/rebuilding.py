"""The last step of `build_trail`: bring `audit_record` up to date with all that changed, and note that it is."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from dynatrail import config
from dynatrail.state import pending
from dynatrail.trail import timeline
from dynatrail.warehouse.store import Warehouse

if TYPE_CHECKING:
    from dynatrail.settings import Settings


def audit_record(settings: "Settings", due: Mapping[datetime, int | None]) -> tuple[set[datetime], int]:
    """Rebuild the hours of which sessions and attribution were built anew, and those that wait for the timeline alone.

    Args:
        settings: name warehouse and state database.
        due: hours whose events, changes or sessions changed, with their marks of `pending.BUILD`; None: not marked.

    Returns:
        The hours that were rebuilt, and how many rows were written. A run that dies leaves its hours due.

    Raises:
        ConfigError, WarehouseError, StateError: they cannot be used.
    """
    waiting = pending.seen(pending.TIMELINE)
    warehouse = Warehouse.from_settings(settings)
    hours = timeline.around(due) | timeline.reach(warehouse, waiting)
    rows = timeline.build(warehouse, hours, break_glass=config.load(settings).break_glass)
    pending.done(pending.BUILD, {hour: mark for hour, mark in due.items() if mark is not None})
    pending.done(pending.TIMELINE, waiting)
    return hours, rows
