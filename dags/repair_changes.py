"""Reconstruct item changes that no stream gave, from incremental exports of point-in-time recovery.

**Runs** every hour: asks for an export of every recorded gap that recovery reaches, waits for it without holding a
worker, verifies it against its manifests, loads what is missing into `item_change` (labelled `reconstructed`), closes
the gap, and states its hours anew. Exports that an earlier run asked for are gone on with. Without gaps it asks AWS
nothing. Each export costs money: see docs/cookbooks/repair-a-gap.md.

**By hand**: trigger it with a *Table*, *From* and *To* (24 hours at most) and a *Reason* for a span that was never
recorded as a gap; or with the ARN of an *Export* that is there already. An export that is loaded again replaces its
rows, never doubles them. It has no intervals to backfill.

**If it is red** open the log of the red task: `ask` says what AWS refuses; `load` names the export that is not what its
manifest says, of which nothing was loaded; `summarize` names the tables for which nothing could be asked. The gap stays
open, and the next run tries again, three times for one window; after that a person must look.

**Owner**: the data team that runs Dynatrail.
"""

from datetime import timedelta

from airflow.sdk import CronDataIntervalTimetable, Param, TriggerRule, dag, get_current_context, task, task_group

from dynatrail.assets import ITEM_CHANGE
from dynatrail.dag_defaults import DEFAULT_ARGS, START, export_params


@dag(
    schedule=CronDataIntervalTimetable("30 * * * *", timezone="UTC"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    dagrun_timeout=timedelta(hours=6),
    doc_md=__doc__,
    tags=["dynatrail", "repair"],
    params={
        **export_params("changes to reconstruct"),
        "reason": Param(
            None,
            type=["null", "string"],
            title="Reason",
            description="Why this is asked for; kept with the export. Required with a table or an export.",
        ),
    },
)
def repair_changes() -> None:
    @task
    def ask() -> dict:
        """Ask AWS for the exports that are needed, or find them."""
        from dataclasses import asdict

        from dynatrail.settings import settings
        from dynatrail.sources.exports.ask import Form, for_form, for_gaps

        context = get_current_context()
        run = context["dag_run"]
        requested_by = getattr(run, "triggering_user_name", None) or run.run_id
        form = Form.read(context["params"], requested_by)
        return asdict(for_form(settings(), form, "repair") if form else for_gaps(settings()))

    @task
    def exports(asked: dict) -> list[str]:
        """The exports to wait for."""
        return asked["exports"]

    @task_group
    def repair(export: str) -> None:
        @task.sensor(
            mode="reschedule",
            poke_interval=5,
            exponential_backoff=True,
            max_wait=timedelta(minutes=5),
            timeout=5 * 3600,
            soft_fail=True,
        )
        def wait(export: str) -> bool:
            """Look now and then whether AWS is done; a run that waited for 5 hours leaves it to the next."""
            from dynatrail.settings import settings
            from dynatrail.sources.exports import ask

            return ask.refresh(settings(), export)

        @task(max_active_tis_per_dag=1)
        def load(export: str) -> dict:
            """Verify the export, load what is missing, close the gap."""
            from dataclasses import asdict

            from dynatrail.settings import settings
            from dynatrail.sources.exports import repair

            return asdict(repair.load(settings(), export, run_id=get_current_context()["dag_run"].run_id))

        wait(export) >> load(export)

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
    def summarize(asked: dict) -> dict:
        """Say what became of the exports and what stays missing; red when something could not be asked for."""
        from dynatrail.errors import SourceError
        from dynatrail.sources.exports import repair

        if asked["failed"]:
            raise SourceError(" ".join(asked["failed"]))
        return repair.total(asked["exports"]) | {"left": asked["left"]}

    asked = ask()
    repaired = repair.expand(export=exports(asked))
    repaired >> announce()
    repaired >> summarize(asked)


repair_changes()
