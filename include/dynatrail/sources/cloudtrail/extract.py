"""Take CloudTrail log files: discover, fetch, hash, parse, mask, check, write, note in the ledger, in this order.

Every step can be repeated. A task that was killed leaves objects that the ledger does not call taken; the next run
takes them again, and their rows replace whatever they had already written.
"""

import gc
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import islice, zip_longest
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail import clock
from dynatrail.errors import ObjectError, SourceError
from dynatrail.integrity import attest, marking
from dynatrail.privacy.tokens import Tokenizer, load_key
from dynatrail.quality import gate
from dynatrail.settings import Settings
from dynatrail.sources import summaries
from dynatrail.sources.cloudtrail import layout
from dynatrail.sources.cloudtrail.batch import SOURCE, Batch
from dynatrail.sources.cloudtrail.key_types import KeyTypeBook
from dynatrail.sources.cloudtrail.merge import merge_events, merge_items
from dynatrail.sources.cloudtrail.parse import Parser
from dynatrail.sources.cloudtrail.trails import Sources
from dynatrail.state import pending
from dynatrail.state.database import session
from dynatrail.state.ledger import Ledger, SeenObject
from dynatrail.state.models import SourceObject
from dynatrail.warehouse.schema import QUARANTINE
from dynatrail.warehouse.store import Warehouse

_READERS = 8
_AHEAD = 16  # objects fetched but not parsed yet; with CloudTrail's sizes a few megabytes


@dataclass(slots=True)
class Summary:
    """What one batch did; small enough for XCom and free of values."""

    objects: int = 0
    records: int = 0
    events: int = 0
    items: int = 0
    quarantined: int = 0
    hours: int = 0
    warnings: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def discover(settings: Settings, start: datetime, end: datetime, *, retake: bool, run_id: str) -> list[int]:
    """Find what to take for the window [start, end) and deal it into batches of one account and region each.

    Lists what was delivered from the look-back before `start`, or from where earlier runs had ended if that is longer
    ago, to a margin after `end`. Returns batch numbers. A trail that cannot be listed does not keep the others waiting:
    it is given a number below zero, whose `take` fails with the reason.

    Raises:
        SourceError: no trail can be listed.
        SettingsError: none is named, or the configuration is wrong.
    """
    sources, ledger = Sources(settings), Ledger(SOURCE)
    since, until = start - timedelta(hours=settings.lookback_hours), end + layout.MARGIN
    seen: list[SeenObject] = []
    faults: dict[int, SourceError] = {}
    for number, source in enumerate(sources.all):
        try:
            seen += source.delivered(ledger, since, until)
        except SourceError as error:
            faults[-1 - number] = error
    if len(faults) == len(sources.all):
        raise next(iter(faults.values()))
    todo = ledger.discover(seen, run_id=run_id, retake_window=(start, end) if retake else None)
    todo = [row for row in todo if sources.knows(row.uri)]
    batches = _taking_turns(_batches(todo, settings.batch_mb << 20))
    ledger.assign(run_id, [[row.uri for row in batch] for batch in batches])
    with session() as opened:
        pending.mark(opened, attest.STAGE, {clock.hour_of(row.delivered_at) for row in todo})
    return [*range(len(batches)), *faults]


def take(settings: Settings, number: int, *, run_id: str) -> Summary:
    """Take one batch of a run. The gate's result is kept in `<home>/quality/extract_cloudtrail/<run>/<batch>.json`.

    Raises:
        QualityError: the batch was stopped before anything of it became visible.
        SourceError: some objects could not be fetched; all others have landed. Or, below zero, the trail could not be
            listed.
    """
    ledger, sources, warehouse = Ledger(SOURCE), Sources(settings), Warehouse.from_settings(settings)
    if number < 0:
        raise _unlisted(sources, number)
    objects = ledger.batch(run_id, number)
    if not objects:
        return Summary()
    account, region = objects[0].account_id, objects[0].region
    delivered = {clock.hour_of(row.delivered_at) for row in objects}
    marks = marking.known(warehouse, account, region, delivered)
    book = KeyTypeBook(settings, account, region)
    tokens = Tokenizer(load_key(settings))

    def parsed() -> tuple[Batch, pa.Table, pa.Table]:
        parser = Parser(tokens, book.types, max_bytes=settings.max_object_mb << 20)
        with _without_gc():
            batch = _read(sources, objects, parser, settings, marks)
            events, items = parser.tables()
            return batch, marking.marked(events, marks), items

    batch, events, items = parsed()
    if book.learn(_table_arns(events)):
        # A key attribute is a number: its token needs the notation that DynamoDB stores. Once per table.
        batch, events, items = parsed()
    kept = gate.folder(settings, "extract_cloudtrail", run_id)
    checked = gate.check(
        events,
        "api_event",
        record=kept / f"{number}.json",
        parameters={"latest_event_time": batch.latest + timedelta(days=1), "expected_rows": batch.expected},
    )
    summary = Summary(objects=len(batch.read), warnings=[*checked.warnings, *batch.warnings()])
    summary.unread = sorted(batch.unread)
    batch.reject(events, checked.rejected)
    if checked.rejected:
        items = _without_rejected(items, events, checked.rejected)
    named = gate.check(items, "api_event_item", record=kept / f"{number}-items.json")
    batch.reject(items, named.rejected)
    items = named.passed
    before = ledger.hours_of([row.uri for row in objects])
    hours = before | set(pc.unique(checked.passed["event_hour"]).to_pylist())
    doubted = marking.untrusted(warehouse, account, region) | batch.untrusted(marks)
    alone = _write(warehouse, checked.passed, items, sorted(batch.taken), before, (account, region), doubted)
    _quarantine(warehouse, batch, objects, (account, region))
    ledger.taken(batch.results(), rebuild={**pending.touched(hours), attest.STAGE: delivered})
    again = dict.fromkeys(alone, "The other copy of its event is gone, so this one is taken again.")
    for uri, reason in (again | batch.unread | batch.lost).items():
        ledger.failed(uri, reason)
    summary.records = sum(read.records for read in batch.read.values())
    summary.events, summary.items, summary.quarantined = len(checked.passed), len(items), len(batch.rows)
    summary.hours = len(hours)
    if batch.unread:
        first = next(iter(batch.unread.values()))
        raise SourceError(
            f"{len(batch.unread)} of {len(objects)} objects could not be read; the others landed. {first}"
        )
    return summary


