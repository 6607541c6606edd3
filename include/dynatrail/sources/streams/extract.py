"""Take what the streams of the watched tables hold: discover, read, parse, mask, check, write, move checkpoints on.

Every step can be repeated. A task that was killed leaves checkpoints that lie before what it had written; the next run
reads from there, and the rows replace themselves. One process reads a shard at a time: the DAG runs one run at once, a
table is in one batch of it, and a backfill run reads nothing (two runs would only repeat each other's work, but AWS
allows two readers of a shard and somebody else may be one).
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from dynatrail import config
from dynatrail.config import Target
from dynatrail.errors import SourceError
from dynatrail.privacy import policy, subjects
from dynatrail.privacy.tokens import Tokenizer, load_key
from dynatrail.quality import gate
from dynatrail.settings import Settings
from dynatrail.sources import summaries, tables, targets
from dynatrail.sources.aws import client_for
from dynatrail.sources.changes.rows import ChangedTable
from dynatrail.sources.streams import statements
from dynatrail.sources.streams.client import StreamsClient
from dynatrail.sources.streams.run import SOURCE, Run, Summary
from dynatrail.state import pending
from dynatrail.state import streams as state
from dynatrail.warehouse.store import Warehouse

BATCH_TABLES = 20
_LOG = logging.getLogger(__name__)

Batch = dict[str, Any]
"""`account_id`, `region`, and `tables`: a list of names, or None where they could not be listed."""


def discover(settings: Settings) -> list[Batch]:
    """The tables whose streams are to be read, in batches of one account and region.

    Those are all watched tables whose changes come from their streams, and deleted ones with something left to read.
    An account whose tables cannot be listed gets a batch of its own, which will fail and say why; the others go on.

    Raises:
        SettingsError, SourceError: nothing at all can be read.
    """
    batches: list[Batch] = []
    for target in targets.of(settings):
        place = {"account_id": target.account_id, "region": target.region}
        try:
            found = _wanted(settings, target)
        except SourceError as error:
            _LOG.error("%s", error)
            batches.append({**place, "tables": None})
            continue
        statements.without_stream(settings, target, [table for table in found if not table.stream_enabled])
        names = sorted({table.name for table in found} | _left_over(settings, target))
        batches += [
            {**place, "tables": names[start : start + BATCH_TABLES]} for start in range(0, len(names), BATCH_TABLES)
        ]
    return batches


def read(settings: Settings, batch: Batch, number: int, *, run_id: str) -> Summary:
    """Read the streams of one batch of tables to their end.

    The gate's results are kept in `<home>/quality/extract_streams/<run>/`.

    Raises:
        QualityError: a portion was stopped before anything of it became visible; checkpoints stay before it.
        SourceError: some tables could not be read, or lie behind by more than `stream_alarm_hours`; all else landed.
    """
    target = targets.find(settings, batch["account_id"], batch["region"])
    chosen = config.load(settings)
    names = batch["tables"]
    if names is None:
        names = [table.name for table in _wanted(settings, target)]  # raises what it raised before, or goes on
    client = client_for("dynamodbstreams", target, settings)
    start = f"arn:{client.meta.partition}:dynamodb:{target.region}:{target.account_id}:table/"
    run = Run(
        warehouse=Warehouse.from_settings(settings),
        client=StreamsClient(client),
        tokens=Tokenizer(load_key(settings)),
        records=gate.folder(settings, "extract_streams", run_id) / f"{number}",
        alarm_after=chosen.stream_alarm_after,
    )
    masked = policy.load(settings)
    masks = {name: masked.of(name) for name in names}
    keys = {name: subjects.needed(settings, masks[name]) for name in names}
    run.read(
        [ChangedTable(target.account_id, target.region, name, start + name, masks[name], keys[name]) for name in names]
    )
    statements.unreadable(settings, target, run.unread)
    if complaint := run.complaint():
        raise SourceError(complaint)
    return run.summary


def state_hours(settings: Settings) -> int:
    """State anew every hour that a checkpoint has passed or a gap touches since it was last stated; how many rows.

    Raises:
        WarehouseError, StateError: the statements cannot be read or written; the hours stay to be stated.
    """
    with pending.working(state.STATEMENTS, ()) as hours:
        return statements.rebuild_all(settings, hours)


def total(done: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The batches of a run added up."""
    return summaries.total(Summary(), done)


def _wanted(settings: Settings, target: Target) -> list[tables.WatchedTable]:
    return [table for table in tables.of(settings, target) if table.note.changes_from == "stream"]


def _left_over(settings: Settings, target: Target) -> set[str]:
    """Tables with something left to read although they, or their streams, may be gone by now.

    A stream can be read for a day after its table was deleted, also by who never saw the table. Tags are gone with the
    table: where only tables with certain tags are read, a deleted one counts if it was read before.
    """
    chosen = config.load(settings)
    start = f":{target.region}:{target.account_id}:table/"
    names = {
        row.table_arn.partition(start)[2]
        for row in state.shards(source=SOURCE)
        if start in row.table_arn and row.status in ("open", "closed")
    }
    if not target.account.tags:
        try:
            names |= StreamsClient(client_for("dynamodbstreams", target, settings)).table_names()
        except SourceError as error:
            _LOG.warning("Deleted tables are looked for in the next run. %s", error)
    return {name for name in names if target.wants(name) and chosen.note(name).changes_from == "stream"}
