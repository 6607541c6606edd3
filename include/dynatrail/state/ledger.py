"""The ledger of source objects: which are known, which were taken, and which hours their events lie in.

Order matters: an object's rows are written to the warehouse first, then `taken()` is told. A run that dies between the
two leaves the object to the next run, whose write of the same rows changes nothing. So two runs that take one object at
the same time only repeat work, and no lock is held while objects are read.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from dynatrail.clock import HOUR, iso, now, parse_instant
from dynatrail.errors import StateError
from dynatrail.state import pending
from dynatrail.state.database import session
from dynatrail.state.models import SourceObject

_CHUNK = 5_000
"""Values in one `IN`; SQLite takes 32,766 at most."""


@dataclass(frozen=True, slots=True)
class SeenObject:
    """An object as a listing shows it; the fields are those of `SourceObject`."""

    uri: str
    account_id: str
    region: str
    delivered_at: datetime
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class TakenObject:
    """What reading an object gave; fields as in `SourceObject`, with the `etag` of the bytes that were read."""

    uri: str
    etag: str
    sha256: str | None
    records: int
    quarantined: int
    event_hours: Collection[datetime]
    oldest_event_at: datetime | None
    newest_event_at: datetime | None


@dataclass(frozen=True, slots=True)
class KnownObject:
    """What the ledger knows of an object that was seen; fields as in `SourceObject`."""

    uri: str
    account_id: str
    region: str
    delivered_at: datetime
    size: int
    etag: str
    status: str
    sha256: str | None
    records: int | None
    event_hours: list[str] | None
    changed_at: datetime | None


class Ledger:
    """The objects of one source."""

    def __init__(self, source: str = "cloudtrail", url: str | None = None) -> None:
        """Name a source; `url` is that of the state database, by default the settings'."""
        self.source = source
        self._url = url

    def discover(
        self,
        objects: Iterable[SeenObject],
        *,
        run_id: str,
        retake_window: tuple[datetime, datetime] | None = None,
    ) -> list[SourceObject]:
        """Note the objects that a listing showed, and tell which ones this run shall take.

        Those are all objects of the source that were not taken yet, whichever run saw them first; those that changed
        since they were taken (their `changed` is true); and with a window, half-open, the listed ones delivered in it
        and the known ones with an event in one of its hours. Calling it again gives the same answer.

        Returns:
            The objects by account, region, time of delivery and address.

        Raises:
            StateError: the database cannot be used.
        """
        seen = {one.uri: one for one in sorted(objects, key=lambda one: one.uri)}
        with session(self._url) as opened:
            _insert_unknown(opened, [self._new(one, run_id) for one in seen.values()])
            known = list(_by_uri(opened, seen))
            for row in known:
                _note_change(row, seen[row.uri])
            opened.flush()
            waiting = sa.select(SourceObject).where(SourceObject.source == self.source, SourceObject.status != "taken")
            chosen = {row.uri: row for row in opened.scalars(waiting)}
            if retake_window:
                start, end = retake_window
                chosen |= {row.uri: row for row in known if start <= row.delivered_at < end}
                chosen |= {row.uri: row for row in self._with_events_in(opened, start, end)}
        return sorted(chosen.values(), key=lambda row: (row.account_id, row.region, row.delivered_at, row.uri))

    def assign(self, run_id: str, batches: Sequence[Sequence[str]]) -> None:
        """Note that batch n of `run_id` is to take `batches[n]` (addresses), so that tasks pass on only the number.

        An object belongs to the batch that it was assigned to last.
        """
        rows = [
            {"key": uri, "run_id": run_id, "batch": number} for number, batch in enumerate(batches) for uri in batch
        ]
        self._update(rows, ("run_id", "batch"))

    def batch(self, run_id: str, number: int) -> list[SourceObject]:
        """The objects of one batch, by address; those that it has taken already too, so that a retry is complete."""
        query = (
            sa.select(SourceObject)
            .where(SourceObject.run_id == run_id, SourceObject.batch == number, SourceObject.source == self.source)
            .order_by(SourceObject.uri)
        )
        with session(self._url) as opened:
            return list(opened.scalars(query))

    def taken(
        self, results: Iterable[TakenObject], *, rebuild: Mapping[str, Collection[datetime]] | None = None
    ) -> None:
        """Note that the rows of these objects are in the warehouse, and which stages must rebuild which hours.

        Raises:
            StateError: an object was never discovered; none of them is noted.
        """
        at = now()
        rows = [
            {
                "key": one.uri,
                "status": "taken",
                "etag": one.etag,
                "sha256": one.sha256,
                "records": one.records,
                "quarantined": one.quarantined,
                "event_hours": sorted(iso(hour) for hour in one.event_hours),
                "oldest_event_at": one.oldest_event_at,
                "newest_event_at": one.newest_event_at,
                "taken_at": at,
                "error": None,
            }
            for one in results
        ]
        self._update(rows, tuple(rows[0])[1:] if rows else (), rebuild or {})

    def failed(self, uri: str, error: str) -> None:
        """Note why an object could not be read; the next run tries again. `error` must carry no item's value."""
        self._update([{"key": uri, "status": "failed", "error": error[:4000]}], ("status", "error"))

    def newest_deliveries(self, root: str) -> dict[tuple[str, str], datetime]:
        """The latest delivery known below the address `root`, by (account, region)."""
        query = (
            sa.select(SourceObject.account_id, SourceObject.region, sa.func.max(SourceObject.delivered_at))
            .where(SourceObject.source == self.source, SourceObject.uri.startswith(root, autoescape=True))
            .group_by(SourceObject.account_id, SourceObject.region)
        )
        with session(self._url) as opened:
            return {(account, region): newest for account, region, newest in opened.execute(query)}

    def delivered(self, start: datetime, end: datetime) -> list[KnownObject]:
        """What is known of the objects delivered in [start, end), by address."""
        columns = [getattr(SourceObject, name) for name in KnownObject.__slots__]
        query = (
            sa.select(*columns)
            .where(
                SourceObject.source == self.source,
                SourceObject.delivered_at >= start,
                SourceObject.delivered_at < end,
            )
            .order_by(SourceObject.uri)
        )
        with session(self._url) as opened:
            return [KnownObject(*row) for row in opened.execute(query)]

    def oldest_deliveries(self) -> dict[tuple[str, str], datetime]:
        """The earliest delivery known, by (account, region)."""
        query = (
            sa.select(SourceObject.account_id, SourceObject.region, sa.func.min(SourceObject.delivered_at))
            .where(SourceObject.source == self.source)
            .group_by(SourceObject.account_id, SourceObject.region)
        )
        with session(self._url) as opened:
            return {(account, region): oldest for account, region, oldest in opened.execute(query)}

    def hours_of(self, uris: Iterable[str]) -> set[datetime]:
        """The hours of all events of these objects, as far as they were taken."""
        hours: set[str] = set()
        with session(self._url) as opened:
            for chunk in _chunks(sorted(set(uris))):
                query = sa.select(SourceObject.event_hours).where(SourceObject.uri.in_(chunk))
                for event_hours in opened.scalars(query):
                    hours.update(event_hours or ())
        return {parse_instant(hour) for hour in hours}

    def _new(self, seen: SeenObject, run_id: str) -> dict[str, Any]:
        return {
            "uri": seen.uri,
            "source": self.source,
            "account_id": seen.account_id,
            "region": seen.region,
            "delivered_at": seen.delivered_at,
            "size": seen.size,
            "etag": seen.etag,
            "status": "discovered",
            "run_id": run_id,
            "discovered_at": now(),
        }

    def _with_events_in(self, opened: Session, start: datetime, end: datetime) -> Iterator[SourceObject]:
        query = sa.select(SourceObject).where(
            SourceObject.source == self.source,
            SourceObject.status == "taken",
            SourceObject.newest_event_at >= start - HOUR,
            SourceObject.oldest_event_at < end,
        )
        for row in opened.scalars(query):
            if any(start - HOUR < parse_instant(hour) < end for hour in row.event_hours or ()):
                yield row

    def _update(
        self,
        rows: Sequence[Mapping[str, Any]],
        columns: tuple[str, ...],
        rebuild: Mapping[str, Collection[datetime]] | None = None,
    ) -> None:
        """Set `columns` of the objects whose addresses are the rows' `key`, in the order of the addresses.

        One order for all processes, so that two of them wait for each other instead of locking each other out.
        """
        ordered = sorted(rows, key=lambda row: str(row["key"]))
        uris = [str(row["key"]) for row in ordered]
        table = SourceObject.__table__
        assert isinstance(table, sa.Table)
        statement = (
            table.update()
            .where(table.c.uri == sa.bindparam("key"))
            .values({column: sa.bindparam(column) for column in columns})
        )
        with session(self._url) as opened:
            if unknown := _unknown(opened, uris):
                raise StateError(
                    f"The ledger does not know {unknown[0]}"
                    + (f" and {len(unknown) - 1} more" if len(unknown) > 1 else "")
                    + ". discover() comes first; was the state database replaced during the run? Run it again."
                )
            if ordered:
                opened.connection().execute(statement, [dict(row) for row in ordered])
            for stage, hours in sorted((rebuild or {}).items()):
                pending.mark(opened, stage, hours)


def _insert_unknown(opened: Session, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    insert = sqlite.insert if opened.get_bind().dialect.name == "sqlite" else postgresql.insert
    table = SourceObject.__table__
    assert isinstance(table, sa.Table)
    opened.connection().execute(insert(table).on_conflict_do_nothing(), rows)


def _note_change(row: SourceObject, seen: SeenObject) -> None:
    if (row.etag, row.size) == (seen.etag, seen.size):
        return
    if row.taken_at is not None:
        row.changed_at = now()
        row.previous_sha256 = row.sha256
    row.etag, row.size, row.status = seen.etag, seen.size, "discovered"


def _by_uri(opened: Session, uris: Iterable[str]) -> Iterator[SourceObject]:
    for chunk in _chunks(list(uris)):
        yield from opened.scalars(sa.select(SourceObject).where(SourceObject.uri.in_(chunk)))


def _unknown(opened: Session, uris: Sequence[str]) -> list[str]:
    known: set[str] = set()
    for chunk in _chunks(uris):
        known.update(opened.scalars(sa.select(SourceObject.uri).where(SourceObject.uri.in_(chunk))))
    return [uri for uri in uris if uri not in known]


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]
