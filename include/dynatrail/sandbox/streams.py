"""DynamoDB Streams over the journal: what ministack has no shards, no sandbox time and no PartiQL writes for.

ministack has checked signature and policy before; what it answers itself is thrown away. Errors, limits and the meaning
of iterators are those of the API reference (boto3's model of `dynamodbstreams`) and of "Change data capture for
DynamoDB Streams".

A record can be read for 24 hours of sandbox time. A scenario plays weeks in a minute, after which somebody still wants
to read them: what happened while it played counts as made at the window's end (`hold`), unless `strict` is set.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Any

import msgspec

from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.journal import Change, Journal
from dynatrail.sandbox.journal_values import size
from dynatrail.sandbox.parts import Seen
from dynatrail.sandbox.streams_answers import Faults, StreamError, error, iterator, json_answer, read_iterator, whole
from dynatrail.sandbox.streams_shards import Shard, Shards, StreamInfo
from dynatrail.sandbox.ttl import Direct

Json = dict[str, Any]

KEPT = timedelta(hours=24)
_PAGE = 100
_MOST_RECORDS = 1000
_MOST_BYTES = 1 << 20
_NOT_FOUND = "ResourceNotFoundException"


class _State(msgspec.Struct):
    streams: list[StreamInfo] = []
    held_until: datetime | None = None
    strict: bool = False


class Streams:
    """Answers for `dynamodbstreams`.

    Attributes:
        strict: records age while a scenario plays, too; what is older than 24 hours when it ends is gone.
        faults: what goes wrong on purpose; None for nothing.
    """

    name = "streams"

    def __init__(self, journal: Journal, direct: Direct) -> None:
        self.faults: Faults | None = None
        self._journal = journal
        self._direct = direct
        self._state = _State()
        self._shards: dict[str, Shards] = {}
        self._enabled: dict[tuple[str, str, str], StreamInfo] = {}
        journal.listen(self._note)

    @property
    def strict(self) -> bool:
        return self._state.strict

    @strict.setter
    def strict(self, value: bool) -> None:
        self._state.strict = value

    def hold(self, until: datetime) -> None:
        """Let everything that happens before `until` count, for its age, as having happened then."""
        self._state.held_until = until

    def saw(self, seen: Seen) -> None:
        if seen.call.service != "dynamodb" or not seen.ok:
            return
        operation, sent = seen.call.operation, seen.call.parameters
        if operation not in {"CreateTable", "UpdateTable", "DeleteTable"}:
            return
        name = str(sent.get("TableName", "")).rsplit("/", 1)[-1]
        described = msgspec.json.decode(seen.response.body).get("TableDescription", {})
        if operation == "DeleteTable":
            described = {}
        self._follow((seen.account_id, seen.call.region, name), described, seen.now)
        for update in sent.get("ReplicaUpdates") or []:
            for action, wanted in update.items():
                self._follow_replica(seen, name, wanted["RegionName"], gone=action == "Delete")

    def answer(self, seen: Seen) -> Response | None:
        if seen.call.service != "dynamodbstreams":
            return None
        answers = {
            "ListStreams": self._list,
            "DescribeStream": self._describe,
            "GetShardIterator": self._iterator,
            "GetRecords": self._records,
        }
        try:
            if self.faults is not None:
                self.faults.strike(seen.call.operation)
            return json_answer(answers[seen.call.operation](seen))
        except StreamError as wrong:
            return wrong.response

    def tick(self, now: datetime) -> None:
        """Nothing happens by itself: age is looked at when somebody reads."""

    def save(self) -> bytes:
        return msgspec.json.encode(self._state)

    def load(self, saved: bytes) -> None:
        self._state = msgspec.json.decode(saved, type=_State)
        for info in self._state.streams:
            shards = self._shards[info.arn] = Shards(info)
            for change in self._journal.changes(info.account_id, info.region, info.table):
                if info.first < change.sequence and (info.last is None or change.sequence <= info.last):
                    shards.add(change)
            if info.closed_at is None:
                self._enabled[info.account_id, info.region, info.table] = info
            else:
                shards.close(info.closed_at)

    def _follow_replica(self, seen: Seen, name: str, region: str, *, gone: bool) -> None:
        described: Json = {}
        if not gone:
            described = self._direct("dynamodb", seen.account_id, region).describe_table(TableName=name)["Table"]
        self._follow((seen.account_id, region, name), described, seen.now)

    def _follow(self, table: tuple[str, str, str], described: Json, now: datetime) -> None:
        """Begin or end a stream where the table says so."""
        enabled = described.get("StreamSpecification", {}).get("StreamEnabled", False)
        arn = described.get("LatestStreamArn") if enabled else None
        current = self._enabled.get(table)
        if current is not None and current.arn != arn:
            current.closed_at, current.last = now, len(self._journal)
            self._shards[current.arn].close(now)
            del self._enabled[table]
            current = None
        if arn and current is None:
            account, region, name = table
            info = StreamInfo(
                arn=arn,
                account_id=account,
                region=region,
                table=name,
                view_type=described["StreamSpecification"]["StreamViewType"],
                key_schema=described["KeySchema"],
                created_at=now,
                first=len(self._journal),
            )
            self._state.streams.append(info)
            self._enabled[table] = info
            self._shards[arn] = Shards(info)

    def _note(self, change: Change) -> None:
        info = self._enabled.get((change.account_id, change.region, change.table))
        if info is not None:
            self._shards[info.arn].add(change)

    # What is still there

    def _age_from(self, instant: datetime) -> datetime:
        held = self._state.held_until
        return instant if held is None or self.strict else max(instant, held)

    def _kept(self, instant: datetime, now: datetime) -> bool:
        return self._age_from(instant) > now - KEPT

    def _trimmed(self, shard: Shard, now: datetime) -> int:
        """How many of its records are gone: a shard's records are in order of time."""
        low, high = 0, len(shard.changes)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._kept(shard.changes[middle].at, now) else (middle + 1, high)
        return low

    def _there(self, shard: Shard, now: datetime) -> bool:
        return shard.closed_at is None or self._kept(shard.closed_at, now)

    def _visible(self, seen: Seen) -> list[StreamInfo]:
        place = (seen.account_id, seen.call.region)
        return [
            info
            for info in self._state.streams
            if (info.account_id, info.region) == place
            and (info.closed_at is None or self._kept(info.closed_at, seen.now))
        ]

    def _stream(self, seen: Seen, arn: object) -> Shards:
        info = next((info for info in self._visible(seen) if info.arn == arn), None)
        if info is None:
            raise error(_NOT_FOUND, f"Requested resource not found: Stream: {arn} not found")
        return self._shards[info.arn]

    def _shard(self, shards: Shards, shard_id: object, now: datetime) -> Shard:
        shard = shards.find(str(shard_id))
        if shard is None or not self._there(shard, now):
            raise error(_NOT_FOUND, "Requested resource not found: Shard does not exist")
        return shard

    # The four operations

    def _list(self, seen: Seen) -> Json:
        sent = seen.call.parameters
        wanted = sent.get("TableName")
        found = [info for info in self._visible(seen) if wanted is None or info.table == wanted.rsplit("/", 1)[-1]]
        after = sent.get("ExclusiveStartStreamArn")
        found = found[next((i + 1 for i, info in enumerate(found) if info.arn == after), 0) :]
        limit = whole(sent, "Limit", _PAGE, most=_PAGE)
        answer: Json = {
            "Streams": [
                {"StreamArn": info.arn, "TableName": info.table, "StreamLabel": info.label} for info in found[:limit]
            ]
        }
        if len(found) > limit:
            answer["LastEvaluatedStreamArn"] = found[limit - 1].arn
        return answer

    def _describe(self, seen: Seen) -> Json:
        sent = seen.call.parameters
        shards = self._stream(seen, sent.get("StreamArn"))
        info = shards.info
        found = [shard for shard in shards.all if self._there(shard, seen.now)]
        wanted = sent.get("ShardFilter")
        if wanted:
            if wanted.get("Type") != "CHILD_SHARDS" or "ShardId" not in wanted:
                raise error("ValidationException", "ShardFilter needs Type CHILD_SHARDS and a ShardId")
            found = [shard for shard in found if shard.parent == wanted["ShardId"]]
        after = sent.get("ExclusiveStartShardId")
        if after is not None:
            names = [shard.id for shard in shards.all]  # its own records may have gone since
            place = {name: number for number, name in enumerate(names)}
            found = [shard for shard in found if place[shard.id] > place.get(after, -1)]
        limit = whole(sent, "Limit", _PAGE, most=_PAGE)
        described: Json = {
            "StreamArn": info.arn,
            "StreamLabel": info.label,
            "StreamStatus": "ENABLED" if info.closed_at is None else "DISABLED",
            "StreamViewType": info.view_type,
            "CreationRequestDateTime": round(info.created_at.timestamp(), 3),
            "TableName": info.table,
            "KeySchema": info.key_schema,
            "Shards": [_described(shard) for shard in found[:limit]],
        }
        if len(found) > limit:
            described["LastEvaluatedShardId"] = found[limit - 1].id
        return {"StreamDescription": described}

    def _iterator(self, seen: Seen) -> Json:
        sent, now = seen.call.parameters, seen.now
        shards = self._stream(seen, sent.get("StreamArn"))
        shard = self._shard(shards, sent.get("ShardId"), now)
        trimmed = self._trimmed(shard, now)
        match sent.get("ShardIteratorType"):
            case "TRIM_HORIZON":
                position = trimmed
            case "LATEST":
                position = len(shard.changes)
            case "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER" as kind:
                number = _number(sent.get("SequenceNumber"), shard)
                position = shard.position(shards.info, number + (kind == "AFTER_SEQUENCE_NUMBER"))
                if position < trimmed:
                    raise error("TrimmedDataAccessException", "The requested sequence number is beyond the trim point")
            case "AT_TIMESTAMP":
                position = max(_at_timestamp(sent.get("Timestamp"), shard, now), trimmed)
            case kind:
                raise error("ValidationException", f"Invalid ShardIteratorType: {kind}")
        return {"ShardIterator": iterator(shards.info.arn, shard.id, position, now)}

    def _records(self, seen: Seen) -> Json:
        now, sent = seen.now, seen.call.parameters
        limit = whole(sent, "Limit", _MOST_RECORDS, most=_MOST_RECORDS)
        arn, shard_id, position = read_iterator(sent.get("ShardIterator"), now)
        shards = self._stream(seen, arn)
        shard = self._shard(shards, shard_id, now)
        if position < self._trimmed(shard, now):
            raise error("TrimmedDataAccessException", "The records behind this iterator have been trimmed")
        records: list[Json] = []
        total = 0
        for change in shard.changes[position : position + limit]:
            record = record_of(change, shards.info)
            total += record["dynamodb"]["SizeBytes"]
            if records and total > _MOST_BYTES:
                break
            records.append(record)
        answer: Json = {"Records": records}
        position += len(records)
        if shard.end is None or position < len(shard.changes):
            answer["NextShardIterator"] = iterator(arn, shard_id, position, now)
        return answer


