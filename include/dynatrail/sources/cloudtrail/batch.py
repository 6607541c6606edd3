"""One batch of log files on its way: what was read of it, what is quarantined, what could not be read."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from dynatrail import clock
from dynatrail.integrity.marking import UNTRUSTED, Mark
from dynatrail.quality import gate
from dynatrail.sources.cloudtrail.parse import Parser, Read
from dynatrail.state.ledger import TakenObject
from dynatrail.state.models import SourceObject

SOURCE = "cloudtrail"


class Batch:
    """What was read of one batch, and what of it is rejected. `objects` are those of the batch, at least one."""

    def __init__(self, objects: Sequence[SourceObject], parser: Parser) -> None:
        self.parser = parser
        self.objects = {row.uri: row for row in objects}
        self.latest = max(row.delivered_at for row in objects)
        self.read: dict[str, Read] = {}
        self.unusable: set[str] = set()
        self.kept: set[str] = set()  # taken earlier, and changed since: what was genuine then stays
        self.unread: dict[str, str] = {}
        self.missing: dict[str, str] = {}
        self.rows: list[dict[str, Any]] = []

    @property
    def expected(self) -> int:
        """Rows that the parser must have given: one for each record that it did not reject."""
        return sum(read.records - len(read.rejected) for read in self.read.values())

    @property
    def taken(self) -> set[str]:
        return self.read.keys() | self.unusable

    @property
    def lost(self) -> dict[str, str]:
        """Objects that are gone and were never taken: every run looks for them again, in case they are restored."""
        return {uri: reason for uri, reason in self.missing.items() if self.objects[uri].sha256 is None}

    def warnings(self) -> Iterator[str]:
        if kept := len(self.missing) - len(self.lost):
            yield f"{kept} objects that were taken earlier are gone from the bucket. Their rows stay as they are."
        if self.kept:
            yield (
                f"{len(self.kept)} objects were altered in the bucket after they had been taken. Their rows stay as "
                "they are: they are of the bytes that the digest vouches for."
            )

    def untrusted(self, marks: Mapping[str, Mark]) -> set[str]:
        """The objects of which the digests say that they are no genuine ones."""
        statuses = ((uri, marks[uri].status(read.sha256)) for uri, read in self.read.items() if uri in marks)
        return {uri for uri, status in statuses if status in UNTRUSTED}

    def quarantine(
        self, uri: str, position: str, code: str, reason: str, payload: tuple[str | None, int, str | None]
    ) -> None:
        row = self.objects[uri]
        text, size, sha256 = payload
        self.rows.append(
            {
                "quarantine_id": hashlib.sha256(f"{uri}\n{position}\n{code}".encode()).hexdigest(),
                "event_hour": clock.hour_of(row.delivered_at),
                "event_date": clock.hour_of(row.delivered_at).date(),
                "account_id": row.account_id,
                "region": row.region,
                "source": SOURCE,
                "source_uri": uri,
                "position": position,
                "reason_code": code,
                "reason": reason,
                "payload": text,
                "payload_bytes": size,
                "payload_sha256": sha256,
            }
        )

    def reject(self, rows: pa.Table, rejected: Iterable[gate.Rejection]) -> None:
        """Events or items that the gate does not let through."""
        for rejection in rejected:
            row = rows.slice(rejection.row, 1).to_pylist()[0]
            payload = row.get("request_parameters")
            item = f" item {row['ordinal']}" if "ordinal" in row else ""
            self.quarantine(
                row["source_uri"],
                f"record {row['source_index']}{item}",
                rejection.reason_code,
                rejection.reason,
                (payload, len(payload or ""), None),
            )

    def results(self) -> Iterator[TakenObject]:
        counts: dict[str, int] = {}
        for row in self.rows:
            counts[row["source_uri"]] = counts.get(row["source_uri"], 0) + 1
        for uri, read in self.read.items():
            yield TakenObject(
                uri=uri,
                etag=self.objects[uri].etag,
                sha256=read.sha256,
                records=read.records,
                quarantined=counts.get(uri, 0),
                event_hours=sorted(read.hours),
                oldest_event_at=read.oldest,
                newest_event_at=read.newest,
            )
        for uri in self.kept:
            was = self.objects[uri]
            yield TakenObject(
                uri=uri,
                etag=was.etag,
                sha256=was.sha256,
                records=was.records or 0,
                quarantined=counts.get(uri, 0),
                event_hours=[clock.parse_instant(hour) for hour in was.event_hours or ()],
                oldest_event_at=was.oldest_event_at,
                newest_event_at=was.newest_event_at,
            )
        for uri in self.unusable:
            yield TakenObject(uri, self.objects[uri].etag, None, 0, counts.get(uri, 0), (), None, None)
