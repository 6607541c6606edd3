"""Writes due log files and digests into the trails' buckets."""

import gzip
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from botocore.exceptions import ClientError

from dynatrail.clock import iso
from dynatrail.errors import SandboxError
from dynatrail.sandbox.delivery import Delivery, File, Pending, Plan, chain_name, folder
from dynatrail.sandbox.digests import ALGORITHM, HOUR, Chain, Digest, Signer, next_digest
from dynatrail.sandbox.trails import Trail, Trails

_WRITERS = 3
_USUAL_DELIVERY = timedelta(minutes=15)
"""What is not delivered by then, after its trail has stopped, is late and in no digest."""


class Held(msgspec.Struct, frozen=True):
    """A digest that is delivered at `due`, long after its hour."""

    due: datetime
    trail_arn: str
    digest: Digest


class DeliveryState(msgspec.Struct):
    """What must outlive a stop: records not delivered yet, the digest chains, and digests that come late.

    Attributes:
        backfill: chains of `_backfill` digests that are still to be made; `end` is when.
    """

    pending: list[Pending] = []
    chains: dict[str, Chain] = {}
    held: list[Held] = []
    backfill: dict[str, Chain] = {}


class Taken(NamedTuple):
    """What becomes of a record: the eventID of its correction, if any comes, and whether any trail selects it."""

    correction_id: str | None
    delivered: bool


