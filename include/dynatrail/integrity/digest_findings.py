"""What digests and log files make somebody look at."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.clock import HOUR, iso
from dynatrail.integrity.chains import Chain
from dynatrail.integrity.digest_content import ChainId, place
from dynatrail.integrity.digests import Verified
from dynatrail.integrity.findings import CRITICAL, HIGH, MEDIUM, Finding, runs
from dynatrail.integrity.log_files import SLACK
from dynatrail.integrity.walking import Lost, Off
from dynatrail.integrity.words import FileStatus
from dynatrail.warehouse.schema import LOG_FILE

PRODUCER = "digests"

Row = dict[str, Any]

_EACH = 20
"""Files of one rule and hour that are told one by one; more of them are one finding."""
_SPELLED = 20
_EVIDENCE = 1000
_STEP = HOUR + timedelta(minutes=10)
_OF_DIGESTS = {"digest_missing", "digest_invalid"}
_NO_VALIDATION = {"validation_off", "logging_stopped", "before_validation"}


def find(verified: Verified, log_files: pa.Table, apart: pa.Table | None = None) -> list[Finding]:
    """Findings of digests and log files, in the order of their rule, place and time.

    One cause is one finding: the files of a lost digest belong to it, not to themselves. A finding lies in the hour in
    which it began, which may be before the window that was asked for.

    Args:
        verified: the digests.
        log_files: rows of `log_file` that `log_files.judge` gave for them.
        apart: rows of the same place from outside of the window that `lacks_validation` holds of. What lacks validation
            for long is one finding, whichever window looks at it.
    """
    quiet = pa.array([FileStatus.ATTESTED.value, FileStatus.NOT_YET.value])
    files: list[Row] = log_files.filter(pc.invert(pc.is_in(log_files["status"], quiet))).to_pylist()
    found = [
        *(_lost(chain.id, lost, files) for chain in verified.chains for lost in chain.lost),
        *_invalid(verified, files),
        *_single(files, FileStatus.FORGED, _forged),
        *_single(files, FileStatus.ALTERED, _altered),
        *_missing(files),
        *(_off(chain, off, files) for chain in verified.chains for off in chain.off),
        *_unvalidated(verified.chains, files, LOG_FILE.schema.empty_table() if apart is None else apart),
    ]
    return sorted(found, key=lambda one: (one.rule_id, one.account_id, one.region, one.event_time, one.subject))


def _lost(id_: ChainId, lost: Lost, files: Sequence[Row]) -> Finding:
    there = _touching(id_, lost.start, lost.end, files, "digest_missing")
    kept = [row["source_uri"] for row in there if row["status"] == FileStatus.UNATTESTED.value]
    gone = [row["source_uri"] for row in there if row["status"] == FileStatus.MISSING.value]
    rule, title, how = {
        "head": (
            "integrity.chain_truncated_head",
            "The chain of trail {trail} lost its oldest {n}",
            "The oldest digest that is left says that there were others before it.",
        ),
        "tail": (
            "integrity.chain_truncated_tail",
            "The chain of trail {trail} lost its newest {n}",
            "The trail was logging, so each hour must have left one.",
        ),
        "middle": (
            "integrity.digest_missing",
            "The chain of trail {trail} lost {n}",
            "The digests around them, which AWS signed, are one chain: these belong between them.",
        ),
        "restart": (
            "integrity.digest_missing" if lost.hours else "integrity.chain_truncated_head",
            "The digests of trail {trail} begin anew without a reason",
            (
                "A chain begins anew only where logging or validation was turned off and on, and no such change is "
                "known. Its events may be among what is gone."
            ),
        ),
    }[lost.where]
    digests = "digest" if lost.hours == 1 else "digests"
    many = f"{lost.hours} {digests}"
    text = [
        f"From {iso(lost.start)} to {iso(lost.end)}, in {id_.region}: {lost.hours} hourly {digests}. {how}",
        f"Gone are: {_spell(lost.uris)}." if lost.uris else "",
        f"Nothing vouches for {len(kept)} log files delivered then: {_spell(kept)}." if kept else "",
        f"Of the log files that had been taken, {len(gone)} are gone as well: {_spell(gone)}." if gone else "",
        (
            "Look for who deleted them (DeleteObject data events of the bucket, its versions, lifecycle rules), "
            "restore them from a version or a copy, and verify the window again."
        ),
    ]
    return Finding(
        rule_id=rule,
        severity=HIGH,
        event_time=lost.start,
        ends_at=lost.end,
        account_id=id_.account_id,
        region=id_.region,
        subject=f"{_chain(id_)}|{iso(lost.start)}",
        title=title.format(n=many, trail=id_.trail_name),
        explanation=" ".join(part for part in text if part),
        how_many=lost.hours,
        evidence_ids=_evidence([*lost.uris, *([lost.shown_by] if lost.shown_by else []), *kept, *gone]),
    )


_INVALID = {
    "key_unknown": "signed with a key that is not CloudTrail's",
    "moved": "moved from where CloudTrail put them",
    "replayed": "replaced by the content of older ones",
    "altered": "altered",
    "signature_invalid": "not signed by CloudTrail as they are",
}


def _invalid(verified: Verified, files: Sequence[Row]) -> Iterator[Finding]:
    rows = verified.rows.filter(pc.equal(verified.rows["status"], "invalid")).to_pylist()
    keyed = sorted(
        ((_place(row), row["reason_code"], row["digest_end_time"], row["digest_uri"], row) for row in rows),
        key=lambda entry: entry[:4],
    )
    for run in runs(
        [entry[4] for entry in keyed],
        lambda a, b: (
            (_place(a), a["reason_code"]) == (_place(b), b["reason_code"])
            and b["digest_end_time"] - a["digest_end_time"] <= _STEP
        ),
    ):
        first, last = run[0], run[-1]
        code = first["reason_code"]
        # Its own word for when it begins is worth nothing; the place that its name gives it is an hour.
        start = first["digest_end_time"] - HOUR
        id_ = _place(first)
        bare = _touching(id_, start, last["digest_end_time"], files, "digest_invalid")
        named = [row["source_uri"] for row in bare]
        uris = [row["digest_uri"] for row in run]
        what = _INVALID.get(code, "not what CloudTrail wrote")
        count = "A digest" if len(run) == 1 else f"{len(run)} digests"
        text = [
            f"{first['reason']} This holds for: {_spell(uris)}.",
            f"Nothing vouches for {len(named)} log files delivered then: {_spell(named)}." if named else "",
            (
                "Only somebody who may write to the bucket can do this. Look for PutObject and CopyObject data events "
                "of these addresses, compare with older versions of the objects, and trust nothing of that time until "
                "then."
            ),
        ]
        yield Finding(
            rule_id="integrity.digest_invalid",
            severity=CRITICAL,
            event_time=start,
            ends_at=last["digest_end_time"],
            account_id=id_.account_id,
            region=id_.region,
            subject=f"{uris[0]}|{code}",
            title=f"{count} of trail {id_.trail_name}: {what}",
            explanation=" ".join(part for part in text if part),
            how_many=len(run),
            evidence_ids=_evidence([*uris, *named]),
        )


def _single(
    files: Sequence[Row], status: FileStatus, tell: Callable[[Sequence[Row]], tuple[str, str, str]]
) -> Iterator[Finding]:
    """Files one by one; where an hour has very many, together."""
    hours: dict[tuple[str, str, datetime], list[Row]] = {}
    for row in files:
        if row["status"] == status.value:
            hours.setdefault((row["account_id"], row["region"], row["event_hour"]), []).append(row)
    for (account, region, hour), rows in sorted(hours.items()):
        ordered = sorted(rows, key=lambda row: (row["delivered_at"], row["source_uri"]))
        for group in [[row] for row in ordered] if len(ordered) <= _EACH else [ordered]:
            rule, title, text = tell(group)
            uris = [row["source_uri"] for row in group]
            yield Finding(
                rule_id=rule,
                severity=CRITICAL,
                event_time=group[0]["delivered_at"],
                ends_at=group[-1]["delivered_at"] if len(group) > 1 else None,
                account_id=account,
                region=region,
                subject=uris[0] if len(group) == 1 else iso(hour),
                title=title,
                explanation=text,
                how_many=len(group),
                evidence_ids=_evidence(uris),
            )


def _forged(group: Sequence[Row]) -> tuple[str, str, str]:
    counts = [row["records"] for row in group]
    records = f" holds {sum(counts)} records." if None not in counts else ":"
    return (
        "integrity.log_file_forged",
        "A log file was forged" if len(group) == 1 else f"{len(group)} log files were forged",
        (
            f"{_spell(row['source_uri'] for row in group)}{records} {group[0]['reason']} Rows that were taken of it "
            "stay in the trail, marked forged. Find out who wrote it (PutObject data events of the bucket, the "
            "object's owner and time), keep it as evidence, and do not believe its records."
        ),
    )


def _altered(group: Sequence[Row]) -> tuple[str, str, str]:
    first = group[0]
    return (
        "integrity.log_file_altered",
        "A log file was altered" if len(group) == 1 else f"{len(group)} log files were altered",
        (
            f"{_spell(row['source_uri'] for row in group)}: {first['reason']} The digest {first['digest_uri']} holds "
            f"SHA-256 {first['expected_sha256']}, it has {first['sha256'] or 'one that cannot be told'}. Restore the "
            "version that CloudTrail wrote, if the bucket keeps versions, find out who wrote over it (PutObject data "
            "events), and take the window again."
        ),
    )


def _missing(files: Iterable[Row]) -> Iterator[Finding]:
    """Runs of hours in which log files are gone that digests name, or that had been taken."""
    rows = [row for row in files if row["status"] == FileStatus.MISSING.value and row["reason_code"] not in _OF_DIGESTS]
    rows.sort(key=lambda row: (row["account_id"], row["region"], row["delivered_at"], row["source_uri"]))
    for run in runs(
        rows,
        lambda a, b: (
            (a["account_id"], a["region"]) == (b["account_id"], b["region"])
            and b["event_hour"] - a["event_hour"] <= HOUR
        ),
    ):
        uris = [row["source_uri"] for row in run]
        never = [row["source_uri"] for row in run if row["sha256"] is None]
        had = len(run) - len(never)
        count = "A log file is" if len(run) == 1 else f"{len(run)} log files are"
        text = [
            f"Digests name them, or they had been taken before, and the bucket does not hold them: {_spell(uris)}.",
            f"{had} had been taken before: their records are in the trail." if had else "",
            f"{len(never)} were never taken: their records are lost to the trail." if never else "",
            (
                "Look for who deleted them (DeleteObject data events, lifecycle rules), restore them from a version or "
                "a copy, and take the window again."
            ),
        ]
        yield Finding(
            rule_id="integrity.log_file_missing",
            severity=HIGH,
            event_time=run[0]["delivered_at"],
            ends_at=run[-1]["delivered_at"] if len(run) > 1 else None,
            account_id=run[0]["account_id"],
            region=run[0]["region"],
            subject=iso(run[0]["event_hour"]),
            title=f"{count} gone from the bucket",
            explanation=" ".join(part for part in text if part),
            how_many=len(run),
            evidence_ids=_evidence(uris),
        )


def _off(chain: Chain, off: Off, files: Sequence[Row]) -> Finding:
    id_ = chain.id
    bare = [row["source_uri"] for row in _within(id_, off, files)]
    ids = [change.event_id for change in (off.began, off.ended) if change and change.event_id]
    what = "did not log" if off.code == "logging_stopped" else "made no digests"
    text = [
        off.reason,
        f"Nothing vouches for {len(bare)} log files delivered then: {_spell(bare)}." if bare else "",
        (
            "What was delivered then, or was not, cannot be proven. Ask who changed the trail whether it was meant, "
            "and keep StopLogging, UpdateTrail and DeleteTrail from everybody else by a service control policy."
        ),
    ]
    return Finding(
        rule_id="integrity.validation_off",
        severity=MEDIUM,
        event_time=off.start,
        ends_at=off.end,
        account_id=id_.account_id,
        region=id_.region,
        subject=f"{_chain(id_)}|{iso(off.start)}",
        actor=off.began.actor if off.began else None,
        title=f"Trail {id_.trail_name} {what} for a while" if off.end else f"Trail {id_.trail_name} {what} any more",
        explanation=" ".join(part for part in text if part),
        how_many=len(bare),
        evidence_ids=_evidence([*ids, *bare]),
    )


def lacks_validation(files: pa.Table) -> pa.ChunkedArray:
    """Which rows of `log_file` say that no digest was ever made for them, or that all are gone."""
    codes = pc.is_in(files["reason_code"], pa.array(sorted(_NO_VALIDATION | {"no_digests"})))
    return pc.and_(pc.equal(files["status"], FileStatus.UNATTESTED.value), codes)


def _unvalidated(chains: Sequence[Chain], files: Sequence[Row], apart: pa.Table) -> Iterator[Finding]:
    """Files that no digest can vouch for, other than in a span that a chain tells of."""
    told = {row["source_uri"] for chain in chains for off in chain.off for row in _within(chain.id, off, files)}
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in files:
        code = row["reason_code"]
        if (
            row["status"] == FileStatus.UNATTESTED.value
            and code in _NO_VALIDATION | {"no_digests"}
            and row["source_uri"] not in told
        ):
            base = row["source_uri"].rpartition("/CloudTrail/")[0]
            groups.setdefault((row["account_id"], row["region"], base, code), []).append(row)
    for (account, region, base, code), rows in sorted(groups.items()):
        same = pc.and_(
            pc.and_(pc.equal(apart["reason_code"], code), pc.starts_with(apart["source_uri"], f"{base}/CloudTrail/")),
            pc.is_in(apart["reason"], pa.array(sorted({row["reason"] for row in rows}))),
        )
        more = apart.filter(same)
        ordered = sorted(
            [
                *((row["delivered_at"], row["source_uri"]) for row in rows),
                *zip(more["delivered_at"].to_pylist(), more["source_uri"].to_pylist(), strict=True),
            ]
        )
        rows.sort(key=lambda row: (row["delivered_at"], row["source_uri"]))
        uris = [uri for _, uri in ordered]
        lost = code == "no_digests"
        advice = (
            "Look for who deleted the digests and restore them."
            if lost
            else "Turn validation on: `aws cloudtrail update-trail --name TRAIL --enable-log-file-validation`."
        )
        yield Finding(
            rule_id="integrity.digest_missing" if lost else "integrity.validation_off",
            severity=HIGH if lost else MEDIUM,
            event_time=ordered[0][0],
            ends_at=ordered[-1][0],
            account_id=account,
            region=region,
            subject=f"{base}|{code}",
            title=f"No digest vouches for {len(uris)} log files"
            if len(uris) > 1
            else "No digest vouches for a log file",
            explanation=f"{rows[0]['reason']} Files: {_spell(uris)}. {advice}",
            how_many=len(uris),
            evidence_ids=_evidence(uris),
        )


def _touching(id_: ChainId, start: datetime, end: datetime, files: Sequence[Row], code: str) -> list[Row]:
    """Files of the chain's folder that may be named by a digest of [start, end], and that want for one."""
    prefix = f"{id_.base}{id_.account_id}/CloudTrail/{id_.region}/"
    return [
        row
        for row in files
        if row["reason_code"] == code
        and row["delivered_at"] < end
        and row["delivered_at"] + SLACK >= start
        and row["source_uri"].startswith(prefix)
    ]


def _within(id_: ChainId, off: Off, files: Sequence[Row]) -> list[Row]:
    return [
        row
        for row in _touching(id_, off.start, off.end or datetime.max.replace(tzinfo=off.start.tzinfo), files, off.code)
        if row["status"] == FileStatus.UNATTESTED.value
    ]


def _place(row: Row) -> ChainId:
    found = place(row["digest_uri"])
    assert found is not None, "a digest that was read has a name of CloudTrail's"
    return found[0]


def _chain(id_: ChainId) -> str:
    return f"{id_.base}{id_.trail_name}|{id_.home_region}|{id_.kind}"


def _spell(uris: Iterable[str]) -> str:
    """Their names; one alone with its address. The evidence has all addresses."""
    every = list(uris)
    if len(every) == 1:
        return every[0]
    more = f" and {len(every) - _SPELLED} more" if len(every) > _SPELLED else ""
    return ", ".join(uri.rpartition("/")[2] for uri in every[:_SPELLED]) + more


def _evidence(ids: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ids))[:_EVIDENCE]
