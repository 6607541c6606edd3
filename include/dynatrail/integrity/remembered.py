"""What earlier verifications left in the warehouse, so that nothing is read twice and changes are told apart."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from dynatrail.clock import HOUR, hour_of, hours_between, parse_instant
from dynatrail.integrity.digests import DigestFile
from dynatrail.integrity.keys import Keys
from dynatrail.warehouse.schema import INSTANT
from dynatrail.warehouse.store import Warehouse

_FINGERPRINT = re.compile(rb'"digestPublicKeyFingerprint"\s*:\s*"([^"]{1,128})"')
_WEEK = timedelta(days=7)
_STATED = ("status", "sha256", "expected_sha256", "digest_uri", "reason_code")


@dataclass(slots=True)
class News:
    """What differs from what was known: files by address, their events' hours, and all hours that this touches."""

    files: set[str] = field(default_factory=set)
    event_hours: set[datetime] = field(default_factory=set)
    hours: set[datetime] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Own:
    """What is remembered of one place."""

    digests: pa.Table
    files: pa.Table
    trusted: pa.Table

    def valid(self, uris: Collection[str]) -> pa.Table:
        """The rows of these digests that are valid."""
        return self._valid.filter(_one_of(self._valid["digest_uri"], uris))

    def gone(self, present: Collection[str], listed: tuple[str, ...]) -> pa.Table:
        """The rows of digests that were valid once and that the listed folders do not hold any more."""
        once = self.digests.filter(_once_valid(self.digests))
        rows = once.filter(pc.invert(_one_of(once["digest_uri"], present)))
        mask = [uri.startswith(listed) for uri in rows["digest_uri"].to_pylist()]
        return rows.filter(pa.array(mask, pa.bool_()))

    def named(self, uris: Collection[str]) -> dict[str, tuple[str, str]]:
        """What these digests name: address of a log file -> (sha256, digest_uri)."""
        rows = self.files.filter(_one_of(self.files["digest_uri"], uris))
        return {
            row["source_uri"]: (row["expected_sha256"], row["digest_uri"])
            for row in rows.select(["source_uri", "expected_sha256", "digest_uri"]).to_pylist()
            if row["expected_sha256"]
        }

    def keys(self) -> Keys:
        """Keys of digests of the region that were once verified."""
        return Keys.of_rows(self.trusted)

    @property
    def _valid(self) -> pa.Table:
        return self.digests.filter(
            pc.and_(pc.equal(self.digests["status"], "valid"), pc.is_valid(self.digests["digest_uri"]))
        )


@dataclass(frozen=True, slots=True)
class Memory:
    """Rows of `trail_digest` and `log_file` around a window, of every place; and keys of all time."""

    digests: pa.Table
    files: pa.Table
    trusted: pa.Table

    def of(self, account_id: str, region: str) -> Own:
        """What is known of one place; keys are those of its region."""

        def here(rows: pa.Table) -> pa.Table:
            return rows.filter(pc.and_(pc.equal(rows["account_id"], account_id), pc.equal(rows["region"], region)))

        return Own(here(self.digests), here(self.files), self.trusted.filter(pc.equal(self.trusted["region"], region)))

    def addresses(self) -> set[str]:
        """Of all digests that were valid once, and of all log files."""
        digests = self.digests.filter(_once_valid(self.digests))["digest_uri"]
        return {*digests.to_pylist(), *self.files["source_uri"].to_pylist()}

    def news(self, files: pa.Table, digests: pa.Table, event_hours: Mapping[str, Iterable[str]]) -> News:
        """What these rows change; `event_hours`: of the events of each file that the ledger knows."""
        news = News()
        before = {row["source_uri"]: _stated(row) for row in self.files.to_pylist()}
        for row in files.to_pylist():
            if before.get(row["source_uri"]) != _stated(row):
                news.files.add(row["source_uri"])
                news.event_hours |= {parse_instant(hour) for hour in event_hours.get(row["source_uri"], ())}
                news.hours.add(row["event_hour"])
        known = {
            (row["digest_uri"], row["digest_end_time"]): (row["status"], row["link"])
            for row in self.digests.to_pylist()
        }
        for row in digests.to_pylist():
            if known.get((row["digest_uri"], row["digest_end_time"])) != (row["status"], row["link"]):
                start = row["digest_start_time"] or row["digest_end_time"] - HOUR
                # A restarted chain's first digest may name a start of long ago; what it covers is the hour before it.
                start = max(hour_of(start), hour_of(row["digest_end_time"] - 2 * HOUR))
                news.hours |= set(hours_between(start, row["digest_end_time"]))
        news.hours |= news.event_hours
        return news


