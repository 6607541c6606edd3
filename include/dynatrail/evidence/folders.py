"""A snapshot's folder: made whole or not at all, with a manifest that `sha256sum -c SHA256SUMS` reads.

A day's snapshots lie in `<evidence root>/<day>/r1`, `r2`, …; a revision is never changed once it has its name.
"""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dynatrail.errors import EvidenceError

MANIFEST = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")
_REVISION = re.compile(r"r([1-9]\d*)")
_PARTIAL = ".partial"


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold `root` for one publisher at a time; the others wait.

    Raises:
        EvidenceError: the folder cannot be made, or its file system has no locks.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with (root / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise EvidenceError(
            f"Evidence cannot be written to {root}: {error.strerror or error}. Make the folder writable, on a file "
            "system with locks, or set DYNATRAIL_EVIDENCE to another."
        ) from error


def revisions(day_folder: Path) -> list[int]:
    """The revisions that are there, ascending."""
    names = (path.name for path in day_folder.iterdir() if path.is_dir()) if day_folder.is_dir() else ()
    return sorted(int(found[1]) for name in names if (found := _REVISION.fullmatch(name)))


@contextmanager
def partial(day_folder: Path) -> Iterator[Path]:
    """A folder to fill beside the final place; gone at the end if `finish` did not give it its name."""
    made = day_folder / _PARTIAL
    shutil.rmtree(made, ignore_errors=True)  # of a killed publisher: the lock is held, so nobody fills it now
    made.mkdir(parents=True)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def finish(filled: Path, final: Path) -> str:
    """Write the manifest of `filled`, bring all of it to disk, and give it its name.

    Returns:
        SHA-256 of the manifest.
    """
    lines = "".join(f"{sha256(filled / name)}  {name}\n" for name in _files(filled))
    (filled / MANIFEST).write_text(lines, encoding="utf-8")
    for folder, _, names in os.walk(filled):
        for name in names:
            _sync(Path(folder) / name)
        _sync(Path(folder))
    filled.rename(final)
    for above in (final.parent, final.parent.parent):
        _sync(above)
    return hashlib.sha256(lines.encode()).hexdigest()


def verify(folder: Path) -> str:
    """Check every file of a snapshot against its manifest; also that there is no file which the manifest lacks.

    Returns:
        SHA-256 of the manifest, to compare with the evidence index or another record of it.

    Raises:
        EvidenceError: the snapshot does not verify; the message names the files.
    """
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        present = set(_files(folder))
        named = {found[2]: found[1] for line in text.splitlines() if (found := _LINE.fullmatch(line))}
        faults = [f"{name} is missing" for name in sorted(named.keys() - present)]
        faults += [f"{name} is not in {MANIFEST}" for name in sorted(present - named.keys())]
        faults += [
            f"{name} has other content"
            for name in sorted(named.keys() & present)
            if sha256(folder / name) != named[name]
        ]
    except (OSError, UnicodeDecodeError) as error:
        faults = [f"{MANIFEST} or a file cannot be read ({error})"]
    else:
        if len(named) != len(text.splitlines()) or not text.endswith("\n"):
            faults.append(f"{MANIFEST} has lines that are none")
    if faults:
        raise EvidenceError(
            f"The snapshot {folder} does not verify: {'; '.join(faults)}. Keep it as it is for the investigation, "
            "restore it from a copy, or move it away and publish the day again."
        )
    return hashlib.sha256(text.encode()).hexdigest()


def sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _files(folder: Path) -> list[str]:
    """Relative names of all files but the manifest, sorted."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    return sorted(name for name in names if name != MANIFEST)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