def total(done: Iterable[Mapping[str, Any]], proof: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The batches of a run added up, with what verification found beside them under `proof`."""
    whole = summaries.total(Summary(), done)
    if proof:
        whole["warnings"] = sorted({*whole["warnings"], *proof["warnings"]})
        whole["proof"] = {name: value for name, value in proof.items() if name != "warnings"}
    return whole


def _unlisted(sources: Sources, number: int) -> SourceError:
    """Why a trail has nothing in this run: what is wrong with it now, or that nothing is any more."""
    source = sources.all[-1 - number]
    try:
        source.folders()
    except SourceError as error:
        return error
    return SourceError(
        f"{source.address} could not be listed when this run looked, and can be now. Clear the task `discover` to take "
        "it in this run; a later run of the schedule takes it as well."
    )


def _batches(objects: Iterable[SourceObject], limit: int) -> Iterator[list[SourceObject]]:
    """Runs of objects of one account and region, in the order of delivery, of about `limit` compressed bytes."""
    batch: list[SourceObject] = []
    size, place = 0, None
    for row in sorted(objects, key=lambda row: (row.account_id, row.region, row.delivered_at, row.uri)):
        if batch and (size + row.size > limit or (row.account_id, row.region) != place):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size, place = size + row.size, (row.account_id, row.region)
    if batch:
        yield batch


def _taking_turns(batches: Iterable[list[SourceObject]]) -> list[list[SourceObject]]:
    """Batches of different places beside each other: tasks that run at once then seldom write to the same hours."""
    places: dict[tuple[str, str], list[list[SourceObject]]] = {}
    for batch in batches:
        places.setdefault((batch[0].account_id, batch[0].region), []).append(batch)
    return [batch for turn in zip_longest(*places.values()) for batch in turn if batch]


@contextmanager
def _without_gc() -> Iterator[None]:
    """Parsing makes millions of objects and no cycles; looking for some takes a fifth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _fetched(
    sources: Sources, objects: Sequence[SourceObject], limit: int
) -> Iterator[tuple[SourceObject, Future[bytes]]]:
    """Objects in order, fetched a little ahead by several threads."""
    with ThreadPoolExecutor(_READERS, thread_name_prefix="fetch") as pool:
        rest = iter(objects)
        ahead: deque[tuple[SourceObject, Future[bytes]]] = deque()
        while True:
            for row in islice(rest, _AHEAD - len(ahead)):
                ahead.append((row, pool.submit(sources.read, row.uri, limit=limit)))
            if not ahead:
                return
            yield ahead.popleft()


def _read(
    sources: Sources,
    objects: Sequence[SourceObject],
    parser: Parser,
    settings: Settings,
    marks: Mapping[str, marking.Mark],
) -> Batch:
    batch = Batch(objects, parser)
    for row, fetched in _fetched(sources, objects, settings.max_object_mb << 20):
        try:
            data = fetched.result()
            _check_name(row)
            # What a digest vouches for was taken: bytes that it does not vouch for never take its place.
            genuine = row.sha256 if row.uri in marks and row.sha256 in marks[row.uri].genuine else None
            read = parser.read(row.uri, data, account_id=row.account_id, only=genuine)
        except ObjectError as error:
            if error.code not in ("missing", "foreign_name") and genuine is not None:
                batch.kept.add(row.uri)
                batch.quarantine(row.uri, error.position, error.code, str(error), (None, row.size, None))
                continue
            if error.code == "missing":
                batch.missing[row.uri] = str(error)
                if row.sha256 is None:  # else its rows are there, and stay
                    batch.quarantine(row.uri, "object", error.code, str(error), (None, row.size, None))
                continue
            batch.unusable.add(row.uri)
            batch.quarantine(row.uri, error.position, error.code, str(error), (None, row.size, None))
        except SourceError as error:
            batch.unread[row.uri] = str(error)
        else:
            batch.read[row.uri] = read
            for rejected in read.rejected:
                payload = (rejected.payload, rejected.size, rejected.sha256)
                batch.quarantine(row.uri, f"record {rejected.position}", rejected.code, rejected.reason, payload)
    return batch


def _check_name(row: SourceObject) -> None:
    if layout.Folder(row.account_id, row.region, "").delivered_at(row.uri) is None:
        raise ObjectError(
            "foreign_name",
            "The object's name is not one that CloudTrail gives. It was not parsed; find out who put it there.",
        )


def _write(
    warehouse: Warehouse,
    events: pa.Table,
    items: pa.Table,
    taken: list[str],
    before: set[datetime],
    home: tuple[str, str],
    doubted: set[str],
) -> set[str]:
    """Items first, then events, which make them visible: whoever joins the two sees both or neither.

    Returns the objects that must be taken again, see `merge_events`.
    """
    lost: set[str] = set()
    for account, region in sorted({home, *_places(events)}):
        where = {"recipient_account_id": account, "region": region}
        own_events, own_items = _at(events, where), _at(items, where)
        hours = before | set(pc.unique(own_events["event_hour"]).to_pylist())
        if not hours:
            continue
        # What was never taken before leaves no trace that would have to go.
        write = warehouse.replace if before else partial(warehouse.add, key=("event_id", "original_event_id"))
        write("api_event_item", _merging(merge_items, own_items, taken, where, doubted), hours=hours, where=where)
        write("api_event", _merging(merge_events, own_events, taken, where, doubted, lost), hours=hours, where=where)
    return lost


def _merging(
    merge: Any, came: pa.Table, taken: list[str], where: Mapping[str, str], doubted: set[str], *more: Any
) -> Any:
    """A record in another account's or region's folder than its own is doubted too: CloudTrail puts none there."""
    folder = f"/{where['recipient_account_id']}/{layout.LOGS}/{where['region']}/"

    def merged(present: pa.Table) -> pa.Table:
        files = {uri for rows in (present, came) for uri in pc.unique(rows["source_uri"]).to_pylist()}
        return merge(present, came, taken, *more, doubted | {uri for uri in files if folder not in uri})

    return merged


def _quarantine(warehouse: Warehouse, batch: Batch, objects: Sequence[SourceObject], home: tuple[str, str]) -> None:
    rejected = pa.Table.from_pylist(batch.rows, QUARANTINE.schema)
    uris = pa.array(sorted(batch.taken | batch.kept | batch.lost.keys()), pa.string())

    def merge(present: pa.Table) -> pa.Table:
        return pa.concat_tables([present.filter(pc.invert(pc.is_in(present["source_uri"], uris))), rejected])

    warehouse.replace(
        "quarantine",
        merge,
        hours={clock.hour_of(row.delivered_at) for row in objects},
        where={"account_id": home[0], "region": home[1]},
    )


def _places(events: pa.Table) -> set[tuple[str, str]]:
    pairs = events.select(["recipient_account_id", "region"]).group_by(["recipient_account_id", "region"]).aggregate([])
    return set(zip(pairs["recipient_account_id"].to_pylist(), pairs["region"].to_pylist(), strict=True))


def _at(rows: pa.Table, where: Mapping[str, str]) -> pa.Table:
    for column, value in where.items():
        if pc.unique(rows[column]).to_pylist() != [value]:  # as in most batches: nothing to copy then
            rows = rows.filter(pc.equal(rows[column], value))
    return rows


def _without_rejected(items: pa.Table, events: pa.Table, rejected: Iterable[gate.Rejection]) -> pa.Table:
    """`items` without those that rejected events name, by the position of their record."""
    gone = events.select(["source_uri", "source_index"]).take([rejection.row for rejection in rejected])
    places = set(zip(gone["source_uri"].to_pylist(), gone["source_index"].to_pylist(), strict=True))
    own = zip(items["source_uri"].to_pylist(), items["source_index"].to_pylist(), strict=True)
    return items.filter(pa.array([place not in places for place in own], pa.bool_()))


def _table_arns(events: pa.Table) -> set[str]:
    lists = pc.list_flatten(events["table_arns"])
    return {arn for arn in pc.unique(lists).to_pylist() if arn}
