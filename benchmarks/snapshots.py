"""How a look at the configuration of many tables keeps below AWS's rates, and what it costs.

    python benchmarks/snapshots.py --tables 1000

A local server stands for DynamoDB: it answers at once and notes when each request came. The look is the one that the
DAG's task takes, through the Airflow connection, with the gate, the Delta tables and the state database. The server
refuses every other service, as an account does whose policy names DynamoDB only. The second look finds nothing new.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import threading
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ACCOUNT, REGION = "123456789012", "us-east-1"
FIRST = datetime(2026, 11, 1, tzinfo=UTC)
PAGE = 100


def _table(name: str) -> dict[str, Any]:
    arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"
    return {
        "TableName": name,
        "TableArn": arn,
        "TableId": f"00000000-0000-4000-8000-{int(name[-6:]):012d}",
        "TableStatus": "ACTIVE",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        "LatestStreamArn": f"{arn}/stream/2026-01-01T00:00:00.000",
        "CreationDateTime": 1767225600.0,
        "ItemCount": time.monotonic_ns(),  # volatile: must not give a row
    }


def _answer(operation: str, sent: dict[str, Any], tables: int) -> dict[str, Any] | None:
    name = str(sent.get("TableName"))
    match operation:
        case "ListTables":
            first = int(sent.get("ExclusiveStartTableName", "table-000000")[-6:]) if sent else 0
            names = [f"table-{number:06d}" for number in range(first + 1, min(first + PAGE, tables) + 1)]
            return {"TableNames": names} | ({"LastEvaluatedTableName": names[-1]} if first + PAGE < tables else {})
        case "DescribeTable":
            return {"Table": _table(name)}
        case "DescribeContinuousBackups":
            recovery = {"PointInTimeRecoveryStatus": "ENABLED", "LatestRestorableDateTime": time.time()}
            told = {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery}
            return {"ContinuousBackupsDescription": told}
        case "DescribeTimeToLive":
            return {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}
        case "ListTagsOfResource":
            return {"Tags": [{"Key": "data-class", "Value": "health"}]}
        case "DescribeKinesisStreamingDestination":
            return {"TableName": name, "KinesisDataStreamDestinations": []}
        case "DescribeContributorInsights":
            return {"TableName": name, "ContributorInsightsStatus": "DISABLED"}
    return None


def serve(tables: int, pipe: Connection) -> None:
    """Answer until told to stop; then give back when each operation was asked."""
    came: dict[str, list[float]] = defaultdict(list)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            service, _, operation = self.headers.get("X-Amz-Target", "").rpartition(".")
            answer, status = None, 400
            if service == "DynamoDB_20120810":
                came[operation].append(time.monotonic())
                answer = _answer(operation, json.loads(body), tables)
            if answer is not None:
                status = 200
            elif operation == "GetResourcePolicy":
                answer = {"__type": "PolicyNotFoundException", "message": "none"}
            else:
                answer = {"__type": "AccessDeniedException", "message": "not here"}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815  the base class's name

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pipe.send(server.server_port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pipe.recv()
    pipe.send(dict(came))


def _busiest(times: list[float]) -> int:
    """Most requests within any one second."""
    times = sorted(times)
    most, start = 0, 0
    for end, at in enumerate(times):
        while times[start] <= at - 1:
            start += 1
        most = max(most, end - start + 1)
    return most


def _peak_mb() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) >> 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=1000)
    tables: int = parser.parse_args().tables
    ours, theirs = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    server = spawn.Process(target=serve, args=(tables, theirs), daemon=True)
    server.start()
    port = ours.recv()
    with tempfile.TemporaryDirectory() as home:
        config = Path(home) / "config.yaml"
        config.write_text(f'accounts:\n  - {{id: "{ACCOUNT}", regions: [{REGION}]}}\n')
        extra = {"region_name": REGION, "endpoint_url": f"http://127.0.0.1:{port}"}
        connection = {"conn_type": "aws", "login": "x", "password": "x", "extra": extra}
        os.environ |= {
            "DYNATRAIL_HOME": home,
            "DYNATRAIL_CONFIG": str(config),
            "AIRFLOW_HOME": home,
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
        }
        from dynatrail.settings import settings
        from dynatrail.sources.configuration import snapshot
        from dynatrail.sources.snapshots.asking import DOCUMENTED

        took, rows = [], []
        for number in range(2):
            begin = time.monotonic()
            rows.append(snapshot.capture(settings(), 0, FIRST + number * timedelta(hours=6)).rows)
            took.append(time.monotonic() - begin)
    ours.send("stop")
    came: dict[str, list[float]] = ours.recv()
    server.join(5)
    counts = Counter({name: len(times) for name, times in came.items()})
    print(f"{'operation':38} {'requests':>8} {'most in 1 s':>12} {'AWS allows':>10}")
    for name, count in counts.most_common():
        print(f"{name:38} {count:8} {_busiest(came[name]):12} {DOCUMENTED.get(name, '-'):>10}")
    total = sum(counts.values())
    busiest = _busiest([at for times in came.values() for at in times])
    print(f"{tables} tables, two looks, {total} requests, at most {busiest} in one second")
    for label, seconds, written in zip(("first", "second"), took, rows, strict=True):
        print(f"{label} look: {seconds:.0f} s, {written} rows")
    print(f"peak memory {_peak_mb()} MB")


if __name__ == "__main__":
    main()
