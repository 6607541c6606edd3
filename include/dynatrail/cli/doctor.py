"""`doctor`: look at everything a run needs, and say what to do about each problem."""

import importlib.util
import os
import shutil
from collections.abc import Iterator

from rich.console import Console

from dynatrail import config
from dynatrail.cli import doctor_aws, doctor_changes, doctor_proof
from dynatrail.cli.findings import Finding, guarded
from dynatrail.cli.screen import console
from dynatrail.cli.text import escaped
from dynatrail.errors import DynatrailError
from dynatrail.settings import Settings, settings

_LEAST_FREE_GB = 2
_WIDTH = 22


def run() -> int:
    """Print every finding; returns 1 if a run would fail, else 0."""
    # Airflow would log a line for every connection that is opened; it reads this when it is first imported.
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING")
    out = console()
    failed, advice = False, ""
    for finding in findings():
        if finding.advice != advice:
            _advise(out, advice)
        sign = (
            "[green]ok  [/]"
            if finding.ok and not finding.advice
            else "[yellow]note[/]"
            if finding.ok
            else "[red]FAIL[/]"
        )
        out.print(f"{sign} {escaped(finding.what):<{_WIDTH}} {escaped(finding.state)}", highlight=False, soft_wrap=True)
        failed, advice = failed or not finding.ok, finding.advice
    _advise(out, advice)
    out.print("[red]Something would fail.[/]" if failed else "[green]A run should work.[/]")
    return int(failed)


def _advise(out: Console, advice: str) -> None:
    """What to do, once below all findings in a row that it is for."""
    if advice:
        out.print(f"       → {escaped(advice)}", highlight=False, soft_wrap=True)


def findings() -> Iterator[Finding]:
    """Look, one thing after the other; what cannot be looked at because of an earlier fault is left out."""
    try:
        chosen = settings()
    except DynatrailError as error:
        yield Finding("settings", "do not parse", str(error), ok=False)
        return
    yield _home(chosen)
    yield from guarded("masking key", lambda: _key(chosen))
    state = list(guarded("state database", _state))
    yield from state
    known = all(finding.ok for finding in state)
    if known:
        yield from guarded("gaps", doctor_changes.gaps)
        yield from guarded("proof", doctor_proof.unstated)
    stored = list(guarded("warehouse", lambda: _warehouse(chosen)))
    yield from stored
    if all(finding.ok for finding in stored):
        yield from guarded("findings", lambda: doctor_proof.findings(chosen))
    yield _packages()
    try:
        watched = config.load(chosen)
    except DynatrailError as error:
        yield Finding("configuration", "is wrong", str(error), ok=False)
        return
    yield _configuration(chosen, watched)
    if known:
        yield from guarded("streams", lambda: doctor_changes.checkpoints(watched))
    yield from doctor_aws.findings(chosen, watched)


def _home(chosen: Settings) -> Finding:
    home = chosen.home
    existing = next(path for path in (home, *home.absolute().parents) if path.exists())
    if not existing.is_dir():
        return Finding("home", str(home), f"{existing} is no folder. Set DYNATRAIL_HOME to one.", ok=False)
    if not os.access(existing, os.W_OK):
        return Finding(
            "home", str(home), f"{existing} cannot be written. Set DYNATRAIL_HOME to a folder of yours.", ok=False
        )
    free = shutil.disk_usage(existing).free >> 30
    advice = "" if free >= _LEAST_FREE_GB else "Free some space, or set DYNATRAIL_HOME to a larger disk."
    return Finding("home", f"{home}, {free} GB free", advice)


def _key(chosen: Settings) -> Finding:
    from dynatrail.privacy.tokens import Tokenizer, load_key

    Tokenizer(load_key(chosen))
    where = f"Airflow Variable {chosen.token_key}" if chosen.token_key else str(chosen.home / "token.key")
    advice = "" if chosen.token_key else "Back it up: without it old and new tokens cannot be joined."
    return Finding("masking key", where, advice)


def _state() -> Finding:
    from sqlalchemy import func, select

    from dynatrail.integrity.attest import DIGEST_SOURCE
    from dynatrail.state.database import session
    from dynatrail.state.models import SourceObject

    with session() as opened:
        # Digests are read again until they are valid; what they are is in trail_digest.
        of_logs = SourceObject.source != DIGEST_SOURCE
        query = select(SourceObject.status, func.count()).where(of_logs).group_by(SourceObject.status)
        counts = {status: count for status, count in opened.execute(query)}  # noqa: C416  rows are no plain tuples
    failed = counts.get("failed", 0)
    text = ", ".join(f"{count:,} objects {status}" for status, count in sorted(counts.items())) or "empty"
    return Finding("state database", text, "The next run reads the failed objects again." if failed else "")


def _warehouse(chosen: Settings) -> Finding:
    from dynatrail.warehouse.store import Warehouse

    if "[" in chosen.warehouse_root:
        return Finding(
            "warehouse",
            chosen.warehouse_root,
            "A path with [ in it ends delta-rs, the library that writes the tables. Set DYNATRAIL_WAREHOUSE (or "
            "DYNATRAIL_HOME) to a path without it.",
            ok=False,
        )
    count = len(Warehouse.from_settings(chosen).versions())
    tables = f"{count} {_plural('table', count)}" if count else "empty"
    return Finding("warehouse", f"{chosen.warehouse_root}: {tables}")


def _packages() -> Finding:
    names = ("airflow", "deltalake", "duckdb", "great_expectations", "boto3")
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        return Finding("packages", f"missing: {', '.join(missing)}", "Run `make setup`.", ok=False)
    from importlib.metadata import version

    shown = {"airflow": "apache-airflow", "great_expectations": "great-expectations"}
    return Finding("packages", ", ".join(f"{name} {version(shown.get(name, name))}" for name in names))


def _configuration(chosen: Settings, watched: config.Config) -> Finding:
    path = chosen.config_file
    if not path.exists():
        named = "the environment names one trail, the connection's account" if watched.trails else "nothing is named"
        return Finding("configuration", f"no file at {path}: {named}")
    counts = {
        "trail": len(watched.trails),
        "account": len(watched.accounts),
        "account-region": len(config.targets(watched)),
        "note on tables": len(watched.tables),
    }
    text = ", ".join(f"{count} {_plural(name, count)}" for name, count in counts.items())
    return Finding("configuration", f"{path}: {text}")


def _plural(name: str, count: int) -> str:
    first, space, rest = name.partition(" ")
    return name if count == 1 else f"{first}s{space}{rest}"
