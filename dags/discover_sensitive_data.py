"""Find which attributes hold sensitive values, and propose what the masking policy should say of them.

**Runs** every Monday at 08:15, and when it is triggered: for one *Table* or all, with *Items* as samples of each. It
reads the newest changes of the streams, and items of tables whose note allows it (`sample_scan`) by a Scan that tells
in the log of `look` what it will cost, before it begins, and stays below *Capacity* and *Rate*. Samples stay in memory;
`sensitive_attribute` gets paths, classes and counts. There is no backfill: nobody knows what a table held.

**Approval**: where the masking policy does not hide what was found, `approve` waits for a person (Required Actions,
five days, then it counts as rejected). Approved, the proposal becomes a file `proposed-TABLE.yaml` of the policy's
folder, if that can be written to; nothing else changes. Committing the text to the policy's repository is the better
way.

**If it is red** the log of `summarize` names the tables that could not be looked at, and what AWS refused; all others
were. `write_policy` is red where the policy has changed since the proposal: run it again.

**Owner**: the data team that runs Dynatrail.
"""

from datetime import timedelta

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import CronDataIntervalTimetable, Param, TriggerRule, dag, get_current_context, task

from dynatrail.assets import FINDING
from dynatrail.dag_defaults import DEFAULT_ARGS, START


@dag(
    schedule=CronDataIntervalTimetable("15 8 * * 1", timezone="UTC"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    dagrun_timeout=timedelta(days=6),
    doc_md=__doc__,
    tags=["dynatrail", "privacy"],
    params={
        "table": Param(
            None, type=["null", "string"], title="Table", description="Name of one table. Empty: all that are watched."
        ),
        "items": Param(
            1000,
            type="integer",
            minimum=1,
            maximum=20_000,
            title="Items",
            description="Samples of a table, at most so many of its stream and so many of a Scan.",
        ),
        "scan": Param(
            True, type="boolean", title="Scan", description="Also scan the tables whose note allows it (sample_scan)."
        ),
        "scan_capacity": Param(
            500,
            type="number",
            exclusiveMinimum=0,
            maximum=100_000,
            title="Capacity",
            description="Read units that the Scan of one table may consume at most.",
        ),
        "scan_rate": Param(
            25,
            type="number",
            exclusiveMinimum=0,
            maximum=3000,
            title="Rate",
            description="Read units a second that a Scan may consume at most, on average.",
        ),
        "ask": Param(
            True,
            type="boolean",
            title="Ask",
            description="Wait for a person to approve what is proposed. Off: it is only shown.",
        ),
    },
)
def discover_sensitive_data() -> None:
    @task
    def discover() -> list[int]:
        """Number the account-regions, after making sure that this run is not for the past."""
        from dynatrail.privacy import sensitive
        from dynatrail.settings import settings
        from dynatrail.sources.snapshots import instant

        instant.of_run(get_current_context(), sensitive.PERIOD)
        return sensitive.discover(settings())

    @task(max_active_tis_per_dag=2)
    def look(number: int) -> dict:
        """Look at samples of one account-region and write what is sensitive."""
        from dataclasses import asdict

        from dynatrail.privacy import sensitive
        from dynatrail.settings import settings
        from dynatrail.sources.snapshots import instant

        context = get_current_context()
        at = instant.of_run(context, sensitive.PERIOD)
        return asdict(sensitive.look(settings(), number, at, sensitive.Form.read(context["params"])))

    @task(outlets=[FINDING], trigger_rule=TriggerRule.ALL_DONE)
    def announce(*, outlet_events) -> list[str]:
        """Name the hours whose findings changed."""
        from dynatrail.privacy import sensitive

        hours = sensitive.hours_to_announce()
        outlet_events[FINDING].extra = {"hours": hours}
        return hours

    @task
    def propose() -> dict:
        """Say what the masking policy should be; skipped where it hides everything, or nobody is to be asked."""
        from dynatrail.privacy import proposals
        from dynatrail.settings import settings

        params = get_current_context()["params"]
        return proposals.for_approval(settings(), params["table"] or "", ask=params["ask"])

    approve = ApprovalOperator(
        task_id="approve",
        subject="What the masking policy should say",
        body="{{ ti.xcom_pull(task_ids='propose')['body'] }}",
        defaults=ApprovalOperator.REJECT,
        response_timeout=timedelta(days=5),
        doc_md="Wait for a person to approve or reject; nothing changes before.",
    )

    @task
    def write_policy(proposed: dict) -> dict:
        """Write what was approved into files of its own, where the folder allows it, and say what is left to do."""
        from dynatrail.privacy import proposals
        from dynatrail.settings import settings

        return proposals.approved(settings(), proposed, get_current_context()["ti"].xcom_pull(task_ids="approve"))

    @task(trigger_rule=TriggerRule.NONE_FAILED)
    def summarize(summaries: list[dict]) -> dict:
        """Add the looks up; red when a table could not be looked at."""
        from dynatrail.privacy import sensitive
        from dynatrail.settings import settings

        form = sensitive.Form.read(get_current_context()["params"])
        return sensitive.complain(settings(), summaries, form)

    looked = look.expand(number=discover())
    looked >> announce()
    summarize(looked)
    proposed = propose()
    looked >> proposed >> approve >> write_policy(proposed)


discover_sensitive_data()
