"""Take item changes from Kinesis data streams into `item_change`, `source_statement` and `quarantine`.

**Runs** every 15 minutes; reads the destination stream of every watched table whose note says `changes_from: kinesis`,
each shard from its checkpoint to its tip, whatever hours the changes belong to, and names the hours it touched in the
event of the asset `item_change`.

**Backfill** changes nothing: whatever a stream still keeps is read by the next ordinary run by itself, so a backfill
run of this DAG reads nothing. What is older, or recorded as a gap, is reconstructed from exports by `repair_changes`.

**If it is red** open the log of the red task: `discover` says which account's tables cannot be looked at; `read` names
the stream or shard that could not be read, or the expectation that stopped a portion. Everything else has landed. A
stream keeps its records for 24 hours unless it is told to keep them longer. Clear the task once the cause is gone;
nothing is taken twice, and what was lost meanwhile is recorded as a gap.

**Owner**: the data team that runs Dynatrail.
"""

from datetime import timedelta

from airflow.sdk import CronDataIntervalTimetable, TriggerRule, dag, get_current_context, task

from dynatrail.assets import ITEM_CHANGE
from dynatrail.dag_defaults import DEFAULT_ARGS, START


@dag(
    schedule=CronDataIntervalTimetable("*/15 * * * *", timezone="UTC"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    dagrun_timeout=timedelta(hours=6),
    doc_md=__doc__,
    tags=["dynatrail", "extract"],
)
def extract_kinesis() -> None:
    @task
    def discover() -> list[dict]:
        """Find the destination streams of the watched tables; none in a backfill run."""
        from airflow.sdk.exceptions import AirflowSkipException

        from dynatrail.settings import settings
        from dynatrail.sources.kinesis import extract

        if get_current_context()["dag_run"].run_type == "backfill":
            raise AirflowSkipException("A stream has no window to read again; repair_changes backfills item changes.")
        return extract.discover(settings())

    @task(map_index_template="{{ task.op_kwargs['batch']['stream_arn'] }}", max_active_tis_per_dag=4)
    def read(batch: dict) -> dict:
        """Read, parse, mask, check and write one stream, and move its checkpoints on."""
        from dataclasses import asdict

        from dynatrail.settings import settings
        from dynatrail.sources.kinesis import extract

        context = get_current_context()
        return asdict(extract.read(settings(), batch, context["ti"].map_index, run_id=context["dag_run"].run_id))

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def state() -> int:
        """Say which hours of which tables are complete now, those of an earlier run that was killed included."""
        from dynatrail.settings import settings
        from dynatrail.sources.streams import extract

        return extract.state_hours(settings())

    @task(outlets=[ITEM_CHANGE], trigger_rule=TriggerRule.ALL_DONE)
    def announce(*, outlet_events) -> list[str]:
        """Name the hours whose rows changed, those of an earlier run that was killed included."""
        from airflow.sdk.exceptions import AirflowSkipException

        from dynatrail import clock
        from dynatrail.state import pending

        hours = [clock.iso(hour) for hour in pending.hours("build_trail")]
        if not hours:
            raise AirflowSkipException("No hour was touched.")
        outlet_events[ITEM_CHANGE].extra = {"hours": hours}
        return hours

    @task(trigger_rule=TriggerRule.NONE_FAILED)
    def summarize(summaries: list[dict]) -> dict:
        """Add the streams up; red when one of them is, so that the run is red although `announce` went on."""
        from dynatrail.sources.kinesis import extract

        return extract.total(summaries)

    done = read.expand(batch=discover())
    done >> state() >> announce()
    summarize(done)


extract_kinesis()
