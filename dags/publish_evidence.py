"""Publish a day's evidence: its rows, the queries behind them, the table versions pinned, and SHA-256 sums of it all.

**Runs** daily for the day before, six hours after its end, when CloudTrail has delivered all but rare late files. A day
whose content changed later gets a further revision; what was published stays. The same content gives the same bytes.

**Backfill** it for any days. **By hand**: *From* and *To* publish every closed day of the window.

**If it is red** the log names the day and the cause. Nothing half-made is left: a snapshot appears whole or not at all.

**Owner**: the compliance team; the data team runs it.
"""

from datetime import timedelta

from airflow.sdk import CronDataIntervalTimetable, dag, get_current_context, task

from dynatrail.assets import EVIDENCE
from dynatrail.dag_defaults import DEFAULT_ARGS, START, window_params


@dag(
    schedule=CronDataIntervalTimetable("0 6 * * *", timezone="UTC"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    dagrun_timeout=timedelta(hours=6),
    doc_md=__doc__,
    tags=["dynatrail", "evidence"],
    params=window_params("days"),
)
def publish_evidence() -> None:
    @task(outlets=[EVIDENCE])
    def publish(*, outlet_events) -> list[dict]:
        """Write the snapshot of each day of the window beside its final place, then move it there."""
        from dynatrail import clock, window
        from dynatrail.evidence import snapshot
        from dynatrail.settings import settings
        from dynatrail.warehouse.store import Warehouse

        start, end = window.of_run(get_current_context(), unit=clock.DAY)
        chosen = settings()
        warehouse = Warehouse.from_settings(chosen)
        published = [snapshot.publish(day, warehouse, chosen.evidence_root) for day in clock.days_between(start, end)]
        told = [{"day": one.day.isoformat(), "folder": str(one.folder)} for one in published]
        outlet_events[EVIDENCE].extra = {"snapshots": told}
        return told

    publish()


publish_evidence()
