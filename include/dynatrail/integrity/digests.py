"""Verify digests: each by itself, and each as a link of its chain. No I/O: whoever calls brings bytes and facts.

"CloudTrail digest file structure" and "Custom implementations of log file integrity validation" say how; aws-cli's
`validate-logs` does the same as far as it goes, but sees neither what no digest names nor what a chain lost at its
ends.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa

from dynatrail.integrity.chains import Chain
from dynatrail.integrity.keys import Keys
from dynatrail.integrity.trail_facts import LoggingSpan, TrailFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestFile:
    """One object under `CloudTrail-Digest/`, as it was read.

    Attributes:
        root: address of its bucket or of the copy of one, ending in `/` (`Bucket.root`).
        key: its key; `root + key` is its address.
        body: uncompressed content; None: see `error`.
        signature: `x-amz-meta-signature` of the object, hex; None: it has none, as in a plain copy.
        error: code of why there is no body: an `ObjectError`'s (`truncated_gzip`, …), or `unread` where it could not
            be fetched and might be next time.
    """

    root: str
    key: str
    body: bytes | None
    signature: str | None = None
    error: str | None = None

    @property
    def uri(self) -> str:
        return self.root + self.key


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
    """

    rows: pa.Table
    named: dict[str, Named]
    rivals: dict[str, tuple[Named, ...]]
    chains: tuple[Chain, ...]
    foreign: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What is known beside the digests that were read; every part may be left out.

    Attributes:
        earlier: rows of `trail_digest` with status `valid` that the bucket still holds, unchanged, and that were not
            read again.
        earlier_named: what those name: address of a log file → (sha256, digest_uri).
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
    beside: Beside = Beside(),
) -> Verified:
    """Verify digests and their chains.

    Args:
        files: what was read now, in any order.
        keys: public keys that AWS, the warehouse or a file vouches for.
        since: digests that end at or after it were listed; one that is named, ends after it and is not there is gone.
        until: up to when; what fell due less than a day before may still be redelivered.
        beside: what else is known.
    """
    raise NotImplementedError
