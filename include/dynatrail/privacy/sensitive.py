"""One look at the tables of an account and region: samples in memory, what is sensitive among them into the warehouse.

Rows tell paths, classes and counts, and how each compares with the look before. What the masking policy of this moment
leaves in clear is a finding until the policy covers it, whether or not the table gave samples this time.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dynatrail import clock
from dynatrail.config import Target
from dynatrail.errors import SettingsError, SourceError
from dynatrail.privacy import discovery, policy, sensitive_rows
from dynatrail.privacy.detectors import own
from dynatrail.privacy.sensitive_rows import Look
from dynatrail.settings import Settings
from dynatrail.sources import summaries, tables, targets
from dynatrail.sources.aws import client_for
from dynatrail.sources.samples import recent, scan
from dynatrail.sources.samples.recent import Sample
from dynatrail.sources.samples.scan import Limits
from dynatrail.sources.streams.client import StreamsClient
from dynatrail.sources.tables import WatchedTable
from dynatrail.state import pending
from dynatrail.warehouse.store import Warehouse

PERIOD = timedelta(days=7)
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Form:
    """What a run looks at, and what it may take.

    Attributes:
        table: name of one table; empty: all that are watched.
        items: samples of a table at most, from its stream and from a Scan each.
        scans: whether tables whose note allows it are scanned.
    """

    table: str = ""
    items: int = 1000
    capacity: float = 500.0
    rate: float = 25.0
    scans: bool = True

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> "Form":
        """The form of the DAG."""
        return cls(
            table=(params.get("table") or "").strip(),
            items=int(params["items"]),
            capacity=float(params["scan_capacity"]),
            rate=float(params["scan_rate"]),
            scans=bool(params["scan"]),
        )

    @property
    def limits(self) -> Limits:
        return Limits(self.items, self.capacity, self.rate)


@dataclass(slots=True)
class Summary:
    """What one look did; small enough for XCom and free of values.

    Attributes:
        images: items that were looked at.
        attributes: paths that had values.
        found: classes at paths, those in clear among them `in_clear`.
        read_units: what Scans consumed; `planned`: what was said of each before it began.
        unsampled: tables of which nothing could be seen, and why.
        missed: what AWS refused.
    """

    tables: int = 0
    images: int = 0
    attributes: int = 0
    found: int = 0
    new: int = 0
    changed: int = 0
    gone: int = 0
    in_clear: int = 0
    read_units: float = 0.0
    planned: list[str] = field(default_factory=list)
    unsampled: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)


def discover(settings: Settings) -> list[int]:
    """Numbers of the account-regions to look at, in the order of the configuration; policy and classes are read too.

    Raises:
        SettingsError, SourceError: nothing can be looked at.
    """
    policy.load(settings)
    own.load(settings.detection_folder)
    return list(range(len(targets.of(settings))))


def look(settings: Settings, number: int, captured_at: datetime, form: Form) -> Summary:
    """Look at the tables of one account-region, write what is sensitive, bring the findings up to date.

    Raises:
        SettingsError: policy, classes or configuration are wrong.
        SourceError: the tables cannot be listed.
    """
    target = targets.of(settings)[number]
    summary = Summary()
    masked, detection = policy.load(settings), own.load(settings.detection_folder)
    # Of a table whose changes are read nowhere nothing is stored, so nothing of it can lie in clear.
    watched = [table for table in tables.of(settings, target) if table.note.changes_from != "none"]
    wanted = [table for table in watched if form.table in ("", table.name)]
    warehouse = Warehouse.from_settings(settings)
    known = sensitive_rows.latest(
        warehouse, {"account_id": target.account_id, "region": target.region}, before=captured_at
    )
    rows: list[sensitive_rows.Row] = []
    seen: list[str] = []
    for table in wanted:
        summary.tables += 1
        try:
            taken = _sampled(settings, target, table, form, captured_at, summary)
        except SourceError as error:
            summary.missed.append(str(error))
            continue
        if taken is None:
            continue
        summary.images += taken.images
        summary.attributes += len(taken.values)
        found = discovery.inspect(taken.values, detection)
        rows += sensitive_rows.of(table, taken, found, known.get(table.arn, []), masked, captured_at)
        seen.append(table.arn)
    statuses = sensitive_rows.write(warehouse, target, captured_at, seen, rows)
    summary.new, summary.changed, summary.gone = (statuses.count(name) for name in ("new", "changed", "gone"))
    summary.found = len(statuses) - summary.gone
    arns = [table.arn for table in watched]
    summary.in_clear = sensitive_rows.state_findings(warehouse, target, arns, masked, captured_at)
    return summary


def complain(settings: Settings, done: Iterable[Mapping[str, Any]], form: Form) -> dict[str, Any]:
    """All looks added up.

    Raises:
        SourceError: AWS refused something; all else has been looked at.
        SettingsError: the table that was asked for is not watched.
    """
    whole: dict[str, Any] = summaries.total(Summary(), done, once=("warnings", "missed"))
    if whole["missed"]:
        raise SourceError(
            f"Not all tables could be looked at; all else was. {' '.join(whole['missed'][:3])} What is needed is in "
            "docs/reference/iam/extract_streams.json and discover_sensitive_data.json."
        )
    if form.table and not whole["tables"]:
        raise SettingsError(
            f"No table {form.table} is watched. {settings.config_file} and `tables` of its accounts say which are."
        )
    return whole


def hours_to_announce() -> list[str]:
    """The hours whose findings the timeline has not seen yet.

    Raises:
        AirflowSkipException: there are none.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    hours = [clock.iso(hour) for hour in pending.hours(pending.TIMELINE)]
    if not hours:
        raise AirflowSkipException("No finding has changed.")
    return hours


