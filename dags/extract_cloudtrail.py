"""Take CloudTrail log files of every configured trail from S3 into `api_event`, `api_event_item` and `quarantine`.

**Runs** every hour for the hour before; takes every object delivered since the look-back that it has not taken yet,
whatever hours its events belong to, and names the hours it touched in the event of the asset `api_event`.

**Backfill** it from the UI or with `airflow backfill create --dag-id extract_cloudtrail --from-date … --to-date …`: a
backfill run takes its hour's objects again. A window of any length in one run: trigger it with *From* and *To*.

**If it is red** open the log of the red task: `discover` says what is wrong with bucket, permissions or connection;
`take` names the objects that could not be read, or the expectation that stopped the batch; one with a number below zero
names a trail that could not be listed. Everything else has landed. Digests that may not be read never make it red:
`attest` warns, and the rows say that nothing vouches for them.
Clear the task once the cause is gone; nothing is taken twice.

**Owner**: the data team that runs Dynatrail.
"""

from datetime import timedelta

from airflow.sdk import CronDataIntervalTimetable, Param, TriggerRule, dag, get_current_context, task

from dynatrail.assets import API_EVENT
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
    params={
        **window_params("delivery"),
        "retake": Param(
            False,
            type="boolean",
            title="Take again",
            description="Take the window's objects again although they were taken, for instance after a stricter "
            "masking policy or a better parser. Their rows are replaced, never doubled.",
        ),
    },
)
def extract_cloudtrail() -> None:
    @task
    def discover() -> list[int]:
        """List what was delivered and deal it into batches of one account and region."""
        from dynatrail import window
        from dynatrail.settings import settings
        from dynatrail.sources.cloudtrail import extract

        context = get_current_context()
        run, retake = context["dag_run"], context["params"]["retake"]
        start, end = window.of_run(context)
        again = retake or run.run_type == "backfill"
        return extract.discover(settings(), start, end, retake=again, run_id=run.run_id)

    @task
    def verify_digests() -> dict:
        """Verify what signed digests are there, so that rows are written with what is known of their files."""
        from dataclasses import asdict

        from dynatrail import window
        from dynatrail.settings import settings
        from dynatrail.sources.cloudtrail import proof

        context = get_current_context()
        start, end = window.of_run(context)
        return asdict(proof.before(settings(), start, end, run_id=context["dag_run"].run_id))

    @task(map_index_template="{{ task.op_kwargs['batch'] }}", max_active_tis_per_dag=4)
    def take(batch: int) -> dict:
        """Fetch, hash, parse, mask, check and write one batch."""
        from dataclasses import asdict

        from dynatrail.settings import settings
        from dynatrail.sources.cloudtrail import extract

        run_id = get_current_context()["dag_run"].run_id
        return asdict(extract.take(settings(), batch, run_id=run_id))

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def attest() -> dict:
        """Judge every log file delivered, and correct the rows of those of which more is known by now."""
        from dataclasses import asdict

        from dynatrail import window
        from dynatrail.settings import settings
        from dynatrail.sources.cloudtrail import proof

        context = get_current_context()
        start, end = window.of_run(context)
        return asdict(proof.after(settings(), start, end, run_id=context["dag_run"].run_id))

    @task(outlets=[API_EVENT], trigger_rule=TriggerRule.ALL_DONE)
    def announce(proof: dict | None, *, outlet_events) -> list[str]:
        """Name the hours whose rows changed, those of an earlier run that was killed included.

        Without any, the event still wakes `prove_trail` where more is known of log files than before.
        """
        from airflow.sdk.exceptions import AirflowSkipException

        from dynatrail import clock
        from dynatrail.state import pending

        hours = [clock.iso(hour) for hour in pending.hours("build_trail")]
        if not hours and not (proof and proof["hours"]):
            raise AirflowSkipException("No hour was touched.")
        outlet_events[API_EVENT].extra = {"hours": hours}
        return hours

    @task(trigger_rule=TriggerRule.NONE_FAILED)
    def summarize(summaries: list[dict], proof: dict) -> dict:
        """Add the batches up; red when one of them is, so that the run is red although `announce` went on."""
        from dynatrail.sources.cloudtrail import extract

        return extract.total(summaries, proof)

    batches = discover()
    verified = verify_digests()
    taken = take.expand(batch=batches)
    attested = attest()
    batches >> verified >> taken >> attested
    announce(attested)
    summarize(taken, attested)


extract_cloudtrail()
