"""Which window of event time a DAG run works on: its data interval, or what the operator's form says."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from dynatrail import clock
from dynatrail.errors import SettingsError

LONGEST = timedelta(days=400)


def of_run(context: Mapping[str, Any], *, unit: timedelta = clock.HOUR) -> tuple[datetime, datetime]:
    """The half-open window [from, to) of a run, UTC.

    The form's `from` and `to` win over the data interval. A run with neither (triggered by hand without a logical date)
    gets the last `unit` that is over.

    Raises:
        SettingsError: the form names an instant that does not parse, only one end, or an empty or absurd window.
    """
    params = context["params"]
    first, last = params.get("from"), params.get("to")
    if first or last:
        return parse(first, last)
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if start and end and start < end:
        return clock.plain(start), clock.plain(end)
    over = clock.hour_of(end or clock.now())
    if unit >= clock.DAY:
        over = over.replace(hour=0)
    return over - unit, over


def parse(first: str | None, last: str | None) -> tuple[datetime, datetime]:
    """Read the two ends of a window as a person writes them: `2026-11-01`, `2026-11-01T03:00`, with or without offset.

    Raises:
        SettingsError: one is missing or does not parse, or the window is empty, or longer than 400 days.
    """
    if not first or not last:
        raise SettingsError("Give both ends of the window, from and to, or neither.")
    ends = []
    for name, text in (("from", first), ("to", last)):
        try:
            ends.append(clock.parse_instant(text))
        except (ValueError, OverflowError):
            raise SettingsError(
                f"`{name}` is {text!r}, which is no date or instant. Write 2026-11-01 or 2026-11-01T03:00:00Z."
            ) from None
    start, end = ends
    if not start < end:
        raise SettingsError(f"The window is empty: from {clock.iso(start)} is not before to {clock.iso(end)}.")
    if end - start > LONGEST:
        raise SettingsError(f"The window is longer than {LONGEST.days} days. Take it in parts.")
    return start, end


def hours_named(events: Iterable[Any]) -> set[datetime]:
    """The hours that asset events name in their `extra`."""
    return {clock.parse_instant(hour) for event in events for hour in (event.extra or {}).get("hours", ())}


def hours_of_trigger(context: Mapping[str, Any], assets: Collection[str]) -> set[datetime]:
    """The hours that a run was woken for: those that events of `assets` name, and those of the window in its form.

    Raises:
        SettingsError: as `of_run`.
    """
    events = (event for found in context["triggering_asset_events"].values() for event in found)
    hours = hours_named(event for event in events if event.asset.name in assets)
    if context["params"]["from"] or context["params"]["to"]:
        hours |= set(clock.hours_between(*of_run(context)))
    return hours
