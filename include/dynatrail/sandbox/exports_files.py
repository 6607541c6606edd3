"""The objects of an export: data files, their list, and the summary ("DynamoDB table export output format").

An incremental export holds the net change of each item over [from, to): the image before and the image after, with the
time of the last write. Whatever happened in between is not in it, nor who did it.
"""

import base64
import gzip
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from dynatrail.sandbox.exports_filter import Filter
from dynatrail.sandbox.journal import Change

Json = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = _EPOCH.resolution
_encode = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True)
class Net:
    """Net change of one item over a window; at least one of the images is there."""

    key: Json
    at: datetime
    old: Json | None
    new: Json | None

    @property
    def newest(self) -> Json:
        return self.new if self.new is not None else self.old or {}


@dataclass(frozen=True, slots=True)
class DataFile:
    """One data file: compressed, with its number of items."""

    name: str
    body: bytes
    items: int

    @property
    def md5(self) -> str:
        return md5(self.body)


def net_changes(changes: Iterable[Change]) -> list[Net]:
    """Net change per item, in the order of the items' keys; items that were not there before and after are left out."""
    found: dict[bytes, Net] = {}
    for change in changes:
        name = _encode(change.key)
        before = found.get(name)
        found[name] = Net(change.key, change.at, before.old if before else change.old, change.new)
    return [net for _, net in sorted(found.items()) if net.old is not None or net.new is not None]


def incremental_line(net: Net, chosen: Filter, *, old: bool, plain_times: bool) -> Json:
    """One item of an incremental export; the time as the docs print it (`plain_times`) or as AWS's tools read it."""
    micros = str((net.at - _EPOCH) // _MICROSECOND)
    line: Json = {
        "Metadata": {"WriteTimestampMicros": micros if plain_times else {"N": micros}},
        "Keys": net.key,
    }
    if old and net.old is not None:
        line["OldImage"] = chosen.project(net.old)
    if net.new is not None:
        line["NewImage"] = chosen.project(net.new)
    return line


def data_files(lines: Sequence[Json], keys: Sequence[Json], export_id: str, partitions: int) -> Iterator[DataFile]:
    """The lines dealt to the partitions by their items' keys; an empty partition has an empty file."""
    parts: list[list[bytes]] = [[] for _ in range(partitions)]
    for line, key in zip(lines, keys, strict=True):
        parts[hashlib.sha256(_encode(key)).digest()[0] % partitions].append(_encode(line))
    for number, part in enumerate(parts):
        name = base64.b32encode(hashlib.sha256(f"{export_id} {number}".encode()).digest())[:26].decode().lower()
        yield DataFile(f"{name}.json.gz", gzip.compress(b"".join(line + b"\n" for line in part), mtime=0), len(part))


def file_list(entries: Iterable[Json]) -> bytes:
    """`manifest-files.json`: one line a data file."""
    return b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)


def summary(description: Json, *, files_key: str, start: datetime, end: datetime) -> bytes:
    """`manifest-summary.json` of an export as DescribeExport describes it; its `…Time` fields are epoch seconds."""
    incremental = description["ExportType"] == "INCREMENTAL_EXPORT"
    spec = description.get("IncrementalExportSpecification", {})
    times = (
        {"exportFromTime": _millis(spec["ExportFromTime"]), "exportToTime": _millis(spec["ExportToTime"])}
        if incremental
        else {"exportTime": _millis(description["ExportTime"])}
    )
    return msgspec.json.encode(
        {
            "version": "2023-08-01" if incremental else "2020-06-30",
            "exportArn": description["ExportArn"],
            "startTime": _millis(start.timestamp()),
            "endTime": _millis(end.timestamp()),
            "tableArn": description["TableArn"],
            "tableId": description["TableId"],
            **times,
            "s3Bucket": description["S3Bucket"],
            "s3Prefix": description.get("S3Prefix"),
            "s3SseAlgorithm": description["S3SseAlgorithm"],
            "s3SseKmsKeyId": description.get("S3SseKmsKeyId"),
            "manifestFilesS3Key": files_key,
            "billedSizeBytes": description["BilledSizeBytes"],
            "itemCount": description["ItemCount"],
            "outputFormat": description["ExportFormat"],
            **({"outputView": spec["ExportViewType"]} if incremental else {}),
            "exportType": description["ExportType"],
        }
    )


def md5(body: bytes) -> str:
    """Base64 of the MD5, as the manifests have it."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def _millis(epoch_s: float) -> str:
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
