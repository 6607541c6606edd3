"""What a snapshot says about itself: the software and settings that made it, and how a stranger checks it."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from typing import Any

from dynatrail import __version__, config
from dynatrail.evidence.folders import sha256
from dynatrail.privacy import policy
from dynatrail.settings import PROJECT, settings
from dynatrail.warehouse.schema import TABLES

_SETTINGS = ("trail_bucket", "trail_prefix", "accounts", "regions", "lookback_hours", "max_object_mb")
"""Settings that decide which records reach the tables; those that name machines, folders or secrets stay out."""

_WAYS_IN = {"connection", "external_id"}
"""Fields of the configuration that say how to get in, not what is read."""


def software() -> dict[str, Any]:
    """Versions of Dynatrail, of its commit and lock file where they are known, and of what reads and writes rows."""
    lock = PROJECT / "requirements.txt"
    return {
        "dynatrail": __version__,
        "git_commit": settings().git_commit or _git_commit(),
        "requirements_sha256": sha256(lock) if lock.is_file() else None,
        "packages": {name: version(name) for name in ("deltalake", "duckdb", "pyarrow")},
    }


def settings_that_matter() -> dict[str, Any]:
    """Settings, the configuration that a file or they themselves give, and the masking policy."""
    watched = config.load(settings())
    own = {"accounts": {"__all__": _WAYS_IN}, "trails": {"__all__": _WAYS_IN}}
    said = {"configuration": watched.model_dump(mode="json", exclude=own), "masking": policy.load(settings()).told()}
    return settings().model_dump(mode="json", include=set(_SETTINGS)) | said


def _git_commit() -> str | None:
    """The commit of the working tree, with `-dirty` where files differ from it; None without git or repository."""
    git = shutil.which("git")
    if git is None or not (PROJECT / ".git").exists():
        return None
    try:
        described = subprocess.run(  # noqa: S603 - fixed arguments
            [git, "-C", str(PROJECT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()


def readme(day: date, rows: Mapping[str, int], reasons: Sequence[str]) -> str:
    """README.txt, for an auditor who has this folder and nothing else."""
    counts = "\n".join(f"  {name:<16}{count:>12,} rows" for name, count in rows.items())
    grains = "\n".join(f"  {name:<16}  {TABLES[name].grain}" for name in rows)
    state = (
        "PROVISIONAL: more was to come when this was made, because " + "; ".join(reasons) + ".\n\n" if reasons else ""
    )
    return f"""Dynatrail evidence for {day} (UTC)

{state}What happened to Amazon DynamoDB tables on this day, as Dynatrail held it.

{counts}

What one row is:

{grains}

Each table is here twice with the same rows in the same order: .parquet with types, .csv to read anywhere.
Item keys appear only as keyed tokens; the same item has the same token everywhere.

To check that nothing was changed since, in this folder:

  sha256sum -c SHA256SUMS          (macOS: shasum -a 256 -c SHA256SUMS)

Every line must end in OK, and there must be no file here that SHA256SUMS does not name. Compare the SHA-256 of
SHA256SUMS itself with the one that you were given on another way.

To check that the rows are those of the warehouse, use versions.json. It has, for each table, the Delta
Lake version that was read and a content digest of this day's rows, computed from the values alone
(dynatrail/warehouse/digest.py describes how). Read that version, run queries/evidence/<table>.sql with
$start = {day}T00:00:00Z and $end = the next midnight, and compare. audit_record itself was derived by
the queries of queries/trail/audit_record/ with queries/ocsf/activities.csv, and with whom each
caller begins with: queries/trail/callers.sql and queries/trail/first_principal.sql.

CSV: RFC 4180, UTF-8. A quoted empty text is an empty text; nothing between two commas is a missing
value. Times are ISO 8601 in UTC. Lists are JSON. Values are exact, so a spreadsheet would take one that
begins with = + - or @ for a formula: import every column as text.
"""
