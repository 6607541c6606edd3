"""The column `attestation` of `api_event`: what is known of the file that a row came from.

It is set when a file is taken, and set again where a later digest, or one that never came, changes what is known. No
JSON is touched: a row names its file and the hash of the bytes that it was parsed from.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from dynatrail.integrity.words import FileStatus
from dynatrail.warehouse.schema import INSTANT, LOG_FILE
from dynatrail.warehouse.store import Warehouse

UNTRUSTED = frozenset({FileStatus.FORGED, FileStatus.ALTERED})
"""Of two deliveries of one event, one from such a file never wins."""

_CHECKED = ["event_hour", "recipient_account_id", "region", "source_uri", "source_sha256", "attestation", "copies"]


@dataclass(frozen=True, slots=True)
class Mark:
    """What rows of one file say: attested if parsed from bytes with one of the `genuine` hashes, else `otherwise`."""

    otherwise: FileStatus
    genuine: frozenset[str] = frozenset()

    @classmethod
    def of_row(cls, row: Mapping[str, object]) -> "Mark":
        """Of a row of `log_file`."""
        status = FileStatus(str(row["status"]))
        hashes = {str(row["expected_sha256"])} if row["expected_sha256"] else set()
        if status is FileStatus.ATTESTED and row["sha256"]:
            hashes.add(str(row["sha256"]))
        if hashes:
            return cls(FileStatus.ALTERED, frozenset(hashes))
        return cls(FileStatus.NOT_YET if status is FileStatus.MISSING else status)

    def status(self, sha256: str | None) -> FileStatus:
        """What a row says that was parsed from bytes with this hash."""
        return FileStatus.ATTESTED if sha256 in self.genuine else self.otherwise


@dataclass(slots=True)
class Marked:
    """What marking changed: rows, their hours, and files whose events other files still hold genuine copies of."""

    rows: int = 0
    hours: set[datetime] = field(default_factory=set)
    take_again: set[str] = field(default_factory=set)


def known(warehouse: Warehouse, account_id: str, region: str, hours: Collection[datetime]) -> dict[str, Mark]:
    """What is known of the files of a place that were delivered in these hours, before they are read."""
    if not hours:
        return {}
    rows = warehouse.dataset(LOG_FILE.name).to_table(
        columns=["source_uri", "status", "sha256", "expected_sha256"],
        filter=_in_hours(hours) & (pads.field("account_id") == account_id) & (pads.field("region") == region),
    )
    return {row["source_uri"]: Mark.of_row(row) for row in rows.to_pylist()}


def untrusted(warehouse: Warehouse, account_id: str, region: str) -> set[str]:
    """The files of a place, of all time, that are forged or altered."""
    rows = warehouse.dataset(LOG_FILE.name).to_table(
        columns=["source_uri"],
        filter=pads.field("status").isin(sorted(UNTRUSTED))
        & (pads.field("account_id") == account_id)
        & (pads.field("region") == region),
    )
    return set(rows["source_uri"].to_pylist())


def marked(rows: pa.Table, marks: Mapping[str, Mark]) -> pa.Table:
    """Rows of `api_event` with the attestation that their files give them; of other files they stay as they are."""
    if not len(rows):
        return rows
    at = rows.schema.get_field_index("attestation")
    return rows.set_column(at, rows.schema.field(at).with_type(pa.string()), _attestations(rows, marks))


def differing(
    warehouse: Warehouse, marks: Mapping[str, Mark], hours: Collection[datetime]
) -> tuple[dict[tuple[str, str], set[datetime]], set[str]]:
    """Hours by (recipient account, region) in which a row of these files says something else than it should.

    And the files that hold other copies of the events of files that turn out forged or altered.
    """
    found: dict[tuple[str, str], set[datetime]] = {}
    again: set[str] = set()
    if not marks or not hours:
        return found, again
    wanted = _in_hours(hours) & pads.field("source_uri").isin(sorted(marks))
    for batch in warehouse.dataset("api_event").scanner(columns=_CHECKED, filter=wanted).to_batches():
        rows = pa.Table.from_batches([batch])
        new = _attestations(rows, marks)
        other = rows.append_column("new", new).filter(pc.not_equal(new, rows["attestation"]))
        places = other.group_by(["recipient_account_id", "region", "event_hour"]).aggregate([])
        for row in places.to_pylist():
            found.setdefault((row["recipient_account_id"], row["region"]), set()).add(row["event_hour"])
        worse = other.filter(
            pc.and_(
                pc.is_in(other["new"], pa.array(sorted(UNTRUSTED))),
                pc.is_valid(other["copies"]),
            )
        )
        for copies in worse["copies"].to_pylist():
            again |= {position.rpartition("#")[0] for position in copies}
    return found, again - {uri for uri, mark in marks.items() if mark.otherwise in UNTRUSTED and not mark.genuine}


def rewrite(
    warehouse: Warehouse, marks: Mapping[str, Mark], places: Mapping[tuple[str, str], Iterable[datetime]]
) -> int:
    """Give the rows of these places and hours the attestation of their files; rows of the hours that changed."""
    written = 0
    for (account, region), hours in sorted(places.items()):
        where = {"recipient_account_id": account, "region": region}
        written += warehouse.replace("api_event", lambda rows: marked(rows, marks), hours=sorted(hours), where=where)
    return written


def _attestations(rows: pa.Table, marks: Mapping[str, Mark]) -> pa.ChunkedArray:
    """The new column. Worked out once for each file and hash, of which an hour has few."""
    pairs = rows.select(["source_uri", "source_sha256"])
    plain = pa.table({name: _plain(pairs[name]) for name in pairs.column_names})
    distinct = plain.group_by(["source_uri", "source_sha256"]).aggregate([])
    told = [
        (uri, sha256, marks[uri].status(sha256).value)
        for uri, sha256 in zip(distinct["source_uri"].to_pylist(), distinct["source_sha256"].to_pylist(), strict=True)
        if uri in marks
    ]
    if not told:
        return _plain(rows["attestation"])
    uris, sums, statuses = (list(column) for column in zip(*told, strict=True))
    keys = pc.binary_join_element_wise(pa.array(uris), pa.array(sums), "#")
    own = pc.binary_join_element_wise(plain["source_uri"], plain["source_sha256"], "#")
    return pc.coalesce(pa.array(statuses).take(pc.index_in(own, value_set=keys)), _plain(rows["attestation"]))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def _in_hours(hours: Collection[datetime]) -> pads.Expression:
    first, last = min(hours), max(hours)
    bounds = (
        (pads.field("event_date") >= pa.scalar(first.date(), pa.date32()))
        & (pads.field("event_date") <= pa.scalar(last.date(), pa.date32()))
        & (pads.field("event_hour") >= pa.scalar(first, INSTANT))
        & (pads.field("event_hour") <= pa.scalar(last, INSTANT))
    )
    return bounds & pads.field("event_hour").isin(pa.array(sorted(hours), INSTANT))
