"""DynamoDB Streams as a small HTTP server: shards that split, close, are trimmed and go, and calls that fail.

It stands in for what no emulator does. boto3 makes real, signed calls to it. Time is `now`, told in the Date header;
only the test moves it.
"""

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from botocore.config import Config

ACCOUNT = "123456789012"
REGION = "eu-central-1"
IDENTITY = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    f"<Arn>arn:aws:iam::{ACCOUNT}:user/auditor</Arn><UserId>AIDAEXAMPLE</UserId><Account>{ACCOUNT}</Account>"
    "</GetCallerIdentityResult></GetCallerIdentityResponse>"
).encode()
START = datetime(2026, 11, 1, 3, tzinfo=UTC)


def shard_id(name: str) -> str:
    return f"shardId-00000001793502000000-{name}"


def table_arn(name: str) -> str:
    return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"


@dataclass
class FakeShard:
    name: str
    parent: str | None
    records: list[dict[str, Any]] = field(default_factory=list)
    trimmed: int = 0
    closed: bool = False
    empty: int = 0  # answers without records before the first


@dataclass
class FakeStream:
    arn: str
    view_type: str
    enabled: bool = True
    shards: dict[str, FakeShard] = field(default_factory=dict)


class StreamsServer:
    def __init__(self) -> None:
        self.now = START
        self.streams: dict[str, FakeStream] = {}
        self.tables: dict[str, str | None] = {}
        self.faults: deque[tuple[str, int, str]] = deque()
        self.denied: set[str] = set()
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.page = 1000
        self.describe_page = 100
        self.before: Any = None
        self._sequence = 100_000_000_000_000_000_000
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                operation = (self.headers["x-amz-target"] or "").partition(".")[2]
                status, answer = outer.answer(operation, json.loads(body)) if operation else (200, IDENTITY)
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response_only(status)
                self.send_header("Date", format_datetime(outer.now, usegmt=True))
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def client(self, **config: Any) -> Any:
        return boto3.client(
            "dynamodbstreams",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="AKIAEXAMPLE",
            aws_secret_access_key="example",
            config=Config(**({"retries": {"mode": "standard", "total_max_attempts": 3}} | config)),
        )

    # What a table's owner and time do.

    def stream(self, table: str, *shards: str, view_type: str = "NEW_AND_OLD_IMAGES") -> FakeStream:
        arn = f"{table_arn(table)}/stream/{self.now:%Y-%m-%dT%H:%M:%S}.000"
        made = FakeStream(arn, view_type)
        for name in shards or ("a",):
            made.shards[name] = FakeShard(name, None)
        self.streams[arn] = made
        self.tables[table] = arn
        return made

    def write(self, stream: FakeStream, shard: str, item: str, **fields: Any) -> str:
        self._sequence += 7
        record = {
            "eventID": f"event-{self._sequence}",
            "eventName": "MODIFY",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": REGION,
            "dynamodb": {
                "ApproximateCreationDateTime": int(self.now.timestamp()),
                "Keys": {"id": {"S": item}},
                "OldImage": {"id": {"S": item}, "name": {"S": "before"}},
                "NewImage": {"id": {"S": item}, "name": {"S": "secret-name"}},
                "SequenceNumber": str(self._sequence),
                "SizeBytes": 40,
                "StreamViewType": stream.view_type,
            },
        }
        record["dynamodb"] |= fields.pop("dynamodb", {})
        stream.shards[shard].records.append(record | fields)
        return str(self._sequence)

    def split(self, stream: FakeStream, shard: str, *children: str) -> None:
        stream.shards[shard].closed = True
        for child in children:
            stream.shards[child] = FakeShard(child, shard)

    def pass_time(self, span: timedelta) -> None:
        """Trim what is older than a day, remove closed shards that are empty then, and streams that ended."""
        self.now += span
        horizon = (self.now - timedelta(days=1)).timestamp()
        for stream in list(self.streams.values()):
            for shard in list(stream.shards.values()):
                left = [r for r in shard.records if r["dynamodb"]["ApproximateCreationDateTime"] > horizon]
                shard.trimmed += len(shard.records) - len(left)
                shard.records = left
                if shard.closed and not left:
                    del stream.shards[shard.name]
            if not stream.enabled and not stream.shards:
                del self.streams[stream.arn]

    def disable(self, stream: FakeStream) -> None:
        stream.enabled = False
        for shard in stream.shards.values():
            shard.closed = True

    # What AWS answers.

    def answer(self, operation: str, body: dict[str, Any]) -> tuple[int, Any]:
        with self._lock:
            if self.before:
                self.before(operation, body)
            self.calls.append((operation, body))
            for index, (of, status, code) in enumerate(self.faults):
                if of == operation:
                    del self.faults[index]
                    return (
                        (status, code.encode()) if status == 200 else (status, {"__type": f"x#{code}", "message": ""})
                    )
            try:
                return 200, getattr(self, f"_{operation.lower()}")(body)
            except _Error as error:
                return 400, {"__type": f"com.amazonaws.dynamodb#{error}", "message": "no"}

    def _liststreams(self, body: dict[str, Any]) -> dict[str, Any]:
        table = body.get("TableName")
        self._allow(table)
        start = f"{table_arn(table)}/stream/" if table else ""
        return {
            "Streams": [
                {"StreamArn": arn, "TableName": arn.split("/")[1]}
                for arn in sorted(self.streams)
                if arn.startswith(start)
            ]
        }

    def _describestream(self, body: dict[str, Any]) -> dict[str, Any]:
        stream = self._stream(body["StreamArn"])
        names = list(stream.shards)
        first = names.index(_short(body["ExclusiveStartShardId"])) + 1 if "ExclusiveStartShardId" in body else 0
        page = names[first : first + self.describe_page]
        more = first + len(page) < len(names)
        return {
            "StreamDescription": {
                "StreamArn": stream.arn,
                "TableName": stream.arn.split("/")[1],
                "StreamLabel": stream.arn.rpartition("/")[2],
                "StreamStatus": "ENABLED" if stream.enabled else "DISABLED",
                "StreamViewType": stream.view_type,
                "Shards": [self._shard(stream.shards[name]) for name in page],
                **({"LastEvaluatedShardId": shard_id(page[-1])} if more else {}),
            }
        }

    def _getsharditerator(self, body: dict[str, Any]) -> dict[str, Any]:
        shard = self._of(body)
        at = shard.trimmed
        if body["ShardIteratorType"] == "AFTER_SEQUENCE_NUMBER":
            numbers = [record["dynamodb"].get("SequenceNumber") for record in shard.records]
            if body["SequenceNumber"] not in numbers:
                raise _Error("TrimmedDataAccessException")
            at += numbers.index(body["SequenceNumber"]) + 1
        return {"ShardIterator": json.dumps([body["StreamArn"], body["ShardId"], at, 0])}

    def _getrecords(self, body: dict[str, Any]) -> dict[str, Any]:
        arn, shown, at, empty = json.loads(body["ShardIterator"])
        shard = self._of({"StreamArn": arn, "ShardId": shown})
        if at < shard.trimmed:
            raise _Error("TrimmedDataAccessException")
        if empty < shard.empty:
            return {"Records": [], "NextShardIterator": json.dumps([arn, shown, at, empty + 1])}
        records = shard.records[at - shard.trimmed :][: self.page]
        at += len(records)
        answer: dict[str, Any] = {"Records": records}
        if not (shard.closed and at == shard.trimmed + len(shard.records)):
            answer["NextShardIterator"] = json.dumps([arn, shown, at, empty])
        return answer

    def _listtables(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"TableNames": sorted(self.tables)}

    def _describetable(self, body: dict[str, Any]) -> dict[str, Any]:
        arn = self.tables[body["TableName"]]
        stream = self.streams.get(arn or "")
        described: dict[str, Any] = {
            "TableName": body["TableName"],
            "TableArn": table_arn(body["TableName"]),
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        }
        if stream and stream.enabled:
            described |= {
                "StreamSpecification": {"StreamEnabled": True, "StreamViewType": stream.view_type},
                "LatestStreamArn": arn,
            }
        return {"Table": described}

    def _shard(self, shard: FakeShard) -> dict[str, Any]:
        last = {"EndingSequenceNumber": "9" * 21} if shard.closed else {}
        numbers = {"StartingSequenceNumber": "1" + "0" * 20} | last
        parent = {"ParentShardId": shard_id(shard.parent)} if shard.parent else {}
        return {"ShardId": shard_id(shard.name), "SequenceNumberRange": numbers, **parent}

    def _stream(self, arn: str) -> FakeStream:
        self._allow(arn.split("/")[1])
        if arn not in self.streams:
            raise _Error("ResourceNotFoundException")
        return self.streams[arn]

    def _of(self, body: dict[str, Any]) -> FakeShard:
        shard = self._stream(body["StreamArn"]).shards.get(_short(body["ShardId"]))
        if shard is None:
            raise _Error("ResourceNotFoundException")
        return shard

    def _allow(self, table: str | None) -> None:
        if table in self.denied:
            raise _Error("AccessDeniedException")


def _short(shown: str) -> str:
    return shown.rpartition("-")[2]


class _Error(Exception):
    pass
