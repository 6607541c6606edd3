"""Take what Kinesis streams hold of the watched tables: discover, read, parse, mask, check, write, move checkpoints on.

Every step can be repeated, as for DynamoDB Streams: rows first, then the checkpoint, and a row that is written again
replaces itself. What was written while a stream's record was further copied is one row (`once`).
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
from dynatrail.sources.kinesis.client import KinesisClient, destinations
from dynatrail.sources.kinesis.gaps import SOURCE
from dynatrail.sources.kinesis.run import Run, Summary
from dynatrail.sources.streams import statements
from dynatrail.state import streams as state
from dynatrail.warehouse.store import Warehouse

NO_DESTINATION = "no_destination"
SHARED = "shared_stream"
_LOG = logging.getLogger(__name__)

Batch = dict[str, Any]
"""`account_id`, `region`, `stream_arn`, and `tables`: name -> whether its destination is active. Where the tables could
not be listed, `stream_arn` is None."""


def discover(settings: Settings) -> list[Batch]:
    """The streams to read, each with the tables whose changes are taken from it.

    Those are the destinations of all watched tables whose note says `changes_from: kinesis`, and streams with something
    left to read. An account that cannot be looked at gets a batch of its own, which will fail and say why.

    Raises:
        SettingsError, SourceError: nothing at all can be read.
    """
    batches: list[Batch] = []
    for target in targets.of(settings):
        place = {"account_id": target.account_id, "region": target.region}
        try:
            found = _streams(settings, target)
        except SourceError as error:
            _LOG.error("%s", error)  # the batch raises it again
            batches.append({**place, "stream_arn": None, "tables": {}})
            continue
        batches += [{**place, "stream_arn": arn, "tables": names} for arn, names in sorted(found.items())]
    return batches


def read(settings: Settings, batch: Batch, number: int, *, run_id: str) -> Summary:
    """Read one stream to the tip of its shards. The gate's results are kept in `<home>/quality/extract_kinesis/<run>/`.

    Raises:
        QualityError: a portion was stopped before anything of it became visible; checkpoints stay before it.
        SourceError: the stream, or some shards of it, could not be read; all else has landed.
    """
    target, arn = targets.find(settings, batch["account_id"], batch["region"]), batch["stream_arn"]
    if arn is None:
        _streams(settings, target)  # raises what it raised before
        raise SourceError(
            f"The tables of {target.account_id} in {target.region} could not be listed before. Run again."
        )
    client = client_for("kinesis", target, settings)
    start = f"arn:{client.meta.partition}:dynamodb:{target.region}:{target.account_id}:table/"
    masked = policy.load(settings)
    masks = {name: masked.of(name) for name in batch["tables"]}
    named = [
        (
            ChangedTable(
                *(target.account_id, target.region, name, start + name),
                masks[name],
                subjects.needed(settings, masks[name]),
            ),
            active,
        )
        for name, active in sorted(batch["tables"].items())
    ]
    run = Run(
        warehouse=Warehouse.from_settings(settings),
        client=KinesisClient(client),
        tokens=Tokenizer(load_key(settings)),
        records=gate.folder(settings, "extract_kinesis", run_id) / f"{number}",
        arn=arn,
        tables=named,
    )
    # Checkpoints speak for a stream as a whole, so for one table of it.
    statements.not_assessable(settings, target, {table.name: SHARED for table, _ in named[1:]}, SOURCE)
    try:
        run.read()
    except SourceError:
        statements.not_assessable(settings, target, {table.name: statements.NOT_READABLE for table, _ in named}, SOURCE)
        raise
    if run.unread:
        raise SourceError(f"{len(run.unread)} shards were not read to their end; all else landed. {run.unread[0]}")
    return run.summary


def total(done: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The streams of a run added up."""
    return summaries.total(Summary(), done)


def _streams(settings: Settings, target: Target) -> dict[str, dict[str, bool]]:
    """Stream -> table -> whether its destination is active.

    An old destination counts as active once the table has another one that was met by an earlier run: what lies between
    the two is recorded by then, and nothing more is missing of the old one.
    """
    chosen = config.load(settings)
    rows = state.shards(source=SOURCE)
    met = {row.stream_arn for row in rows}
    moved: set[str] = set()
    found: dict[str, dict[str, bool]] = {}
    without: dict[str, str] = {}
    own = [table for table in tables.of(settings, target) if table.note.changes_from == SOURCE]
    for table in own:
        named = destinations(client_for("dynamodb", target, settings), table.name)
        if not any(one.active for one in named):
            without[table.name] = NO_DESTINATION
            _LOG.warning("Table %s has no active Kinesis destination, so its changes go nowhere.", table.name)
        if any(one.active and one.stream_arn in met for one in named):
            moved.add(table.name)
        for one in named:
            found.setdefault(one.stream_arn, {})[table.name] = one.active or table.name in moved
    statements.not_assessable(settings, target, without, SOURCE)
    start = f":{target.region}:{target.account_id}:table/"
    for row in rows:
        name = row.table_arn.partition(start)[2]
        left = row.status in ("open", "closed") and name and target.wants(name)
        if left and chosen.note(name).changes_from == SOURCE:
            found.setdefault(row.stream_arn, {}).setdefault(name, name in moved)
    return found
