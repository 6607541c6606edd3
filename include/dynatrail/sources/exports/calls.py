"""What Dynatrail asks DynamoDB about exports: how far recovery reaches, which exports there are, and for new ones."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from dynatrail.errors import SourceError
from dynatrail.sources.aws import explain
from dynatrail.sources.exports.windows import Span

INCREMENTAL = "INCREMENTAL_EXPORT"
VIEW = "NEW_AND_OLD_IMAGES"
_GONE = frozenset({"TableNotFoundException", "ResourceNotFoundException"})


@dataclass(frozen=True, slots=True)
class Described:
    """One export as DescribeExport tells of it.

    Attributes:
        status: IN_PROGRESS, COMPLETED or FAILED.
        window: of an incremental export; None of a full one.
        prefix: S3Prefix without slashes at its ends; empty for none.
        filtered: whether it has a FilterSpecification, so that changes may be missing by design.
        failure: FailureCode of a failed one.
    """

    arn: str
    table_arn: str
    status: str
    kind: str
    window: Span | None
    view_type: str | None
    format: str | None
    bucket: str
    prefix: str
    filtered: bool
    item_count: int | None
    manifest: str | None
    failure: str | None

    @classmethod
    def read(cls, described: Mapping[str, Any]) -> Self:
        """From an ExportDescription."""
        spec = described.get("IncrementalExportSpecification") or {}
        ends = spec.get("ExportFromTime"), spec.get("ExportToTime")
        return cls(
            arn=described["ExportArn"],
            table_arn=described["TableArn"],
            status=described["ExportStatus"],
            kind=described.get("ExportType") or "FULL_EXPORT",
            window=Span(_utc(ends[0]), _utc(ends[1])) if ends[0] and ends[1] else None,
            view_type=spec.get("ExportViewType"),
            format=described.get("ExportFormat"),
            bucket=described.get("S3Bucket") or "",
            prefix=(described.get("S3Prefix") or "").strip("/"),
            filtered=bool(described.get("FilterSpecification")),
            item_count=described.get("ItemCount"),
            manifest=described.get("ExportManifest"),
            failure=described.get("FailureCode"),
        )

    @property
    def folder(self) -> str:
        """Key prefix of its manifests, without a slash at the end."""
        return f"{self.root}/{export_id(self.arn)}"

    @property
    def root(self) -> str:
        """Key prefix below which all that belongs to it lies; data files of incremental exports share a folder."""
        return f"{self.prefix}/AWSDynamoDB" if self.prefix else "AWSDynamoDB"

    def unfit(self, table_arn: str) -> str | None:
        """Why it cannot show every change of `table_arn` in its window, as a sentence; None if it can."""
        if self.table_arn != table_arn:
            return f"It is an export of {self.table_arn}, not of {table_arn}."
        if self.kind != INCREMENTAL or self.window is None:
            return "It is a full export: a state, not changes. Ask for an incremental one."
        if self.view_type != VIEW:
            return f"Its view is {self.view_type}; the images before are missing. Ask for {VIEW}."
        if self.format != "DYNAMODB_JSON":
            return f"Its format is {self.format}. Ask for DYNAMODB_JSON."
        if self.filtered:
            return "It was made with a FilterSpecification, so changes may be missing from it. Ask for one without."
        return None


def table_of(arn: str) -> str:
    """The ARN of the table in the ARN of its export."""
    return arn.partition("/export/")[0]


def export_id(arn: str) -> str:
    """`01693685827463-2d8752fd`."""
    return arn.rpartition("/")[2]


def token(table_arn: str, window: Span, bucket: str, prefix: str, attempt: int) -> str:
    """The ClientToken of a request. AWS gives one export for all requests with one token within 8 hours.

    `attempt` counts the exports of the same window that were refused, for such a one must not be given again.
    """
    text = "\n".join((table_arn, str(window), bucket, prefix, str(attempt)))
    return hashlib.sha256(text.encode()).hexdigest()


class TableGoneError(SourceError):
    """The table does not exist any more, so nothing of it can be exported."""


def reach(dynamodb: Any, table_arn: str) -> Span | None:
    """What point-in-time recovery of the table can show; None while it is disabled.

    Raises:
        TableGoneError: there is no such table.
        SourceError: AWS refuses or throttles.
    """
    try:
        answer = dynamodb.describe_continuous_backups(TableName=table_arn)["ContinuousBackupsDescription"]
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            raise TableGoneError(
                f"The table {table_arn} is gone, and what recovery kept of it cannot be exported."
            ) from None
        raise explain(error, f"ask how far point-in-time recovery of {table_arn} reaches") from error
    except BotoCoreError as error:
        raise explain(error, f"ask how far point-in-time recovery of {table_arn} reaches") from error
    recovery = answer.get("PointInTimeRecoveryDescription") or {}
    earliest, latest = recovery.get("EarliestRestorableDateTime"), recovery.get("LatestRestorableDateTime")
    if recovery.get("PointInTimeRecoveryStatus") != "ENABLED" or not earliest or not latest:
        return None
    return Span(_utc(earliest), _utc(latest))


def describe(dynamodb: Any, arn: str) -> Described:
    """One export.

    Raises:
        SourceError: there is none (AWS forgets exports after 90 days), or AWS refuses or throttles.
    """
    try:
        return Described.read(dynamodb.describe_export(ExportArn=arn)["ExportDescription"])
    except (ClientError, BotoCoreError) as error:
        raise explain(error, f"describe the export {arn}") from error


def usable(
    dynamodb: Any, table_arn: str, window: Span, *, bucket: str, besides: Collection[str] = ()
) -> Described | None:
    """An export of the table in `bucket` that holds all of `window`, so that none must be paid for: the oldest.

    `besides` are ARNs of exports that were refused.

    Raises:
        SourceError: AWS refuses or throttles.
    """
    found = [
        one
        for arn in sorted(_listed(dynamodb, table_arn, window))
        if arn not in besides
        and (one := describe(dynamodb, arn)).status == "COMPLETED"
        and one.bucket == bucket
        and one.unfit(table_arn) is None
        and one.window
        and one.window.covers(window)
    ]
    return found[0] if found else None


def request(dynamodb: Any, table_arn: str, window: Span, bucket: str, prefix: str, client_token: str) -> Described:
    """Ask for an incremental export of `window`, or get the one that was asked for with the same token.

    Raises:
        SourceError: AWS refuses or throttles; nothing was started.
    """
    try:
        answer = dynamodb.export_table_to_point_in_time(
            TableArn=table_arn,
            ClientToken=client_token,
            S3Bucket=bucket,
            **({"S3Prefix": prefix} if prefix else {}),
            ExportFormat="DYNAMODB_JSON",
            ExportType=INCREMENTAL,
            IncrementalExportSpecification={
                "ExportFromTime": window.start,
                "ExportToTime": window.end,
                "ExportViewType": VIEW,
            },
        )
    except (ClientError, BotoCoreError) as error:
        raise explain(error, f"ask for an export of {table_arn} from {window} to s3://{bucket}/{prefix}") from error
    return Described.read(answer["ExportDescription"])


def _listed(dynamodb: Any, table_arn: str, window: Span) -> Iterator[str]:
    """Incremental exports that were completed and not asked for before `window` had ended."""
    more: dict[str, str] = {}
    while True:
        try:
            page = dynamodb.list_exports(TableArn=table_arn, MaxResults=25, **more)
        except (ClientError, BotoCoreError) as error:
            raise explain(error, f"list the exports of {table_arn}") from error
        for one in page.get("ExportSummaries", ()):
            fits = one.get("ExportStatus") == "COMPLETED" and one.get("ExportType") == INCREMENTAL
            if fits and not _older(one["ExportArn"], window.end):
                yield one["ExportArn"]
        if not page.get("NextToken"):
            return
        more = {"NextToken": page["NextToken"]}


def _older(arn: str, instant: datetime) -> bool:
    """Whether the export was started before `instant`: its id begins with that time in milliseconds."""
    millis = export_id(arn).partition("-")[0]
    return millis.isdigit() and int(millis) < instant.timestamp() * 1000


def _utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC)
