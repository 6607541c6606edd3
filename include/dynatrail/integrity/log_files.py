"""Judge log files by the digests: is each one genuine, and is each one there?"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import pyarrow as pa

from dynatrail.clock import hour_of, iso
from dynatrail.integrity.chains import Chain
from dynatrail.integrity.digest_content import STANDARD
from dynatrail.integrity.digests import Named, Verified
from dynatrail.integrity.stretches import Cover, Stretch, over
from dynatrail.integrity.trail_facts import LoggingSpan
from dynatrail.integrity.words import FileStatus
from dynatrail.sources.cloudtrail.layout import Folder, folder_day
from dynatrail.warehouse.schema import LOG_FILE
from dynatrail.warehouse.schema.columns import INSTANT

KNOWN = pa.schema(
    [
        pa.field("source_uri", pa.string(), nullable=False),
        pa.field("account_id", pa.string(), nullable=False),
        pa.field("region", pa.string(), nullable=False),
        pa.field("delivered_at", INSTANT, nullable=False),
        pa.field("written_at", INSTANT),
        pa.field("present", pa.bool_(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("sha256", pa.string()),
        pa.field("first_member_sha256", pa.string()),
        pa.field("error", pa.string()),
        pa.field("records", pa.int64()),
    ]
)
"""What `judge` is given, a row for each address.

