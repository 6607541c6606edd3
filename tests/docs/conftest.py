"""The pages, taken apart, and the place where what they show is run."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dynatrail.settings import PROJECT

HERE = Path(__file__).parent
_FENCE = re.compile(
    r"(?:<!-- (?P<said>[a-z ]+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_BETWEEN = "--- next block of the page ---"


@dataclass(frozen=True)
class Block:
    """One fenced block; `said` is the comment on the line before it, if any."""

    language: str
    text: str
    said: str | None


def pages() -> list[Path]:
    return [path for path in (PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))) if path.exists()]


def blocks(page: Path) -> list[Block]:
    found = _FENCE.finditer(page.read_text(encoding="utf-8"))
    return [Block(match["language"], match["text"], match["said"]) for match in found]


def name(page: Path) -> str:
    return page.relative_to(PROJECT).as_posix()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`page`: every page; `shell_page`: those with commands; `sql_block`: every SQL block."""
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", pages(), ids=name)
    if "shell_page" in metafunc.fixturenames:
        shown = [page for page in pages() if any(block.language == "sh" for block in blocks(page))]
        metafunc.parametrize("shell_page", shown, ids=name)
    if "sql_block" in metafunc.fixturenames:
        found = [
            (f"{name(page)}-{n}", b) for page in pages() for n, b in enumerate(blocks(page)) if b.language == "sql"
        ]
        metafunc.parametrize("sql_block", [block for _, block in found], ids=[label for label, _ in found])


@pytest.fixture
def blocks_of() -> Callable[[Path], list[Block]]:
    return blocks


@pytest.fixture(scope="session")
def example(made_once: Callable[..., Path]) -> Path:
    """A folder with `.state`, the home that the examples speak of, and its `trail`; made once for all workers.

    Pages get a copy of the home; the trail is only read, and the home knows its files by their addresses.
    """

    def make(folder: Path) -> None:
        command = [sys.executable, HERE / "build_home.py", folder / ".state", folder / "trail"]
        subprocess.run(command, check=True)

    return made_once("docs-example", make)


@pytest.fixture
def reader(example: Path, with_metadata: Callable[[Path], Path], tmp_path: Path) -> Callable[[list[str]], list[str]]:
    """Types a page's commands, in order, in a copy of the example; returns what each block printed."""
    work = tmp_path / "project"
    work.mkdir()
    for entry in PROJECT.iterdir():
        if entry.name not in (".state", ".venv", ".git", "secrets", ".env"):
            (work / entry.name).symlink_to(entry)
    shutil.copytree(example / ".state", work / ".state")
    with_metadata(work / ".state")
    programs = work / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "activate").touch()
    for program in ("python", "airflow", "aws", "make", "docker", "git"):
        path = programs / program
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "stand_ins.py"}" {program} "$@"\n')
        path.chmod(0o755)

    def type_in(commands: list[str]) -> list[str]:
        script = f"\necho '{_BETWEEN}'\n".join(commands)
        env = {
            "PATH": f"{programs}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "LANG": "C.UTF-8",
            "AIRFLOW_HOME": str(work / ".state" / "airflow"),
            "DOCS_HOME": str(work / ".state"),
            "DOCS_NOTED": str(tmp_path / "noted"),
            "DOCS_TRAIL": (example / "trail").as_uri(),
            "DYNATRAIL_HOME": str(work / ".state"),
        }
        trap = "trap 'echo \"the page stops at: $BASH_COMMAND\" >&2' ERR\n"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-E", "-c", trap + script],
            cwd=work, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout
        checked = subprocess.run(
            [sys.executable, HERE / "stand_ins.py", "check"], env=env, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stderr
        return done.stdout.split(f"{_BETWEEN}\n")

    return type_in


@pytest.fixture
def example_settings(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("DYNATRAIL_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("DYNATRAIL_HOME", str(example / ".state"))
