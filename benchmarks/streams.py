"""How fast stream records become rows, beside what boto3 alone needs to get them.

    python benchmarks/streams.py --records 100000

A local HTTP server in a process of its own holds ready answers of GetRecords: 1,000 records each, in four shards of one
stream, every item of ten attributes, old and new image. The baseline calls `get_records` of a plain boto3 client until
the shards are drained and throws the records away. Dynatrail reads them through the class that the DAG's task uses: it
parses, masks, checks with Great Expectations, writes Delta tables and moves checkpoints. Each side is a process of its
own, of which start and imports are left out; the server's CPU seconds are in neither.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ACCOUNT, REGION = "123456789012", "eu-central-1"
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Patients"
START = datetime(2026, 11, 1, 3, tzinfo=UTC)
STREAM = f"{TABLE}/stream/{START:%Y-%m-%dT%H:%M:%S}.000"
SHARDS = tuple(f"shardId-00000001793502000000-{name:>08}" for name in "abcd")
PAGE = 1000


def _image(number: int, version: int) -> dict[str, Any]:
    return {
        "patient_id": {"S": f"pat-{number:07}"},
        "name": {"S": f"Person {number}"},
        "email": {"S": f"person{number}@example.com"},
        "born": {"N": str(19_000_000 + number % 900_000)},
        "status": {"S": ("admitted", "released", "waiting")[version % 3]},
        "version": {"N": str(version)},
        "consents": {"SS": ["research", "treatment"]},
        "insured": {"BOOL": number % 2 == 0},
        "address": {"M": {"city": {"S": f"City {number % 500}"}, "zip": {"S": f"{number % 90_000:05}"}}},
        "notes": {"L": [{"S": f"note {number} {version}"}, {"NULL": True}]},
    }


def _record(number: int) -> dict[str, Any]:
    item, version = number * 7919 % 50_000, number
    return {
        "eventID": f"{number:032x}",
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "dynamodb": {
            "ApproximateCreationDateTime": int(START.timestamp()) + number // 30,
            "Keys": {"patient_id": {"S": f"pat-{item:07}"}},
            "NewImage": _image(item, version),
            "OldImage": _image(item, version - 1),
            "SequenceNumber": str(100_000_000_000_000_000_000 + number),
            "SizeBytes": 640,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }


def _serve(records: int, out: Any) -> None:
    each = records // len(SHARDS)
    pages: dict[str, bytes] = {}
    for index, shard in enumerate(SHARDS):
        for at in range(0, each, PAGE):
            answer: dict[str, Any] = {"Records": [_record(index * each + n) for n in range(at, min(at + PAGE, each))]}
            if at + PAGE < each:
                answer["NextShardIterator"] = f"{shard}/{at + PAGE}"
            pages[f"{shard}/{at}"] = json.dumps(answer, separators=(",", ":")).encode()
    described = {
        "StreamArn": STREAM,
        "TableName": "Patients",
        "StreamStatus": "DISABLED",
        "StreamViewType": "NEW_AND_OLD_IMAGES",
        "Shards": [
            {
                "ShardId": shard,
                "SequenceNumberRange": {"StartingSequenceNumber": "1" * 21, "EndingSequenceNumber": "9" * 21},
            }
            for shard in SHARDS
        ],
    }
    fixed: dict[str, Any] = {
        "ListStreams": {"Streams": [{"StreamArn": STREAM}]},
        "DescribeStream": {"StreamDescription": described},
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            operation = self.headers["x-amz-target"].partition(".")[2]
            if operation == "GetRecords":
                data = pages[asked["ShardIterator"]]
            elif operation == "GetShardIterator":
                data = json.dumps({"ShardIterator": f"{asked['ShardId']}/0"}).encode()
            else:
                data = json.dumps(fixed[operation]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    out.put((f"http://127.0.0.1:{server.server_port}", sum(map(len, pages.values()))))
    server.serve_forever()


def _client(url: str) -> Any:
    import boto3

    keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "example"}
    return boto3.client("dynamodbstreams", endpoint_url=url, region_name=REGION, **keys)


def _baseline(url: str, _: Path) -> Callable[[], int]:
    client = _client(url)

    def work() -> int:
        count = 0
        for shard in SHARDS:
            place = {"StreamArn": STREAM, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
            iterator = client.get_shard_iterator(**place)["ShardIterator"]
            while iterator:
                answer = client.get_records(ShardIterator=iterator)
                count += len(answer["Records"])
                iterator = answer.get("NextShardIterator")
        return count

    return work


def _extract(url: str, home: Path) -> Callable[[], int]:
    os.environ["DYNATRAIL_HOME"] = str(home)
    from dynatrail.privacy.tokens import Tokenizer
    from dynatrail.quality import gate
    from dynatrail.sources.changes.rows import ChangedTable
    from dynatrail.sources.streams import client, run
    from dynatrail.warehouse.store import Warehouse

    gate.load_suite("item_change")
    # The benchmark's server is not AWS: its limit is not what is measured.
    streams = client.StreamsClient(_client(url), reads_per_s=1_000_000)

    def work() -> int:
        warehouse = Warehouse(str(home / "warehouse"))
        one = run.Run(warehouse, streams, Tokenizer(os.urandom(32)), home / "quality" / "0", timedelta(days=1000))
        one.read([ChangedTable(ACCOUNT, REGION, "Patients", TABLE)])
        if one.complaint():
            raise SystemExit(one.complaint())
        rows = warehouse.dataset("item_change").count_rows()
        assert rows == one.summary.changes, (rows, one.summary)
        return rows

    return work


def _side(name: str, url: str, home: Path, out: Any) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    work = {"baseline": _baseline, "extract": _extract}[name](url, home)
    cpu, wall = time.process_time(), time.perf_counter()
    records = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    status = Path("/proc/self/status").read_text()
    peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) >> 10
    out.put(
        {
            "records": records,
            "seconds": round(wall, 2),
            "cpu_seconds": round(cpu, 2),
            "records_per_second": round(records / wall),
            "cpu_us_per_record": round(cpu / records * 1e6, 1),
            "peak_rss_mb": peak,
        }
    )


def measure(records: int) -> dict[str, Any]:
    """Both sides, one after the other, over the same pages."""
    context = multiprocessing.get_context("spawn")
    told, out = context.Queue(), context.Queue()
    server = context.Process(target=_serve, args=(records, told), daemon=True)
    server.start()
    url, size = told.get(timeout=300)
    result: dict[str, Any] = {"records": records, "json_mb": size >> 20}
    with tempfile.TemporaryDirectory(prefix="dynatrail-bench-") as folder:
        for name in ("baseline", "extract"):
            process = context.Process(target=_side, args=(name, url, Path(folder), out))
            process.start()
            result[name] = out.get(timeout=900)
            process.join()
    server.terminate()
    for name in ("baseline", "extract"):
        if result[name]["records"] != records:
            raise SystemExit(f"{name} lost or doubled records: {result[name]}")
    result["cpu_ratio"] = round(result["extract"]["cpu_seconds"] / result["baseline"]["cpu_seconds"], 2)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000, help="a multiple of 4,000")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    asked = parser.parse_args()
    result = measure(asked.records)
    if asked.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{asked.records:,} records in {asked.records // PAGE} answers, {result['json_mb']} MB of JSON")
    for side in ("baseline", "extract"):
        run = result[side]
        print(
            f"{side:>9}: {run['records_per_second']:>7,} records/s in {run['seconds']:>6} s, {run['cpu_seconds']} s of "
            f"CPU ({run['cpu_us_per_record']} us a record), peak RSS {run['peak_rss_mb']} MB"
        )
    print(f"      CPU: {result['cpu_ratio']} times that of boto3 alone")


if __name__ == "__main__":
    main()
