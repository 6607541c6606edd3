"""The newest items that a table's streams have seen, read beside the extract: from no checkpoint, and leaving none.

An iterator at LATEST would only give what happens from now on. So the open shards are read from their oldest record
on, which is a few hours old, then closed ones, the newest first, until there is enough; of each item the newest image
stays.
A shard takes two readers ("Reading and processing a stream", DynamoDB developer guide): this is the second.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
from msgspec import Raw

from dynatrail.sources.changes.records import Record, decode_record, decode_with_rest
from dynatrail.sources.streams.client import (
    GoneError,
    IteratorExpiredError,
    Pace,
    Shard,
    StreamsClient,
    TrimmedError,
)

MOST_SHARDS = 32
"""Of one table. Each answers five times a second, so this bounds how long a look takes."""

MOST_ANSWERS = 25
"""Of one shard; each has up to 1,000 records or 1 MB."""

MOST_BYTES = 64 * 1024**2
"""Of a table's samples, which are held in memory."""

_EMPTY_ANSWERS = 3
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Sample:
    """Items of a table.

    Attributes:
        images: by what tells two items apart, items in DynamoDB JSON with types, in clear. Never let one out.
        reasons: why there are not more: sentences without values.
    """

    images: dict[bytes, str] = field(default_factory=dict, repr=False)
    size: int = 0
    reasons: list[str] = field(default_factory=list)

    def add(self, key: bytes, image: bytes) -> None:
        """Keep an item, in the place of an older image of it."""
        old = self.images.pop(key, None)
        self.size += len(image) - (len(old.encode()) if old else 0)
        self.images[key] = image.decode()

    def full(self, items: int) -> bool:
        return len(self.images) >= items or self.size >= MOST_BYTES


def newest(client: StreamsClient, table_name: str, items: int) -> Sample:
    """Up to about `items` items that changed in the last 24 hours, the newest first where there are more.

    Raises:
        SourceError: AWS refuses or throttles; says nothing of what was read.
    """
    found = Sample()
    shards = list(_shards(client, table_name))
    for arn, shard in shards[:MOST_SHARDS]:
        if found.full(items):
            break
        _read(client, arn, shard, found, items)
    if len(shards) > MOST_SHARDS and not found.full(items):
        found.reasons.append(f"{len(shards) - MOST_SHARDS} of {len(shards)} shards were not looked at.")
    return found


def _shards(client: StreamsClient, table_name: str) -> Iterator[tuple[str, Shard]]:
    """Open ones first, then the newest."""
    for arn in sorted(client.streams(table_name), reverse=True):
        try:
            stream = client.describe(arn)
        except GoneError:
            continue
        by_age = sorted(stream.shards, key=lambda one: int(one.starting or 0), reverse=True)
        yield from ((arn, one) for one in sorted(by_age, key=lambda one: one.ending is not None))


def _read(client: StreamsClient, arn: str, shard: Shard, found: Sample, items: int) -> None:
    pace = Pace(client.reads_per_s)
    of = f"{shard.shard_id} of the stream {arn}"
    here = Sample()  # newer than what is found of other shards, older than what comes
    empty = 0
    try:
        iterator: str | None = client.iterator(arn, shard.shard_id, None)
        for _ in range(MOST_ANSWERS):
            if iterator is None or empty >= _EMPTY_ANSWERS:
                break
            pace.wait()
            answer = client.records(iterator, of)
            empty = 0 if answer.records else empty + 1
            for raw in answer.records:
                _take(raw, here)
            while here.full(items + 1):
                oldest = next(iter(here.images))
                here.size -= len(here.images.pop(oldest).encode())
            iterator = answer.next_iterator
    except (GoneError, TrimmedError, IteratorExpiredError):
        pass  # what was read until then will do
    for key, image in reversed(here.images.items()):
        if key not in found.images and not found.full(items):
            found.add(key, image.encode())


def _take(raw: Raw, here: Sample) -> None:
    record = _decoded(raw)
    if record is None:
        return
    body = record.dynamodb
    image = body.new_image or body.old_image or body.keys
    here.add(hashlib.sha256(_encode(dict(sorted(body.keys.items())))).digest(), _encode(image))


def _decoded(raw: Raw) -> Record | None:
    """None where it is no change record: `extract_streams` puts those into the quarantine."""
    try:
        return decode_record(raw)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return decode_with_rest(raw)[0]
    except (msgspec.DecodeError, RecursionError, AttributeError):
        return None