def load(warehouse: Warehouse, start: datetime, end: datetime) -> Memory:
    """What is known around a window.

    Raises:
        WarehouseError: a table cannot be read.
    """
    window = (
        (pads.field("event_date") >= pa.scalar(start.date(), pa.date32()))
        & (pads.field("event_date") <= pa.scalar(end.date(), pa.date32()))
        & (pads.field("event_hour") >= pa.scalar(hour_of(start), INSTANT))
        & (pads.field("event_hour") <= pa.scalar(end, INSTANT))
    )
    digests = warehouse.dataset("trail_digest")
    columns = ["region", "public_key_fingerprint", "public_key"]
    trusted = digests.to_table(columns=columns, filter=pads.field("status") == "valid")
    # As far as `reading.listing` looks, to the second: one beyond would count as gone, as it is not listed.
    ends = pads.field("digest_end_time")
    near = window & (ends >= pa.scalar(start, INSTANT)) & (ends <= pa.scalar(end, INSTANT))
    return Memory(
        digests.to_table(filter=near),
        warehouse.dataset("log_file").to_table(filter=window),
        trusted.group_by(columns).aggregate([]),
    )


def begin_of_hole(warehouse: Warehouse, start: datetime, near: timedelta) -> datetime:
    """Where a run of lost digests or log files begins that reaches to `start`, or to shortly before it; else `start`.

    A window that begins within such a run would tell the rest of it as another one. Looks back for a week.
    """
    week = (pads.field("event_date") >= pa.scalar((start - _WEEK).date(), pa.date32())) & (
        pads.field("event_hour") < pa.scalar(start, INSTANT)
    )
    holes: set[datetime] = set()
    for table, statuses in (("trail_digest", ["invalid", "missing", "pending"]), ("log_file", ["missing"])):
        wanted = week & pads.field("status").isin(statuses)
        holes |= set(warehouse.dataset(table).to_table(columns=["event_hour"], filter=wanted)["event_hour"].to_pylist())
    for hour in sorted(holes, reverse=True):
        if start - hour > near:
            break
        start = hour
    return start


def unattested(warehouse: Warehouse, account_id: str, region: str, apart_from: Collection[datetime]) -> pa.Table:
    """The rows of `log_file` of one place, of all time but these hours, whose files no digest vouches for."""
    wanted = (
        (pads.field("account_id") == account_id)
        & (pads.field("region") == region)
        & (pads.field("status") == "unattested")
    )
    columns = ["event_hour", "delivered_at", "source_uri", "status", "reason_code", "reason"]
    rows = warehouse.dataset("log_file").to_table(columns=columns, filter=wanted)
    return rows.filter(pc.invert(pc.is_in(rows["event_hour"], pa.array(sorted(apart_from), rows["event_hour"].type))))


def hours_of_findings(warehouse: Warehouse, producer: str, ids: Collection[str]) -> set[datetime]:
    """The hours in which these findings lie by now."""
    wanted = (pads.field("producer") == producer) & pads.field("finding_id").isin(sorted(ids))
    rows = warehouse.dataset("finding").to_table(columns=["event_hour"], filter=wanted)
    return set(rows["event_hour"].to_pylist())


def fingerprints(files: Iterable[DigestFile]) -> set[str]:
    """The keys that digests say they were signed with."""
    found = (_FINGERPRINT.search(file.body) for file in files if file.body)
    return {match[1].decode("ascii", "replace") for match in found if match}


def outside(listed: tuple[str, ...]) -> Callable[[pa.Table, str], pa.Table]:
    """Keeps the rows of folders that were not listed: nothing new is known of them."""

    def kept(present: pa.Table, column: str) -> pa.Table:
        mask = [uri is None or not uri.startswith(listed) for uri in present[column].to_pylist()]
        return present.filter(pa.array(mask, pa.bool_()))

    return kept


def _stated(row: Mapping[str, object]) -> tuple[object, ...]:
    return tuple(row[name] for name in _STATED)


def _once_valid(digests: pa.Table) -> pa.ChunkedArray:
    """Valid, or found removed by an earlier look: that stays told until the digest is there again."""
    removed = pc.equal(pc.fill_null(digests["reason_code"], ""), "removed")
    missing = pc.equal(digests["status"], "missing")
    return pc.and_(
        pc.or_(pc.equal(digests["status"], "valid"), pc.and_(missing, removed)), pc.is_valid(digests["digest_uri"])
    )


def _one_of(column: pa.ChunkedArray, values: Collection[str]) -> pa.ChunkedArray:
    return pc.is_in(column, pa.array(sorted(values), pa.string()))
