"""Read one window of one account and region into a spool: metrics, alarms, logs, contributors, each on its own.

What one of them may not or cannot read leaves the others alone and is noted in the report.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from botocore.exceptions import BotoCoreError, ClientError

from dynatrail.clock import HOUR
from dynatrail.config import LogFilter, Target
from dynatrail.errors import SourceError
from dynatrail.privacy.tokens import Tokenizer
from dynatrail.quality import gate
from dynatrail.settings import Settings
from dynatrail.sources import tables
from dynatrail.sources.aws import client_for
from dynatrail.sources.cloudtrail import insight_metrics
from dynatrail.sources.cloudwatch import alarms, catalogue, insights, logs, metrics, plan
from dynatrail.sources.cloudwatch.report import Piece, Report, code_of, refused
from dynatrail.sources.cloudwatch.spool import Spool
from dynatrail.sources.tables import WatchedTable
from dynatrail.state import streams as state
from dynatrail.warehouse.schema import ALARM_EVENT, LOG_EVENT, METRIC, Table

SOURCE = "cloudwatch"
_GATED_ROWS = 200_000  # what is held against a suite at once
_REPORTERS = 4
_AWS_ERRORS = (ClientError, BotoCoreError)
_LOG = logging.getLogger(__name__)
_encode = msgspec.json.Encoder(order="sorted", enc_hook=str).encode


@dataclass(slots=True)
class Counts:
    """What was asked for and what came.

    Attributes:
        metrics_requested: as AWS bills them: series, whatever their statistics, in each request.
    """

    requests: int = 0
    metrics_requested: int = 0
    datapoints: int = 0
    contributors: int = 0
    alarm_events: int = 0
    log_events: int = 0


@dataclass(slots=True)
class Reading:
    """One window of one target.

    Attributes:
        hours: the window, ascending, without gaps.
        now: present time, which decides what CloudWatch still keeps.
        named: tables that the trail names in the window; those that are gone are asked about too.
        rejected: rows for `quarantine`.
        reported: (metric_name, dimensions, hour) of the Contributor Insights reports that came.
    """

    settings: Settings
    target: Target
    hours: Sequence[datetime]
    now: datetime
    named: frozenset[str]
    spool: Spool
    report: Report
    tokens: Tokenizer
    records: Path
    counts: Counts = field(default_factory=Counts)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    reported: set[tuple[str, str, datetime]] = field(default_factory=set)
    _gates: dict[str, int] = field(default_factory=dict)

    @property
    def start(self) -> datetime:
        return self.hours[0]

    @property
    def end(self) -> datetime:
        return self.hours[-1] + HOUR

    @property
    def place(self) -> str:
        return f"{self.target.account_id} in {self.target.region}"

    def run(self) -> None:
        """Read everything.

        Raises:
            QualityError: a batch was stopped; nothing of the window has been written.
            SourceError: the connection does not exist.
        """
        known = self._tables()
        self._metrics(known)
        self._alarms(known)
        self._logs()
        self._insights(known)
        self._trails_own_counts()

    def _tables(self) -> dict[str, WatchedTable]:
        try:
            return {table.name: table for table in tables.of(self.settings, self.target)}
        except SourceError as error:
            if not isinstance(error.__cause__, ClientError | BotoCoreError):
                raise
            cause = error.__cause__
            action = f"dynamodb:{getattr(cause, 'operation_name', 'ListTables')}"
            self.report.failed("metrics", action, cause, f"list the tables of {self.place}")
            return {}

    def _client(self, service: str) -> Any:
        return client_for(service, self.target, self.settings)

    def _metrics(self, known: Mapping[str, WatchedTable]) -> None:
        gone = [hour for hour in self.hours if plan.period_of(hour, self.now) is None]
        self.report.expire("metrics", "CloudWatch keeps metrics for 455 days", gone)
        self.counts.datapoints += self._keep_all(self._datapoints(known))

    def _datapoints(self, known: Mapping[str, WatchedTable]) -> Iterator[pa.Table]:
        entries = catalogue.load()
        names = sorted(set(known) | {name for name in self.named if self.target.wants(name)})
        streams = self._streams(names)
        first = catalogue.account_series(entries)
        for name in names:
            first += catalogue.table_series(entries, name, known.get(name), "always", streams.get(name, ()))
        busy: set[str] = set()
        yield from self._asked(first, busy)
        second = [
            series
            for name in names
            if name in busy
            for series in catalogue.table_series(entries, name, known.get(name), "traffic", streams.get(name, ()))
        ]
        yield from self._asked(second, busy)

    def _streams(self, names: Iterable[str]) -> dict[str, set[str]]:
        """The streams that these tables are known to have had, by table; DescribeTable tells only the latest."""
        start = f":dynamodb:{self.target.region}:{self.target.account_id}:table/"
        found: dict[str, set[str]] = {name: set() for name in names}
        for shard in state.shards(source="streams"):
            name = shard.table_arn.partition(start)[2]
            if name in found:
                found[name].add(shard.stream_arn)
        return found

    def _asked(self, series: Sequence[catalogue.Series], busy: set[str]) -> Iterator[pa.Table]:
        asked = list(plan.requests(series, self.hours, self.now))
        self.counts.requests += len(asked)
        self.counts.metrics_requested += sum(len(request.series) for request in asked)
        for answer in metrics.read(self._client("cloudwatch"), self.target, asked, self.report):
            busy |= metrics.with_traffic([answer])
            yield metrics.rows(answer, self.target)

    def _keep_all(self, parts: Iterable[pa.Table]) -> int:
        """Keep rows of `metric`, many at once: to hold a few against a suite takes as long as to hold thousands."""
        waiting: list[pa.Table] = []
        kept = 0
        for part in parts:
            waiting.append(part)
            if sum(map(len, waiting)) >= _GATED_ROWS:
                kept += self._keep(METRIC, pa.concat_tables(waiting))
                waiting = []
        return kept + (self._keep(METRIC, pa.concat_tables(waiting)) if waiting else 0)

    def _alarms(self, known: Mapping[str, WatchedTable]) -> None:
        client = self._client("cloudwatch")
        old = [hour for hour in self.hours if self.now - hour > alarms.KEPT]
        self.report.expire("alarms", f"CloudWatch keeps alarm history for {alarms.KEPT.days} days", old)
        subjects: dict[str, tuple[str | None, str | None]] = {}
        try:
            subjects = alarms.watched(client)
        except _AWS_ERRORS as error:
            self.report.failed("alarms", alarms.DESCRIBE, error, f"list the alarms of {self.place}")
        try:
            entries = alarms.history(client, self.start, self.end)
            rows = alarms.rows(entries, subjects, self.target, self.tokens)
        except _AWS_ERRORS as error:
            attempt = f"read the alarm history of {self.place}"
            self.report.failed("alarms", alarms.HISTORY, error, attempt, all_of_it=True)
            return
        self.counts.alarm_events += self._keep(ALARM_EVENT, rows, known_tables=sorted(known) or [""])

    def _logs(self) -> None:
        for chosen in self.target.account.log_filters:
            if chosen.regions and self.target.region not in chosen.regions:
                continue
            client = self._client("logs")
            attempt = f"read the log group {chosen.log_group} of {self.place}"
            try:
                self._expire_logs(client, chosen)
                for page in logs.pages(client, chosen, self.start, self.end):
                    rows = logs.rows(page, chosen, self.target, self.tokens)
                    self.counts.log_events += self._keep(LOG_EVENT, rows)
            except (LookupError, *_AWS_ERRORS) as error:
                self._log_fault(chosen, error, attempt)

    def _expire_logs(self, client: Any, chosen: LogFilter) -> None:
        try:
            kept = logs.retention(client, chosen.log_group)
        except ClientError as error:
            if code_of(error) not in {"AccessDenied", "AccessDeniedException"}:
                raise
            # Reading goes on: only how long events are kept remains unknown.
            self.report.failed("logs", logs.DESCRIBE, error, "learn how long log groups keep their events")
            return
        if kept is not None:
            old = [hour for hour in self.hours if self.now - hour > kept]
            reason = f"the log group {chosen.log_group} keeps its events for {kept.days} days"
            self.report.expire("logs", reason, old)

    def _log_fault(self, chosen: LogFilter, error: Exception, attempt: str) -> None:
        name = f"the log group {chosen.log_group} of the filter {chosen.name!r}"
        if isinstance(error, LookupError) or code_of(error) == "ResourceNotFoundException":
            self.report.lack("logs", f"{name} does not exist")
            self.report.warnings.add(
                f"{self.place}: {name} does not exist. If it should, find out who deleted it (DeleteLogGroup in "
                "api_event); if it lies in another region, name that in the filter's `regions` in log_filters."
            )
        elif code_of(error) == "InvalidParameterException":
            self.report.lack("logs", f"CloudWatch Logs does not accept the pattern of the filter {chosen.name!r}")
            self.report.warnings.add(
                f"{self.place}: CloudWatch Logs does not accept the pattern of the filter {chosen.name!r}. Correct it "
                "in log_filters; `aws logs test-metric-filter` tries a pattern."
            )
        else:
            self.report.failed("logs", logs.FILTER, error, attempt)

    def _insights(self, known: Mapping[str, WatchedTable]) -> None:
        young = [hour for hour in self.hours if self.now - hour <= insights.KEPT]
        try:
            rules = list(insights.rules(self._client("dynamodb"), known)) if known and young else []
        except _AWS_ERRORS as error:
            action = f"dynamodb:{getattr(error, 'operation_name', 'ListContributorInsights')}"
            self.report.failed("insights", action, error, f"find the Contributor Insights rules of {self.place}")
            return
        if rules and len(young) < len(self.hours):
            old = [hour for hour in self.hours if hour not in young]
            self.report.expire("insights", f"CloudWatch keeps contributors for {insights.KEPT.days} days", old)
        self.counts.contributors += self._keep_all(self._contributors(rules, young))

    def _contributors(self, rules: Sequence[insights.Rule], hours: Iterable[datetime]) -> Iterator[pa.Table]:
        client = self._client("cloudwatch")
        for hour in hours:
            reports = list(self._reports(client, rules, hour)) if insights.REPORT not in self.report.denied else []
            rows, strange = insights.rows(reports, self.target, self.tokens)
            self.report.warnings.update(f"{self.place}: {sentence}" for sentence in strange)
            self.reported |= {(rule.kind, rule.dimensions, hour) for rule, _, _ in reports}
            yield rows

    def _reports(
        self, client: Any, rules: Sequence[insights.Rule], hour: datetime
    ) -> Iterator[tuple[insights.Rule, datetime, Mapping[str, Any]]]:
        def look(rule: insights.Rule) -> Mapping[str, Any] | Exception:
            try:
                return insights.report(client, rule, hour)
            except _AWS_ERRORS as error:
                return error

        with ThreadPoolExecutor(_REPORTERS, thread_name_prefix="insights") as pool:
            for rule, said in zip(rules, pool.map(look, rules), strict=True):
                if not isinstance(said, Exception):
                    yield rule, hour, said
                elif code_of(said) in {"ResourceNotFoundException", "ResourceNotFound"}:
                    self.report.lack("insights", f"the rules of {rule.table} are gone", (hour,))
                else:
                    attempt = f"read the contributors of {rule.table} of {self.place}"
                    self.report.failed("insights", insights.REPORT, said, attempt, (hour,))

    def _trails_own_counts(self) -> None:
        """CloudTrail's own counts, where a trail has them: a second witness, which may be absent without an error."""
        young = [hour for hour in self.hours if self.now - hour <= insight_metrics.KEPT]
        if not young:
            return

        def client_in(region: str) -> Any:
            return client_for("cloudtrail", Target(self.target.account, region), self.settings)

        try:
            trails = insight_metrics.watched(client_in, self.target)
        except _AWS_ERRORS as error:
            _LOG.info("%s: whether trails count data events is not known: %s", self.place, code_of(error))
            return
        for trail in trails:
            try:
                rows = insight_metrics.read(
                    client_in(self.target.region), trail, self.target, young[0], young[-1] + HOUR
                )
            except _AWS_ERRORS as error:
                if refused(error):
                    self.report.warnings.add(
                        f"{self.place}: the trail {trail.name} counts data events itself, and these counts may not be "
                        f"read ({insight_metrics.ACTION}). docs/reference/iam/extract_cloudwatch.json has what is "
                        "needed."
                    )
                    continue
                attempt = f"read what the trail {trail.name} counted of {self.place}"
                self.report.failed("insights", insight_metrics.ACTION, error, attempt, young)
                continue
            self.counts.datapoints += self._keep(METRIC, rows)

    def _keep(self, table: Table, rows: pa.Table, **parameters: object) -> int:
        """Hold rows against their suite and spool those that pass; returns how many."""
        if not len(rows):
            return 0
        number = self._gates[table.name] = self._gates.get(table.name, 0) + 1
        checked = gate.check(
            rows,
            table.name,
            record=self.records / f"{table.name}-{number}.json",
            parameters={
                "earliest_event_time": self.start,
                "latest_event_time": self.end - timedelta(microseconds=1),
                **parameters,
            },
        )
        self.report.warnings.update(checked.warnings)
        for rejection in checked.rejected:
            self.rejected.append(self._quarantined(table, rows.slice(rejection.row, 1).to_pylist()[0], rejection))
        self.spool.add(table, checked.passed)
        return len(checked.passed)

    def _quarantined(self, table: Table, row: dict[str, Any], rejection: gate.Rejection) -> dict[str, Any]:
        hour = row["event_hour"] if row["event_hour"] in self.hours else self.start
        uri = source_uri(self.target, table)
        key = hashlib.sha256(_encode([row[name] for name in table.natural_key])).hexdigest()
        payload = _encode({name: value for name, value in row.items() if value is not None})
        position = f"row {key[:32]}"
        return {
            "quarantine_id": hashlib.sha256(f"{uri}\n{position}\n{rejection.reason_code}".encode()).hexdigest(),
            "event_hour": hour,
            "event_date": hour.date(),
            "account_id": self.target.account_id,
            "region": self.target.region,
            "source": SOURCE,
            "source_uri": uri,
            "position": position,
            "reason_code": rejection.reason_code,
            "reason": rejection.reason,
            "payload": payload.decode(),
            "payload_bytes": len(payload),
            "payload_sha256": None,
        }


PIECE_OF: dict[str, Piece] = {"metric": "metrics", "alarm_event": "alarms", "log_event": "logs"}


def source_uri(target: Target, table: Table) -> str:
    """What stands for the address of an object: CloudWatch has none."""
    return f"cloudwatch://{target.account_id}/{target.region}/{table.name}"
