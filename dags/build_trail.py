"""Rebuild `session`, `attribution` and `audit_record`, the unified timeline, for the hours that changed.

**Runs** whenever an extract names hours in the event of the asset `api_event` or `item_change`, and whenever metrics,
snapshots or findings changed, or a person was erased, for the timeline alone. Rebuilding an hour replaces its rows in
one commit; an hour that comes out the same is not written. A sign-in or role assumption that comes late tells who was
behind keys used in other hours: their sessions are rebuilt too, and those hours with them.

**By hand**: trigger it with *From* and *To* to rebuild a window, or with neither to catch up on hours that were
touched and not rebuilt yet. It cannot be backfilled (it has no interval): backfill `extract_cloudtrail` instead.

**If it is red** the log names the hour and the cause; the hours before it are done and the others stay pending. Clear
the task once the cause is gone.

**Owner**: the data team that runs Dynatrail.
"""

from datetime import timedelta

from airflow.sdk import dag, get_current_context, task

from dynatrail.assets import (
    API_EVENT,
    AUDIT_RECORD,
    FINDING,
    IAM_SNAPSHOT,
    ITEM_CHANGE,
    METRIC,
    PRIVACY_EVENT,
    TABLE_CONFIG,
    TRAIL_CONFIG,
)
from dynatrail.dag_defaults import DEFAULT_ARGS, START, window_params


@dag(
    schedule=API_EVENT | ITEM_CHANGE | METRIC | IAM_SNAPSHOT | TABLE_CONFIG | TRAIL_CONFIG | FINDING | PRIVACY_EVENT,
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
    @task
    def build_sessions() -> dict:
        """Who stands behind each temporary access key, from `api_event`."""
        from airflow.sdk.exceptions import AirflowSkipException

        from dynatrail import clock, config, window
        from dynatrail.settings import settings
        from dynatrail.state import pending
        from dynatrail.trail import sessions
        from dynatrail.warehouse.store import Warehouse

        before = pending.seen(pending.BUILD)
        # The other assets only wake the run: what they changed waits under a stage of its own.
        due = window.hours_of_trigger(get_current_context(), ("api_event", "item_change")) | before.keys()
        if not due and not pending.hours(pending.TIMELINE):
            raise AirflowSkipException("No hour is due.")
        marks = dict(before)
        rows = sessions.build(
            Warehouse.from_settings(settings()),
            due,
            break_glass=config.load(settings()).break_glass,
            about_to_change=lambda hours: marks.update(pending.make_due(pending.BUILD, hours)),
        )
        # What becomes due from here on is of the next run, for the sessions have not seen it.
        named = {clock.iso(hour): marks.get(hour) for hour in sorted(due | marks.keys())}
        return {"hours": len(named), "rows_written": rows, "due": named}

    @task
    def attribute_changes(begun: dict) -> dict:
        """The request behind each item change, and how sure that is, for the hours and their neighbours."""
        from dynatrail import clock, config
        from dynatrail.settings import settings
        from dynatrail.trail import attribution
        from dynatrail.warehouse.store import Warehouse

        hours = attribution.around(clock.parse_instant(hour) for hour in begun["due"])
        built = attribution.build(
            Warehouse.from_settings(settings()), hours, break_glass=config.load(settings()).break_glass
        )
        return {"hours": len(hours), "rows_written": built.rows}

    @task(outlets=[AUDIT_RECORD])
    def build_audit_record(begun: dict, *, outlet_events) -> dict:
        """One record per thing that happened: requests, changes, alarms, findings, erasures and so on."""
        from dynatrail import clock
        from dynatrail.settings import settings
        from dynatrail.trail import rebuilding

        due = {clock.parse_instant(hour): mark for hour, mark in begun["due"].items()}
        hours, rows = rebuilding.audit_record(settings(), due)
        outlet_events[AUDIT_RECORD].extra = {"hours": [clock.iso(hour) for hour in sorted(hours)]}
        return {"hours": len(hours), "rows_written": rows}

    begun = build_sessions()
    attribute_changes(begun) >> build_audit_record(begun)


build_trail()
