"""State of every hour, table and operation whether the trail holds all of it: `coverage`, and findings where it lacks.

**Runs** whenever rows came in: for the hours that the event of an asset names, or that an earlier run left, and their
neighbours, and for hours that were stated as provisional and may be settled now. Holds the trail's counts against
CloudWatch's, proves the streams' sequences, works out what the trails select, states each hour, and looks for what no
longer arrives. Stating an hour again gives the same rows; a statement that changes keeps what was stated before.

**By hand**: trigger it with *From* and *To* to state a window anew, or with neither to catch up on what is due. It
cannot be backfilled (it has no interval): backfill the extracts instead, or give it the window.

**If it is red** the log of the red task names the cause; the hours stay due, and the next run states them. Clear the
task once the cause is gone. A finding never makes it red: findings are rows of `finding`.

**Owner**: the compliance team; the data team runs it.
"""

from datetime import timedelta

from airflow.sdk import dag, get_current_context, task

from dynatrail.assets import API_EVENT, COVERAGE, FINDING, ITEM_CHANGE, METRIC, TRAIL_CONFIG
from dynatrail.dag_defaults import DEFAULT_ARGS, START, window_params


@dag(
    schedule=API_EVENT | ITEM_CHANGE | METRIC | TRAIL_CONFIG,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    dagrun_timeout=timedelta(hours=6),
    doc_md=__doc__,
    tags=["dynatrail", "proof"],
    params=window_params("event time"),
)
def prove_trail() -> None:
    @task
    def name_hours() -> dict:
        """Gather the hours that are due, and up to when the run speaks."""
        from dynatrail import clock, window
        from dynatrail.integrity import proving
        from dynatrail.settings import settings

        context = get_current_context()
        events = [event for found in context["triggering_asset_events"].values() for event in found]
        params = context["params"]
        asked = (params["from"] or params["to"]) and window.of_run(context)
        return proving.due(settings(), window.hours_named(events), asked or None, clock.now())

    @task
    def compare_counts(due: dict) -> dict:
        """Hold the trail's counts against CloudWatch's, and changes against writes: `reconciliation`."""
        from dynatrail.integrity import proving
        from dynatrail.settings import settings

        return proving.compare_counts(settings(), due)

    @task
    def prove_sequences(due: dict) -> dict:
        """Prove that no change of a stream was left out: `sequence_proof`."""
        from dynatrail.integrity import proving
        from dynatrail.settings import settings

        return proving.prove_sequences(settings(), due)

    @task
    def judge_selectors(due: dict) -> dict:
        """Work out what the trails left out, and what was hidden by it; then judge the counts in its light."""
        from dynatrail.integrity import proving
        from dynatrail.settings import settings

        return proving.judge(settings(), due)

    @task
    def state_coverage(due: dict) -> dict:
        """State each hour of each table and operation: `coverage`."""
        from dynatrail.integrity import proving
        from dynatrail.settings import settings

        return proving.state(settings(), due)

    @task
    def look_for_silence(due: dict) -> dict:
        """Find what no longer arrives."""
        from dynatrail.integrity import proving
        from dynatrail.settings import settings

        return proving.look_for_silence(settings(), due)

    @task(outlets=[COVERAGE, FINDING])
    def announce(due: dict, done: list[dict], *, outlet_events) -> dict:
        """Name the hours that were stated; from now on they are no longer due."""
        from airflow.sdk.exceptions import AirflowSkipException

        from dynatrail.integrity import proving

        if not (summary := proving.finish(due, done))["hours"]:
            raise AirflowSkipException("No hour is due.")
        for asset in (COVERAGE, FINDING):
            outlet_events[asset].extra = {"hours": due["hours"]}
        return summary

    due = name_hours()
    counted, proven, judged, stated = (
        compare_counts(due),
        prove_sequences(due),
        judge_selectors(due),
        state_coverage(due),
    )
    silent = look_for_silence(due)
    counted >> proven >> judged >> stated >> silent
    announce(due, [counted, proven, judged, stated, silent])


prove_trail()