class Deliverer:
    """Delivers for all trails of the sandbox.

    Args:
        state: kept by the caller.
        trails: the trails as they are at any moment.
        signer: signs the digests.
        s3: gives a boto3 client that may write into the trails' buckets.
        organization_id: of the organization's folder.
        regions: the regions in use per account; a multi-region trail has a digest chain in each.

    Attributes:
        selected: told of every record that a trail selects.
    """

    def __init__(
        self,
        state: DeliveryState,
        trails: Trails,
        signer: Signer,
        s3: Callable[[], Any],
        organization_id: str,
        regions: Mapping[str, Iterable[str]],
    ) -> None:
        self.plan = Plan(Delivery(), datetime.min.replace(tzinfo=UTC))
        self.selected: Callable[[Trail, dict[str, Any]], None] = _ignore
        self._lock = threading.RLock()
        self._state = state
        self._trails = trails
        self._signer = signer
        self._s3 = s3
        self._organization_id = organization_id
        self._regions = {account: tuple(names) for account, names in regions.items()}

    @property
    def pending(self) -> int:
        """Records that are on their way."""
        return len(self._state.pending)

    def is_digest_due(self, until: datetime) -> bool:
        """Whether an hour of some chain has ended that has no digest yet."""
        return any(chain.end <= until for chain in self._state.chains.values())

    def take(self, record: dict[str, Any]) -> Taken:
        """Plan the delivery of a record by every trail that selects it."""
        correction, delivered, planned = None, False, []
        for trail in self._trails.by_arn.values():
            if not trail.selects(record, frozenset(self._regions)):
                continue
            copies, delivered = self.plan.of(record, trail), True
            self.selected(trail, record)
            planned += copies
            if "originalEventID" in copies[-1].record.get("addendum", {}):
                correction = copies[-1].record["eventID"]
        with self._lock:
            self._state.pending += planned
        return Taken(correction, delivered)

    def begin(self, trail: Trail, at: datetime) -> None:
        """Start the digest chains of a trail that begins to log, or to validate."""
        if not trail.validation:
            return
        at = at.replace(microsecond=0)
        self._close(trail, at)
        for account, regions in self._regions.items():
            if account != trail.account_id and not trail.organization:
                continue
            for region in regions:
                if trail.multi_region or region == trail.home_region:
                    name = chain_name(trail.arn, account, region)
                    # Digests fall due at any minute of the hour, another one for each chain.
                    minutes = sum(name.encode()) % 60
                    self._state.chains[name] = Chain(at, at + timedelta(minutes=minutes or 60), began=at)

    def end(self, trail: Trail, at: datetime, *, at_once: bool) -> None:
        """End the chains of a trail with a last digest: `at_once`, or when what is on its way has been delivered."""
        at = at.replace(microsecond=0)
        if at_once or not any(item.trail_arn == trail.arn for item in self._state.pending):
            self._close(trail, at)
            return
        for name in self._chains_of(trail):
            chain = self._state.chains[name]
            chain.end, chain.closing = at + _USUAL_DELIVERY, True

    def _close(self, trail: Trail, at: datetime) -> None:
        for name in self._chains_of(trail):
            chain = self._state.chains.pop(name)
            if at > chain.start:
                chain.end = at
                self._put_digests([self._digest(name, chain, trail)])

    def _chains_of(self, trail: Trail) -> list[str]:
        return [name for name in self._state.chains if name.startswith(f"{trail.arn}|")]

    def deliver(self, until: datetime) -> int:
        """Write everything that is due by `until`; the number of records written.

        Raises:
            SandboxError: a trail's bucket does not take the files.
        """
        with self._lock:
            return self._deliver(until)

    def _deliver(self, until: datetime) -> int:
        files, self._state.pending = self.plan.files(
            self._state.pending, until, self._trails.by_arn, self._organization_id
        )
        with ThreadPoolExecutor(_WRITERS) as pool:
            owners = [self._trails.by_arn[file.chain.split("|")[0]] for file in files]
            list(pool.map(self._put, owners, [f.log.bucket for f in files], [f.log.key for f in files], files))
        for trail, file in zip(owners, files, strict=True):
            trail.delivered_at = file.log.written_at
            chain = self._chain(file.chain, file.log.written_at, trail)
            if chain and not (chain.began and file.log.written_at < chain.began.replace(second=0)):
                (self._backfill_of(file) or chain).files.append(file.log)
        due = []
        for name, chain in sorted(self._state.chains.items()):
            trail = self._trails.by_arn[name.split("|")[0]]
            while chain.end <= until:
                due.append(self._digest(name, chain, trail))
                if chain.closing:
                    del self._state.chains[name]
                    break
        self._put_digests(self._held_back(due, until) + self._backfilled(until))
        return sum(file.records for file in files)

    def _held_back(self, made: list[tuple[Trail, Digest]], until: datetime) -> list[tuple[Trail, Digest]]:
        """What of the digests just made is to be delivered, and those that were held back until now, youngest first."""
        at_once = []
        for trail, digest in made:
            late = self.plan.late_digests(digest.key.rsplit("/", 5)[1], digest.end, backfill=False)
            if late is None:
                at_once.append((trail, digest))
            else:
                self._state.held.append(Held(late[1], trail.arn, digest))
        come = [one for one in self._state.held if one.due <= until and one.trail_arn in self._trails.by_arn]
        self._state.held = [one for one in self._state.held if one.due > until]
        come.sort(key=lambda one: one.digest.end, reverse=True)
        return at_once + [(self._trails.by_arn[one.trail_arn], one.digest) for one in come]

    def _backfill_of(self, file: File) -> Chain | None:
        """The chain of `_backfill` digests that a file belongs to, if it was delivered in a span that has one."""
        region, at = file.chain.rsplit("|", 1)[-1], file.log.written_at
        late = self.plan.late_digests(region, at, backfill=True)
        if late is None:
            return None
        if file.chain not in self._state.backfill:
            begin = at.replace(minute=0, second=0, microsecond=0)
            self._state.backfill[file.chain] = Chain(begin, late[1], began=late[0])
        return self._state.backfill[file.chain]

    def _backfilled(self, until: datetime) -> list[tuple[Trail, Digest]]:
        """The digests of every backfill that is due: hour by hour, from its first file to its last."""
        made = []
        for name, chain in sorted(self._state.backfill.items()):
            if (generated := chain.end) > until:
                continue
            del self._state.backfill[name]
            trail = self._trails.by_arn.get(name.split("|")[0])
            chain.end = chain.start + HOUR
            while trail and chain.files:
                made.append(self._digest(name, chain, trail, generated))
        return made

    def _chain(self, name: str, at: datetime, trail: Trail) -> Chain | None:
        """The chain of a file, if it has one; regions that nobody announced start one with their first file."""
        if not trail.validation:
            return None
        if name not in self._state.chains:
            if not trail.logging:
                return None
            begin = at.replace(minute=0, second=0, microsecond=0)
            self._state.chains[name] = Chain(begin, begin + HOUR)
        return self._state.chains[name]

    def _digest(
        self, name: str, chain: Chain, trail: Trail, backfilled_at: datetime | None = None
    ) -> tuple[Trail, Digest]:
        _, account, region = name.split("|")
        where = folder(trail, account, "CloudTrail-Digest", region, chain.end, self._organization_id)
        file = (
            f"{account}_CloudTrail-Digest_{region}_{trail.name}_{trail.home_region}_{chain.end:%Y%m%dT%H%M%SZ}"
            f"{'_backfill' if backfilled_at else ''}.json.gz"
        )
        digest = next_digest(chain, bucket=trail.bucket, key=f"{where}/{file}", account_id=account, signer=self._signer)
        if backfilled_at:
            metadata = {"backfill-generation-timestamp": iso(backfilled_at)}
            digest = msgspec.structs.replace(digest, metadata=metadata)
        return trail, digest

    def _put_digests(self, digests: list[tuple[Trail, Digest]]) -> None:
        with ThreadPoolExecutor(_WRITERS) as pool:
            list(
                pool.map(
                    lambda item: self._put(item[0], item[1].bucket, item[1].key, item[1]),
                    digests,
                )
            )
        for trail, digest in digests:
            trail.digest_at = max(trail.digest_at or digest.end, digest.end)

    def _put(self, trail: Trail, bucket: str, key: str, content: Any) -> None:
        body, metadata = content.body, {}
        if isinstance(content, Digest):
            body = gzip.compress(body, mtime=0)
            metadata = {"signature": content.signature, "signature-algorithm": ALGORITHM, **content.metadata}
        try:
            self._s3().put_object(
                Bucket=bucket,
                Key=key,
                Body=body,
                ContentType="application/json",
                ContentEncoding="gzip",
                Metadata=metadata,
            )
        except ClientError as error:
            raise SandboxError(
                f"Trail {trail.name} cannot deliver to s3://{bucket}: {error.response['Error']['Code']}. "
                "Make the bucket again, or stop the trail with StopLogging."
            ) from error


def _ignore(_trail: Trail, _record: dict[str, Any]) -> None:
    pass
