"""Verify the trail's bucket again, a week back: is every log file genuine and there, and every digest?

**Runs** every day at 04:20 UTC over the seven days before. `extract_cloudtrail` verifies what it takes; this looks
again at what was taken: files forged into old folders, deleted, or altered after they were taken, digests that were
removed or came late. What is new in the bucket is noted for the next extract, which takes it with what is known of it.

**Backfill** it from the UI, each run with the seven days before its end, or trigger it with *From* and *To* for a
window of any length. A window is verified from its bucket, whenever it was.

**If it is red** the log of `verify` names the bucket or the permission. A trail that is not genuine never makes it red:
that is a row of `finding`.

**Owner**: the compliance team; the data team runs it.
"""

from datetime import timedelta

from airflow.sdk import CronDataIntervalTimetable, dag, get_current_context, task

from dynatrail.assets import API_EVENT
from dynatrail.dag_defaults import DEFAULT_ARGS, START, window_params


@dag(
    schedule=CronDataIntervalTimetable("20 4 * * *", timezone="UTC"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    dagrun_timeout=timedelta(hours=6),
    doc_md=__doc__,
    tags=["dynatrail", "proof"],
    params=window_params("delivery"),
)
def verify_trail() -> None:
    @task
    def verify() -> dict:
        """List the buckets, verify digests, hash what changed, judge every log file delivered in the window."""
        from dataclasses import asdict

        from dynatrail import window
        from dynatrail.settings import settings
        from dynatrail.sources.cloudtrail import proof

        context = get_current_context()
        start, end = window.of_run(context)
        if not (context["params"]["from"] or context["params"]["to"]):
            start = end - proof.AGAIN
        return asdict(proof.again(settings(), start, end, run_id=context["dag_run"].run_id))

    @task(outlets=[API_EVENT])
    def announce(proof: dict, *, outlet_events) -> list[str]:
        """Name the hours whose rows changed; wake `prove_trail` where more is known, `build_trail` for new findings."""
        from airflow.sdk.exceptions import AirflowSkipException

        from dynatrail import clock
        from dynatrail.state import pending

        hours = [clock.iso(hour) for hour in pending.hours("build_trail")]
        if not hours and not proof["hours"] and not pending.hours(pending.TIMELINE):
            raise AirflowSkipException("Nothing differs from what was known.")
        outlet_events[API_EVENT].extra = {"hours": hours}
        return hours

    announce(verify())


verify_trail()
