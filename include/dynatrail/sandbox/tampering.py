"""What somebody who can write to the trail's bucket may do to it, each way once: tests and demos plant it.

Every way but `forge_log` takes a chain of digests and chooses by the given random where it strikes: always inside a
stretch of digests that hang together, so that exactly one thing is wrong afterwards. What it says that it did is what
a verifier must name, and nothing else.
"""

import gzip
import hashlib
import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dynatrail.clock import iso, parse_instant
from dynatrail.errors import SandboxError
from dynatrail.sandbox.objects import Objects, Thing

Json = dict[str, Any]

_REDELIVERY = timedelta(hours=24)
_CLOSED = timedelta(hours=4)
"""Of a file that is older than this before the newest digest, every digest that could list it is there."""
_ALPHANUMERIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_DIGEST = re.compile(
    r"(?P<root>(?:.*/)?AWSLogs/(?:o-[a-z0-9]+/)?)(?P<account>\d{12})/CloudTrail-Digest/(?P<region>[a-z0-9-]+)/.*/"
    r"(?P=account)_CloudTrail-Digest_(?P=region)_(?P<trail>.+)_(?P<home>[a-z0-9-]+)_(?P<end>\d{8}T\d{6}Z)"
    r"(?P<backfill>_backfill)?\.json\.gz"
)


@dataclass(frozen=True, slots=True, order=True)
class Chain:
    """The digests of one trail for one account and region; `root` ends in `AWSLogs/` or `AWSLogs/o-…/`."""

    root: str
    account_id: str
    region: str
    trail_name: str
    home_region: str
    backfill: bool = False

    @property
    def log_folder(self) -> str:
        """Where the log files lie that it lists, ending in `/`."""
        return f"{self.root}{self.account_id}/CloudTrail/{self.region}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tampered:
    """What was done.

    Attributes:
        log_files: keys of the log files that were changed, added or deleted.
        digests: keys of the digests that were changed or deleted, oldest first.
        ends: when these digests ended, oldest first.
        listed: keys of the log files that they listed and that are still there: nothing vouches for them any more.
    """

    log_files: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    ends: tuple[datetime, ...] = ()
    listed: tuple[str, ...] = ()


def chains(objects: Objects) -> dict[Chain, list[str]]:
    """The keys of the digests of each chain in a bucket, oldest first."""
    found: dict[Chain, list[tuple[str, str]]] = {}
    for key in objects.listing():
        if name := _DIGEST.fullmatch(key):
            chain = Chain(
                name["root"], name["account"], name["region"], name["trail"], name["home"], bool(name["backfill"])
            )
            found.setdefault(chain, []).append((name["end"], key))
    return {chain: [key for _, key in sorted(keys)] for chain, keys in sorted(found.items())}