def _sampled(
    settings: Settings, target: Target, table: WatchedTable, form: Form, at: datetime, summary: Summary
) -> Look | None:
    """None where nothing could be seen: the summary has why.

    Raises:
        SourceError: AWS refuses.
    """
    together, origins = Sample(), []
    if table.latest_stream_arn:
        client = StreamsClient(client_for("dynamodbstreams", target, settings))
        newest = recent.newest(client, table.name, form.items)
        summary.warnings += newest.reasons
        together.images |= newest.images
        origins += ["stream"] * bool(newest.images)
    if form.scans and table.note.sample_scan:
        chosen = scan.plan(table.description, form.limits, at)
        told = chosen.told()
        _LOG.info("%s", told)  # before the first call, so that it can still be stopped
        summary.planned.append(told)
        try:
            scanned, taken = scan.scan(client_for("dynamodb", target, settings), chosen)
        except SourceError as error:  # what the stream gave is looked at all the same
            summary.missed.append(str(error))
        else:
            summary.read_units = round(summary.read_units + taken.units, 1)
            summary.warnings += scanned.reasons
            together.images |= {key: image for key, image in scanned.images.items() if key not in together.images}
            origins += ["scan"] * bool(scanned.images)
    if not together.images:
        summary.unsampled.append(f"{table.name} in {table.region}: {_why_not(table, form)}")
        return None
    images = list(together.images.values())
    try:
        values = discovery.flatten(images)
    except SourceError:
        # One of them is not as DynamoDB's API of today has it; the others are.
        images = [image for image in images if _readable(image)]
        values = discovery.flatten(images)
        summary.warnings.append(f"Some items of {table.name} have types that are not known, and were left out.")
    return Look(values, len(images), sorted(origins))


def _readable(image: str) -> bool:
    try:
        discovery.flatten([image])
    except SourceError:
        return False
    return True


def _why_not(table: WatchedTable, form: Form) -> str:
    scans = "its note does not allow a Scan (sample_scan)" if not table.note.sample_scan else "a Scan found nothing"
    scans = scans if form.scans else "no Scan was wanted"
    return f"{'its stream has no change of the last 24 hours' if table.latest_stream_arn else 'no stream'}, and {scans}"
