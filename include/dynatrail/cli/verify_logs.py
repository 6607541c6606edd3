"""`verify-logs`: is every log file of a window genuine and there? On a bucket, or offline on a copy of one.

It believes nothing that was found before: it lists, hashes and verifies for itself. From the warehouse it takes only
public keys that were once verified, when trails were logging, and which files had been there.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from dynatrail import clock, window
from dynatrail.cli.text import escaped
from dynatrail.config import Trail
from dynatrail.errors import DynatrailError, SettingsError, SourceError
from dynatrail.integrity import asking, attest, logging_spans, reading, remembered
from dynatrail.integrity.chains import Chain
from dynatrail.integrity.digest_findings import find
from dynatrail.integrity.digests import Beside, DigestFile, Verified, verify
from dynatrail.integrity.findings import Finding
from dynatrail.integrity.keys import Keys
from dynatrail.integrity.log_files import KNOWN, judge
from dynatrail.integrity.reading import Listing, Place
from dynatrail.settings import Settings, settings
from dynatrail.sources.cloudtrail.batch import SOURCE
from dynatrail.sources.cloudtrail.trails import Source, Sources
from dynatrail.state.ledger import KnownObject, Ledger
from dynatrail.warehouse.store import Warehouse

CLEAN, PROBLEMS, WRONG_USE = 0, 1, 2
_LATE = ("altered", "forged", "missing")
_NOT_VERIFIED = ("invalid", "pending", "unread")


@dataclass(slots=True)
class Report:
    """What was found.

    Attributes:
        chains: a row for each chain.
        files: log files by status.
        problems: what is wrong, named.
        warnings: what could not be looked at, or only in part.
    """

    chains: list[dict[str, Any]] = field(default_factory=list)
    files: Counter[str] = field(default_factory=Counter)
    problems: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def run(first: str, last: str, *, folder: Path | None, keys: Path | None, as_json: bool) -> int:
    """Verify a window of delivery and print what was found; the exit code: 0 clean, 1 problems, 2 no verdict."""
    try:
        start, end = window.parse(first, last)
        given = _keys_in(keys) if keys else None
        sources = _sources(folder)
        offline = folder is not None and given is not None
        with redirect_stdout(sys.stderr):  # Airflow and Alembic log to standard output, which is the report's
            report = verified(settings(), sources, start, end, keys=given, offline=offline)
    except DynatrailError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_USE
    if as_json:
        print(json.dumps(_document(report, start, end), indent=2))
    else:
        _show(report, start, end)
    return PROBLEMS if report.problems else CLEAN


def verified(
    configured: Settings, sources: Sequence[Source], start: datetime, end: datetime, *, keys: Keys | None, offline: bool
) -> Report:
    """Verify what was delivered in a window.

    Args:
        configured: where warehouse and state are.
        sources: buckets or copies.
        start: begin of the window, inclusive.
        end: its end, exclusive.
        keys: public keys; None: AWS's, or those of the warehouse where AWS cannot be asked.
        offline: use neither warehouse nor state nor AWS.

    Raises:
        SourceError: nothing can be listed.
    """
    there, faults = reading.places(sources)
    look = _Look(configured, sources, (start, end), keys, offline=offline)
    places = reading.with_gone(there, sources, look.before())
    if not places or (faults and not there):
        raise SourceError(faults[0] if faults else "There is no log file and no digest of CloudTrail.")
    report = Report(warnings=faults)
    listings = reading.side_by_side(
        lambda place: reading.listing(place, (start, end), (start - attest.BEFORE, end + attest.AFTER)), places
    )
    for place, listing in zip(places, listings, strict=True):
        report.warnings += [fault for fault in listing.faults if fault not in report.warnings]
        if listing.listed:
            look.take(place, listing, report)
    if not report.chains and not report.files:
        report.problems.append(_nothing(start, end))
    return report


class _Look:
    def __init__(
        self,
        configured: Settings,
        sources: Sequence[Source],
        span: tuple[datetime, datetime],
        keys: Keys | None,
        *,
        offline: bool,
    ) -> None:
        self._settings, self._sources, self._keys = configured, sources, keys
        self._start, self._end = span
        self._around = (span[0] - attest.BEFORE, span[1] + attest.AFTER)
        self._history = logging_spans.History()
        self._memory: remembered.Memory | None = None
        self._ledger: list[KnownObject] = []
        if not offline:
            warehouse = Warehouse.from_settings(configured)
            self._memory = remembered.load(warehouse, *self._around)
            self._history = logging_spans.load(warehouse)
            self._ledger = Ledger(SOURCE).delivered(*span)

    def before(self) -> set[str]:
        """Addresses of what was there when it was looked at before."""
        digests = self._memory.addresses() if self._memory is not None else set()
        return digests | {row.uri for row in self._ledger}

    def take(self, place: Place, listing: Listing, report: Report) -> None:
        """Verify one account and region, and add what comes out."""
        files = list(reading.read_digests(self._sources, listing.digests.keys()))
        result = verify(
            files,
            keys=self._vouched(place, files, report),
            since=self._around[0],
            until=self._end,
            reach=self._around[1],
            beside=self._beside(place, listing, files),
        )
        rows = judge(self._known(listing), result, since=self._start, until=self._end, listed=listing.listed)
        self._tell(result, rows, report)

    def _beside(self, place: Place, listing: Listing, files: Iterable[DigestFile]) -> Beside:
        here = (place.account_id, place.region)
        gone = None
        if self._memory is not None:
            gone = self._memory.of(*here).gone(listing.digests.keys(), listing.listed)
        known = [one.delivered_at for one in listing.logs.values()]
        known += [one.delivered_at for one in self._ledger if (one.account_id, one.region) == here]
        online = self._memory is not None and not all(part.source.trail.is_copy for part in place.parts)
        trails = _trails(files)
        return Beside(
            gone=gone,
            spans=tuple(self._history.spans),
            facts=asking.trail_facts(self._settings, trails, self._history.arns) if online else (),
            known_since={here: min(known)} if known else {},
        )

    def _vouched(self, place: Place, files: Iterable[DigestFile], report: Report) -> Keys:
        if self._keys is not None:
            if (named := remembered.fingerprints(files)) and not named & set(self._keys):
                report.warnings.append(
                    f"No key of --keys signed a digest of {place.account_id} in {place.region}. Is the file of that "
                    "region, and of the time in which the digests were made?"
                )
            return self._keys
        assert self._memory is not None
        own = self._memory.of(place.account_id, place.region).keys()
        connections = [
            part.source.trail.connection
            for part in place.parts
            if part.source.trail.connection or not part.source.trail.is_copy
        ]
        if not connections and not remembered.fingerprints(files) - set(own):
            return own
        try:
            # AWS's word alone: whoever writes to bucket and warehouse could bring a key of their own.
            return asking.public_keys(self._settings, connections, place.region, *self._around) or own
        except SourceError as error:
            if str(error) not in report.warnings:
                report.warnings.append(str(error))
            return own

    def _known(self, listing: Listing) -> pa.Table:
        limit = self._settings.max_object_mb << 20
        rows: dict[str, dict[str, Any]] = {
            one.uri: _row(one, present=False, records=one.records, sha256=one.sha256)
            for one in self._ledger
            if one.uri.startswith(listing.listed)
        }
        for uri, hashed in reading.hashes(self._sources, listing.logs.keys(), limit=limit):
            rows[uri] = _row(
                listing.logs[uri],
                present=True,
                sha256=hashed.sha256,
                error=hashed.error,
                first_member_sha256=hashed.first_member_sha256,
            )
        return pa.Table.from_pylist([rows[uri] for uri in sorted(rows)], KNOWN)

    def _tell(self, result: Verified, rows: pa.Table, report: Report) -> None:
        report.chains += [_chain(chain) for chain in result.chains]
        report.files.update(rows["status"].to_pylist())
        named = find(result, rows)
        report.problems += [_problem(one) for one in named]
        told = {uri for one in named for uri in one.evidence_ids}
        for row in rows.to_pylist():
            if row["status"] in _LATE and row["source_uri"] not in told:
                report.problems.append(
                    {"rule": f"integrity.log_file_{row['status']}", "severity": "High"}
                    | {"title": f"Log file {row['status']}", "explanation": row["reason"] or ""}
                    | {"names": [row["source_uri"]]}
                )


def _row(one: Any, **more: Any) -> dict[str, Any]:
    fields = {name: getattr(one, name) for name in ("account_id", "region", "delivered_at", "size")}
    return {"source_uri": one.uri, **fields, **more}


def _chain(chain: Chain) -> dict[str, Any]:
    return {
        "account_id": chain.id.account_id,
        "region": chain.id.region,
        "trail": chain.id.trail_name,
        "kind": chain.id.kind,
        "folder": chain.id.base,
        "digests": sum(chain.digests.values()),
        "valid": chain.digests.get("valid", 0),
        "missing": chain.digests.get("missing", 0),
        "not_verified": {name: chain.digests[name] for name in _NOT_VERIFIED if chain.digests.get(name)},
        "states": [state.value for state in chain.states],
    }


def _problem(one: Finding) -> dict[str, Any]:
    return {
        "rule": one.rule_id,
        "severity": one.severity,
        "title": one.title,
        "explanation": one.explanation,
        "names": sorted(one.evidence_ids),
    }


def _nothing(start: datetime, end: datetime) -> dict[str, Any]:
    """No pass: whoever deletes all of a window leaves the same as a window in which there never was anything."""
    return {
        "rule": "nothing_to_verify",
        "severity": "High",
        "title": "There is no log file and no digest to verify",
        "explanation": f"None was delivered from {clock.iso(start)} to {clock.iso(end)} or around it, or all are gone. "
        "Check the dates, and whether a copy holds them.",
        "names": [],
    }


def _trails(files: Iterable[DigestFile]) -> set[tuple[str, str]]:
    """Name and home region of the trails that these digests are of."""
    names = (file.key.rpartition("/")[2].removesuffix(".json.gz").removesuffix("_backfill") for file in files)
    parts = (name.split("_CloudTrail-Digest_")[-1].split("_") for name in names)
    # REGION_TRAIL_HOMEREGION_TIME, and a trail's name may hold the separator.
    return {("_".join(part[1:-2]), part[-2]) for part in parts if len(part) > 3}  # noqa: PLR2004


def _keys_in(path: Path) -> Keys:
    try:
        return Keys.of_json(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"Cannot read {path}: {error.strerror}. Give --keys a file of public keys.") from error


def _sources(folder: Path | None) -> tuple[Source, ...]:
    """The configured trails, or a copy of a bucket: its root, or the folder of its prefix."""
    if folder is None:
        return Sources(settings()).all
    if not folder.is_dir():
        raise SettingsError(f"There is no folder {folder}. Give --folder the copy of a trail's bucket.")
    bases = sorted(path.parent for path in folder.resolve().glob("**/AWSLogs") if path.is_dir())
    if not bases:
        raise SettingsError(
            f"{folder} holds no folder AWSLogs. Give --folder the copy of the whole bucket, laid out as it was: what "
            "CloudTrail signed names where each file lies."
        )
    root = folder.resolve()
    trails = [
        Trail(bucket=root.as_uri(), prefix=base.relative_to(root).as_posix().removeprefix(".").strip("/"))
        for base in bases
    ]
    return tuple(Source(trail, settings()) for trail in trails)


def _document(report: Report, start: datetime, end: datetime) -> dict[str, Any]:
    return {
        "from": clock.iso(start),
        "to": clock.iso(end),
        "chains": report.chains,
        "log_files": dict(sorted(report.files.items())),
        "problems": report.problems,
        "warnings": report.warnings,
    }


def _show(report: Report, start: datetime, end: datetime) -> None:
    out = Console(width=None if sys.stdout.isatty() else 118)
    table = Table(
        title=f"Digests around {clock.iso(start)} to {clock.iso(end)}", title_justify="left", title_style="bold"
    )
    for name in ("account", "region", "trail", "chain", "digests", "valid", "missing", "state"):
        table.add_column(name, justify="right" if name in ("digests", "valid", "missing") else "left")
    for one in report.chains:
        texts = (one["account_id"], one["region"], escaped(one["trail"]), one["kind"])
        counts = (f"{one[name]:,}" for name in ("digests", "valid", "missing"))
        rest = (f"{count:,} {status}" for status, count in one["not_verified"].items())
        table.add_row(*texts, *counts, "; ".join([", ".join(one["states"]), *rest]))
    if report.chains:
        out.print(table)
    else:
        out.print("[bold]Digests[/] none: log file validation is off, or the copy lacks the folder CloudTrail-Digest.")
    counts_of_files = ", ".join(f"{count:,} {status}" for status, count in sorted(report.files.items()))
    out.print(f"[bold]Log files[/] {counts_of_files or 'none'}", highlight=False)
    for warning in report.warnings:
        out.print(f"[yellow]{escaped(warning)}[/]", highlight=False)
    if not report.problems:
        out.print("Nothing is wrong." if not report.warnings else "Nothing is wrong in what could be looked at.")
    for one in report.problems:
        out.print(f"[red]{one['severity']}[/] {escaped(one['title'])}", highlight=False)
        out.print(f"  {escaped(one['explanation'])}", highlight=False)
        for name in one["names"]:
            out.print(f"  {escaped(name)}", highlight=False, soft_wrap=True)
