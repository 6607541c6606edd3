"""Take CloudWatch into `metric`, `alarm_event` and `log_event`: DynamoDB's metrics, alarms' history, chosen log lines.

**Runs** every hour for the hour before, and reads the `DYNATRAIL_METRIC_LOOKBACK_HOURS` before that again, because
datapoints arrive late. States for each hour, in `source_statement`, whether everything could be read. Names the hours
that it touched in the event of the asset `metric`.

**Backfill** it from the UI or with `airflow backfill create --dag-id extract_cloudwatch --from-date … --to-date …`, as
far back as AWS remembers: datapoints of a minute for 15 days, of five minutes for 63, of an hour for 455; alarm history
for 30 days, contributors for 15, log events as long as their log group keeps them. `metric.period_s` says what came.
Nothing that an earlier run saw is ever taken away or made coarser. A window of any length in one run: trigger it with
*From* and *To*; one run for a month asks for each metric 30 times, once a day.

**If it is red** open the log of the red task: `discover` says what is wrong with configuration or connection; `take`
names the call that failed or the expectation that stopped a batch. Everything else has landed. Clear the task once the
cause is gone. A call that AWS refuses for lack of permission does not make the run red while others work: the hours are
stated as incomplete with the action that is missing, and the summary warns.

**Owner**: the data team that runs Dynatrail.
"""

from datetime import timedelta

from airflow.sdk import CronDataIntervalTimetable, TriggerRule, dag, get_current_context, task

from dynatrail.assets import METRIC
from dynatrail.dag_defaults import DEFAULT_ARGS, START, window_params


@dag(
    schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    dagrun_timeout=timedelta(hours=6),
    doc_md=__doc__,
    tags=["dynatrail", "extract"],
    params=window_params("event time"),
)
def extract_cloudwatch() -> None:
    @task
    def discover() -> list[str]:
        """Name the accounts and regions to read."""
        from dynatrail.settings import settings
        from dynatrail.sources.cloudwatch import extract

        return extract.discover(settings())

    @task(map_index_template="{{ task.op_kwargs['place'] }}", max_active_tis_per_dag=4)
    def take(place: str) -> dict:
        """Read, mask, check and write one account and region, and state what its hours are worth."""
        from dataclasses import asdict

        from dynatrail import window
        from dynatrail.settings import settings
        from dynatrail.sources.cloudwatch import extract

        context = get_current_context()
        start, end = window.of_run(context)
        return asdict(extract.take(settings(), place, start, end, run_id=context["dag_run"].run_id))

    @task(outlets=[METRIC], trigger_rule=TriggerRule.ALL_DONE)
    def announce(*, outlet_events) -> list[str]:
        """Name the hours whose rows may have changed, those of an earlier run that was killed included."""
        from airflow.sdk.exceptions import AirflowSkipException

        from dynatrail import clock
        from dynatrail.sources.cloudwatch.writing import ANNOUNCE
        from dynatrail.state import pending

        with pending.working(ANNOUNCE, ()) as touched:
            hours = [clock.iso(hour) for hour in sorted(touched)]
        if not hours:
            raise AirflowSkipException("No hour was touched.")
        outlet_events[METRIC].extra = {"hours": hours}
        return hours

    @task(trigger_rule=TriggerRule.NONE_FAILED)
    def summarize(summaries: list[dict]) -> dict:
        """Add the accounts up; red when one of them is, so that the run is red although `announce` went on."""
        from dynatrail.sources.cloudwatch import extract

        return extract.total(summaries)

    taken = take.expand(place=discover())
    taken >> announce()
    summarize(taken)


extract_cloudwatch()
