"""What all commands print on."""

import os
import sys
from pathlib import Path

from rich.console import Console

WIDTH = 118


def console(*, record: bool = False) -> Console:
    """The console of all commands: as wide as the terminal, or as a page where there is none."""
    return Console(record=record, width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def shown(path: Path | str) -> str:
    """A path as a person would type it here."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else str(path)
