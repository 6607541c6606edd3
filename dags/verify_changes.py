"""Prove that a window of `item_change` holds what changed, by holding it against an export that DynamoDB makes.

**Runs** only when it is triggered, as every export costs money and copies the changed items into a bucket. Give a
*Table*, *From* and *To* (at least 15 minutes, at most 24 hours) and a *Reason*, or the ARN of an *Export* that is there
already. The rows' net effect on each item must equal the export's. It has no intervals to backfill.

**If it is red** the log of `compare` names the report, which names the items that differ by their tokens, and how.
Repair the window with `repair_changes`; if that leaves differences, the warehouse holds what DynamoDB never did. An
export that is not what its manifest says proves nothing and is refused.

**Owner**: the data team that runs Dynatrail.
"""

from datetime import timedelta

from airflow.sdk import Param, dag, get_current_context, task, task_group

from dynatrail.dag_defaults import DEFAULT_ARGS, START, export_params


@dag(
    schedule=None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    dagrun_timeout=timedelta(hours=6),
    doc_md=__doc__,
    tags=["dynatrail", "verify"],
    params={
        **export_params("changes to verify"),
        "reason": Param(
            None,
            type=["null", "string"],
            title="Reason",
            description="Why this is asked for; kept with the export. Required.",
        ),
    },
)
def verify_changes() -> None:
    @task
    def ask() -> list[str]:
        """Ask AWS for an export of the window, or find one."""
        from dynatrail.errors import SettingsError
        from dynatrail.settings import settings
        from dynatrail.sources.exports.ask import Form, for_form

        context = get_current_context()
        run = context["dag_run"]
        form = Form.read(context["params"], getattr(run, "triggering_user_name", None) or run.run_id)
        if form is None:
            raise SettingsError("Say what to verify: a table, from and to, and a reason.")
        return for_form(settings(), form, "verify").exports

    @task_group
    def verify(export: str) -> None:
        @task.sensor(
            mode="reschedule",
            poke_interval=5,
            exponential_backoff=True,
            max_wait=timedelta(minutes=5),
            timeout=5 * 3600,
        )
        def wait(export: str) -> bool:
            """Look now and then whether AWS is done."""
            from dynatrail.settings import settings
            from dynatrail.sources.exports import ask

            return ask.refresh(settings(), export)

        @task
        def compare(export: str) -> dict:
            """Verify the export and hold the window's rows against it; red when they differ."""
            from dataclasses import asdict

            from dynatrail.settings import settings
            from dynatrail.sources.exports import compare

            done = compare.compare(settings(), export, run_id=get_current_context()["dag_run"].run_id)
            done.must_agree()
            return asdict(done)

        wait(export) >> compare(export)

    verify.expand(export=ask())


verify_changes()
