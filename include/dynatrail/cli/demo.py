"""`demo` and `ui`: the local AWS account, and the DAGs over it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dynatrail import clock
from dynatrail.cli import dag_runs, screen, summary
from dynatrail.errors import SandboxError
from dynatrail.local.environment import sandbox_access
from dynatrail.settings import settings

if TYPE_CHECKING:
    from dynatrail.sandbox import Played, Sandbox

_SCENARIO = "clinic"
_DAYS = 14


def run(*, scenario: str | None, days: int | None, picture: Path | None = None) -> None:
    """Play `scenario` in the sandbox of this home (once), run the DAGs over its window, print the summary.

    Where one was played before it is that one; None takes it as it is.

    Raises:
        SandboxError: there is no such scenario, or the home holds another one or another number of days.
    """
    from dynatrail.sandbox import Sandbox

    folder = settings().home / "sandbox"
    check(folder, scenario, days)
    out = screen.console()
    out.print("[bold]1. The local AWS account[/] (simulated: ministack behind a recorder that writes CloudTrail files)")
    with Sandbox(folder) as sandbox:
        played = play(sandbox, scenario or _SCENARIO, days or _DAYS)
        counts = played.summary
        start, end = played.window
        out.print(
            f"   {clock.iso(start)} to {clock.iso(end)}: accounts {', '.join(played.accounts)}, "
            f"regions {', '.join(played.regions)}, trail bucket {played.trail_bucket}; "
            f"{counts['records']:,} records",
            highlight=False,
        )
        out.print("[bold]2. The DAGs[/], in this process, with the auditor's least-privilege key")
        dag_runs.prepare(*sandbox_access(sandbox))
        dag_runs.dags(start, end)
    summary.show(start, end, picture=picture)


def ui(*, port: int, with_sandbox: bool) -> None:
    """Run Airflow with its page in the foreground, the sandbox behind it."""
    from dynatrail.local.airflow_ui import serve

    home = settings().home
    if not with_sandbox:
        serve(home, port=port)
        return
    from dynatrail.sandbox import Sandbox

    with Sandbox(home / "sandbox") as sandbox:
        start, end = play(sandbox, _SCENARIO, _DAYS).window
        screen.console().print(
            f"The account has worked from {clock.iso(start)} to {clock.iso(end)}, and goes on. For its whole history "
            "trigger extract_cloudtrail with these as From and To.",
            highlight=False,
        )
        serve(home, sandbox=sandbox, port=port)


def check(folder: Path, scenario: str | None, days: int | None) -> None:
    """Refuse what a sandbox over `folder` cannot give, before it is started; None takes what there is.

    Raises:
        SandboxError: there is no such scenario, or the folder holds another one or another number of days.
    """
    from dynatrail.sandbox import state
    from dynatrail.sandbox.scenarios import find

    if scenario is not None:
        find(scenario)
    played = state.load(folder, "").played
    if played is None:
        return
    start, end = played.window
    length = round((end - start) / clock.DAY)
    if scenario not in (None, played.scenario) or days not in (None, length):
        here, asked = (
            f"{name} over {n} day{'' if n == 1 else 's'}"
            for name, n in ((played.scenario, length), (scenario or played.scenario, days or length))
        )
        raise SandboxError(
            f"The sandbox of this home has played {here}, not {asked}. Leave out "
            "--scenario and --days to go on with it, or take another home: set DYNATRAIL_HOME to another folder, or "
            f"remove everything that was made in this one ({folder.parent}; `make clean` does it for .state)."
        )


def play(sandbox: "Sandbox", scenario: str, days: int) -> "Played":
    """What was played in this folder, or the scenario played now up to the last midnight, with progress."""
    if sandbox.played is not None:
        return sandbox.played
    end = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    with _progress(scenario) as update:
        return sandbox.play(scenario, end=end, days=days, on_progress=update)


@contextmanager
def _progress(scenario: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on a terminal; elsewhere a line every few seconds."""
    out = screen.console()
    if not out.is_terminal:
        last = 0.0

        def line(done: int, total: int, text: str) -> None:
            nonlocal last
            if time.monotonic() - last > 5 or done >= total:  # noqa: PLR2004  seconds
                last = time.monotonic()
                out.print(f"   {done:,} of {total:,} calls: {text}", highlight=False, markup=False)

        yield line
        return
    columns = (
        TextColumn("  "),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=out, transient=True) as progress:
        task = progress.add_task(scenario, total=None)
        yield lambda done, total, text: progress.update(task, completed=done, total=total, description=text)
