"""What the Kinesis API answers about the sandbox's streams."""

import base64
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from dynatrail.sandbox.kinesis_streams import Position, Shard, Stream
from dynatrail.sandbox.streams_answers import error

Json = dict[str, Any]

_PAGE = 1000
_ITERATOR_LASTS = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Asked:
    """One call: its parameters, and who called where and when."""

    sent: Json
    account_id: str
    region: str
    now: datetime

    @property
    def place(self) -> str:
        return f"arn:aws:kinesis:{self.region}:{self.account_id}:stream/"


class Answers:
    """Args: the streams by ARN; changed by what resharding asks for."""

    def __init__(self, streams: dict[str, Stream]) -> None:
        self._streams = streams

    def answer(self, operation: str, asked: Asked) -> Json | None:
        """The answer; None for what ministack does as well.

        Raises:
            StreamError: what the API answers instead.
        """
        operations = {
            "ListStreams": self._list,
            "DescribeStream": self._describe,
            "DescribeStreamSummary": self._summarize,
            "ListShards": self._shards,
            "GetShardIterator": self._iterator,
            "GetRecords": self._records,
            "PutRecord": self._put,
            "PutRecords": self._put_all,
            "SplitShard": self._split,
            "MergeShards": self._merge,
            "UpdateShardCount": self._rescale,
        }
        found = operations.get(operation)
        return found(asked) if found else None

    def stream(self, asked: Asked) -> Stream:
        """The stream that a call names, trimmed.

        Raises:
            StreamError: there is none.
        """
        sent, place = asked.sent, asked.place
        arn = sent.get("StreamARN") or f"{place}{sent.get('StreamName', '')}"
        stream = self._streams.get(arn)
        if stream is None or not arn.startswith(place):
            name = arn.rsplit("/", 1)[-1]
            raise error("ResourceNotFoundException", f"Stream {name} under account {asked.account_id} not found.")
        stream.trim(asked.now)
        return stream

    def _shard(self, stream: Stream, shard_id: Any, asked: Asked) -> Shard:
        shard = stream.shard(str(shard_id))
        if shard is None:
            raise error(
                "ResourceNotFoundException",
                f"Shard {shard_id} in stream {stream.name} under account {asked.account_id} does not exist",
            )
        return shard

    def _list(self, asked: Asked) -> Json:
        found = [stream for arn, stream in sorted(self._streams.items()) if arn.startswith(asked.place)]
        return {
            "StreamNames": [stream.name for stream in found],
            "StreamSummaries": [self._described(stream) for stream in found],
            "HasMoreStreams": False,
        }

    def _describe(self, asked: Asked) -> Json:
        stream, after = self.stream(asked), asked.sent.get("ExclusiveStartShardId") or ""
        shards = [shard.described for shard in stream.shards if shard.shard_id > after]
        limit = int(asked.sent.get("Limit") or 100)
        described = {
            **self._described(stream),
            "Shards": shards[:limit],
            "HasMoreShards": len(shards) > limit,
            "RetentionPeriodHours": stream.retention_hours,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        }
        return {"StreamDescription": described}

    def _summarize(self, asked: Asked) -> Json:
        stream = self.stream(asked)
        described = {
            **self._described(stream),
            "RetentionPeriodHours": stream.retention_hours,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "OpenShardCount": len(stream.open),
            "EncryptionType": "NONE",
        }
        return {"StreamDescriptionSummary": described}

    @staticmethod
    def _described(stream: Stream) -> Json:
        return {
            "StreamName": stream.name,
            "StreamARN": stream.arn,
            "StreamStatus": "ACTIVE",
            "StreamModeDetails": {"StreamMode": "PROVISIONED"},
            "StreamCreationTimestamp": stream.created_at.timestamp(),
        }

    def _shards(self, asked: Asked) -> Json:
        sent = asked.sent
        if token := sent.get("NextToken"):
            arn, after = base64.b64decode(token).decode().split("|")
            asked = replace(asked, sent=sent | {"StreamARN": arn, "ExclusiveStartShardId": after})
            sent = asked.sent
        stream, after = self.stream(asked), sent.get("ExclusiveStartShardId") or ""
        only_open = (sent.get("ShardFilter") or {}).get("Type") == "AT_LATEST"
        found = [one for one in (stream.open if only_open else stream.shards) if one.shard_id > after]
        limit = min(int(sent.get("MaxResults") or _PAGE), _PAGE)
        page: Json = {"Shards": [shard.described for shard in found[:limit]]}
        if len(found) > limit:
            page["NextToken"] = base64.b64encode(f"{stream.arn}|{found[limit - 1].shard_id}".encode()).decode()
        return page

    def _iterator(self, asked: Asked) -> Json:
        sent = asked.sent
        stream = self.stream(asked)
        shard = self._shard(stream, sent.get("ShardId"), asked)
        sequence = str(sent.get("StartingSequenceNumber") or "")
        made = Position(stream.arn, shard.shard_id, asked.now)
        match sent.get("ShardIteratorType"):
            case "AT_SEQUENCE_NUMBER" if sequence.isdigit():
                made = msgspec.structs.replace(made, after=str(int(sequence) - 1).rjust(len(sequence), "0"))
            case "AFTER_SEQUENCE_NUMBER" if sequence.isdigit():
                made = msgspec.structs.replace(made, after=sequence)
            case "LATEST":
                made = msgspec.structs.replace(made, after=shard.records[-1].sequence_number if shard.records else "")
            case "AT_TIMESTAMP" if sent.get("Timestamp") is not None:
                made = msgspec.structs.replace(made, since=datetime.fromtimestamp(float(sent["Timestamp"]), UTC))
            case "TRIM_HORIZON":
                pass
            case _:
                raise error("InvalidArgumentException", "ShardIteratorType and what it needs do not fit together.")
        return {"ShardIterator": made.token}

    def _records(self, asked: Asked) -> Json:
        position = Position.of(str(asked.sent.get("ShardIterator") or ""))
        if position is None:
            raise error("InvalidArgumentException", "Invalid ShardIterator.")
        if asked.now - position.issued_at > _ITERATOR_LASTS:
            raise error("ExpiredIteratorException", "Iterator expired.")
        stream = self.stream(replace(asked, sent={"StreamARN": position.stream_arn}))
        shard = self._shard(stream, position.shard_id, asked)
        found = position.records(shard, int(asked.sent.get("Limit") or 10_000))
        after = found[-1].sequence_number if found else position.after
        rest = next((one for one in shard.records if one.sequence_number > after), None)
        following = msgspec.structs.replace(
            position, after=after, issued_at=asked.now, since=None if found else position.since
        )
        answer: Json = {
            "Records": [
                {
                    "SequenceNumber": record.sequence_number,
                    "ApproximateArrivalTimestamp": record.at.timestamp(),
                    "Data": base64.b64encode(record.data).decode(),
                    "PartitionKey": record.partition_key,
                    "EncryptionType": "NONE",
                }
                for record in found
            ],
            "MillisBehindLatest": max(0, round((asked.now - rest.at) / timedelta(milliseconds=1))) if rest else 0,
        }
        if rest is None and shard.ending is not None:
            answer["ChildShards"] = stream.children(shard)
        else:
            answer["NextShardIterator"] = following.token
        return answer

    def _put(self, asked: Asked) -> Json:
        sent = asked.sent
        shard_id, sequence = self.stream(asked).put(
            str(sent["PartitionKey"]), base64.b64decode(sent["Data"]), asked.now, sent.get("ExplicitHashKey")
        )
        return {"ShardId": shard_id, "SequenceNumber": sequence, "EncryptionType": "NONE"}

    def _put_all(self, asked: Asked) -> Json:
        stream = self.stream(asked)
        made = [
            stream.put(str(one["PartitionKey"]), base64.b64decode(one["Data"]), asked.now, one.get("ExplicitHashKey"))
            for one in asked.sent["Records"]
        ]
        records = [{"ShardId": shard_id, "SequenceNumber": sequence} for shard_id, sequence in made]
        return {"FailedRecordCount": 0, "Records": records, "EncryptionType": "NONE"}

    def _split(self, asked: Asked) -> Json:
        stream, sent = self.stream(asked), asked.sent
        stream.split(self._shard(stream, sent["ShardToSplit"], asked), int(sent["NewStartingHashKey"]), asked.now)
        return {}

    def _merge(self, asked: Asked) -> Json:
        stream, sent = self.stream(asked), asked.sent
        one, other = (self._shard(stream, sent[name], asked) for name in ("ShardToMerge", "AdjacentShardToMerge"))
        stream.merge(one, other, asked.now)
        return {}

    def _rescale(self, asked: Asked) -> Json:
        stream, count = self.stream(asked), int(asked.sent["TargetShardCount"])
        before = len(stream.open)
        stream.rescale(count, asked.now)
        return {
            "StreamName": stream.name,
            "CurrentShardCount": before,
            "TargetShardCount": count,
            "StreamARN": stream.arn,
        }
