"""Exports of a table to S3: ExportTableToPointInTime, DescribeExport, ListExports, and the files that they leave.

ministack says COMPLETED and writes nothing; here the items come from the journal of all writes, and manifests and data
lie in the bucket as AWS lays them ("DynamoDB data export to Amazon S3"). What AWS does with an export whose caller may
not write to the bucket is not simulated: the sandbox writes as the bucket's owner.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from botocore.exceptions import ClientError

from dynatrail.sandbox.exports_files import data_files, file_list, incremental_line, md5, net_changes, summary
from dynatrail.sandbox.exports_filter import Filter, UnsupportedFilterError
from dynatrail.sandbox.exports_recovery import Recoveries, place_of
from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.journal import Journal
from dynatrail.sandbox.parts import Seen

Json = dict[str, Any]

SHORTEST, LONGEST = timedelta(minutes=15), timedelta(hours=24)
_TOKEN_LIVES = timedelta(hours=8)
_LISTED = timedelta(days=90)
_PAGE = 25
_PARTITIONS = 2
_SPECIFIED = (
    *("ExportTime", "S3Bucket", "S3BucketOwner", "S3Prefix", "S3SseAlgorithm", "S3SseKmsKeyId", "ExportFormat"),
    *("ExportType", "IncrementalExportSpecification", "FilterSpecification", "TableArn"),
)


@dataclass
class ExportBehaviour:
    """How exports go; may be changed at any time.

    Attributes:
        takes, takes_live: how long one is IN_PROGRESS, in sandbox time that is played and in time that runs.
        fails: FailureCode with which exports end instead of completing; empty for none.
        checksum: ending of the manifests' checksum files; AWS documents `.checksum`, other places show `.md5`.
        plain_times: WriteTimestampMicros as a string, as the docs print it, instead of `{"N": "…"}`.
    """

    takes: timedelta = timedelta(minutes=6)
    takes_live: timedelta = timedelta(seconds=1)
    fails: str = ""
    checksum: Literal[".checksum", ".md5"] = ".checksum"
    plain_times: bool = False


class Export(msgspec.Struct):
    """One export: its description as DescribeExport gives it, and when it will be done."""

    account_id: str
    region: str
    table: str
    description: Json
    asked: Json
    started_at: datetime
    due_at: datetime


class _State(msgspec.Struct):
    recoveries: Recoveries = msgspec.field(default_factory=Recoveries)
    exports: dict[str, Export] = {}


class _RefusedError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Exports:
    """Args: the journal, a client that may write into any bucket, and whether sandbox time runs just now."""

    name = "exports"

    def __init__(self, journal: Journal, s3: Callable[[], Any], running: Callable[[], bool]) -> None:
        self.behaviour = ExportBehaviour()
        self._journal = journal
        self._s3 = s3
        self._running = running
        self._state = _State()

    def saw(self, seen: Seen) -> None:
        if seen.call.service == "dynamodb" and seen.ok:
            self._state.recoveries.saw(seen)

    def answer(self, seen: Seen) -> Response | None:
        if seen.call.service != "dynamodb":
            return None
        sent = seen.call.parameters
        try:
            match seen.call.operation:
                case "ExportTableToPointInTime" if seen.ok:
                    return _json({"ExportDescription": self._start(seen)})
                case "DescribeExport":
                    return _json({"ExportDescription": self._find(sent, seen).description})
                case "ListExports" if seen.ok:
                    return _json(self._list(seen))
                case "DescribeContinuousBackups" | "UpdateContinuousBackups" if seen.ok:
                    described = self._state.recoveries.description(place_of(seen), seen.now)
                    return _json({"ContinuousBackupsDescription": described})
        except _RefusedError as error:
            kind = f"com.amazonaws.dynamodb.v20120810#{error.code}"
            return _json({"__type": kind, "message": str(error)}, status=400)
        return None

    def tick(self, now: datetime) -> None:
        for export in self._state.exports.values():
            if export.description["ExportStatus"] == "IN_PROGRESS" and export.due_at <= now:
                self._finish(export)

    def save(self) -> bytes:
        return msgspec.msgpack.encode(self._state)

    def load(self, saved: bytes) -> None:
        self._state = msgspec.msgpack.decode(saved, type=_State)

    def _start(self, seen: Seen) -> Json:
        sent, now = seen.call.parameters, seen.now
        asked = {name: sent[name] for name in _SPECIFIED if name in sent}
        token = sent.get("ClientToken") or ""
        if before := self._with_token(token, seen):
            if before.asked != asked:
                raise _RefusedError("ExportConflictException", "This client token was used with other parameters.")
            return before.description
        place = place_of(seen)
        times = self._times(sent, place, now)
        _filter(sent)
        number = len(self._state.exports)
        digest = hashlib.sha256(f"{place} {number}".encode()).hexdigest()[:8]
        table_arn = f"arn:aws:dynamodb:{seen.call.region}:{seen.account_id}:table/{place.rsplit('/', 1)[-1]}"
        export_id = f"{int(now.timestamp() * 1000):014d}-{digest}"
        described = msgspec.json.decode(seen.response.body)["ExportDescription"]
        description = {
            **{name: value for name, value in asked.items() if name not in {"ExportTime", "TableArn"}},
            **times,
            "ExportArn": f"{table_arn}/export/{export_id}",
            "ExportStatus": "IN_PROGRESS",
            "StartTime": now.timestamp(),
            "TableArn": table_arn,
            "TableId": described["TableId"],
            "ClientToken": token,
            "S3SseAlgorithm": sent.get("S3SseAlgorithm") or "AES256",
            "ExportFormat": "DYNAMODB_JSON",
            "ExportType": sent.get("ExportType") or "FULL_EXPORT",
        }
        takes = self.behaviour.takes_live if self._running() else self.behaviour.takes
        export = Export(
            seen.account_id, seen.call.region, place.rsplit("/", 1)[-1], description, asked, now, now + takes
        )
        self._state.exports[description["ExportArn"]] = export
        self._put(export, f"{_folder(description)}/_started", b"")
        return description

    def _with_token(self, token: str, seen: Seen) -> Export | None:
        return next(
            (
                export
                for export in self._state.exports.values()
                if token
                and export.description["ClientToken"] == token
                and (export.account_id, export.region) == (seen.account_id, seen.call.region)
                and seen.now - export.started_at < _TOKEN_LIVES
            ),
            None,
        )

    def _times(self, sent: Json, place: str, now: datetime) -> Json:
        """The times of the export, as epoch seconds, once they are known to be possible."""
        recovery = self._state.recoveries.by_table.get(place)
        if recovery is None:
            raise _RefusedError(
                "PointInTimeRecoveryUnavailableException",
                f"Point in time recovery is not enabled for table '{place.rsplit('/', 1)[-1]}'",
            )
        if sent.get("ExportFormat", "DYNAMODB_JSON") != "DYNAMODB_JSON":
            raise _RefusedError("ValidationException", "The sandbox writes DYNAMODB_JSON only.")
        earliest, latest = recovery.reach(now)
        if sent.get("ExportType", "FULL_EXPORT") == "FULL_EXPORT":
            at = _instant(sent.get("ExportTime")) or now
            if not earliest <= at <= now:
                raise _outside("ExportTime", earliest, now)
            return {"ExportTime": at.timestamp()}
        spec = sent.get("IncrementalExportSpecification") or {}
        start, end = _instant(spec.get("ExportFromTime")), _instant(spec.get("ExportToTime")) or latest
        if start is None:
            raise _RefusedError("ValidationException", "An incremental export needs ExportFromTime.")
        if start < earliest or end > latest:
            raise _outside("The export period", earliest, latest)
        if not SHORTEST <= end - start <= LONGEST:
            raise _RefusedError(
                "ValidationException", "The export period must be at least 15 minutes and at most 24 hours long."
            )
        return {
            "IncrementalExportSpecification": {
                "ExportFromTime": start.timestamp(),
                "ExportToTime": end.timestamp(),
                "ExportViewType": spec.get("ExportViewType") or "NEW_AND_OLD_IMAGES",
            }
        }

    def _find(self, sent: Json, seen: Seen) -> Export:
        self.tick(seen.now)
        export = self._state.exports.get(sent.get("ExportArn") or "")
        if export is None or export.account_id != seen.account_id:
            raise _RefusedError("ExportNotFoundException", f"Export not found: {sent.get('ExportArn')}")
        return export

    def _list(self, seen: Seen) -> Json:
        self.tick(seen.now)
        sent = seen.call.parameters
        table = sent.get("TableArn")
        found = [
            export.description
            for export in self._state.exports.values()
            if (export.account_id, export.region) == (seen.account_id, seen.call.region)
            and (table is None or export.table == place_of(seen).rsplit("/", 1)[-1])
            and seen.now - export.started_at < _LISTED
        ]
        begin = int(sent.get("NextToken") or 0)
        end = begin + min(int(sent.get("MaxResults") or _PAGE), _PAGE)
        names = ("ExportArn", "ExportStatus", "ExportType")
        page: Json = {"ExportSummaries": [{name: one[name] for name in names} for one in found[begin:end]]}
        if end < len(found):
            page["NextToken"] = str(end)
        return page

    def _finish(self, export: Export) -> None:
        description = export.description
        description["EndTime"] = export.due_at.timestamp()
        if self.behaviour.fails:
            self._fail(export, self.behaviour.fails, "The export failed.")
            return
        try:
            self._write(export)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            self._fail(export, {"NoSuchBucket": "S3NoSuchBucket"}.get(code, code), f"The bucket answered {code}.")

    @staticmethod
    def _fail(export: Export, code: str, message: str) -> None:
        export.description |= {"ExportStatus": "FAILED", "FailureCode": code, "FailureMessage": message}

    def _write(self, export: Export) -> None:
        """Data first, then the list of files, then the summary; each with its checksum."""
        description = export.description
        folder, incremental = _folder(description), description["ExportType"] == "INCREMENTAL_EXPORT"
        lines, keys = self._lines(export)
        # The data of incremental exports lies in one folder for all exports of the prefix.
        where = f"{folder.rsplit('/', 1)[0]}/data" if incremental else f"{folder}/data"
        entries = []
        size = 0
        for file in data_files(lines, keys, folder, _PARTITIONS):
            key = f"{where}/{file.name}"
            etag = self._put(export, key, file.body)
            size += len(file.body)
            entries.append({"itemCount": file.items, "md5Checksum": file.md5, "etag": etag, "dataFileS3Key": key})
        description |= {"ItemCount": len(lines), "BilledSizeBytes": size}
        files_key = f"{folder}/manifest-files.json"
        manifest = summary(description, files_key=files_key, start=export.started_at, end=export.due_at)
        for key, body in ((files_key, file_list(entries)), (f"{folder}/manifest-summary.json", manifest)):
            self._put(export, key, body)
            self._put(export, key.removesuffix(".json") + self.behaviour.checksum, md5(body).encode())
        description |= {"ExportStatus": "COMPLETED", "ExportManifest": f"{folder}/manifest-summary.json"}

    def _lines(self, export: Export) -> tuple[list[Json], list[Json]]:
        """What the export holds, and the key of each item."""
        description, chosen = export.description, _filter(export.asked)
        spec = description.get("IncrementalExportSpecification")
        place = f"{export.account_id}/{export.region}/{export.table}"
        # A full export begins where the table did: an earlier table of the name left its items to nobody.
        start = _instant(spec["ExportFromTime"]) if spec else self._state.recoveries.created.get(place)
        end = _instant(spec["ExportToTime"] if spec else description["ExportTime"])
        changes = self._journal.changes(export.account_id, export.region, export.table, since=start, until=end)
        found = [net for net in net_changes(changes) if chosen.takes(net.newest) and (spec or net.new is not None)]
        if spec is None:
            return [{"Item": chosen.project(net.new or {})} for net in found], [net.key for net in found]
        old = spec["ExportViewType"] == "NEW_AND_OLD_IMAGES"
        lines = [incremental_line(net, chosen, old=old, plain_times=self.behaviour.plain_times) for net in found]
        return lines, [net.key for net in found]

    def _put(self, export: Export, key: str, body: bytes) -> str:
        """Write one object; its ETag without quotes. Without the bucket nothing is written: the export will fail."""
        try:
            answer = self._s3().put_object(Bucket=export.description["S3Bucket"], Key=key, Body=body)
        except ClientError:
            if not key.endswith("/_started"):
                raise
            return ""
        return str(answer["ETag"]).strip('"')


def _folder(description: Json) -> str:
    prefix = str(description.get("S3Prefix") or "").strip("/")
    arn: str = description["ExportArn"]
    return f"{prefix}/AWSDynamoDB/".lstrip("/") + arn.rsplit("/", 1)[-1]


def _filter(sent: Json) -> Filter:
    try:
        return Filter(sent.get("FilterSpecification") or {})
    except UnsupportedFilterError as error:
        raise _RefusedError("ValidationException", str(error)) from None


def _outside(what: str, earliest: datetime, latest: datetime) -> _RefusedError:
    return _RefusedError(
        "InvalidExportTimeException",
        f"{what} is outside of the point in time recovery window, {earliest:%FT%TZ} to {latest:%FT%TZ}.",
    )


def _instant(epoch_s: float | None) -> datetime | None:
    return None if epoch_s is None else datetime.fromtimestamp(float(epoch_s), UTC).replace(microsecond=0)


def _json(answer: Json, status: int = 200) -> Response:
    return Response(status, [("Content-Type", "application/x-amz-json-1.0")], msgspec.json.encode(answer))
