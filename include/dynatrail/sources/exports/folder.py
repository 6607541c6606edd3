"""The files of an export in S3, verified: manifests against their checksums, data files against the manifest.

Names and fields are those of "DynamoDB table export output format" (DynamoDB developer guide). Checksum files are
called `.checksum` there and `.md5` in buckets; both are taken. Every fault is an `ExportError`: what does not agree
with its manifest proves nothing, so nothing of it is loaded.
"""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from dynatrail import clock
from dynatrail.errors import ExportError
from dynatrail.sources.aws import explain
from dynatrail.sources.exports.calls import INCREMENTAL, VIEW, Described
from dynatrail.sources.exports.windows import Span

LINE_BYTES = 32 << 20
"""No line can be longer: two images of at most 400 KB, however they are escaped."""

_MANIFEST_BYTES = 64 << 20
_STEP = 1 << 20
_ABSENT = frozenset({"NoSuchKey", "404"})


class _FileLine(msgspec.Struct, frozen=True):
    items: int = msgspec.field(name="itemCount")
    md5: str = msgspec.field(name="md5Checksum")
    etag: str
    key: str = msgspec.field(name="dataFileS3Key")


_file_line = msgspec.json.Decoder(_FileLine).decode
_object = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class DataFile:
    """One data file as the manifest names it; `md5` is the digest of the compressed object."""

    key: str
    items: int
    md5: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The verified manifests of an export.

    Attributes:
        key: of the summary.
        window: [exportFromTime, exportToTime).
        items: lines in all data files.
        sha256: of the summary followed by the list of files, as bytes.
    """

    bucket: str
    key: str
    window: Span
    items: int
    files: tuple[DataFile, ...]
    sha256: str

    def uri(self, file: DataFile) -> str:
        return f"s3://{self.bucket}/{file.key}"


def read(s3: Any, export: Described) -> Manifest:
    """The manifests of an export that AWS calls completed.

    Raises:
        ExportError: it is not what it should be; says which fact of it.
        SourceError: S3 cannot be read.
    """
    if reason := export.unfit(export.table_arn):
        raise _refused(export, reason)
    if export.status != "COMPLETED":
        raise _refused(export, f"AWS calls it {export.status}{f' ({export.failure})' if export.failure else ''}.")
    summary_key = f"{export.folder}/manifest-summary.json"
    text = _checked(s3, export, summary_key)
    try:
        summary = _object(text)
    except msgspec.DecodeError:
        raise _refused(export, "manifest-summary.json is no JSON object.") from None
    window = _agree(export, summary)
    files_key = _below(export, summary.get("manifestFilesS3Key"), "manifestFilesS3Key")
    listing = _checked(s3, export, files_key)
    files = tuple(_files(export, listing))
    total = sum(file.items for file in files)
    if total != summary["itemCount"]:
        raise _refused(export, f"Its data files name {total} items, its summary {summary['itemCount']}.")
    return Manifest(export.bucket, summary_key, window, total, files, hashlib.sha256(text + listing).hexdigest())


def lines(s3: Any, export: Described, file: DataFile) -> Iterator[bytes]:
    """The lines of a data file, uncompressed while they are read.

    What was yielded counts only once the iterator has ended: bytes are checked against the manifest at the end.

    Raises:
        ExportError: the file is missing or is not the one that the manifest names.
        SourceError: S3 cannot be read.
    """
    name = file.key.rpartition("/")[2]
    answer = _get(s3, export, file.key)
    if answer is None:
        raise _refused(export, f"Its data file {name} is missing. Was it deleted, or moved by a lifecycle rule?")
    if answer["ETag"].strip('"') != file.etag:
        raise _refused(export, f"Data file {name} has another ETag than the manifest names: it was written again.")
    digest = hashlib.md5(usedforsecurity=False)
    count = 0
    for line in _split(export, name, _inflated(export, name, _chunks(export, answer["Body"], digest))):
        count += 1
        yield line
    if digest.digest() != file.md5:
        raise _refused(export, f"Data file {name} does not have the MD5 that the manifest names: it was changed.")
    if count != file.items:
        raise _refused(export, f"Data file {name} holds {count} items, the manifest names {file.items}.")


def _agree(export: Described, summary: dict[str, Any]) -> Span:
    """The window of the summary, once all of it agrees with what AWS told."""
    for name, expected in (
        ("exportArn", export.arn),
        ("tableArn", export.table_arn),
        ("s3Bucket", export.bucket),
        ("exportType", INCREMENTAL),
        ("outputView", VIEW),
        ("outputFormat", "DYNAMODB_JSON"),
    ):
        if summary.get(name) != expected:
            raise _refused(export, f"Its summary says {name} {_shown(summary.get(name))} instead of {expected}.")
    if named := sorted(name for name, value in summary.items() if "filter" in name.lower() and value):
        raise _refused(export, f"Its summary has {named[0]}: it was filtered, so changes may be missing from it.")
    try:
        window = Span(clock.parse_instant(summary["exportFromTime"]), clock.parse_instant(summary["exportToTime"]))
    except (KeyError, TypeError, ValueError):
        raise _refused(export, "Its summary does not say from when to when it is.") from None
    if window != export.window:
        raise _refused(export, f"Its summary says {window}, DescribeExport {export.window}.")
    count = summary.get("itemCount")
    if not isinstance(count, int) or (export.item_count is not None and export.item_count != count):
        raise _refused(export, f"Its summary says {_shown(count)} items, DescribeExport {export.item_count}.")
    return window


def _files(export: Described, listing: bytes) -> Iterator[DataFile]:
    seen: set[str] = set()
    for number, line in enumerate(listing.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = _file_line(line)
            md5 = base64.b64decode(entry.md5, validate=True)
        except (msgspec.DecodeError, binascii.Error, ValueError):
            raise _refused(export, f"Line {number} of manifest-files.json does not name a data file.") from None
        key = _below(export, entry.key, f"dataFileS3Key of line {number}")
        if key in seen:
            raise _refused(export, f"manifest-files.json names {key} twice.")
        seen.add(key)
        yield DataFile(key, entry.items, md5, entry.etag.strip('"'))


def _below(export: Described, key: object, what: str) -> str:
    """A key that the manifest names, with the prefix that AWS leaves out in places; never one of something else."""
    if isinstance(key, str):
        full = key if not export.prefix or key.startswith(f"{export.prefix}/") else f"{export.prefix}/{key}"
        if full.startswith(f"{export.root}/"):
            return full
    raise _refused(export, f"Its {what} does not lie below {export.root}/.")


def _checked(s3: Any, export: Described, key: str) -> bytes:
    """A manifest whose MD5 is the one in the file beside it."""
    name, stem = key.rpartition("/")[2], key.removesuffix(".json")
    content = _small(s3, export, key)
    if content is None:
        raise _refused(export, f"{name} is missing from s3://{export.bucket}/{export.folder}/.")
    sums = [found for ending in (".checksum", ".md5") if (found := _small(s3, export, stem + ending)) is not None]
    if not sums:
        raise _refused(export, f"{name} has no checksum file beside it.")
    digest = hashlib.md5(content, usedforsecurity=False).digest()
    right = {base64.b64encode(digest), digest.hex().encode()}
    if any(found.strip() not in right for found in sums):
        raise _refused(export, f"{name} does not have the MD5 of its checksum file: one of them was changed.")
    return content


def _small(s3: Any, export: Described, key: str) -> bytes | None:
    answer = _get(s3, export, key)
    if answer is None:
        return None
    if answer["ContentLength"] > _MANIFEST_BYTES:
        raise _refused(export, f"{key} has more than {_MANIFEST_BYTES >> 20} MB, which no manifest has.")
    return b"".join(_chunks(export, answer["Body"]))


def _get(s3: Any, export: Described, key: str) -> Any:
    try:
        return s3.get_object(Bucket=export.bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in _ABSENT:
            return None
        raise explain(error, f"read s3://{export.bucket}/{key}") from error
    except BotoCoreError as error:
        raise explain(error, f"read s3://{export.bucket}/{key}") from error


def _chunks(export: Described, body: Any, digest: Any = None) -> Iterator[bytes]:
    try:
        while chunk := body.read(_STEP):
            if digest is not None:
                digest.update(chunk)
            yield chunk
    except (BotoCoreError, HTTPClientError) as error:
        raise explain(error, f"read the export {export.arn}") from error


def _inflated(export: Described, name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Uncompressed content; an object without any bytes holds no lines."""
    inflate, ended = zlib.decompressobj(wbits=31), True
    try:
        for chunk in chunks:
            pending, full = chunk, False
            while pending or full:
                if inflate.eof:
                    inflate = zlib.decompressobj(wbits=31)
                part = inflate.decompress(pending, _STEP)
                yield part
                ended = inflate.eof
                pending = inflate.unused_data if ended else inflate.unconsumed_tail
                full = len(part) == _STEP and not ended  # zlib may hold back more of what it was given
    except zlib.error:
        raise _refused(export, f"Data file {name} is no intact gzip file.") from None
    if not ended:
        raise _refused(export, f"Data file {name} is cut off: its gzip data has no end.")


def _split(export: Described, name: str, parts: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from (line for line in whole if line.strip())
        if len(rest) > LINE_BYTES:
            raise _refused(export, f"Data file {name} has a line of more than {LINE_BYTES >> 20} MB.")
    if rest.strip():
        yield rest


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)[:200]


def _refused(export: Described, reason: str) -> ExportError:
    return ExportError(f"The export {export.arn} is refused, and nothing of it was loaded. {reason}")
