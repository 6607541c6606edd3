"""Make the encrypted values of one person unreadable, for good and in every copy.

**Runs** only by hand: *Subject* is the person's token, as `python -m dynatrail token` prints it, never a value of
theirs. `count` says how many rows hold values of theirs; `approve` then waits under *Required actions* for somebody
else than who triggered the run. After a rejection nothing happens. After an approval `erase` destroys the person's key
in the state database and records that in `privacy_event`. Tables and evidence stay byte for byte as they are and verify
as before; what is encrypted in them cannot be read any more, and what comes later of the same person is redacted.

**Backfill** is not possible, and not needed: an erasure has no window. Run again, it changes nothing.

**If it is red** open the log of the red task: `count` says what is wrong with the form. If `erase` is red, clear it:
the key is destroyed once and one event is recorded, however often it is run. When who asked has approved as well,
nothing was erased: trigger a new run and let somebody else approve.

**Owner**: the data team that runs Dynatrail.
"""

from datetime import timedelta

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag, get_current_context, task

from dynatrail.assets import PRIVACY_EVENT
from dynatrail.dag_defaults import DEFAULT_ARGS, START


@dag(
    schedule=None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    dagrun_timeout=timedelta(days=6),
    doc_md=__doc__,
    tags=["dynatrail", "privacy"],
    params={
        "subject": Param(
            None,
            type=["null", "string"],
            pattern="^t1:[0-9a-f]{32}$",
            title="Subject",
            description="Token of the person, as `python -m dynatrail token NAME=-` prints it. Never the value itself: "
            "what is written here is kept with the run.",
        ),
        "reason": Param(
            None,
            type=["null", "string"],
            maxLength=1000,
            title="Reason",
            description="Why, such as the number of the person's request. Kept for good and shown to auditors, so "
            "without a name.",
        ),
        "confirm": Param(
            None,
            type=["null", "string"],
            title="Confirm",
            description="Write ERASE: it cannot be taken back.",
        ),
    },
)
def erase_subject() -> None:
    @task
    def count() -> dict:
        """Check the form, and count per table the rows that hold encrypted values of the person."""
        from dynatrail.privacy import erasure
        from dynatrail.settings import settings
        from dynatrail.warehouse.store import Warehouse

        context = get_current_context()
        asked = erasure.asked(settings(), context["params"], context["dag_run"].triggering_user_name)
        return {"rows": erasure.holding(Warehouse.from_settings(settings()), asked.subject)}

    approve = ApprovalOperator(
        task_id="approve",
        subject="Erase {{ params.subject }}?",
        body="Asked for by {{ dag_run.triggering_user_name }}, who cannot approve it. Reason: {{ params.reason }}\n\n"
        "Rows that hold encrypted values: {{ ti.xcom_pull('count')['rows'] or 'none' }}. They stay, and can no longer "
        "be read by anybody. This cannot be taken back.",
        response_timeout=timedelta(days=5),
        doc_md="Wait for the approval of somebody else than who triggered the run.",
    )

    @task(outlets=[PRIVACY_EVENT])
    def erase(approval: dict, *, outlet_events) -> dict:
        """Destroy the person's key, record it, and name the hours of the timeline that have to tell of it."""
        from dynatrail import clock
        from dynatrail.privacy import erasure
        from dynatrail.settings import settings
        from dynatrail.warehouse.store import Warehouse

        context = get_current_context()
        asked = erasure.asked(settings(), context["params"], context["dag_run"].triggering_user_name)
        approver = erasure.approver(approval)
        done = erasure.erase(asked, approver, Warehouse.from_settings(settings()))
        hours = [clock.iso(hour) for hour in sorted(done.hours)]
        outlet_events[PRIVACY_EVENT].extra = {"hours": hours}
        return {"erased_at": clock.iso(done.erased_at), "hours": hours, "erased_before": done.again}

    count() >> approve >> erase(approve.output)


erase_subject()
