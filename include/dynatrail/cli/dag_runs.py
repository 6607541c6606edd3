"""Run the project's own DAGs in this process, one after the other, with progress for a person.

`dag.test()` runs every task here, with a metadata database of its own and no scheduler. Airflow's logs go to a file;
what a person needs to know is printed.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.padding import Padding

from dynatrail import clock, config
from dynatrail.cli import screen
from dynatrail.cli.text import escaped
from dynatrail.errors import DynatrailError
from dynatrail.local import environment
from dynatrail.settings import PROJECT, settings


def prepare(connection: dict[str, object] | None = None, variables: Mapping[str, str] | None = None) -> None:
    """Make this process ready to run DAGs; call it before anything imports Airflow."""
    home = settings().home
    environment.prepare({**environment.airflow_environment(home, connection=connection), **(variables or {})})


def dags(start: datetime, end: datetime, *, retake: bool = False, evidence: bool = True) -> None:
    """Extract from every source, prove it, build the trail, publish evidence, for the window [start, end).

    Streams are read on from where they were left, and snapshots show the account as it is now: neither has a window. A
    source that fails does not keep the others from being read, nor the trail from being built of what has landed.

    Raises:
        DynatrailError: DAGs failed; the message says which, why, and where their log lies.
    """
    window = {"from": clock.iso(start), "to": clock.iso(end)}
    failed: list[str] = []
    with _quiet() as (console, log):

        def run(dag_id: str, conf: dict[str, Any], result: str, told: Callable[[Any], str]) -> Any:
            try:
                found = _run(dag_id, conf, result, console, log)
            except DynatrailError as error:
                failed.append(str(error))
                console.print(f"[red]✗[/] {dag_id:<{_WIDTH}} failed", highlight=False)
                return None
            _say(console, dag_id, told(found))
            return found

        trail = ("extract_cloudtrail", {**window, "retake": retake})
        for dag_id, conf in [trail, *_others(window)]:
            found = run(dag_id, conf, "summarize", _extracted if dag_id == trail[0] else _told)
            for warning in (found or {}).get("warnings", ()):
                console.print(Padding(f"[yellow]{escaped(warning)}[/]", (0, 0, 0, 4)), highlight=False)
        # Proofs read what the sources wrote, the timeline also what was found: so nothing is left waiting.
        run("prove_trail", window, "announce", _proven)
        run("build_trail", {}, "build_audit_record", _built)
        if evidence:
            run("publish_evidence", window, "publish", _published)
    if failed:
        raise DynatrailError("; ".join(failed) + f" The whole log is in {log}.")


def _others(window: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The sources beside CloudTrail; none where only a copy of a bucket is read, as no account answers then."""
    found = config.load(settings())
    if not found.accounts and all(trail.bucket.startswith("file://") for trail in found.trails):
        return []
    return [
        ("extract_streams", {}),
        ("extract_kinesis", {}),
        ("extract_cloudwatch", window),
        ("snapshot_configuration", {}),
        ("snapshot_iam", {}),
    ]


_WIDTH = 22  # of the longest DAG id
_COUNTS = {
    "records": "records",
    "changes": "item changes",
    "gaps": "gaps",
    "datapoints": "datapoints",
    "contributors": "contributors",
    "alarm_events": "alarm events",
    "log_events": "log events",
    "seen": "documents seen",
    "rows": "of them new or changed",
    "unreadable": "unreadable",
    "quarantined": "pieces quarantined",
}


def _told(found: dict[str, Any] | None) -> str:
    """What a source gave; counts of nothing are left out."""
    if not found:
        return "nothing to read"
    counts = [f"{found[name]:,} {text}" for name, text in _COUNTS.items() if found.get(name)]
    return ", ".join(counts) or "nothing new"


def _built(built: Any) -> str:
    return f"{built['hours']} hours, {built['rows_written']:,} records written" if built else "nothing is due"


def _proven(done: Any) -> str:
    if not done:
        return "nothing is due"
    # How many findings there are now is told at the end: a look counts those alone that it wrote.
    return f"{done['hours']} hours, {done['statements']:,} statements new or changed"


def _published(snapshots: Any) -> str:
    return f"{len(snapshots or [])} days in {screen.shown(settings().evidence_root)}"


def _extracted(taken: Any) -> str:
    if not taken or not taken["objects"]:
        return "no new log file"
    return (
        f"{taken['objects']:,} log files, {taken['records']:,} records: {taken['events']:,} events naming "
        f"{taken['items']:,} items, {taken['quarantined']} pieces quarantined"
    )


def _run(dag_id: str, conf: dict[str, Any], result: str, console: Console, log: Path) -> Any:
    """Run one DAG; returns what its task `result` returned, or None where it was skipped."""
    began = time.monotonic()
    with console.status(f"{dag_id} …") if console.is_terminal else _plain(console, dag_id):
        from airflow.dag_processing.dagbag import DagBag

        dag = DagBag(PROJECT / "dags" / f"{dag_id}.py").get_dag(dag_id)
        if dag is None:
            raise DynatrailError(f"The DAG {dag_id} cannot be loaded; {log} says why.")
        for task in dag.tasks:
            task.retries = 0  # a person is watching; whoever wants retries runs the scheduler
        run = dag.test(run_conf=conf)
    if run.state != "success":
        raise DynatrailError(f"{dag_id} ended as {run.state}. {_cause(log)}".rstrip())
    console.dynatrail_seconds = time.monotonic() - began  # type: ignore[attr-defined]
    return _returned(run, result)


def _returned(run: Any, task_id: str) -> Any:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        rows = XComModel.get_many(run_id=run.run_id, dag_ids=run.dag_id, task_ids=task_id, key="return_value")
        row = session.execute(rows.with_only_columns(XComModel.value)).scalar()
    return XComModel.deserialize_value(type("Row", (), {"value": row})) if row is not None else None


def _say(console: Console, dag_id: str, text: str) -> None:
    seconds = getattr(console, "dynatrail_seconds", 0.0)
    console.print(f"[green]✓[/] {dag_id:<{_WIDTH}} {text} [dim]({seconds:.1f} s)[/]", highlight=False)


@contextmanager
def _plain(console: Console, dag_id: str) -> Iterator[None]:
    console.print(f"  {dag_id} …", highlight=False)
    yield


def _cause(log: Path) -> str:
    """The last sentence that one of Dynatrail's errors said, as far as the log shows it."""
    lines = log.read_text(errors="replace").splitlines()
    said = [line.partition("Error: ")[2] for line in lines if line.startswith("dynatrail.errors.")]
    return f"{said[-1]} " if said else ""


@contextmanager
def _quiet() -> Iterator[tuple[Console, Path]]:
    """Send what this process prints to a log file, and give a console on the real standard output."""
    folder = settings().home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"run-{clock.now():%Y%m%dT%H%M%S}.log"
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    real: IO[str] = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    with log.open("ab") as file, real:
        log.chmod(0o600)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield Console(file=real, width=None if real.isatty() else 118), log
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
            os.close(saved[0])
            os.close(saved[1])
