"""The calls of Kinesis Data Streams: boto3 makes, signs and repeats them.

Limits ("Quotas and limits", Kinesis developer guide): five GetRecords and 2 MB a second and shard, 10 MB an answer, an
iterator lives for five minutes. Retention is 24 hours by default, up to 365 days, and may be changed at any time.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from dynatrail import clock
from dynatrail.sources.aws import explain
from dynatrail.sources.streams.client import GoneError, IteratorExpiredError

MOST_RECORDS = 2_000
"""Asked for at once; the answers that wait to be taken bound a task's memory."""

_ERRORS = {"ExpiredIteratorException": IteratorExpiredError, "ResourceNotFoundException": GoneError}
_LIVE = frozenset(("ACTIVE", "UPDATING"))


@dataclass(frozen=True, slots=True)
class Destination:
    """A stream that a table's changes go to; `active` is false once that was switched off, or before it is on."""

    stream_arn: str
    active: bool


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard; it has two parents after a merge, and an `ending` once it is closed."""

    shard_id: str
    parents: tuple[str, ...]
    starting: str | None
    ending: str | None


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream with all its shards.

    Attributes:
        at: time of the answer, by AWS's clock where it says so.
    """

    arn: str
    created_at: datetime
    retention: timedelta
    shards: tuple[Shard, ...]
    at: datetime

    @property
    def horizon(self) -> datetime:
        """Records that arrived earlier are gone."""
        return self.at - self.retention


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a shard; `arrived_at` is ApproximateArrivalTimestamp."""

    sequence_number: str
    arrived_at: datetime
    data: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of GetRecords.

    Attributes:
        next_iterator: None when the shard is closed and was read to its end.
        behind_ms: how much older than the newest record of the shard the last one is; 0 at its tip.
    """

    records: list[Record]
    next_iterator: str | None
    behind_ms: int
    at: datetime


class KinesisClient:
    """Kinesis of one account and region; safe to share between threads."""

    def __init__(self, client: Any) -> None:
        """Use `client`, a boto3 client of `kinesis`."""
        self._client = client

    def describe(self, arn: str) -> Stream:
        """A stream with all its shards.

        Raises:
            GoneError: there is none any more.
            SourceError: AWS refuses or throttles.
        """
        attempt = f"describe the Kinesis stream {arn}"
        summary = self._call("describe_stream_summary", attempt, StreamARN=arn)
        found = summary["StreamDescriptionSummary"]
        shards: list[Shard] = []
        place: dict[str, str] = {"StreamARN": arn}
        while place:
            answer = self._call("list_shards", f"list the shards of the Kinesis stream {arn}", **place)
            shards += [_shard(one) for one in answer["Shards"]]
            place = {"NextToken": answer["NextToken"]} if answer.get("NextToken") else {}
        return Stream(
            arn=arn,
            created_at=found["StreamCreationTimestamp"],
            retention=timedelta(hours=found["RetentionPeriodHours"]),
            shards=tuple(shards),
            at=_answered_at(summary),
        )

    def iterator(self, arn: str, shard_id: str, sequence_number: str | None, *, inclusive: bool) -> str:
        """An iterator at or after a sequence number; without one, at the oldest record that is left.

        A sequence number that was trimmed is none that AWS complains of: reading begins with the oldest record then.

        Raises:
            GoneError: there is no such stream or shard any more.
            SourceError: AWS refuses or throttles.
        """
        kind = "AT_SEQUENCE_NUMBER" if inclusive else "AFTER_SEQUENCE_NUMBER"
        place = {"ShardIteratorType": "TRIM_HORIZON"}
        if sequence_number is not None:
            place = {"ShardIteratorType": kind, "StartingSequenceNumber": sequence_number}
        attempt = f"get an iterator for {shard_id} of the Kinesis stream {arn}"
        answer = self._call("get_shard_iterator", attempt, StreamARN=arn, ShardId=shard_id, **place)
        return str(answer["ShardIterator"])

    def records(self, iterator: str, arn: str, shard_id: str) -> Answer:
        """Up to `MOST_RECORDS` records.

        Raises:
            IteratorExpiredError: ask for a new iterator.
            GoneError: the stream is gone.
            SourceError: AWS refuses or throttles.
        """
        attempt = f"read {shard_id} of the Kinesis stream {arn}"
        answer = self._call("get_records", attempt, ShardIterator=iterator, StreamARN=arn, Limit=MOST_RECORDS)
        return Answer(
            [
                Record(one["SequenceNumber"], one["ApproximateArrivalTimestamp"], one["Data"])
                for one in answer["Records"]
            ],
            answer.get("NextShardIterator"),
            answer.get("MillisBehindLatest") or 0,
            _answered_at(answer),
        )

    def _call(self, operation: str, attempt: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**arguments)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in _ERRORS:
                raise _ERRORS[code](f"Could not {attempt}: AWS answered {code}.") from None
            raise explain(error, attempt) from error
        except BotoCoreError as error:
            raise explain(error, attempt) from error
        return answer


def destinations(dynamodb: Any, table_name: str) -> list[Destination]:
    """The streams that a table's changes go to, or went to until lately.

    Raises:
        SourceError: AWS refuses or throttles.
    """
    try:
        answer = dynamodb.describe_kinesis_streaming_destination(TableName=table_name)
    except (ClientError, BotoCoreError) as error:
        raise explain(error, f"ask for the Kinesis destination of the table {table_name}") from error
    return [
        Destination(one["StreamArn"], one["DestinationStatus"] in _LIVE)
        for one in answer.get("KinesisDataStreamDestinations", ())
        if one["DestinationStatus"] != "ENABLE_FAILED"
    ]


def _shard(described: dict[str, Any]) -> Shard:
    numbers = described["SequenceNumberRange"]
    parents = (described.get("ParentShardId"), described.get("AdjacentParentShardId"))
    return Shard(
        described["ShardId"],
        tuple(parent for parent in parents if parent),
        numbers.get("StartingSequenceNumber"),
        numbers.get("EndingSequenceNumber"),
    )


def _answered_at(answer: dict[str, Any]) -> datetime:
    """AWS's own clock, to the second: this machine's may be wrong."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        return parsedate_to_datetime(headers["date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError):
        return clock.now()