def record_of(change: Change, info: StreamInfo) -> Json:
    """A change as the stream has it."""
    event_id = hashlib.blake2b(f"{info.arn}:{change.sequence}".encode(), digest_size=16).hexdigest()
    images = {}
    if change.new is not None and info.view_type in {"NEW_IMAGE", "NEW_AND_OLD_IMAGES"}:
        images["NewImage"] = change.new
    if change.old is not None and info.view_type in {"OLD_IMAGE", "NEW_AND_OLD_IMAGES"}:
        images["OldImage"] = change.old
    record: Json = {
        "eventID": event_id,
        "eventName": change.change_type,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": info.region,
        "dynamodb": {
            "ApproximateCreationDateTime": int(change.at.timestamp()),
            "Keys": change.key,
            **images,
            "SequenceNumber": str(info.number(change.sequence)),
            "SizeBytes": size(change.key) + sum(size(image) for image in images.values()),
            "StreamViewType": info.view_type,
        },
    }
    if change.cause == "ttl":
        record["userIdentity"] = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    return record


def _described(shard: Shard) -> Json:
    span = {"StartingSequenceNumber": str(shard.start)}
    if shard.end is not None:
        span["EndingSequenceNumber"] = str(shard.end)
    described: Json = {"ShardId": shard.id, "SequenceNumberRange": span}
    if shard.parent is not None:
        described["ParentShardId"] = shard.parent
    return described


def _number(sent: object, shard: Shard) -> int:
    text = str(sent or "")
    if not text.isdecimal() or int(text) < shard.start or (shard.end is not None and int(text) > shard.end):
        raise error("ValidationException", "Invalid SequenceNumber: it does not lie in this shard")
    return int(text)


def _at_timestamp(sent: object, shard: Shard, now: datetime) -> int:
    if not isinstance(sent, int | float) or sent > now.timestamp():
        raise error("ValidationException", "Timestamp must be given for AT_TIMESTAMP and must not lie in the future")
    return sum(int(change.at.timestamp()) < sent for change in shard.changes)
