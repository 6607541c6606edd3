"""The instant that a run's snapshots count for, and the refusal of instants that are over."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from dynatrail import clock
from dynatrail.errors import SettingsError


def of_run(context: Mapping[str, Any], period: timedelta) -> datetime:
    """`captured_at` of a run: the end of a scheduled run's interval, the time at which any other was triggered.

    A run that is tried again keeps it, so what it writes again is the same.

    Raises:
        SettingsError: the run is a backfill, or its instant is over for longer than a period.
    """
    run = context["dag_run"]
    end = context.get("data_interval_end")
    at = clock.plain(end if run.run_type == "scheduled" and end else run.run_after)
    refuse_the_past(at, period, backfill=run.run_type == "backfill")
    return at


def refuse_the_past(at: datetime, period: timedelta, *, backfill: bool = False) -> None:
    """Refuse a run for the past: AWS tells what is, never what was.

    Raises:
        SettingsError: the run is a backfill, or its instant is over for longer than a period.
    """
    if backfill or clock.now() - at > period:
        raise SettingsError(
            f"What was configured at {clock.iso(at)} cannot be asked now: AWS only tells what is. Nothing was written. "
            "For the past, look at the snapshots of that time and at the changes in api_event, which name their actor. "
            "For the present, trigger the DAG without a date."
        )