`delivered_at` by its name; `written_at` when it reached the bucket, where that is known (it then counts for whether its
window is closed); `present`: the listing shows it; `sha256` of the uncompressed bytes as they were parsed, NULL where
they could not be uncompressed (`error` says why: an `ObjectError`'s code) or were not read yet (`error` NULL);
`first_member_sha256`: of the first gzip member, where `error` is `several_gzip_members` or `trailing_bytes`.
"""


def judge(
    known: pa.Table,
    verified: Verified,
    *,
    since: datetime,
    until: datetime,
    listed: Collection[str],
) -> pa.Table:
    """Rows of `log_file`: one for each address that `known` has or that a valid digest names for [since, until).

    Args:
        known: files that bucket or ledger know, schema `KNOWN`, each address once, in any order.
        verified: the digests, read from before `since` to at least two hours after `until` as far as they are there.
        since: what was delivered since then was listed, and is judged.
        until: up to when.
        listed: what the addresses begin with that were listed (`Source.address`); what a digest names elsewhere was
            not looked for.
    """
    judging = _Judging(verified)
    columns = [known[name].to_pylist() for name in KNOWN.names]
    rows = [judging.known(_Known(*values)) for values in zip(*columns, strict=True)]
    have = set(known["source_uri"].to_pylist())
    rows += judging.named_only(have, since, until, tuple(listed))
    rows.sort(key=lambda row: (row[0], row[5]))
    values = zip(*rows, strict=True) if rows else [()] * len(LOG_FILE.schema)
    arrays = [pa.array(column, field.type) for column, field in zip(values, LOG_FILE.schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=LOG_FILE.schema)


def attestation(named: Mapping[str, Named], uri: str, sha256: str | None) -> FileStatus:
    """What the rows of a file say while it is taken: the digests may not name it yet.

    `attested` or `altered` where a valid digest names it, else `not_yet_attested`; `judge` says the rest.
    """
    word = named.get(uri)
    if word is None:
        return FileStatus.NOT_YET
    return FileStatus.ATTESTED if word.sha256 == sha256 else FileStatus.ALTERED


SLACK = timedelta(hours=2)
"""How long after the time in its name a digest may begin to cover a file: it reaches the bucket within an hour."""

_FOLDER = re.compile(r"(?P<base>.*/)(?P<account>\d{12})/CloudTrail/(?P<region>[a-z0-9-]+)/.*", re.DOTALL)
_UNKNOWN = {"unread", "too_large"}
"""Errors that say nothing of the bytes."""
_EXTRA = {"several_gzip_members", "trailing_bytes"}
_WAITING = (Cover.PENDING, Cover.UNREAD, Cover.OPEN)
_FAULTS = (Cover.MISSING, Cover.INVALID, Cover.UNREAD)

Row = tuple[Any, ...]
"""A row of `log_file`, in the order of its columns."""


class _Known(NamedTuple):
    """A row of `KNOWN`."""

    source_uri: str
    account_id: str
    region: str
    delivered_at: datetime
    written_at: datetime | None = None
    present: bool = False
    size: int | None = None
    sha256: str | None = None
    first_member_sha256: str | None = None
    error: str | None = None
    records: int | None = None


class _Verdict(NamedTuple):
    status: FileStatus
    code: str | None = None
    reason: str | None = None


@dataclass
class _Judging:
    verified: Verified
    chains: dict[tuple[str, str, str], list[Chain]] = field(default_factory=dict)
    verdicts: dict[tuple[str, datetime, datetime], _Verdict] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for chain in self.verified.chains:
            if chain.id.kind == STANDARD:
                self.chains.setdefault((chain.id.base, chain.id.account_id, chain.id.region), []).append(chain)
        for place, chains in self.chains.items():
            # Anybody can put an unsigned digest of a trail that never was: it must not excuse a forged file.
            genuine = [one for one in chains if set(one.digests) & {"valid", "missing", "pending"}]
            self.chains[place] = genuine or chains

    def known(self, row: _Known) -> Row:
        uri, sha256 = row.source_uri, row.sha256
        word = self.verified.named.get(uri)
        if word is not None and sha256 != word.sha256:
            word = next((other for other in self.verified.rivals.get(uri, ()) if other.sha256 == sha256), word)
        if word is None:
            verdict = self._unnamed(row)
        elif not row.present:
            verdict = _Verdict(FileStatus.MISSING, "not_in_bucket", _gone(sha256, word))
        elif sha256 == word.sha256:
            verdict = _Verdict(FileStatus.ATTESTED)
        else:
            verdict = self._differs(row, word)
        return _row(row, verdict, word)

    def named_only(self, have: set[str], since: datetime, until: datetime, listed: tuple[str, ...]) -> Iterator[Row]:
        """What valid digests name and nobody has."""
        for uri, word in self.verified.named.items():
            if uri in have:
                continue
            found = _FOLDER.fullmatch(uri)
            if found is None:
                continue
            account, region = found["account"], found["region"]
            delivered = Folder(account, region, "").delivered_at(uri) or folder_day(uri)
            if not since <= delivered < until:
                continue
            verdict = _Verdict(FileStatus.MISSING, "not_in_bucket", _gone(None, word))
            if not uri.startswith(listed):
                verdict = _Verdict(
                    FileStatus.UNATTESTED,
                    "not_listed",
                    "A digest names it in a place that no trail of the configuration has. Name that bucket to read it.",
                )
            yield _row(_Known(uri, account, region, delivered), verdict, word)

    def _differs(self, row: _Known, word: Named) -> _Verdict:
        error, sha256 = row.error, row.sha256
        if sha256 is None and error is None:
            return _Verdict(FileStatus.NOT_YET, "not_read", "A digest names it; it was not read yet.")
        if sha256 is None and error in _UNKNOWN:
            status = FileStatus.NOT_YET if error == "unread" else FileStatus.UNATTESTED
            return _Verdict(status, error, f"A digest names it; it could not be read ({error}), so nothing is proven.")
        if sha256 is None and error in _EXTRA and row.first_member_sha256 == word.sha256:
            return _Verdict(
                FileStatus.ALTERED,
                error,
                "Its first gzip member is what the digest names, and something was appended to it. Tools that read "
                "only the first member, aws-cli's validate-logs among them, do not see that.",
            )
        if sha256 is None:
            return _Verdict(
                FileStatus.ALTERED, error, "A digest names it with a hash, and its bytes are no whole gzip."
            )
        if owner := self._owner(sha256):
            return _Verdict(FileStatus.ALTERED, "swapped", f"It holds the content that a digest names as {owner}.")
        return _Verdict(FileStatus.ALTERED, "hash_differs", "Its content is not what the digest names by its hash.")

    def _owner(self, sha256: str) -> str | None:
        """Another file's address whose content this hash is."""
        if not self.owners:
            for uri, word in sorted(self.verified.named.items(), reverse=True):
                self.owners[word.sha256] = uri
        return self.owners.get(sha256)

    def _unnamed(self, row: _Known) -> _Verdict:
        delivered = row.delivered_at
        written = max(delivered, row.written_at or delivered)
        found = _FOLDER.fullmatch(row.source_uri)
        base = found["base"] if found else ""
        key = (f"{base}|{row.account_id}|{row.region}|{row.present}", delivered, written)
        if key not in self.verdicts:
            place = (base, row.account_id, row.region)
            self.verdicts[key] = self._by_cover(place, delivered, written + SLACK, gone=not row.present)
        verdict = self.verdicts[key]
        if verdict.status is FileStatus.FORGED and not row.present:
            return verdict._replace(
                code="forged_and_gone", reason=f"{verdict.reason} It is not in the bucket any more."
            )
        if not row.present:
            text = f"It was taken and is not in the bucket any more; no digest names it. {verdict.reason or ''}".strip()
            return _Verdict(FileStatus.MISSING, verdict.code, text)
        if row.sha256 is None and row.error is not None:
            return verdict._replace(reason=f"{verdict.reason or ''} It could not be read ({row.error}).".strip())
        return verdict

    def _by_cover(self, place: tuple[str, str, str], start: datetime, end: datetime, *, gone: bool) -> _Verdict:
        chains = self.chains.get(place, [])
        bare = self._without_validation(place[1], start, end)
        if not chains:
            return self._without_digests(place[1], start, end, bare)
        per_chain = [over(chain.stretches, start, end) for chain in chains]
        closed = [all(one.cover is Cover.VALID for one in touched) for touched in per_chain]
        open_ones = [one for touched in per_chain for one in touched if one.cover is not Cover.VALID]
        waiting = _first(open_ones, (Cover.UNSEEN,)) or (
            _first(open_ones, _WAITING) if _first(open_ones, (Cover.PENDING, Cover.OPEN)) else None
        )
        if waiting is not None and not (gone and _first(open_ones, (Cover.MISSING,))):
            return _Verdict(FileStatus.NOT_YET, waiting.reason_code, waiting.reason)
        fault = _first(open_ones, _FAULTS)
        if fault is not None:
            later = fault.cover is Cover.UNREAD and fault.reason_code != "signature_missing"
            return _Verdict(FileStatus.NOT_YET if later else FileStatus.UNATTESTED, fault.reason_code, fault.reason)
        off = next((one for one in open_ones if one.reason_code == "validation_off"), None) or bare
        if off is None and any(closed):
            names = sorted({chain.id.trail_name for chain, shut in zip(chains, closed, strict=True) if shut})
            return _Verdict(
                FileStatus.FORGED,
                "in_no_digest",
                f"No digest names it, though valid digests of trail {', '.join(names)} cover all that was delivered "
                f"from {iso(start)} to {iso(end)}: CloudTrail did not put it there.",
            )
        off = off or open_ones[0]
        return _Verdict(FileStatus.UNATTESTED, off.reason_code, off.reason)

    def _without_validation(self, account: str, start: datetime, end: datetime) -> Stretch | None:
        """A trail that logged without validation then may have delivered what no digest names."""
        for span in self._logging(account, start, end, validation=False):
            text = f"Trail {span.trail_name} logged without log file validation then; what it delivers is in no digest."
            return Stretch(start, end, Cover.OFF, "validation_off", text)
        return None

    def _without_digests(self, account: str, start: datetime, end: datetime, bare: Stretch | None) -> _Verdict:
        for span in self._logging(account, start, end, validation=True):
            text = f"Trail {span.trail_name} logged with validation, and there is not one digest of it."
            return _Verdict(FileStatus.UNATTESTED, "no_digests", text)
        reason = bare.reason if bare else "There are no digests of this account and region beside it."
        return _Verdict(FileStatus.UNATTESTED, "validation_off", reason)

    def _logging(self, account: str, start: datetime, end: datetime, *, validation: bool) -> list[LoggingSpan]:
        return sorted(
            (
                span
                for span in self.verified.spans
                if span.validation is validation
                and (span.account_ids is None or account in span.account_ids)
                and (span.start is None or span.start < end)
                and (span.end is None or span.end > start)
            ),
            key=lambda span: (span.trail_name, span.home_region),
        )


def _first(stretches: Sequence[Stretch], covers: Sequence[Cover]) -> Stretch | None:
    return next((one for cover in covers for one in stretches if one.cover is cover), None)


def _gone(sha256: str | None, word: Named) -> str:
    if sha256 is None:
        return "A digest names it, the bucket does not hold it, and it was never taken: its records are lost."
    same = "as the digest names it" if sha256 == word.sha256 else "with another hash than the digest names"
    return f"A digest names it and the bucket does not hold it any more; it was taken before, {same}."


def _row(row: _Known, verdict: _Verdict, word: Named | None) -> Row:
    hour = _hour(row.delivered_at)
    return (
        row.delivered_at,
        hour,
        hour.date(),
        row.account_id,
        row.region,
        row.source_uri,
        row.sha256,
        word.sha256 if word else None,
        word.digest_uri if word else None,
        row.size,
        row.records,
        verdict.status.value,
        verdict.code,
        verdict.reason,
    )


_hour = lru_cache(maxsize=1 << 16)(hour_of)  # files of one hour come together
