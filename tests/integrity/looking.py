"""Looking at a history as the pipeline does, but with everything at hand in memory."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from tests.integrity.histories import History, signer_named

from dynatrail.errors import ObjectError
from dynatrail.integrity import digest_findings, digests, log_files
from dynatrail.integrity.digests import Beside, DigestFile, Verified
from dynatrail.integrity.findings import Finding
from dynatrail.integrity.keys import Keys
from dynatrail.integrity.trail_facts import Change, LoggingSpan, TrailFacts
from dynatrail.sandbox.objects import HeldObjects
from dynatrail.sandbox.tampering import ended
from dynatrail.sources.cloudtrail.gunzip import gunzip
from dynatrail.warehouse.schema import TRAIL_DIGEST

_LIMIT = 64 << 20
_MARGIN = timedelta(hours=2)


@dataclass
class Seen:
    """What was found out."""

    verified: Verified
    log_files: pa.Table
    findings: list[Finding]

    def files(self, *statuses: str) -> dict[str, str | None]:
        """Key → reason code of the log files of these states."""
        return {
            row["source_uri"].split("/", 3)[3]: row["reason_code"]
            for row in self.log_files.to_pylist()
            if row["status"] in statuses
        }

    def digests(self, *statuses: str) -> dict[str, str | None]:
        """Key → reason code of the digests of these states."""
        return {
            row["digest_uri"].split("/", 3)[3]: row["reason_code"]
            for row in self.verified.rows.to_pylist()
            if row["status"] in statuses
        }

    def rules(self) -> list[str]:
        return sorted(one.rule_id.partition(".")[2] for one in self.findings)

    def found(self, rule: str) -> list[Finding]:
        return [one for one in self.findings if one.rule_id == f"integrity.{rule}"]


@dataclass
class Memory:
    """What warehouse and ledger hold of an earlier look."""

    digests: pa.Table
    taken: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def nothing(cls) -> "Memory":
        return cls(TRAIL_DIGEST.schema.empty_table())


def look(
    history: History,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    memory: Memory | None = None,
    online: bool = True,
) -> Seen:
    """Verify and judge all that lies in the bucket and was delivered in [since, until).

    Args:
        history: the bucket.
        since: the history's start when None.
        until: the history's end when None.
        memory: what an earlier look left, if there was one.
        online: whether GetTrailStatus can be asked.
    """
    since, until = since or history.start - timedelta(hours=3), until or history.until
    objects = history.bucket
    root = f"s3://{objects.name}/"
    keys = [key for key in objects.listing() if "/CloudTrail-Digest/" in key and ended(key) >= since - _MARGIN]
    files = [_digest(root, objects, key) for key in keys]
    known = {row["source_uri"]: row for row in _known(root, objects) if row["delivered_at"] >= since - _MARGIN}
    for uri, row in (memory.taken if memory else {}).items():
        if row["delivered_at"] >= since - _MARGIN:
            known.setdefault(uri, {**row, "present": False})
    table = pa.Table.from_pylist(list(known.values()), log_files.KNOWN)
    present = {root + key for key in keys}
    gone = (
        memory.digests.filter(pc.invert(pc.is_in(memory.digests["digest_uri"], pa.array(sorted(present)))))
        if memory
        else None
    )
    oldest: dict[tuple[str, str], datetime] = {}
    for row in known.values():
        place = (row["account_id"], row["region"])
        oldest[place] = min(oldest.get(place, row["delivered_at"]), row["delivered_at"])
    beside = Beside(
        gone=gone,
        spans=spans(history),
        facts=facts(history) if online else (),
        known_since=oldest,
    )
    verified = digests.verify(files, keys=keys_of(), since=since, until=until, beside=beside)
    rows = log_files.judge(table, verified, since=since, until=until, listed=[root])
    return Seen(verified, rows, digest_findings.find(verified, rows))


def remember(seen: Seen, history: History) -> Memory:
    """What stays of a look: valid digests, and all log files as taken."""
    valid = seen.verified.rows.filter(pc.equal(seen.verified.rows["status"], "valid"))
    taken = {row["source_uri"]: row for row in _known(f"s3://{history.bucket.name}/", history.bucket)}
    return Memory(valid, taken)


def keys_of() -> Keys:
    """CloudTrail's public keys."""
    signers = [signer_named(name) for name in ("cloudtrail", "cloudtrail-backfill")]
    return Keys.of_aws({"Fingerprint": one.fingerprint, "Value": one.public_key} for one in signers)


def spans(history: History) -> list[LoggingSpan]:
    """When each trail logged, as its events tell."""
    found = []
    for trail in history.trails:
        own = [change for change in history.changes if change.trail_name == trail.name]
        logging, validation, began = False, False, None
        for change in own:
            at = Change(
                at=change.at, event_name=change.event_name, event_id=change.event_id, actor=change.principal_arn
            )
            before = (logging, validation)
            logging = {"StartLogging": True, "StopLogging": False, "DeleteTrail": False}.get(change.event_name, logging)
            validation = change.parameters.get("enableLogFileValidation", validation)
            if (logging, validation) == before:
                continue
            if began is not None:
                found.append(_span(trail, began, at, before[1]))
            began = at if logging else None
        if began is not None:
            found.append(_span(trail, began, None, validation))
    return found


def facts(history: History) -> list[TrailFacts]:
    return [
        TrailFacts(
            trail_name=trail.name,
            home_region=trail.home_region,
            is_logging=trail.logging,
            latest_digest_delivery_time=trail.digest_at,
        )
        for trail in history.trails
    ]


def _span(trail: Any, began: Change, ended_by: Change | None, validation: bool) -> LoggingSpan:
    return LoggingSpan(
        trail_name=trail.name,
        home_region=trail.home_region,
        start=began.at,
        end=ended_by and ended_by.at,
        validation=validation,
        began=began,
        ended=ended_by,
    )


def _digest(root: str, objects: HeldObjects, key: str) -> DigestFile:
    thing = objects.read(key)
    try:
        body, error = gunzip(thing.body, limit=_LIMIT), None
    except ObjectError as refused:
        body, error = None, refused.code
    return DigestFile(root=root, key=key, body=body, signature=thing.metadata.get("signature"), error=error)


def _known(root: str, objects: HeldObjects) -> Iterable[dict[str, Any]]:
    for key in objects.listing():
        if "/CloudTrail/" not in key:
            continue
        parts = key.split("/")
        row: dict[str, Any] = {
            "source_uri": root + key,
            "account_id": parts[-7],
            "region": parts[-5],
            "delivered_at": datetime.strptime(key.rsplit("_", 2)[-2], "%Y%m%dT%H%MZ").replace(tzinfo=UTC),
            "present": True,
            "size": len(objects.read(key).body),
        }
        data = objects.read(key).body
        try:
            content = gunzip(data, limit=_LIMIT)
            row |= {"sha256": _sha256(content), "records": len(json.loads(content)["Records"])}
        except ObjectError as refused:
            row["error"] = refused.code
            if refused.code in ("several_gzip_members", "trailing_bytes"):
                row["first_member_sha256"] = _sha256(zlib.decompressobj(wbits=31).decompress(data))
        yield row


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def logs_of(history: History, digest_key: str) -> list[str]:
    """Keys of the log files that a digest lists."""
    return [file["s3Object"] for file in json.loads(gzip.decompress(history.bucket.read(digest_key).body))["logFiles"]]
