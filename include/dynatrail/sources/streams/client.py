"""The four calls of DynamoDB Streams: boto3 makes, signs and repeats them, the records come as the bytes that AWS sent.

Parsing records into Python objects and back is most of the work of `get_records`; so the body is taken before botocore
parses it (its event `before-parse`), and decoded once, by who masks it.

Limits ("Quotas", DynamoDB developer guide; DescribeStream and GetRecords, API reference): ten DescribeStream a second
and account, five GetRecords a second and shard, two readers of a shard, an iterator lives for 15 minutes.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Raw, Struct

from dynatrail import clock
from dynatrail.errors import SourceError
from dynatrail.sources.aws import explain

DESCRIBES_PER_S = 10
READS_PER_S = 5
"""A second and shard."""

_BODY = "DynatrailBody"
_ATTEMPTS = 3


class _Page(Struct):
    records: list[Raw] = msgspec.field(name="Records", default_factory=list)
    next_iterator: str | None = msgspec.field(name="NextShardIterator", default=None)


_page = msgspec.json.Decoder(_Page).decode


class TrimmedError(SourceError):
    """What was asked for is older than the stream's 24 hours."""


class IteratorExpiredError(SourceError):
    """The iterator is older than 15 minutes."""


class GoneError(SourceError):
    """There is no such stream or shard any more."""


_ERRORS = {
    "TrimmedDataAccessException": TrimmedError,
    "ExpiredIteratorException": IteratorExpiredError,
    "ResourceNotFoundException": GoneError,
}


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard of a description; `ending` is None while it is open."""

    shard_id: str
    parent: str | None
    starting: str | None
    ending: str | None


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream as DescribeStream shows it, all pages together.

    Attributes:
        enabled: it is ENABLED or ENABLING; otherwise it only keeps what it has, for 24 hours.
        created_at: CreationRequestDateTime.
        at: time of the answer, by AWS's clock.
    """

    arn: str
    table_name: str
    view_type: str | None
    enabled: bool
    created_at: datetime | None
    shards: tuple[Shard, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of GetRecords.

    Attributes:
        records: each one's JSON.
        next_iterator: None when the shard is closed and was read to its end.
        at: time of the answer, by AWS's clock, to the second.
    """

    records: list[Raw]
    next_iterator: str | None
    at: datetime


class Pace:
    """Lets at most `calls` through in any second; any number of threads may wait."""

    def __init__(self, calls: int) -> None:
        self._lock = threading.Lock()
        self._made: deque[float] = deque(maxlen=calls)

    def wait(self) -> None:
        with self._lock:
            if len(self._made) == self._made.maxlen:
                time.sleep(max(0.0, self._made[0] + 1 - time.monotonic()))
            self._made.append(time.monotonic())


class StreamsClient:
    """DynamoDB Streams of one account and region; safe to share between threads."""

    def __init__(self, client: Any, *, reads_per_s: int = READS_PER_S) -> None:
        """Use `client`, a boto3 client of `dynamodbstreams`; `reads_per_s`: what its endpoint allows for a shard."""
        self.reads_per_s = reads_per_s
        self._client = client
        self._describes = Pace(DESCRIBES_PER_S)
        client.meta.events.register(
            "before-parse.dynamodb-streams.GetRecords", _keep_body, unique_id="dynatrail-get-records"
        )

    def streams(self, table_name: str) -> Iterator[str]:
        """ARNs of the table's streams that can be read: the one it has, and those that ended less than a day ago.

        Raises:
            SourceError: AWS refuses or throttles.
        """
        return (found["StreamArn"] for found in self._listed(f"list the streams of {table_name}", TableName=table_name))

    def table_names(self) -> set[str]:
        """The tables of all streams that can be read, deleted ones included.

        Raises:
            SourceError: AWS refuses or throttles.
        """
        return {found["TableName"] for found in self._listed("list the streams of all tables")}

    def _listed(self, attempt: str, **asked: str) -> Iterator[dict[str, Any]]:
        while True:
            answer = self._call("list_streams", attempt, **asked)
            yield from answer.get("Streams", ())
            if not answer.get("LastEvaluatedStreamArn"):
                return
            asked["ExclusiveStartStreamArn"] = answer["LastEvaluatedStreamArn"]

    def describe(self, arn: str) -> Stream:
        """A stream with all its shards.

        Raises:
            GoneError: there is none any more.
            SourceError: AWS refuses or throttles.
        """
        shards: dict[str, Shard] = {}
        start: dict[str, str] = {}
        while True:
            self._describes.wait()
            answer = self._call("describe_stream", f"describe the stream {arn}", StreamArn=arn, **start)
            found = answer["StreamDescription"]
            for one in found.get("Shards", ()):
                numbers = one.get("SequenceNumberRange", {})
                shards[one["ShardId"]] = Shard(
                    one["ShardId"],
                    one.get("ParentShardId"),
                    numbers.get("StartingSequenceNumber"),
                    numbers.get("EndingSequenceNumber"),
                )
            last = found.get("LastEvaluatedShardId")
            if not last or start.get("ExclusiveStartShardId") == last:
                break
            start = {"ExclusiveStartShardId": last}
        return Stream(
            arn=arn,
            table_name=found["TableName"],
            view_type=found.get("StreamViewType"),
            enabled=found.get("StreamStatus", "ENABLED") in ("ENABLED", "ENABLING"),
            created_at=found.get("CreationRequestDateTime"),
            shards=tuple(shards.values()),
            at=_answered_at(answer),
        )

    def iterator(self, arn: str, shard_id: str, after: str | None) -> str:
        """An iterator that starts after a sequence number, or with the oldest record that is left.

        Raises:
            TrimmedError: that sequence number is older than what the stream keeps.
            GoneError: there is no such stream or shard any more.
            SourceError: AWS refuses or throttles.
        """
        place = (
            {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": after}
            if after is not None
            else {"ShardIteratorType": "TRIM_HORIZON"}
        )
        attempt = f"get an iterator for {shard_id} of the stream {arn}"
        answer = self._call("get_shard_iterator", attempt, StreamArn=arn, ShardId=shard_id, **place)
        return str(answer["ShardIterator"])

    def records(self, iterator: str, of: str) -> Answer:
        """Up to 1,000 records or 1 MB; `of` names stream and shard in messages.

        Raises:
            IteratorExpiredError: ask for a new iterator.
            TrimmedError: the records that the iterator pointed to were trimmed meanwhile.
            GoneError: the stream is gone.
            SourceError: AWS refuses or throttles, or the answer is no JSON, three times in a row.
        """
        for _ in range(_ATTEMPTS):
            answer = self._call("get_records", f"read {of}", ShardIterator=iterator)
            try:
                page = _page(answer[_BODY])
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                continue
            return Answer(page.records, page.next_iterator, _answered_at(answer))
        raise SourceError(
            f"Could not read {of}: the answer is no JSON, {_ATTEMPTS} times in a row. Is there a proxy between this "
            "machine and AWS? Nothing was skipped; run the task again."
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


def _keep_body(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    if response_dict["status_code"] < 300:  # noqa: PLR2004
        customized_response_dict[_BODY] = response_dict["body"]
        response_dict["body"] = b"{}"


def _answered_at(answer: dict[str, Any]) -> datetime:
    """AWS's own clock, to the second: this machine's may be wrong."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        return parsedate_to_datetime(headers["date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError):
        return clock.now()
