"""Keep the warehouse fast: compact closed days and remove files that no version in use needs.

**Runs** daily for the day before. Neither step changes a row or a content digest; versions that evidence pins stay
readable.

**If it is red** nothing is lost: queries are only slower until it has run. The log names the table and the cause.

**Owner**: the data team that runs Dynatrail.
"""

from datetime import timedelta

from airflow.sdk import CronDataIntervalTimetable, dag, get_current_context, task

from dynatrail.dag_defaults import DEFAULT_ARGS, START, window_params


@dag(
    schedule=CronDataIntervalTimetable("30 7 * * *", timezone="UTC"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    dagrun_timeout=timedelta(hours=6),
    doc_md=__doc__,
    tags=["dynatrail", "maintenance"],
    params=window_params("days"),
)
def maintain_warehouse() -> None:
    @task
    def compact() -> list[str]:
        """One file per table and closed day."""
        from dynatrail import clock, window
        from dynatrail.settings import settings
        from dynatrail.warehouse.store import Warehouse

        start, end = window.of_run(get_current_context(), unit=clock.DAY)
        warehouse = Warehouse.from_settings(settings())
        return [str(done) for day in clock.days_between(start, end) for done in warehouse.compact(day)]

    @task
    def vacuum() -> list[str]:
        """Remove files that are older than the retention and that no pinned version needs."""
        from dynatrail.evidence import snapshot
        from dynatrail.settings import settings
        from dynatrail.warehouse.store import Warehouse

        warehouse = Warehouse.from_settings(settings())
        return [str(done) for done in warehouse.vacuum(snapshot.pinned_versions())]

    compact() >> vacuum()


maintain_warehouse()
