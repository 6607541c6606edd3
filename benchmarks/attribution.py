"""How often the request behind a change is found, how sure the answer is, how often that is right, and what it costs.

    python benchmarks/attribution.py            all scenarios; then 0.25, 1 and 4 million changes with as many requests
    python benchmarks/attribution.py --quick    the same, small
    python benchmarks/attribution.py --seed 7   other histories than the usual ones

Each scenario invents writes of known people to known items, and from them what AWS would leave: item changes with their
second, and CloudTrail events of which some are late, some missing. They are written as Delta tables and attributed by
`dynatrail.trail.attribution.build`; then each answer is held against the write that made the change. Ids of events are
random, so that they tell no order. Parameters of the scenarios are below; a busier table than these has more changes
that nothing can tell apart. No seed of these was looked at while the rules were made.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.clock import HOUR
from dynatrail.trail import attribution
from dynatrail.warehouse.schema import API_EVENT, API_EVENT_ITEM, COVERAGE, ITEM_CHANGE
from dynatrail.warehouse.store import Warehouse

START = datetime(2026, 11, 1, 6, tzinfo=UTC)
ACCOUNT, REGION = "123456789012", "eu-central-1"
ARN = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/"
TEMPLATES = [["status"], ["status", "updated"], ["address", "phone"], ["balance"], ["notes", "updated"], ["consent"]]
T = TypeVar("T")
PEOPLE = 12
HELD_OUT = [90_001, 90_002]


@dataclass(frozen=True)
class Scenario:
    """How a table is written.

    Attributes:
        items_per_write: items over writes; below 1, items are written again and again.
        burst: writes of one item within one second, at most.
        noop, conditional, retry, partiql, missing, ttl: shares of the writes.
        batch: items a request.
        writers: how many people write one item.
        skew_s: clocks of hosts differ by up to this.
        late: share of the requests that come after a first attribution.
        late_answer: share of the requests that complete up to eight seconds after their change.
        counted: whether `coverage` says which hours of the table lack writes, as CloudWatch's counts show them.
    """

    items_per_write: float = 0.7
    burst: int = 1
    noop: float = 0.02
    conditional: float = 0.02
    retry: float = 0.0
    partiql: float = 0.0
    missing: float = 0.0
    ttl: float = 0.01
    batch: int = 1
    writers: int = 2
    skew_s: float = 0.01
    late: float = 0.0
    late_answer: float = 0.0
    counted: bool = False


QUIET = Scenario()
SCENARIOS: dict[str, list[tuple[float, Scenario]]] = {
    "quiet": [(1, QUIET)],
    "hot keys": [(1, Scenario(items_per_write=0.0005, writers=3))],
    "bursts in one second": [(1, Scenario(items_per_write=0.2, burst=10))],
    "retries": [(1, Scenario(retry=0.2))],
    "no-ops": [(1, Scenario(items_per_write=0.02, noop=0.3))],
    "conditional failures": [(1, Scenario(items_per_write=0.02, conditional=0.3))],
    "batches of 25": [(1, Scenario(batch=25))],
    "transactions of 100": [(1, Scenario(batch=100))],
    "PartiQL": [(1, Scenario(partiql=0.5))],
    "two writers of a key": [(1, Scenario(items_per_write=0.01, writers=2))],
    "clock skew of 1 s": [(1, Scenario(skew_s=1.0))],
    "late files": [(1, Scenario(late=0.2))],
    "5 % missing": [(1, Scenario(missing=0.05))],
    "no-ops, 5 % missing": [(1, Scenario(items_per_write=0.02, noop=0.3, missing=0.05))],
    "hot keys, 5 % missing": [(1, Scenario(items_per_write=0.0005, writers=3, missing=0.05))],
    "TTL storm": [(1, Scenario(ttl=0.5))],
    "slow answers, no-ops": [(1, Scenario(items_per_write=0.02, noop=0.3, late_answer=0.02))],
}
SMALL = Scenario(items_per_write=0.2, noop=0.1, retry=0.1, missing=0.05)
SCENARIOS["small tables, 5 % missing"] = [(1 / 1000, SMALL)] * 1000
SCENARIOS["the same, calls counted"] = [(1 / 1000, replace(SMALL, counted=True))] * 1000
SCENARIOS["mixed"] = [
    (0.7, QUIET),
    (0.1, Scenario(batch=25)),
    (0.05, Scenario(batch=100)),
    (0.05, Scenario(partiql=0.3, retry=0.05)),
    (0.04, Scenario(items_per_write=0.02, noop=0.1, conditional=0.1)),
    (0.03, Scenario(skew_s=1.0)),
    (0.02, Scenario(ttl=0.5)),
    (0.01, Scenario(items_per_write=0.2, burst=4)),
]
SCENARIOS["mixed, 5 % missing"] = [(share, replace(part, missing=0.05)) for share, part in SCENARIOS["mixed"]]


@dataclass
class World:
    """What was written: columns of changes and of requested items, and the truth of each change.

    `counted`: tables whose calls CloudWatch counts; `lacking`: those and the hours, from 0, of which calls are missing.
    """

    changes: list[tuple[Any, ...]]
    requests: list[tuple[Any, ...]]
    truth: dict[str, tuple[str | None, str | None, bool]]
    counted: set[str]
    lacking: set[tuple[str, int]]


def invent(parts: list[tuple[float, Scenario]], writes: int, hours: int, seed: int) -> World:
    """The writes of tables in the manner of `parts`; each part is a table of its own."""
    world = World([], [], {}, set(), set())
    for number, (share, part) in enumerate(parts):
        _table(world, f"Table{number}", part, int(writes * share), hours, np.random.default_rng([seed, number]))
    return world


def _table(world: World, name: str, part: Scenario, writes: int, hours: int, rng: np.random.Generator) -> None:
    events = max(1, int(writes / part.batch / (1 + (part.burst - 1) / 2)))
    times = np.sort(rng.uniform(60, hours * 3600 - 60, events))
    items = max(int(writes * part.items_per_write), part.batch)
    alive: set[int] = set()
    sequence = 0
    if part.counted:
        world.counted.add(name)
    for moment in times.tolist():
        if part.burst == 1:
            sequence = _request(world, name, part, moment, _items(rng, items, part.batch), alive, rng, sequence)
            continue
        item = int(rng.integers(items))
        for at in np.sort(np.floor(moment) + rng.uniform(size=int(rng.integers(1, part.burst + 1)))).tolist():
            sequence = _request(world, name, part, at, [item], alive, rng, sequence)


def _items(rng: np.random.Generator, items: int, batch: int) -> list[int]:
    return [int(rng.integers(items))] if batch == 1 else rng.choice(items, batch, replace=False).tolist()


def _request(  # noqa: PLR0913, PLR0917 - what a write is made of
    world: World,
    table: str,
    part: Scenario,
    at: float,
    chosen: list[int],
    alive: set[int],
    rng: np.random.Generator,
    sequence: int,
) -> int:
    who = f"arn:aws:iam::{ACCOUNT}:user/{(chosen[0] + int(rng.integers(part.writers))) % PEOPLE}"
    event, late, done = str(uuid.UUID(bytes=rng.bytes(16))), rng.uniform() < part.late, _completed(part, at, rng)
    missing = _lost(world, part, table, done, rng)
    chance = rng.uniform()
    if chance < part.conditional:
        _asked(world, event, 0, done, table, chosen[0], ("Update", False, TEMPLATES[0], who, True, late))
        return sequence
    if chance < part.conditional + part.ttl and chosen[0] in alive:
        alive.discard(chosen[0])
        world.changes.append((f"{table}-{sequence}", at, table, chosen[0], "REMOVE", None, sequence, True))
        world.truth[f"{table}-{sequence}"] = (None, None, False)
        return sequence + 1
    for ordinal, item in enumerate(chosen):
        partiql = rng.uniform() < part.partiql
        template = TEMPLATES[int(rng.integers(len(TEMPLATES)))]
        kind, operation = "MODIFY", "Update"
        changed: list[str] | None = template[: int(rng.integers(1, len(template) + 1))]
        if item not in alive:
            kind, operation, changed = "INSERT", "Put", None
            alive.add(item)
        elif rng.uniform() < 0.1:  # noqa: PLR2004
            kind, operation, changed = "REMOVE", "Delete", None
            alive.discard(item)
        elif part.batch > 1 and part.batch <= 25:  # noqa: PLR2004 - BatchWriteItem only puts and deletes
            operation, changed = "Put", template
        if not missing:
            _asked(world, event, ordinal, done, table, item, (operation, partiql, template, who, False, late))
        if kind == "MODIFY" and rng.uniform() < part.noop:
            continue
        change = f"{table}-{sequence}"
        world.changes.append((change, at, table, item, kind, changed, sequence, False))
        world.truth[change] = (event, who, missing)
        sequence += 1
        if operation == "Update" and rng.uniform() < part.retry:
            again, later = str(uuid.UUID(bytes=rng.bytes(16))), done + float(rng.uniform(0.05, 1.0))
            _asked(world, again, 0, later, table, item, (operation, partiql, template, who, False, late))
    return sequence


def _completed(part: Scenario, at: float, rng: np.random.Generator) -> float:
    if rng.uniform() < part.late_answer:
        return at + float(rng.uniform(2, 8))
    return at + float(rng.lognormal(-4.6, 0.8)) + float(rng.uniform(-part.skew_s, part.skew_s))


def _lost(world: World, part: Scenario, table: str, done: float, rng: np.random.Generator) -> bool:
    lost = bool(rng.uniform() < part.missing)
    if lost:
        world.lacking.add((table, int(done // 3600)))
    return lost


def _asked(world: World, event: str, ordinal: int, done: float, table: str, item: int, how: tuple[Any, ...]) -> None:
    world.requests.append((event, ordinal, done, table, item, *how))


def write(warehouse: Warehouse, world: World, *, late: bool) -> set[datetime]:
    """Write what there is; `late`: also what came late. Returns the hours."""
    change = dict(
        zip(("id", "at", "table", "item", "kind", "names", "seq", "ttl"), zip(*world.changes, strict=True), strict=True)
    )
    count = len(world.changes)
    hours = _put(
        warehouse,
        ITEM_CHANGE,
        {
            "change_id": pa.array(change["id"]),
            "event_time": _times(change["at"]),
            "account_id": _same(ACCOUNT, count),
            "region": _same(REGION, count),
            "table_name": pa.array(change["table"]),
            "table_arn": pc.binary_join_element_wise(ARN, pa.array(change["table"]), ""),
            "item_key_token": _tokens(change["item"]),
            "key_attributes": pa.array([["id"]] * count),
            "change_type": pa.array(change["kind"]),
            "changed_attributes": pa.array(change["names"], pa.list_(pa.string())),
            "view_type": _same("NEW_AND_OLD_IMAGES", count),
            "change_origin": _same("stream", count),
            "reconstructed": pa.repeat(False, count),
            "by_ttl": pa.array(change["ttl"]),
            "sequence_number": pa.array(change["seq"]).cast(pa.string()),
            "source_uri": _same("stream", count),
            "source_position": pa.array(change["id"]),
        },
    )
    names = ("event", "ordinal", "at", "table", "item", "operation", "partiql", "names", "who", "failed", "late")
    requests = [row for row in world.requests if late or not row[-1]]
    asked = dict(zip(names, zip(*requests, strict=True), strict=True))
    count = len(requests)
    shared = {
        "event_id": pa.array(asked["event"]),
        "event_time": _times(asked["at"]),
        "recipient_account_id": _same(ACCOUNT, count),
        "region": _same(REGION, count),
        "source_uri": _same("s3://trail.example.com/log", count),
        "source_sha256": _same("00", count),
        "source_index": pa.array(np.arange(count)),
    }
    operation, partiql = pa.array(asked["operation"]), pa.array(asked["partiql"])
    hidden = pc.and_(partiql, pc.equal(operation, "Put"))
    _put(
        warehouse,
        API_EVENT_ITEM,
        shared
        | {
            "table_name": pa.array(asked["table"]),
            "table_arn": pc.binary_join_element_wise(ARN, pa.array(asked["table"]), ""),
            "item_key_token": pc.if_else(hidden, pa.scalar(None, pa.string()), _tokens(asked["item"])),
            "operation": operation,
            "ordinal": pa.array(asked["ordinal"], pa.int32()),
            "attribute_names": pa.array(asked["names"], pa.list_(pa.string())),
        },
    )
    _, first = np.unique(np.array(asked["event"]), return_index=True)
    at = pa.array(np.sort(first))
    events = shared | {
        "event_source": _same("dynamodb.amazonaws.com", count),
        "event_name": pc.if_else(partiql, "ExecuteStatement", pc.binary_join_element_wise(operation, "Item", "")),
        "principal_type": _same("IAMUser", count),
        "principal_arn": pa.array(asked["who"]),
        "access_key_id": _same("AKIAEXAMPLE", count),
        "error_code": pc.if_else(
            pa.array(asked["failed"]), "ConditionalCheckFailedException", pa.scalar(None, pa.string())
        ),
        "attestation": _same("attested", count),
        "ocsf_class_uid": pa.repeat(pa.scalar(6005, pa.int32()), count),
    }
    _put(warehouse, API_EVENT, {name: column.take(at) for name, column in events.items()})
    if world.counted:
        _state(warehouse, world, hours)
    return hours


def _state(warehouse: Warehouse, world: World, hours: set[datetime]) -> None:
    """What CloudWatch's counts show: hours and tables of which there are more calls than events, and the others."""
    first = min(hours)
    places = [(table, hour) for table in sorted(world.counted) for hour in sorted(hours)]
    lacking = [(table, (hour - first) // HOUR) in world.lacking for table, hour in places]
    count = len(places)
    columns = {
        "event_time": pa.array([hour for _, hour in places], pa.timestamp("us", tz="UTC")),
        "account_id": _same(ACCOUNT, count),
        "region": _same(REGION, count),
        "table_name": pa.array([table for table, _ in places]),
        "operation": pc.if_else(pa.array(lacking), "UpdateItem", "*"),
        "selection": _same("FULL", count),
        "statement": pc.if_else(pa.array(lacking), "incomplete", "complete"),
        "reasons": pa.array([["count_shortfall: 1"] if lacks else None for lacks in lacking], pa.list_(pa.string())),
    }
    _put(warehouse, COVERAGE, columns)


def _put(warehouse: Warehouse, table: Any, columns: dict[str, Any]) -> set[datetime]:
    hour = pc.floor_temporal(columns["event_time"], unit="hour")
    columns = columns | {"event_hour": hour, "event_date": hour.cast(pa.date32())}
    count = len(hour)
    arrays = [columns.get(field.name, pa.nulls(count, field.type)) for field in table.schema]
    hours = set(pc.unique(hour).to_pylist())
    warehouse.replace(table.name, pa.table(arrays, names=table.schema.names).cast(table.schema), hours=hours)
    return hours


def _times(seconds: Any) -> pa.Array:
    floored = np.floor(np.array(seconds)).astype(np.int64) + int(START.timestamp())
    return pa.array(floored * 1_000_000, pa.timestamp("us", tz="UTC"))


def _tokens(items: Any) -> pa.Array:
    return pa.array([f"tok-{item:016x}" for item in items])


def _same(text: str, count: int) -> pa.Array:
    return pa.repeat(text, count)


def judge(warehouse: Warehouse, world: World) -> dict[str, float]:
    """How the answers compare with the truth."""
    columns = ["change_id", "event_id", "first_principal_arn", "confidence", "method"]
    rows = warehouse.dataset("attribution").to_table(columns=columns).to_pydict()
    seen: dict[str, float] = dict.fromkeys(
        ["changes", "logged", "right", "who", "asserted", "correct", "gone", "unexplained", "pinned"]
        + [f"{kind} {what}" for kind in KINDS for what in ("n", "wrong", "wrong who")],
        0,
    )
    for change, event, who, kind, method in zip(*rows.values(), strict=True):
        true_event, true_who, missing = world.truth[change]
        if true_event is None:
            assert method == "expiry"
            continue
        seen["changes"] += 1
        seen[f"{kind} n"] += 1
        right, right_who = event == true_event and not missing, who == true_who and event is not None
        if event is not None:
            seen["asserted"] += 1
            seen["correct"] += right
            seen[f"{kind} wrong"] += not right
            seen[f"{kind} wrong who"] += not right_who
        if missing:
            seen["gone"] += 1
            seen["unexplained"] += event is None
            seen["pinned"] += event is not None and not right_who and kind != "ambiguous"
        else:
            seen["logged"] += 1
            seen["right"] += right
            seen["who"] += right_who
    return seen


KINDS = ("certain", "identity_certain", "probable", "ambiguous", "none")
_LINE = "{:29}" + " {:>8}" * 13
_HEADS = ("changes", "request", "who", "precise", "certain", "identity", "probable", "ambig.", "none") + (
    ("wrong c.", "wrong i.", "unexpl.", "pinned")
)
_LEGEND = """
request, who   of changes with a logged request: its request was found; its first principal was
precise        of answers that name a request: it is the right one
certain … none of all changes: how sure the answer is
wrong c.       certain answers that name another request; wrong i.: identity_certain ones that name another principal
unexpl.        of changes whose request is missing: left without one; pinned: given another person's, not as ambiguous
"""


def _scenario(name: str, writes: int, seed: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse(folder)
        world = invent(SCENARIOS[name], writes, max(1, writes // 30_000), seed)
        hours = write(warehouse, world, late=not any(part.late for _, part in SCENARIOS[name]))
        attribution.build(warehouse, hours)
        if any(part.late for _, part in SCENARIOS[name]):
            write(warehouse, world, late=True)
            attribution.build(warehouse, hours)
        return judge(warehouse, world)


def quality(writes: int, mixed: int, seeds: list[int]) -> dict[str, dict[str, float]]:
    """All scenarios over all seeds, printed as a table."""
    print(f"Quality, seeds {', '.join(map(str, seeds))}\n")
    print(_LINE.format("scenario", *_HEADS))
    results = {}
    for name in SCENARIOS:
        total: dict[str, float] = {}
        for seed in seeds:
            for key, value in _scenario(name, mixed if name.startswith("mixed") else writes, seed).items():
                total[key] = total.get(key, 0) + value
        results[name] = total
        figures = [
            f"{total['changes']:.0f}",
            *(f"{total[what] / total['logged']:.2%}" for what in ("right", "who")),
            f"{total['correct'] / max(total['asserted'], 1):.2%}",
            *(f"{total[f'{kind} n'] / total['changes']:.1%}" for kind in KINDS),
            f"{total['certain wrong']:.0f}",
            f"{total['identity_certain wrong who']:.0f}",
            *(f"{total[what] / total['gone']:.2%}" if total["gone"] else "" for what in ("unexplained", "pinned")),
        ]
        print(_LINE.format(name, *figures), flush=True)
    print(_LEGEND)
    _calibration(results)
    return results


def _calibration(results: dict[str, dict[str, float]]) -> None:
    """How often each confidence was right, over all scenarios."""
    every = sum(total["changes"] for total in results.values())
    line = "{:18} {:>10} {:>8} {:>14} {:>16} {:>10}"
    print(line.format("confidence", "changes", "share", "right request", "right principal", "wrong"))
    for kind in KINDS:
        count, wrong, wrong_who = (
            int(sum(total[f"{kind} {what}"] for total in results.values())) for what in ("n", "wrong", "wrong who")
        )
        rates = (f"{1 - bad / count:.4%}" if count and kind != "none" else "" for bad in (wrong, wrong_who))
        print(line.format(kind, f"{count:,}", f"{count / every:.1%}", *rates, wrong if kind != "none" else ""))
    print(f"all: {every:,.0f} changes\n", flush=True)


def _busy(warehouse: Warehouse, count: int, hours: int, hot: float) -> list[datetime]:
    """As many changes as requests, an hour after the other: updates of one table, `hot` of them of one item."""
    templates = pa.array(TEMPLATES, pa.list_(pa.string()))
    people = pa.array([f"arn:aws:iam::{ACCOUNT}:user/{n}" for n in range(PEOPLE)])
    each, found = count // hours, set()
    for hour in range(hours):
        rng = np.random.default_rng([11, hour])
        at = hour * 3600 + np.sort(rng.uniform(0, 3595, each))
        item = np.where(rng.uniform(size=each) < hot, 0, rng.integers(1, count, each))
        names = templates.take(pa.array(rng.integers(0, len(TEMPLATES), each)))
        number = np.arange(hour * each, (hour + 1) * each)
        place = {
            "region": _same(REGION, each),
            "table_arn": _same(f"{ARN}Busy", each),
            "table_name": _same("Busy", each),
        }
        token = pc.binary_join_element_wise("t1:", pc.utf8_lpad(pa.array(item).cast(pa.string()), 32, "0"), "")
        ids = {
            kind: pc.binary_join_element_wise(kind, pc.utf8_lpad(pa.array(of).cast(pa.string()), size, "0"), "")
            for kind, of, size in (("c", number, 63), ("e", rng.permutation(number), 35))
        }
        found |= _put(
            warehouse,
            ITEM_CHANGE,
            place
            | {
                "change_id": ids["c"],
                "event_time": _times(at),
                "account_id": _same(ACCOUNT, each),
                "item_key_token": token,
                "key_attributes": pa.array([["id"]]).take(pa.array(np.zeros(each, np.int64))),
                "change_type": _same("MODIFY", each),
                "changed_attributes": names,
                "view_type": _same("NEW_AND_OLD_IMAGES", each),
                "change_origin": _same("stream", each),
                "reconstructed": pa.repeat(False, each),
                "by_ttl": pa.repeat(False, each),
                "sequence_number": pa.array(number).cast(pa.string()),
                "source_uri": _same("stream", each),
                "source_position": ids["c"],
            },
        )
        asked = place | {
            "event_id": ids["e"],
            "event_time": _times(at + np.minimum(rng.lognormal(-4.6, 0.8, each), 3)),
            "recipient_account_id": _same(ACCOUNT, each),
            "source_uri": _same("s3://trail.example.com/log", each),
            "source_sha256": _same("00", each),
            "source_index": pa.array(np.arange(each)),
        }
        _put(
            warehouse,
            API_EVENT_ITEM,
            asked
            | {
                "item_key_token": token,
                "operation": _same("Update", each),
                "ordinal": pa.repeat(pa.scalar(0, pa.int32()), each),
                "attribute_names": names,
            },
        )
        del asked["table_arn"], asked["table_name"]
        _put(
            warehouse,
            API_EVENT,
            asked
            | {
                "event_source": _same("dynamodb.amazonaws.com", each),
                "event_name": _same("UpdateItem", each),
                "principal_type": _same("IAMUser", each),
                "principal_arn": people.take(pa.array(rng.integers(0, PEOPLE, each))),
                "access_key_id": _same("AKIAEXAMPLE", each),
                "attestation": _same("attested", each),
                "ocsf_class_uid": pa.repeat(pa.scalar(6005, pa.int32()), each),
            },
        )
    return sorted(found)


def _fill(folder: str, count: int, hours: int, hot: float) -> list[datetime]:
    return _busy(Warehouse(folder), count, hours, hot)


def _timed(folder: str, hours: list[datetime]) -> tuple[int, float, float, int]:
    """Rows, seconds, seconds of CPU and peak memory in kB of attributing these hours."""
    begun, cpu = time.perf_counter(), time.process_time()
    rows = attribution.build(Warehouse(folder), hours).rows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return rows, time.perf_counter() - begun, time.process_time() - cpu, peak


def _apart(work: Callable[..., T], *arguments: Any) -> T:
    """What `work` returns in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


_COST = "{:>10} {:>7} {:>13} {:>9} {:>9} {:>9} {:>8} {:>8}"


def cost(count: int, hours: int, hot: float, before: tuple[int, float] | None) -> tuple[int, float]:
    """Attribute `count` changes, `hot` of them of one item, in a process of its own; prints and gives rows and time."""
    with tempfile.TemporaryDirectory() as folder:
        found = _apart(_fill, folder, count, hours, hot)
        rows, seconds, cpu, peak = _apart(_timed, folder, found)
    ratio = f"{seconds / before[1]:.1f} x" if before else ""
    print(
        _COST.format(
            f"{rows:,}",
            hours,
            f"{count * hot / hours:,.0f}",
            f"{seconds:.1f} s",
            f"{cpu:.1f} s",
            f"{peak / 1e6:.2f} GB",
            f"{rows / before[0]:.1f} x" if before else "",
            ratio,
        ),
        flush=True,
    )
    return rows, seconds


def costs(sizes: list[int]) -> None:
    """Times and memory of several sizes, one below the other."""
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"Cost: changes of one table with as many requests; {os.cpu_count()} cores, load before {load}\n")
    print(_COST.format("changes", "hours", "hot item/h", "time", "CPU", "memory", "changes", "time"))
    before = None
    for size in sizes:
        before = cost(size, 4, 0.1, before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small scenarios, one seed, small sizes")
    parser.add_argument("--seed", type=int, action="append", default=[], help="instead of the usual seeds")
    parser.add_argument("--changes", type=int, action="append", default=[], help="only time this size; again for more")
    asked = parser.parse_args()
    if asked.changes:
        costs(asked.changes)
    elif asked.quick:
        quality(2_000, 10_000, asked.seed or [1])
        costs([10_000, 40_000])
    else:
        quality(30_000, 150_000, asked.seed or HELD_OUT)
        costs([250_000, 1_000_000, 4_000_000])


if __name__ == "__main__":
    main()
