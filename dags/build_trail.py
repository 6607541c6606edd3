"""Rebuild the unified timeline, `audit_record`, for exactly the hours whose sources changed.

**Runs** whenever an extract names hours in the event of the asset `api_event` or `item_change`. Rebuilding an hour
replaces its rows in one commit; an hour that comes out the same is not written.

**By hand**: trigger it with *From* and *To* to rebuild a window, or with neither to catch up on hours that were
touched and not rebuilt yet. It cannot be backfilled (it has no interval): backfill `extract_cloudtrail` instead.

**If it is red** the log names the hour and the cause; the hours before it are done and the others stay pending. Clear
the task once the cause is gone.

**Owner**: the data team that runs Dynatrail.
"""

from datetime import timedelta

from airflow.sdk import dag, get_current_context, task

from dynatrail.assets import API_EVENT, AUDIT_RECORD, ITEM_CHANGE
from dynatrail.dag_defaults import DEFAULT_ARGS, START, window_params


@dag(
    schedule=API_EVENT | ITEM_CHANGE,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    dagrun_timeout=timedelta(hours=6),
    doc_md=__doc__,
    tags=["dynatrail", "trail"],
    params=window_params("event time"),
)
def build_trail() -> None:
    @task(outlets=[AUDIT_RECORD])
    def build_audit_record(*, outlet_events) -> dict:
        """One record per thing that happened, from `api_event` and `api_event_item`."""
        from airflow.sdk.exceptions import AirflowSkipException

        from dynatrail import clock, window
        from dynatrail.settings import settings
        from dynatrail.state import pending
        from dynatrail.trail import timeline
        from dynatrail.warehouse.store import Warehouse

        context = get_current_context()
        events = [event for found in context["triggering_asset_events"].values() for event in found]
        hours = window.hours_named(events)
        if context["params"]["from"] or context["params"]["to"]:
            hours |= set(clock.hours_between(*window.of_run(context)))
        with pending.working("build_trail", hours) as due:
            if not due:
                raise AirflowSkipException("No hour is due.")
            rows = timeline.build(Warehouse.from_settings(settings()), due)
        named = [clock.iso(hour) for hour in sorted(due)]
        outlet_events[AUDIT_RECORD].extra = {"hours": named}
        return {"hours": len(named), "rows_written": rows}

    build_audit_record()


build_trail()
