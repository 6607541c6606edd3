"""Publishes a day as evidence: its rows, the queries behind them, the versions pinned, and a manifest of SHA-256 sums.

Everything in a snapshot follows from the pinned table versions, the code and the settings; no clock, host or path is
in it. So the same day again gives the same bytes, and content digests decide whether a day needs a further revision.

Order: the folder first, under its final name, then the row of the evidence index. A run that dies between the two
leaves a folder that the next run takes into the index.
"""

import json
import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from dynatrail import clock
from dynatrail.clock import DAY, HOUR, hours_between, iso
from dynatrail.errors import EvidenceError
from dynatrail.evidence import folders, provenance, tables
from dynatrail.settings import PROJECT
from dynatrail.state import pending
from dynatrail.state.database import session
from dynatrail.state.models import EvidenceSnapshot
from dynatrail.trail import timeline
from dynatrail.trail.ocsf import ACTIVITIES_FILE
from dynatrail.warehouse import engine, sqlfiles
from dynatrail.warehouse.digest import digest_batches
from dynatrail.warehouse.portions import portions
from dynatrail.warehouse.schema import TABLES

if TYPE_CHECKING:
    from dynatrail.warehouse.store import Warehouse

log = logging.getLogger(__name__)

PUBLISHED = (
    *(
        "audit_record",
        "api_event",
        "api_event_item",
        "item_change",
        "session",
        "attribution",
        "metric",
        "alarm_event",
        "log_event",
    ),
    *("iam_snapshot", "table_config", "trail_config", "sensitive_attribute"),
    *("source_statement", "trail_digest", "log_file"),
    *("reconciliation", "sequence_proof", "coverage", "finding", "privacy_event", "quarantine"),
)
FORMAT = "dynatrail-evidence-1"
_BEHIND = {pending.BUILD: "rebuilt", pending.TIMELINE: "brought into audit_record", pending.PROVE: "stated"}
_QUERIES = (*(f"evidence/{name}.sql" for name in PUBLISHED), "trail/callers.sql", "trail/first_principal.sql")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One published snapshot.

    Attributes:
        snapshot_id: `2026-11-01/r1`; also its place below the evidence root.
        day: the UTC day of its rows.
        folder: where it lies.
        rows: rows per table.
        versions: per table, the Delta version that it was made from; a table that was never written is not named.
        manifest_sha256: SHA-256 of its `SHA256SUMS`.
        provisional: whether more was to come when it was made.
        made: whether this call made it; else it was there already.
    """

    snapshot_id: str
    day: date
    folder: Path
    rows: dict[str, int]
    versions: dict[str, int]
    manifest_sha256: str
    provisional: bool
    made: bool


def publish(
    day: date, warehouse: "Warehouse", root: Path, *, allow_open: bool = False, now: datetime | None = None
) -> Snapshot:
    """Publish `day`, unless its content is what the last revision holds.

    Args:
        day: a UTC day.
        warehouse: read at its present versions, which stay readable as long as the index names them.
        root: folder of all evidence; the snapshot goes to `<root>/<day>/r<n>`.
        allow_open: publish a day that is not over, or whose timeline is behind its events, marked as provisional.
        now: the present instant; only tells whether the day is over.

    Raises:
        EvidenceError: the day is not over; an earlier revision does not verify; the folder cannot be written.
        WarehouseError, StateError: tables or index cannot be used. Nothing half-made is left under a final name.
    """
    reasons = _provisional_because(day, now or clock.now())
    if reasons and not allow_open:
        raise EvidenceError(
            f"{day} cannot be published as evidence yet: {'; '.join(reasons)}. Publish it later, or allow an open day "
            "for a provisional snapshot."
        )
    with folders.locked(root):
        earlier = _index_and_verify(day, root)
        versions = warehouse.versions(PUBLISHED)
        digests = {name: _digest(warehouse, name, day, versions) for name in PUBLISHED}
        if earlier and _says_the_same(earlier, digests, reasons):
            return earlier
        return _make(day, warehouse, root, versions, digests, reasons, earlier)


def read(folder: Path) -> Snapshot:
    """The snapshot that lies in `folder`, after checking every file of it.

    Raises:
        EvidenceError: it does not verify.
    """
    manifest = folders.verify(folder)
    said = _statement(folder)
    return Snapshot(
        snapshot_id=f"{said['day']}/{folder.name}",
        day=date.fromisoformat(said["day"]),
        folder=folder,
        rows={name: table["rows"] for name, table in said["tables"].items()},
        versions={n: table["version"] for n, table in said["tables"].items() if table["version"] is not None},
        manifest_sha256=manifest,
        provisional=bool(said["provisional_because"]),
        made=False,
    )


def pinned_versions() -> dict[str, set[int]]:
    """Per table, the versions that evidence was made from; vacuum must keep them readable."""
    pins: dict[str, set[int]] = {}
    with session() as opened:
        for versions in opened.scalars(sa.select(EvidenceSnapshot.versions)):
            for table, version in versions.items():
                pins.setdefault(table, set()).add(version)
    return pins


def _provisional_because(day: date, now: datetime) -> list[str]:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    reasons = [f"the day ends at {iso(start + DAY)}"] if now < start + DAY else []
    for stage, left in _BEHIND.items():
        # The record of a change may say what a request of the hour before or after says.
        margin = HOUR if stage == pending.BUILD else 0 * HOUR
        behind = [hour for hour in pending.hours(stage) if start - margin <= hour < start + DAY + margin]
        if behind:
            reasons.append(f"{stage} has not {left} {', '.join(iso(hour) for hour in behind)} since events came in")
    return reasons


def _index_and_verify(day: date, root: Path) -> Snapshot | None:
    """Check the day's last revision against manifest and index; index those that a killed run left out."""
    last = None
    found = folders.revisions(root / str(day))
    with session() as opened:
        query = sa.select(EvidenceSnapshot).where(EvidenceSnapshot.day == day)
        indexed = {row.snapshot_id: row.manifest_sha256 for row in opened.scalars(query)}
    for name in indexed.keys() - {f"{day}/r{revision}" for revision in found}:
        log.warning("The evidence index knows snapshot %s, but it is not in %s. Restore it from a copy.", name, root)
    for revision in found:
        folder = root / str(day) / f"r{revision}"
        known = indexed.get(f"{day}/r{revision}")
        if known is None or revision == found[-1]:
            last = read(folder)
            if known is None:
                _index(last)
            elif known != last.manifest_sha256:
                raise EvidenceError(
                    f"The snapshot {folder} is not the one that was published: its manifest has SHA-256 "
                    f"{last.manifest_sha256}, the evidence index says {known}. Keep it for the investigation, move it "
                    "away and publish the day again."
                )
    return last


