"""Verify the digests of a window and judge every log file delivered in it, then say so in every row that depends on it.

Every step can be repeated, and a run that is killed leaves the rest to the next one: rows of `api_event` first, then
`trail_digest`, `log_file` and `finding`, at last the ledger of digests. A digest is read once: from then on its row
says what it is, and the rows of `log_file` what it names.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.clock import HOUR, hour_of, hours_between
from dynatrail.errors import SourceError
from dynatrail.integrity import asking, findings, logging_spans, marking, reading, remembered
from dynatrail.integrity.chains import ChainState
from dynatrail.integrity.digest_findings import PRODUCER, find, lacks_validation
from dynatrail.integrity.digests import Beside, DigestFile, Verified, verify
from dynatrail.integrity.findings import Finding, runs, table_of
from dynatrail.integrity.keys import Keys
from dynatrail.integrity.log_files import KNOWN, judge
from dynatrail.integrity.marking import Mark, Marked
from dynatrail.integrity.reading import Listing, Place
from dynatrail.integrity.remembered import Memory
from dynatrail.integrity.words import FileStatus
from dynatrail.settings import Settings
from dynatrail.sources.cloudtrail import layout
from dynatrail.sources.cloudtrail.batch import SOURCE
from dynatrail.sources.cloudtrail.trails import Source, Sources
from dynatrail.state import pending
from dynatrail.state.database import session
from dynatrail.state.ledger import KnownObject, Ledger, TakenObject
from dynatrail.warehouse.schema import LOG_FILE, TRAIL_DIGEST
from dynatrail.warehouse.store import Warehouse

DIGEST_SOURCE = "cloudtrail_digest"
"""Under which the ledger knows digests."""

STAGE = "attest"
"""Stage of `state.pending` under which hours of delivery wait to be judged."""

BEFORE, AFTER = 3 * HOUR, timedelta(hours=27)
"""Digests that are read around a window: they name files by when they were written, an hour or so after their name's
time; a file is forged only once two more hours are closed, and a missing digest is gone only after a day."""

_TOGETHER = 6 * HOUR  # hours of delivery that are nearer to each other are judged in one go
_SETTLED = frozenset({FileStatus.ATTESTED.value, FileStatus.NOT_YET.value})


@dataclass(slots=True)
class Summary:
    """What one verification found; small enough for XCom."""

    digests: int = 0
    digests_read: int = 0
    digests_by_status: dict[str, int] = field(default_factory=dict)
    log_files: int = 0
    log_files_by_status: dict[str, int] = field(default_factory=dict)
    rows_marked: int = 0
    findings: int = 0
    hours: int = 0
    taken_again: int = 0
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Judged:
    """What was found of one place."""

    place: Place
    listing: Listing
    verified: Verified
    files: pa.Table
    findings: list[Finding]


def window_hours(start: datetime, end: datetime) -> set[datetime]:
    """The hours of delivery of a window."""
    return set(hours_between(start, end))


def run(
    settings: Settings,
    hours: Collection[datetime],
    *,
    until: datetime,
    run_id: str,
    note_unknown: bool = False,
) -> Summary:
    """Verify the digests around these hours of delivery, judge the files delivered in them, write what came out.

    Args:
        settings: where buckets, warehouse and state are.
        hours: UTC hours of delivery.
        until: the end of what is asked for. What is due by then may still come for a day, but what other data shows to
            be older than that is gone.
        run_id: under which the ledger notes digests, and with `note_unknown` log files, that it did not know.
        note_unknown: whether files that the ledger does not know, or that changed, are given to the next extract.

    Raises:
        SourceError: no bucket can be listed.
        SettingsError: no trail is named, or the configuration is wrong.
        WarehouseError, StateError: something cannot be written; the next run does it again.
    """
    work = _Work(settings, until, run_id, note_unknown=note_unknown)
    for span in _spans(hours):
        work.judge(span)
    return work.summary


class _Work:
    def __init__(self, settings: Settings, until: datetime, run_id: str, *, note_unknown: bool) -> None:
        self.summary = Summary()
        self._settings = settings
        self._until = until
        self._run_id = run_id
        self._note_unknown = note_unknown
        self._sources: Sequence[Source] = Sources(settings).all
        self._warehouse = Warehouse.from_settings(settings)
        self._logs, self._digests = Ledger(SOURCE), Ledger(DIGEST_SOURCE)
        self._history: logging_spans.History | None = None
        self._keys_of_aws: dict[str, Keys] = {}
        self._places, faults = reading.places(self._sources)
        if faults and not self._places:
            raise SourceError(faults[0])
        self._warn(faults)
        self._oldest = self._logs.oldest_deliveries()

    def judge(self, hours: list[datetime]) -> None:
        """Judge what was delivered in these hours, which lie together, and in a hole that reaches into them."""
        hours = list(hours_between(remembered.begin_of_hole(self._warehouse, hours[0], BEFORE), hours[-1] + HOUR))
        start, end = hours[0], hours[-1] + HOUR
        ends = (start - BEFORE, end + AFTER)
        memory = remembered.load(self._warehouse, *ends)
        before = memory.addresses() | {row.uri for row in self._logs.delivered(start, end)}
        places = reading.with_gone(self._places, self._sources, before)
        listings = list(reading.side_by_side(lambda place: reading.listing(place, (start, end), ends), places))
        self._warn(fault for listing in listings for fault in listing.faults)
        if self._note_unknown:
            self._logs.discover((one for listing in listings for one in listing.logs.values()), run_id=self._run_id)
        ledger = self._logs.delivered(start, end)
        seen = [one for listing in listings for one in listing.digests.values()]
        unread = {row.uri for row in self._digests.discover(seen, run_id=self._run_id)}
        by_place: dict[tuple[str, str], list[KnownObject]] = {}
        for row in ledger:
            by_place.setdefault((row.account_id, row.region), []).append(row)
        judged = [
            self._place(
                place, listing, memory, unread, by_place.get((place.account_id, place.region), []), (start, end)
            )
            for place, listing in zip(places, listings, strict=True)
            if listing.listed
        ]
        self._write(hours, judged, memory, {row.uri: row for row in ledger})

    def _place(
        self,
        place: Place,
        listing: Listing,
        memory: Memory,
        unread: Collection[str],
        ledger: list[KnownObject],
        window: tuple[datetime, datetime],
    ) -> _Judged:
        here = (place.account_id, place.region)
        own = memory.of(*here)
        earlier = own.valid(set(listing.digests) - set(unread))
        remembered_uris = set(earlier["digest_uri"].to_pylist())
        files = list(reading.read_digests(self._sources, set(listing.digests) - remembered_uris))
        self.summary.digests_read += len(files)
        keys = self._keys(place, files, own.keys(), window)
        known = self._known(listing, ledger)
        beside = Beside(
            earlier=earlier,
            earlier_named=own.named(remembered_uris),
            gone=own.gone(set(listing.digests), listing.listed),
            known_since=self._known_since(place, listing),
        )

        def once(beside: Beside) -> tuple[Verified, pa.Table]:
            reach = window[1] + AFTER
            verified = verify(files, keys=keys, since=window[0] - BEFORE, until=self._until, reach=reach, beside=beside)
            return verified, judge(known, verified, since=window[0], until=window[1], listed=listing.listed)

        verified, judged = once(beside)
        if not _is_settled(verified, judged):
            # Only what is wrong needs an explanation; finding one costs a look at all events of CloudTrail itself.
            verified, judged = once(self._explained(place, verified, beside))
        apart = None
        if pc.any(lacks_validation(judged)).as_py():
            apart = remembered.unattested(self._warehouse, *here, set(hours_between(*window)))
        return _Judged(place, listing, verified, judged, find(verified, judged, apart))

    def _known(self, listing: Listing, ledger: Iterable[KnownObject]) -> pa.Table:
        """What `judge` is given: listed and taken files, their hashes as they were parsed or as they are now."""
        rows = {row.uri: row for row in ledger if row.uri.startswith(listing.listed)}
        doubtful = {
            uri
            for uri, seen in listing.logs.items()
            if (row := rows.get(uri))
            and (
                row.changed_at is not None
                or (row.status == "taken" and row.sha256 is None)
                or (row.etag, row.size) != (seen.etag, seen.size)
            )
        }
        now = dict(reading.hashes(self._sources, doubtful, limit=self._settings.max_object_mb << 20))
        return pa.Table.from_pylist(
            [
                {
                    "source_uri": uri,
                    "account_id": one.account_id,
                    "region": one.region,
                    "delivered_at": one.delivered_at,
                    "present": uri in listing.logs,
                    "size": one.size,
                    "sha256": now[uri].sha256 if uri in now else row and row.sha256,
                    "first_member_sha256": now[uri].first_member_sha256 if uri in now else None,
                    "error": now[uri].error if uri in now else None,
                    "records": row and row.records,
                }
                for uri in sorted(rows.keys() | listing.logs.keys())
                for row in [rows.get(uri)]
                for one in [listing.logs.get(uri) or row]
                if one is not None
            ],
            KNOWN,
        )

    def _known_since(self, place: Place, listing: Listing) -> dict[tuple[str, str], datetime]:
        here = (place.account_id, place.region)
        known = [one.delivered_at for one in listing.logs.values()]
        if here in self._oldest:
            known.append(self._oldest[here])
        return {here: min(known)} if known else {}

    def _explained(self, place: Place, verified: Verified, beside: Beside) -> Beside:
        if self._history is None:
            self._history = logging_spans.load(self._warehouse)
        trails = {(chain.id.trail_name, chain.id.home_region) for chain in verified.chains}
        online = not all(part.source.trail.is_copy for part in place.parts)
        facts = asking.trail_facts(self._settings, trails, self._history.arns) if online else ()
        return Beside(
            earlier=beside.earlier,
            earlier_named=beside.earlier_named,
            gone=beside.gone,
            known_since=beside.known_since,
            spans=tuple(self._history.spans),
            facts=facts,
        )

    def _keys(self, place: Place, files: Iterable[DigestFile], own: Keys, window: tuple[datetime, datetime]) -> Keys:
        """The keys that the digests name: those that the warehouse has, and AWS's where it lacks one.

        The long look takes AWS's word alone where it has it: whoever writes to bucket and warehouse could bring a key.
        """
        if not self._note_unknown and not remembered.fingerprints(files) - set(own):
            return own
        if place.region not in self._keys_of_aws:
            connections = [part.source.trail.connection for part in place.parts if not part.source.trail.is_copy]
            try:
                first, last = window[0] - BEFORE, window[1] + AFTER
                found = asking.public_keys(self._settings, connections, place.region, first, last)
            except SourceError as error:
                self._warn([str(error)])
                found = Keys()
            self._keys_of_aws[place.region] = found
        listed = self._keys_of_aws[place.region]
        return listed if self._note_unknown and len(listed) else own | listed

    def _write(
        self, hours: list[datetime], judged: list[_Judged], memory: Memory, ledger: Mapping[str, KnownObject]
    ) -> None:
        listed = tuple(address for one in judged for address in one.listing.listed)
        files = pa.concat_tables([LOG_FILE.schema.empty_table(), *(one.files for one in judged)])
        files = files.filter(pc.is_in(files["event_hour"], pa.array(hours, files["event_hour"].type)))
        digests = pa.concat_tables([TRAIL_DIGEST.schema.empty_table(), *(one.verified.rows for one in judged)])
        own_hours = sorted(
            {*hours, *(hours[0] - HOUR * n for n in (1, 2, 3)), *(hours[-1] + HOUR * n for n in (1, 2, 3))}
        )
        digests = digests.filter(pc.is_in(digests["event_hour"], pa.array(own_hours, digests["event_hour"].type)))
        news = memory.news(files, digests, {uri: row.event_hours or [] for uri, row in ledger.items()})
        marked = self._mark(files, news)
        self._note_hours(marked.hours, news.hours)
        kept = remembered.outside(listed)
        self._warehouse.replace(
            "trail_digest", lambda present: pa.concat_tables([kept(present, "digest_uri"), digests]), hours=own_hours
        )
        self._warehouse.replace(
            "log_file", lambda present: pa.concat_tables([kept(present, "source_uri"), files]), hours=hours
        )
        self._find(hours, judged)
        self._note_hours(marked.hours, news.hours)
        self._take_note(hours, judged)
        self.summary.hours += len(news.hours | marked.hours)
        self.summary.rows_marked += marked.rows
        self._count(files, digests)

    def _mark(self, files: pa.Table, news: remembered.News) -> Marked:
        marks = {row["source_uri"]: Mark.of_row(row) for row in files.to_pylist() if row["source_uri"] in news.files}
        places, again = marking.differing(self._warehouse, marks, news.event_hours)
        hours = {hour for of_place in places.values() for hour in of_place}
        # Before the rows as well as after: a crash in between builds hours that did not change, never the other way.
        self._note_hours(hours)
        rows = marking.rewrite(self._warehouse, marks, places)
        for uri in sorted(again):
            self._logs.failed(uri, "The other copy of its event turned out to be no genuine one: it is taken again.")
        self.summary.taken_again += len(again)
        return Marked(rows, hours, again)

    def _find(self, hours: list[datetime], judged: list[_Judged]) -> None:
        """A finding lies in the hour in which it began; what other looks found there stays unless it is the same."""
        found = table_of(PRODUCER, (one for place in judged for one in place.findings))
        places = {(one.place.account_id, one.place.region) for one in judged if not one.listing.faults}
        within, ids = set(hours), set(found["finding_id"].to_pylist())

        def merged(present: pa.Table) -> pa.Table:
            kept = [
                row["finding_id"] not in ids
                and (row["event_hour"] not in within or (row["account_id"], row["region"]) not in places)
                for row in present.select(["finding_id", "event_hour", "account_id", "region"]).to_pylist()
            ]
            return pa.concat_tables([present.filter(pa.array(kept, pa.bool_())), found])

        before = remembered.hours_of_findings(self._warehouse, PRODUCER, ids) if ids else set()
        touched = sorted(within | set(found["event_hour"].to_pylist()) | before)
        findings.replace(self._warehouse, merged, hours=touched, where={"producer": PRODUCER})
        self.summary.findings += len(found)

    def _note_hours(self, rewritten: Collection[datetime], told: Collection[datetime] = ()) -> None:
        """Hours whose events changed, and hours of which only more is known: those are proven anew, not built."""
        with session() as opened:
            for stage, due in pending.touched(rewritten).items():
                pending.mark(opened, stage, due)
            pending.mark(opened, pending.PROVE, set(told) - set(rewritten))

    def _take_note(self, hours: list[datetime], judged: list[_Judged]) -> None:
        """Digests that need not be read again: valid, and everything that they name has its row."""
        within, done = set(hours), []
        for one in judged:
            outside = {
                named.digest_uri
                for uri, named in one.verified.named.items()
                if hour_of(_delivered(one.place, uri)) not in within
            }
            rows = one.verified.rows.filter(pc.equal(one.verified.rows["status"], "valid"))
            for row in rows.select(["digest_uri", "sha256", "log_files", "event_hour"]).to_pylist():
                seen = one.listing.digests.get(row["digest_uri"])
                if seen and row["digest_uri"] not in outside and row["event_hour"] in within:
                    files = row["log_files"] or 0
                    done.append(TakenObject(seen.uri, seen.etag, row["sha256"], files, 0, (), None, None))
        self._digests.taken(done)

    def _count(self, files: pa.Table, digests: pa.Table) -> None:
        self.summary.log_files += len(files)
        self.summary.digests += len(digests)
        for counts, column in (
            (self.summary.log_files_by_status, files["status"]),
            (self.summary.digests_by_status, digests["status"]),
        ):
            for status, count in sorted(Counter(column.to_pylist()).items()):
                counts[status] = counts.get(status, 0) + count

    def _warn(self, said: Iterable[str]) -> None:
        self.summary.warnings += [one for one in said if one not in self.summary.warnings]


def _is_settled(verified: Verified, files: pa.Table) -> bool:
    return all(chain.states == (ChainState.VALID,) for chain in verified.chains) and (
        set(pc.unique(files["status"]).to_pylist()) <= _SETTLED
    )


def _delivered(place: Place, uri: str) -> datetime:
    folder = layout.Folder(place.account_id, place.region, "")
    return folder.delivered_at(uri) or layout.folder_day(uri)


def _spans(hours: Collection[datetime]) -> Iterator[list[datetime]]:
    """All hours from the first to the last of those that lie near each other."""
    for run in runs(sorted(set(hours)), lambda before, hour: hour - before <= _TOGETHER):
        yield list(hours_between(run[0], run[-1] + HOUR))
