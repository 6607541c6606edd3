"""Verify digests: each by itself, and each as a link of its chain. No I/O: whoever calls brings bytes and facts.

"CloudTrail digest file structure" and "Custom implementations of log file integrity validation" say how; aws-cli's
`validate-logs` does the same as far as it goes, but sees neither what no digest names nor what a chain lost at its
ends.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import pyarrow as pa

from dynatrail.clock import hour_of
from dynatrail.integrity.chains import Chain, walk
from dynatrail.integrity.digest_content import COLUMNS, ChainId, Digest, DigestFile, check_signature, of_row, read
from dynatrail.integrity.keys import Keys
from dynatrail.integrity.trail_facts import LoggingSpan, TrailFacts
from dynatrail.integrity.walking import View
from dynatrail.integrity.words import DigestStatus
from dynatrail.warehouse.schema import TRAIL_DIGEST


class Named(NamedTuple):
    """What a valid digest says of a log file."""

    sha256: str
    digest_uri: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What verification found.

    Attributes:
        rows: rows of `trail_digest`, sorted; every digest given, and every one that is missing.
        named: address of a log file → what the oldest valid digest that names it says.
        rivals: the same for those that other valid digests name with another hash; any of the hashes is genuine.
        chains: one for each account, region, trail, home region, kind and folder, sorted.
        foreign: addresses given whose names are none of CloudTrail's; they were not looked at.
        spans: when trails logged, as it was given.
    """

    rows: pa.Table
    named: dict[str, Named]
    rivals: dict[str, tuple[Named, ...]]
    chains: tuple[Chain, ...]
    foreign: tuple[str, ...]
    spans: tuple[LoggingSpan, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What is known beside the digests that were read; every part may be left out.

    Attributes:
        earlier: rows of `trail_digest` with status `valid` that the bucket still holds, unchanged, and that were not
            read again.
        earlier_named: what those, and the ones gone, name: address of a log file → (sha256, digest_uri).
        gone: rows of `trail_digest` with status `valid` whose objects the bucket does not hold any more.
        spans: when trails logged. Empty: nothing is known of it.
        facts: what GetTrailStatus says, one for each trail. Empty: offline.
        known_since: (account, region) → oldest delivery that bucket or ledger know; how far a lost head reached.
    """

    earlier: pa.Table | None = None
    earlier_named: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    gone: pa.Table | None = None
    spans: Collection[LoggingSpan] = ()
    facts: Collection[TrailFacts] = ()
    known_since: Mapping[tuple[str, str], datetime] = field(default_factory=dict)


def verify(
    files: Iterable[DigestFile],
    *,
    keys: Keys,
    since: datetime,
    until: datetime,
    reach: datetime | None = None,
    beside: Beside = Beside(),
) -> Verified:
    """Verify digests and their chains.

    Args:
        files: what was read now, in any order.
        keys: public keys that AWS, the warehouse or a file vouches for.
        since: digests that end at or after it were listed; one that is named, ends after it and is not there is gone.
        until: up to when; what fell due less than a day before may still be redelivered.
        reach: up to when a valid digest shows that time went on after `until`. A name alone shows nothing.
        beside: what else is known.
    """
    digests, foreign = _gathered(files, beside)
    later: dict[str, set[str]] = {}
    for one in digests.values():
        if one.previous_uri is not None and one.previous_signature is not None:
            later.setdefault(one.previous_uri, set()).add(one.previous_signature)
    for one in digests.values():
        if one.to_sign:
            check_signature(one, keys, later.get(one.uri or "", ()))
    _tell_altered(digests)

    if reach is not None:
        shown = [one.end for one in digests.values() if one.status is DigestStatus.VALID]
        until = max(until, min(max(shown, default=until), reach))
    grouped: dict[ChainId, list[Digest]] = {}
    for one in sorted(digests.values(), key=lambda one: (one.end, one.uri or "")):
        grouped.setdefault(one.chain, []).append(one)
    view = View(
        by_uri=digests,
        named_elsewhere={
            one.previous_uri: one.chain
            for one in sorted(digests.values(), key=lambda one: (one.end, one.uri or ""))
            if one.previous_uri is not None and one.status is DigestStatus.VALID
        },
        since=since,
        until=until,
        spans=tuple(beside.spans),
        facts=tuple(beside.facts),
        known_since=beside.known_since,
    )
    walked = [walk(id_, group, view) for id_, group in sorted(grouped.items())]
    every = [*digests.values(), *(one for _, missing in walked for one in missing)]
    named, rivals = _named(digests.values(), beside.earlier_named)
    return Verified(
        rows=_table(every),
        named=named,
        rivals=rivals,
        chains=tuple(chain for chain, _ in walked),
        foreign=tuple(sorted(foreign)),
        spans=tuple(beside.spans),
    )


def _gathered(files: Iterable[DigestFile], beside: Beside) -> tuple[dict[str, Digest], set[str]]:
    """Every digest by its address; what was read now wins over what is remembered."""
    digests: dict[str, Digest] = {}
    for rows, status in ((beside.gone, DigestStatus.MISSING), (beside.earlier, DigestStatus.VALID)):
        for row in [] if rows is None else rows.to_pylist():
            digest = of_row(row)
            if digest is not None and digest.uri is not None:
                digest.status = status
                digests[digest.uri] = digest
    foreign = set()
    for file in files:
        digest = read(file)
        if digest is None or digest.uri is None:
            foreign.add(file.uri.encode(errors="replace").decode())
        else:
            digests[digest.uri] = digest
    return digests, foreign


def _tell_altered(digests: Mapping[str, Digest]) -> None:
    """Where a valid digest holds another hash of one whose signature does not fit, its content was changed."""
    for later in digests.values():
        one = digests.get(later.previous_uri or "")
        if one is None or later.status is not DigestStatus.VALID or one.status is not DigestStatus.INVALID:
            continue
        changed = one.sha256 != later.previous_sha256
        if changed and one.reason_code not in {"moved", "replayed", "key_unknown", "time_differs"}:
            one.settle(DigestStatus.INVALID, "altered")


def _named(
    digests: Iterable[Digest], earlier: Mapping[str, tuple[str, str]]
) -> tuple[dict[str, Named], dict[str, tuple[Named, ...]]]:
    said: dict[str, set[tuple[datetime, Named]]] = {}
    named: dict[str, Named] = {}
    valid = [one for one in digests if one.status is DigestStatus.VALID and one.uri is not None]
    for one in sorted(valid, key=lambda one: (one.end, one.uri or "")):
        for uri, sha256 in one.names:
            word = Named(sha256, one.uri or "")
            first = named.setdefault(uri, word)
            if first.sha256 != sha256:
                said.setdefault(uri, set()).add((one.end, word))
    for uri, (sha256, digest_uri) in earlier.items():
        first = named.setdefault(uri, Named(sha256, digest_uri))
        if first.sha256 != sha256:
            said.setdefault(uri, set()).add((_LATEST, Named(sha256, digest_uri)))
    return named, {uri: tuple(word for _, word in sorted(words)) for uri, words in sorted(said.items())}


_LATEST = datetime.max.replace(tzinfo=UTC)


def _table(digests: Iterable[Digest]) -> pa.Table:
    rows = sorted(digests, key=lambda one: (one.end, *one.chain, one.uri or ""))
    columns: dict[str, list[object]] = {
        column: [getattr(one, name) for one in rows] for name, column in COLUMNS.items()
    }
    hours = [hour_of(one.end) for one in rows]
    columns |= {
        "event_hour": list(hours),
        "event_date": [hour.date() for hour in hours],
        "account_id": [one.chain.account_id for one in rows],
        "region": [one.chain.region for one in rows],
        "trail_name": [one.chain.trail_name for one in rows],
        "home_region": [one.chain.home_region for one in rows],
        "chain": [one.chain.kind for one in rows],
    }
    schema = TRAIL_DIGEST.schema
    return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


__all__ = ["Beside", "DigestFile", "Named", "Verified", "verify"]
