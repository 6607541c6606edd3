"""Take CloudWatch: read a window of an account and region, check it, write it by the hour, state what it is worth.

There is no ledger: CloudWatch has no objects. A run reads its interval and a look-back again, and what it reads
replaces what is there (`merge.py`), so that late datapoints land and a killed task only repeats work.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from dynatrail import clock
from dynatrail.clock import HOUR
from dynatrail.config import Target
from dynatrail.errors import SettingsError
from dynatrail.privacy.tokens import Tokenizer, load_key
from dynatrail.quality import gate
from dynatrail.settings import Settings
from dynatrail.sources import summaries, targets
from dynatrail.sources.cloudwatch.reading import Reading
from dynatrail.sources.cloudwatch.report import Report
from dynatrail.sources.cloudwatch.spool import Spool
from dynatrail.sources.cloudwatch.writing import write
from dynatrail.warehouse.schema import INSTANT
from dynatrail.warehouse.store import Warehouse

_TOGETHER = 24
"""Hours that are read at once; a longer window is read and written a day after the other."""


@dataclass(slots=True)
class Summary:
    """What one account and region gave; small enough for XCom and free of values. Counts as in `reading.Counts`."""

    requests: int = 0
    metrics_requested: int = 0
    datapoints: int = 0
    contributors: int = 0
    alarm_events: int = 0
    log_events: int = 0
    quarantined: int = 0
    hours: int = 0
    warnings: list[str] = field(default_factory=list)


def discover(settings: Settings) -> list[str]:
    """The account-regions to read, as `ACCOUNT/REGION`.

    Raises:
        SettingsError: the configuration is wrong.
        SourceError: there is no configuration, and the connection does not work.
    """
    return [f"{target.account_id}/{target.region}" for target in targets.of(settings)]


def take(settings: Settings, place: str, start: datetime, end: datetime, *, run_id: str) -> Summary:
    """Read one account and region for [start, end) and the look-back before it, as far as these hours are over.

    The gates' results are kept in `<home>/quality/extract_cloudwatch/<run>/<place>/<day>/<table>-<n>.json`.

    Raises:
        QualityError: a batch was stopped before anything of its day became visible.
        SourceError: something could not be read and should be tried again, or nothing may be read; the rest has landed.
        SettingsError: `place` is not one that the configuration names.
    """
    target = _target(settings, place)
    now = clock.now()
    since = clock.hour_of(start) - timedelta(hours=settings.metric_lookback_hours)
    hours = list(clock.hours_between(since, min(end, clock.hour_of(now))))
    warehouse, tokens = Warehouse.from_settings(settings), Tokenizer(load_key(settings))
    summary, ended = Summary(), Report(hours)
    records = gate.folder(settings, "extract_cloudwatch", run_id) / place.replace("/", "-")
    for at in range(0, len(hours), _TOGETHER):
        these = hours[at : at + _TOGETHER]
        report = Report(these)
        with Spool() as spool:
            read = Reading(
                settings=settings,
                target=target,
                hours=these,
                now=now,
                named=named_by_the_trail(warehouse, target, these[0], these[-1] + HOUR),
                spool=spool,
                report=report,
                tokens=tokens,
                records=records / f"{these[0]:%Y%m%dT%H}",
            )
            read.run()
            write(warehouse, read)
        for name, count in asdict(read.counts).items():
            setattr(summary, name, getattr(summary, name) + count)
        summary.quarantined += len(read.rejected)
        summary.hours += len(these)
        ended.denied |= report.denied
        ended.warnings |= report.warnings
        ended.faults += report.faults
    summary.warnings = ended.told()
    ended.check(f"{target.account_id} in {target.region}")
    return summary


def total(done: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The account-regions of a run added up."""
    return summaries.total(Summary(), done)


def named_by_the_trail(warehouse: Warehouse, target: Target, start: datetime, end: datetime) -> frozenset[str]:
    """Tables of the target that successful events in [start, end) name: some may have been deleted since."""
    within = (
        (pads.field("event_date") >= pa.scalar(start.date(), pa.date32()))
        & (pads.field("event_date") <= pa.scalar(end.date(), pa.date32()))
        & (pads.field("event_hour") >= pa.scalar(start, INSTANT))
        & (pads.field("event_hour") < pa.scalar(end, INSTANT))
        & pads.field("error_code").is_null()
    )
    named: set[str] = set()
    mark = f":dynamodb:{target.region}:{target.account_id}:table/"
    for batch in warehouse.dataset("api_event").scanner(columns=["table_arns"], filter=within).to_batches():
        arns = pc.unique(pc.list_flatten(batch["table_arns"])).to_pylist()
        named |= {arn.partition(mark)[2].partition("/")[0] for arn in arns if arn and mark in arn}
    return frozenset(named)


def _target(settings: Settings, place: str) -> Target:
    for target in targets.of(settings):
        if f"{target.account_id}/{target.region}" == place:
            return target
    raise SettingsError(f"The configuration no longer names {place}. Run the DAG again, so that it looks anew.")
