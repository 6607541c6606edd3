"""What verification reads of the buckets: listings of digests and log files, digests with their signatures, hashes.

Everything is read side by side, and nothing that one object does stops the others: what cannot be read says so.
"""

import hashlib
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import NamedTuple, TypeVar

from dynatrail.errors import ObjectError, SourceError
from dynatrail.integrity.digests import DigestFile
from dynatrail.sources.cloudtrail import layout
from dynatrail.sources.cloudtrail.bucket import root_of
from dynatrail.sources.cloudtrail.gunzip import gunzip
from dynatrail.sources.cloudtrail.trails import Source
from dynatrail.state.ledger import SeenObject

DIGEST_LIMIT = 64 << 20
"""Bytes of a digest. Each log file takes about 400 in it, and CloudTrail delivers at most some thousands an hour."""

SIGNATURE = "signature"
"""S3 metadata `x-amz-meta-signature`, as boto3 names it."""

_REGION = re.compile(rf".*/(\d{{12}})/{layout.LOGS}/([a-z0-9-]+)")
_READERS = 16
_AHEAD = 48
_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True, slots=True)
class Part:
    """The folder of one account and region in one trail's bucket."""

    source: Source
    folder: layout.Folder


@dataclass(frozen=True, slots=True)
class Place:
    """One account and region, in every bucket that has something of it."""

    account_id: str
    region: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """What the buckets hold of one place.

    Attributes:
        logs: log files delivered in the window that was asked for, by address.
        digests: digests that ended in theirs, by address; `delivered_at` is their end.
        listed: what the addresses begin with that could be listed.
        faults: why others could not.
    """

    logs: dict[str, SeenObject]
    digests: dict[str, SeenObject]
    listed: tuple[str, ...]
    faults: tuple[str, ...]


class Hashed(NamedTuple):
    """What the bytes of a log file are: fields as in `log_files.KNOWN`."""

    sha256: str | None = None
    error: str | None = None
    first_member_sha256: str | None = None
    content: bytes | None = None


def side_by_side(work: Callable[[_In], _Out], things: Iterable[_In]) -> Iterator[_Out]:
    """`work` of each thing, in order, by several threads, a bounded number ahead."""
    with ThreadPoolExecutor(_READERS, thread_name_prefix="verify") as pool:
        rest = iter(things)
        ahead: list[Future[_Out]] = [pool.submit(work, one) for one in islice(rest, _AHEAD)]
        ahead.reverse()
        while ahead:
            done = ahead.pop()
            for one in islice(rest, 1):
                ahead.insert(0, pool.submit(work, one))
            yield done.result()


def places(sources: Sequence[Source]) -> tuple[list[Place], list[str]]:
    """Every account and region that has log files or digests in one of the buckets, and why some bucket tells none."""
    parts: dict[tuple[str, str], list[Part]] = defaultdict(list)
    faults = []
    for source, (folders, said) in zip(sources, side_by_side(_folders_of, sources), strict=True):
        faults += said
        for folder in folders:
            parts[folder.account_id, folder.region].append(Part(source, folder))
    return [Place(account, region, tuple(own)) for (account, region), own in sorted(parts.items())], faults


def with_gone(places: Sequence[Place], sources: Sequence[Source], known: Iterable[str]) -> list[Place]:
    """The same, and the accounts and regions of addresses known from before: else nobody would miss a whole folder."""
    parts = {(place.account_id, place.region): list(place.parts) for place in places}
    have = {root_of(part.source.trail) + part.folder.root for own in parts.values() for part in own}
    for address in sorted({uri.replace(f"/{layout.DIGESTS}/", f"/{layout.LOGS}/").rsplit("/", 4)[0] for uri in known}):
        found = _REGION.fullmatch(address)
        source = next((one for one in sources if address.startswith(one.address)), None)
        if found is None or source is None or f"{address}/" in have or not source.wants(*found.groups()):
            continue
        account, region = found.groups()
        folder = layout.Folder(account, region, f"{address}/".removeprefix(root_of(source.trail)))
        parts.setdefault((account, region), []).append(Part(source, folder))
    return [Place(account, region, tuple(own)) for (account, region), own in sorted(parts.items())]