def _says_the_same(earlier: Snapshot, digests: dict[str, str], reasons: list[str]) -> bool:
    said = _statement(earlier.folder)
    published = {name: table["digest"] for name, table in said["tables"].items()}
    return bool(published == digests and said["provisional_because"] == reasons)


def _make(
    day: date,
    warehouse: "Warehouse",
    root: Path,
    versions: dict[str, int],
    digests: dict[str, str],
    reasons: list[str],
    earlier: Snapshot | None,
) -> Snapshot:
    with folders.partial(root / str(day)) as folder:
        rows = _write_rows(day, warehouse, versions, digests, folder)
        _write_queries(folder)
        statement = {
            "format": FORMAT,
            "day": str(day),
            "provisional_because": reasons,
            "tables": {
                name: {"version": versions.get(name), "rows": rows[name], "digest": digests[name]} for name in PUBLISHED
            },
            "previous": earlier and {"folder": earlier.folder.name, "manifest_sha256": earlier.manifest_sha256},
            "software": provenance.software(),
            "settings": provenance.settings_that_matter(),
        }
        text = json.dumps(statement, indent=2, sort_keys=True, ensure_ascii=False)
        (folder / "versions.json").write_text(text + "\n", encoding="utf-8")
        (folder / "README.txt").write_text(provenance.readme(day, rows, reasons), encoding="utf-8")
        final = root / str(day) / f"r{_next_revision(day, root)}"
        manifest = folders.finish(folder, final)
    made = Snapshot(
        snapshot_id=f"{day}/{final.name}",
        day=day,
        folder=final,
        rows=rows,
        versions=versions,
        manifest_sha256=manifest,
        provisional=bool(reasons),
        made=True,
    )
    _index(made)
    return made


def _write_rows(
    day: date, warehouse: "Warehouse", versions: dict[str, int], digests: dict[str, str], folder: Path
) -> dict[str, int]:
    rows = {}
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    hours = list(hours_between(start, start + DAY))
    with engine.connect(warehouse, versions=versions) as connection:
        for name in PUBLISHED:
            schema = TABLES[name].schema
            parts = (
                engine.run_file(connection, f"evidence/{name}.sql", start=portion[0], end=portion[-1] + HOUR).cast(
                    schema
                )
                for portion in portions(warehouse, name, hours, version=versions.get(name))
            )
            parquet = folder / f"{name}.parquet"
            rows[name] = tables.write(parts, schema, parquet, folder / f"{name}.csv")
            # What an auditor reads must be what the warehouse holds, whatever lies between: engine, cast, writer.
            with pq.ParquetFile(parquet) as written:
                if digest_batches(name, written.iter_batches()) != digests[name]:
                    raise EvidenceError(
                        f"The rows of {name} on {day} came out other than the warehouse holds them. Nothing was "
                        "published; please report this with the versions of duckdb, deltalake and pyarrow."
                    )
    return rows


def _write_queries(folder: Path) -> None:
    for path in (*_QUERIES, *timeline.kinds()):
        target = folder / "queries" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((sqlfiles.SQL / path).read_bytes())
    mapping = folder / "queries" / ACTIVITIES_FILE.relative_to(PROJECT / "include")
    mapping.parent.mkdir(parents=True, exist_ok=True)
    mapping.write_bytes(ACTIVITIES_FILE.read_bytes())


def _digest(warehouse: "Warehouse", name: str, day: date, versions: dict[str, int]) -> str:
    if name not in versions:
        return digest_batches(name, pa.Table.from_batches([], TABLES[name].schema).to_batches())
    return warehouse.digest(name, day=day, version=versions[name])


def _next_revision(day: date, root: Path) -> int:
    """One more than any revision that is there or was: a number names one content for ever."""
    with session() as opened:
        ids = opened.scalars(sa.select(EvidenceSnapshot.snapshot_id).where(EvidenceSnapshot.day == day)).all()
    return max([0, *folders.revisions(root / str(day)), *(int(name.rsplit("/r", 1)[1]) for name in ids)]) + 1


def _index(made: Snapshot) -> None:
    with session() as opened:
        opened.add(
            EvidenceSnapshot(
                snapshot_id=made.snapshot_id,
                day=made.day,
                made_at=clock.now(),
                versions=made.versions,
                manifest_sha256=made.manifest_sha256,
                folder=made.snapshot_id,
            )
        )


def _statement(folder: Path) -> dict[str, Any]:
    try:
        said: dict[str, Any] = json.loads((folder / "versions.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvidenceError(
            f"{folder / 'versions.json'} cannot be read, so {folder} is no snapshot that Dynatrail made. Move it away."
        ) from error
    if said.get("format") != FORMAT:
        raise EvidenceError(
            f"{folder} has the format {said.get('format')}; this release knows {FORMAT}. Use the release that made it."
        )
    return said
