"""How fast CloudTrail files become rows, beside the least that any reader must do.

    python benchmarks/ingest.py --records 1000000

Both sides read the same generated files from a local folder with two processes. The baseline only uncompresses them
(libdeflate) and decodes the JSON (orjson.loads). Dynatrail's extract hashes, parses, masks, checks with Great
Expectations, writes Delta tables and keeps its ledger, through the functions that the DAG's tasks call. Process start
and imports are left out on both sides and printed apart; the time that S3 takes to send the bytes is in neither.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from queue import Empty
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.cloudtrail_files import START, generate

WORKERS = 2


def _peak_mb() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) >> 10


def _baseline() -> Callable[[object], int]:
    import deflate
    import orjson

    def read(path: object) -> int:
        return len(orjson.loads(deflate.gzip_decompress(Path(str(path)).read_bytes()))["Records"])

    return read


def _extract() -> Callable[[object], int]:
    import airflow.providers.amazon.aws.hooks.base_aws  # noqa: F401  part of the imports, not of the work

    from dynatrail.quality import gate
    from dynatrail.settings import settings
    from dynatrail.sources.cloudtrail import extract

    gate.load_suite("api_event")
    return lambda number: extract.take(settings(), int(str(number)), run_id="benchmark").records


def _worker(side: str, jobs: Any, out: Any, ready: Any) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Airflow and Great Expectations log there
    work = {"baseline": _baseline, "extract": _extract}[side]()
    ready.wait()
    records, began = 0, time.process_time()
    while True:
        try:
            job = jobs.get(timeout=0.05)
        except Empty:
            break
        try:
            records += work(job)
        except BaseException as error:
            out.put(error)
            raise
    out.put((records, _peak_mb(), time.process_time() - began))


def _run(side: str, jobs: list[object]) -> dict[str, float]:
    """Time `jobs` over two fresh processes, from the moment both are ready."""
    context = multiprocessing.get_context("spawn")
    queue, out, ready = context.Queue(), context.Queue(), context.Barrier(WORKERS + 1)
    for job in jobs:
        queue.put(job)
    born = time.perf_counter()
    workers = [context.Process(target=_worker, args=(side, queue, out, ready), daemon=True) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    ready.wait(timeout=300)
    start = time.perf_counter()
    results = []
    for _ in workers:
        results.append(out.get(timeout=1800))
        if isinstance(results[-1], BaseException):
            raise results[-1]
    seconds = time.perf_counter() - start
    for worker in workers:
        worker.join()
    records = sum(count for count, *_ in results)
    return {
        "records": records,
        "seconds": round(seconds, 2),
        "records_per_second": round(records / seconds),
        "start_and_import_seconds": round(start - born, 2),
        "cpu_us_per_record": round(sum(cpu for *_, cpu in results) / records * 1e6, 1),
        "peak_rss_mb_per_process": max(peak for _, peak, _ in results),
        "peak_rss_mb_together": sum(peak for _, peak, _ in results),
    }


def measure(folder: Path, records: int, repeats: int) -> dict[str, object]:
    """Generate, then run both sides alternately `repeats` times; the ratio is of the medians."""
    from dynatrail.settings import settings
    from dynatrail.sources.cloudtrail import extract

    trail = folder / "trail"
    files = generate(trail, records=records)
    size = sum(path.stat().st_size for path in files)
    runs: dict[str, list[dict[str, float]]] = {"baseline": [], "extract": []}
    for n in range(repeats):
        runs["baseline"].append(_run("baseline", [str(path) for path in files]))
        os.environ["DYNATRAIL_HOME"] = str(folder / f"home{n}")
        os.environ["DYNATRAIL_TRAIL_BUCKET"] = trail.as_uri()
        window = (START, START + timedelta(days=1))
        batches = extract.discover(settings(), *window, retake=False, run_id="benchmark")
        runs["extract"].append(_run("extract", list(batches)))
    for side, done in runs.items():
        if any(run["records"] != records for run in done):
            raise SystemExit(f"{side} lost or doubled records: {done}")
    middle = {side: sorted(done, key=lambda r: r["records_per_second"])[len(done) // 2] for side, done in runs.items()}
    ratio = middle["extract"]["records_per_second"] / middle["baseline"]["records_per_second"]
    return {"files": len(files), "compressed_mb": size >> 20, **middle, "ratio": round(ratio, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dynatrail-bench-") as folder:
        result = measure(Path(folder), asked.records, asked.repeats)
    if asked.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{asked.records:,} records in {result['files']} files, {result['compressed_mb']} MB compressed")
    for side in ("baseline", "extract"):
        run = result[side]
        print(
            f"{side:>9}: {run['records_per_second']:>9,} records/s in {run['seconds']:>6} s, "
            f"{run['cpu_us_per_record']} us of CPU a record; peak RSS "
            f"{run['peak_rss_mb_per_process']:>5} MB a process, {run['peak_rss_mb_together']:>5} MB together; "
            f"{run['start_and_import_seconds']} s to start and import"
        )
    print(f"    ratio: {result['ratio']} of libdeflate + orjson.loads on {WORKERS} processes")


if __name__ == "__main__":
    main()