def listing(place: Place, logs: tuple[datetime, datetime], digests: tuple[datetime, datetime]) -> Listing:
    """List one place: log files delivered in the half-open window `logs`, digests that ended within `digests`."""
    seen: tuple[dict[str, SeenObject], dict[str, SeenObject]] = {}, {}
    listed, faults = [], []
    for part in place.parts:
        try:
            of_logs = {one.uri: one for one in part.source.listed(part.folder, *logs)}
            of_digests = {one.uri: one for one in _digests(part, *digests)}
        except SourceError as error:
            faults.append(str(error))
            continue
        seen[0].update(of_logs)
        seen[1].update(of_digests)
        listed.append(part.source.bucket.root + part.folder.root)
        listed.append(part.source.bucket.root + part.folder.digests)
    return Listing(*seen, tuple(listed), tuple(faults))


def read_digests(sources: Sequence[Source], uris: Collection[str]) -> Iterator[DigestFile]:
    """Digests with their signatures, in the order of their addresses."""
    return side_by_side(lambda uri: _digest(sources, uri), sorted(uris))


def hashes(
    sources: Sequence[Source], uris: Collection[str], *, limit: int, keep: bool = False
) -> Iterator[tuple[str, Hashed]]:
    """What the bytes of log files are now, in the order of their addresses; with `keep`, their content as well."""
    ordered = sorted(uris)
    found = side_by_side(lambda uri: _hashed(sources, uri, limit, keep=keep), ordered)
    return zip(ordered, found, strict=True)


def _folders_of(source: Source) -> tuple[list[layout.Folder], list[str]]:
    """One whose log files are all gone has digests only."""
    folders: set[layout.Folder] = set()
    faults = []
    for kind in (layout.LOGS, layout.DIGESTS):
        try:
            folders.update(source.places(kind))
        except SourceError as error:
            faults.append(str(error))
    return sorted(folders), faults


def _digests(part: Part, start: datetime, end: datetime) -> Iterator[SeenObject]:
    for prefix in part.folder.digest_days(start, end):
        for listed in part.source.bucket.objects(prefix, ""):
            ended = layout.digest_ended_at(listed.key)
            if ended is None or start <= ended <= end:
                yield SeenObject(
                    uri=part.source.bucket.root + listed.key,
                    account_id=part.folder.account_id,
                    region=part.folder.region,
                    delivered_at=ended or layout.folder_day(listed.key),
                    size=listed.size,
                    etag=listed.etag,
                )


def _source_of(sources: Sequence[Source], uri: str) -> Source:
    for source in sources:
        if uri.startswith(source.address):
            return source
    raise SourceError(f"{uri} is of no trail that the configuration names.")


def _digest(sources: Sequence[Source], uri: str) -> DigestFile:
    bucket = _source_of(sources, uri).bucket
    key = uri.removeprefix(bucket.root)
    try:
        content = bucket.content(key, limit=DIGEST_LIMIT)
        body = gunzip(content.body, limit=DIGEST_LIMIT)
    except ObjectError as error:
        # Gone between listing and reading: whether it is, the next look tells.
        return DigestFile(root=bucket.root, key=key, body=None, error="unread" if _is_gone(error) else error.code)
    except SourceError:
        return DigestFile(root=bucket.root, key=key, body=None, error="unread")
    return DigestFile(root=bucket.root, key=key, body=body, signature=content.metadata.get(SIGNATURE))


def _is_gone(error: ObjectError) -> bool:
    return error.code == "missing"


def _hashed(sources: Sequence[Source], uri: str, limit: int, *, keep: bool) -> Hashed:
    try:
        bucket = _source_of(sources, uri).bucket
        data = bucket.read(uri.removeprefix(bucket.root), limit=limit)
    except ObjectError as error:
        return Hashed(error=None if _is_gone(error) else error.code)
    except SourceError:
        return Hashed()
    try:
        content = gunzip(data, limit=limit)
    except ObjectError as error:
        first = _first_member(data, limit) if error.code in ("several_gzip_members", "trailing_bytes") else None
        return Hashed(None, error.code, first)
    return Hashed(hashlib.sha256(content).hexdigest(), content=content if keep else None)


def _first_member(data: bytes, limit: int) -> str | None:
    """SHA-256 of what the first gzip member holds: all that a reader sees who stops there, as aws-cli does."""
    inflate, digest, size = zlib.decompressobj(wbits=31), hashlib.sha256(), 0
    with suppress(zlib.error):
        while data and not inflate.eof and size <= limit:
            step = inflate.decompress(data, 1 << 20)
            size += len(step)
            digest.update(step)
            data = inflate.unconsumed_tail
        return digest.hexdigest() if inflate.eof else None
    return None
