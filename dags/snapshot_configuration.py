"""Look at how tables, trails, buckets and keys are configured; keep what changed in `table_config` and `trail_config`.

**Runs** every six hours, for all account-regions of the configuration. A document that is as it was gives no row; one
that changed gives one, a resource that disappeared gives one row `gone`, and what may not be read gives one row
`unreadable` that names the missing permission. The event of the asset `table_config` names the hours that got rows.

**Backfill** is not possible: AWS tells how things are, never how they were, so a run for the past is refused and writes
nothing. For the past there are the snapshots of that time, and CloudTrail's events in `api_event`, which name who made
each change. For the present, trigger it by hand.

**If it is red** the log names what could not be asked (throttling, network) or what stopped the rows; everything else
has landed. Clear the task within six hours, or leave it to the next run.

**Owner**: the data team that runs Dynatrail.
"""

from datetime import timedelta

from airflow.sdk import CronDataIntervalTimetable, TriggerRule, dag, get_current_context, task

from dynatrail.assets import TABLE_CONFIG
from dynatrail.dag_defaults import DEFAULT_ARGS, START


@dag(
    schedule=CronDataIntervalTimetable("0 */6 * * *", timezone="UTC"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    dagrun_timeout=timedelta(hours=6),
    doc_md=__doc__,
    tags=["dynatrail", "extract"],
)
def snapshot_configuration() -> None:
    @task
    def discover() -> list[int]:
        """Number the account-regions, after making sure that this run is not for the past."""
        from dynatrail.settings import settings
        from dynatrail.sources.configuration import snapshot
        from dynatrail.sources.snapshots import instant

        instant.of_run(get_current_context(), snapshot.PERIOD)
        return snapshot.discover(settings())

    @task(max_active_tis_per_dag=2)
    def capture(number: int) -> dict:
        """Ask everything about one account-region and write what differs."""
        from dataclasses import asdict

        from dynatrail.settings import settings
        from dynatrail.sources.configuration import snapshot
        from dynatrail.sources.snapshots import instant

        at = instant.of_run(get_current_context(), snapshot.PERIOD)
        return asdict(snapshot.capture(settings(), number, at))

    @task(outlets=[TABLE_CONFIG], trigger_rule=TriggerRule.ALL_DONE)
    def announce(*, outlet_events) -> list[str]:
        """Name the hours that got rows, those of an earlier run that was killed included."""
        from airflow.sdk.exceptions import AirflowSkipException

        from dynatrail.sources.snapshots import announcing

        hours = announcing.hours(["table_config", "trail_config"])
        if not hours:
            raise AirflowSkipException("Nothing has changed.")
        outlet_events[TABLE_CONFIG].extra = {"hours": hours}
        return hours

    @task(trigger_rule=TriggerRule.NONE_FAILED)
    def summarize(summaries: list[dict]) -> dict:
        """Add the looks up; red when one of them is, so that the run is red although `announce` went on."""
        from dynatrail.sources.snapshots import write

        return write.total(summaries)

    captured = capture.expand(number=discover())
    captured >> announce()
    summarize(captured)


snapshot_configuration()