def ended(digest_key: str) -> datetime:
    """digestEndTime, as a digest's name tells it.

    Raises:
        SandboxError: the key is no digest's.
    """
    name = _DIGEST.fullmatch(digest_key)
    if name is None:
        raise SandboxError(f"{digest_key} is not a digest's key. Give one that chains() lists.")
    return datetime.strptime(name["end"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def delivered(log_key: str) -> datetime:
    """The time of delivery that a log file's name tells."""
    stamp = log_key.rsplit("_", 2)[-2]
    return datetime.strptime(stamp, "%Y%m%dT%H%MZ").replace(tzinfo=UTC)


def edit_record(objects: Objects, chain: Chain, random: Random) -> Tampered:
    """Put another address into one record of one log file, and compress it again as CloudTrail would."""
    key = random.choice(_listed_logs(objects, chain))
    content = _json(objects.read(key))
    record = random.choice(content["Records"])
    record["sourceIPAddress"] = "192.0.2.254"
    _put_json(objects, key, content)
    return Tampered(log_files=(key,))


def delete_log(objects: Objects, chain: Chain, random: Random) -> Tampered:
    """Delete one log file."""
    key = random.choice(_listed_logs(objects, chain))
    objects.delete(key)
    return Tampered(log_files=(key,))


def append_member(objects: Objects, chain: Chain, random: Random) -> Tampered:
    """Hang a second gzip member behind a log file: what reads only the first sees the hash that the digest names."""
    key = random.choice(_listed_logs(objects, chain))
    thing = objects.read(key)
    more = json.dumps({"Records": _imitated(_json(thing)["Records"], delivered(key), random)}).encode()
    objects.put(key, Thing(thing.body + gzip.compress(more, mtime=0), thing.metadata))
    return Tampered(log_files=(key,))


def swap_logs(objects: Objects, chain: Chain, random: Random) -> Tampered:
    """Let two log files change places."""
    one, other = random.sample(_listed_logs(objects, chain), 2)
    first, second = objects.read(one), objects.read(other)
    objects.put(one, second)
    objects.put(other, first)
    return Tampered(log_files=tuple(sorted((one, other))))


def add_forged_log(objects: Objects, chain: Chain, random: Random) -> Tampered:
    """Put a whole new log file among those of a closed hour; its records imitate genuine ones."""
    closed = ended(chains(objects)[chain][-1]) - _CLOSED
    model = random.choice([key for key in _listed_logs(objects, chain) if delivered(key) < closed])
    key = forge_log(objects, chain.log_folder, delivered(model), random=random)
    return Tampered(log_files=(key,))


def forge_log(
    objects: Objects,
    log_folder: str,
    delivered_at: datetime,
    records: Sequence[Json] | None = None,
    *,
    random: Random,
) -> str:
    """Add a log file with a name as CloudTrail gives it; its key.

    Args:
        objects: the bucket.
        log_folder: `…/ACCOUNT/CloudTrail/REGION/`.
        delivered_at: time of delivery that the name tells.
        records: what it holds; None: the records of the folder's file nearest to that time, with ids and times of
            their own.
        random: chooses its name's last part, and the new ids.

    Raises:
        SandboxError: no records are given and the folder holds none to imitate.
    """
    account, _, region = log_folder.rstrip("/").split("/")[-3:]
    if records is None:
        present = [key for key in objects.listing(log_folder) if key.endswith(".json.gz")]
        if not present:
            raise SandboxError(f"There is no log file under {log_folder} to imitate. Give the records.")
        nearest = min(present, key=lambda key: (abs(delivered(key) - delivered_at), key))
        records = _imitated(_json(objects.read(nearest))["Records"], delivered_at, random)
    unique = "".join(random.choices(_ALPHANUMERIC, k=16))
    name = f"{account}_CloudTrail_{region}_{delivered_at:%Y%m%dT%H%MZ}_{unique}.json.gz"
    key = f"{log_folder}{delivered_at:%Y/%m/%d}/{name}"
    _put_json(objects, key, {"Records": list(records)})
    return key


def delete_digest(objects: Objects, chain: Chain, random: Random) -> Tampered:
    """Delete one digest from the middle of its chain."""
    return _delete_digests(objects, _middle(objects, chain, 1, random))


def delete_six_digests(objects: Objects, chain: Chain, random: Random) -> Tampered:
    """Delete six digests in a row from the middle of their chain."""
    return _delete_digests(objects, _middle(objects, chain, 6, random))


def delete_six_hours(objects: Objects, chain: Chain, random: Random) -> Tampered:
    """Delete six digests in a row and every log file that they list: as if these hours had never been."""
    done = _delete_digests(objects, _middle(objects, chain, 6, random))
    for key in done.listed:
        objects.delete(key)
    return Tampered(digests=done.digests, ends=done.ends, log_files=done.listed)


def truncate_tail(objects: Objects, chain: Chain, random: Random) -> Tampered:
    """Delete the newest digests, and every log file that they list."""
    digests = _runs(objects, chain)[-1]
    done = _delete_digests(objects, digests[-random.randint(3, max(3, len(digests) // 3)) :])
    for key in done.listed:
        objects.delete(key)
    return Tampered(digests=done.digests, ends=done.ends, log_files=done.listed)


def truncate_head(objects: Objects, chain: Chain, random: Random) -> Tampered:
    """Delete the oldest digests, and every log file that they list."""
    digests = _runs(objects, chain)[0]
    done = _delete_digests(objects, digests[: random.randint(2, max(2, len(digests) // 3))])
    for key in done.listed:
        objects.delete(key)
    return Tampered(digests=done.digests, ends=done.ends, log_files=done.listed)


def resign_digest(objects: Objects, chain: Chain, random: Random) -> Tampered:
    """Strike a log file from a digest's list, and sign it with a key that is not CloudTrail's, named as it is."""
    return _resign(objects, chain, random, own_name=True)


def resign_as_cloudtrail(objects: Objects, chain: Chain, random: Random) -> Tampered:
    """The same, but the digest goes on naming CloudTrail's key."""
    return _resign(objects, chain, random, own_name=False)


def edit_digest(objects: Objects, chain: Chain, random: Random) -> Tampered:
    """Strike a log file from a digest's list, and leave its signature as it was."""
    key = _with_logs(objects, _middle_run(objects, chain), random)
    thing = objects.read(key)
    content, listed = _json(thing), _listed(objects, key)
    del content["logFiles"][random.randrange(len(content["logFiles"]))]
    _put_json(objects, key, content, thing.metadata)
    return Tampered(digests=(key,), ends=(ended(key),), listed=listed)


def replay_digest(objects: Objects, chain: Chain, random: Random) -> Tampered:
    """Put an old digest, signature and all, in the place of a later one."""
    digests = _middle_run(objects, chain)
    later = random.randrange(1, len(digests))
    key, listed = digests[later], _listed(objects, digests[later])
    objects.put(key, objects.read(digests[random.randrange(later)]))
    return Tampered(digests=(key,), ends=(ended(key),), listed=listed)


def move_folder(objects: Objects, prefix: str, to: Objects | None = None) -> dict[str, str]:
    """Move everything under another prefix, or into another bucket, unchanged; each old key's new one."""
    target = to or objects
    moved = {key: f"{prefix.strip('/')}/{key}".lstrip("/") for key in objects.listing()}
    for key, new in moved.items():
        target.put(new, objects.read(key))
        objects.delete(key)
    return moved


WAYS: Mapping[str, Callable[[Objects, Chain, Random], Tampered]] = {
    "edit a record": edit_record,
    "delete a log": delete_log,
    "append a gzip member": append_member,
    "add a forged log": add_forged_log,
    "delete one digest": delete_digest,
    "delete six digests": delete_six_digests,
    "delete six hours": delete_six_hours,
    "truncate the tail": truncate_tail,
    "truncate the head": truncate_head,
    "swap two logs": swap_logs,
    "edit a digest": edit_digest,
    "re-sign with another key": resign_digest,
    "re-sign, key's name kept": resign_as_cloudtrail,
    "replay an old digest": replay_digest,
}
"""Every way that strikes one chain. `move_folder` is one more: it strikes everything."""


def _resign(objects: Objects, chain: Chain, random: Random, *, own_name: bool) -> Tampered:
    key = _with_logs(objects, _middle_run(objects, chain), random)
    thing = objects.read(key)
    content, listed = _json(thing), _listed(objects, key)
    del content["logFiles"][random.randrange(len(content["logFiles"]))]
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if own_name:
        public = private.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
        content["digestPublicKeyFingerprint"] = hashlib.md5(public, usedforsecurity=False).hexdigest()
    sha256 = hashlib.sha256(_encoded(content)).hexdigest()
    place = f"{content['digestS3Bucket']}/{content['digestS3Object']}"
    text = f"{content['digestEndTime']}\n{place}\n{sha256}\n{content['previousDigestSignature'] or 'null'}"
    signature = private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()).hex()
    _put_json(objects, key, content, {**thing.metadata, "signature": signature})
    return Tampered(digests=(key,), ends=(ended(key),), listed=listed)


def _delete_digests(objects: Objects, keys: Sequence[str]) -> Tampered:
    listed = tuple(sorted({log for key in keys for log in _listed(objects, key)}))
    for key in keys:
        objects.delete(key)
    return Tampered(digests=tuple(keys), ends=tuple(ended(key) for key in keys), listed=listed)


def _runs(objects: Objects, chain: Chain) -> list[list[str]]:
    """The chain's digests in stretches, each of which begins anew."""
    runs: list[list[str]] = []
    for key in chains(objects).get(chain, []):
        if _json(objects.read(key))["previousDigestS3Object"] is None or not runs:
            runs.append([])
        runs[-1].append(key)
    if not runs:
        raise SandboxError(f"There is no digest of {chain.trail_name} in {chain.region}. Choose one of chains().")
    return runs


def _middle_run(objects: Objects, chain: Chain) -> list[str]:
    """The inner digests of the longest stretch, without the last day's if there are others.

    CloudTrail may take a day to bring a digest again: only after that a lost one is a finding.
    """
    inner = max(_runs(objects, chain), key=len)[1:-1]
    return [key for key in inner if ended(inner[-1]) - ended(key) >= _REDELIVERY] or inner


def _middle(objects: Objects, chain: Chain, count: int, random: Random) -> list[str]:
    inner = _middle_run(objects, chain)
    if len(inner) < count:
        raise SandboxError(f"{len(inner) + 2} digests hang together at most; {count} of their middle need more.")
    first = random.randrange(len(inner) - count + 1)
    return inner[first : first + count]


def _with_logs(objects: Objects, digests: Sequence[str], random: Random) -> str:
    return random.choice([key for key in digests if _listed(objects, key)])


def _listed_logs(objects: Objects, chain: Chain) -> list[str]:
    present = chains(objects).get(chain, [])
    found = sorted({log for key in present for log in _listed(objects, key)})
    if not found:
        raise SandboxError(f"No digest of {chain.trail_name} in {chain.region} lists a log file. Take another chain.")
    return found


def _listed(objects: Objects, digest_key: str) -> tuple[str, ...]:
    return tuple(sorted(file["s3Object"] for file in _json(objects.read(digest_key))["logFiles"]))


def _imitated(records: Sequence[Json], delivered_at: datetime, random: Random) -> list[Json]:
    """Records like the given ones that no one has seen yet, of the minutes before the delivery."""
    newest = max(parse_instant(record["eventTime"]) for record in records)
    shift = delivered_at - timedelta(minutes=4) - newest
    made = []
    for record in records:
        own = {**record, "eventID": str(uuid.UUID(int=random.getrandbits(128), version=4))}
        own["eventTime"] = iso(parse_instant(record["eventTime"]) + shift)
        if "requestID" in own:
            own["requestID"] = "".join(random.choices(_ALPHANUMERIC[:26] + "0123456789", k=52))
        own.pop("addendum", None)
        made.append(own)
    return made


def _json(thing: Thing) -> Json:
    content: Json = json.loads(gzip.decompress(thing.body))
    return content


def _encoded(content: Json) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _put_json(objects: Objects, key: str, content: Json, metadata: Mapping[str, str] | None = None) -> None:
    objects.put(key, Thing(gzip.compress(_encoded(content), mtime=0), metadata or {}))
