"""Reading objects: from S3 through the Airflow connection, or from a folder that is a copy of a bucket.

A copy (`aws s3 sync`) is named `file:///path`; it serves offline re-reading, benchmarks, and auditors.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from dynatrail.errors import ObjectError, SourceError
from dynatrail.sources.aws import client, explain

if TYPE_CHECKING:
    from dynatrail.config import Trail
    from dynatrail.settings import Settings


@dataclass(frozen=True, slots=True)
class Listed:
    """One object as a listing shows it; `etag` without quotes."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class Content:
    """One object as it was read; `metadata` is what its writer gave with it, and empty in a copy on disk."""

    body: bytes
    metadata: Mapping[str, str] = field(default_factory=dict)


class Bucket(Protocol):
    """What reading a trail needs of a bucket. Every method raises `SourceError` with what to do about it."""

    root: str
    """Address of the bucket, ending in `/`; an object's address is `root + key`."""

    def folders(self, prefix: str) -> list[str]:
        """The names of the folders directly under `prefix` (which ends in `/` or is empty), sorted."""

    def objects(self, prefix: str, after: str) -> Iterator[Listed]:
        """The objects under `prefix` whose keys sort after `after`, in the order of their keys."""

    def read(self, key: str, *, limit: int) -> bytes:
        """One object's bytes; `ObjectError` `too_large` above `limit`, `missing` when it is gone."""

    def content(self, key: str, *, limit: int) -> Content:
        """The same with the object's user-defined metadata."""


class S3Bucket:
    """A bucket of S3 or of something that speaks its API."""

    def __init__(self, name: str, s3: Any) -> None:
        self.name = name
        self.root = f"s3://{name}/"
        self._s3 = s3

    def folders(self, prefix: str) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix, Delimiter="/")
        try:
            found = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", ())]
        except (ClientError, BotoCoreError) as error:
            raise explain(error, f"list s3://{self.name}/{prefix}") from error
        return sorted(name[len(prefix) :].rstrip("/") for name in found)

    def objects(self, prefix: str, after: str) -> Iterator[Listed]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix, StartAfter=after)
        try:
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield Listed(entry["Key"], entry["Size"], entry["ETag"].strip('"'))
        except (ClientError, BotoCoreError) as error:
            raise explain(error, f"list s3://{self.name}/{prefix}") from error

    def read(self, key: str, *, limit: int) -> bytes:
        return self.content(key, limit=limit).body

    def content(self, key: str, *, limit: int) -> Content:
        try:
            answer = self._s3.get_object(Bucket=self.name, Key=key)
            if answer["ContentLength"] > limit:
                raise _too_large(answer["ContentLength"], limit)
            content = Content(answer["Body"].read(), answer.get("Metadata") or {})
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                raise _missing() from None
            raise explain(error, f"read s3://{self.name}/{key}") from error
        except BotoCoreError as error:
            raise explain(error, f"read s3://{self.name}/{key}") from error
        return content


class FolderBucket:
    """A folder laid out like a bucket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder.resolve().as_uri() + "/"
        if not folder.is_dir():
            raise SourceError(f"There is no folder {folder}. Copy the trail's bucket there with `aws s3 sync`.")

    def folders(self, prefix: str) -> list[str]:
        folder = self.folder / prefix
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []

    def objects(self, prefix: str, after: str) -> Iterator[Listed]:
        found = sorted((self.folder / prefix).glob("**/*")) if (self.folder / prefix).is_dir() else []
        for path in found:
            key = path.relative_to(self.folder).as_posix()
            if key > after and path.is_file():
                status = path.stat()
                yield Listed(key, status.st_size, f"{status.st_size:x}-{status.st_mtime_ns:x}")

    def read(self, key: str, *, limit: int) -> bytes:
        path = self.folder / key
        try:
            if path.stat().st_size > limit:
                raise _too_large(path.stat().st_size, limit)
            return path.read_bytes()
        except FileNotFoundError:
            raise _missing() from None
        except OSError as error:
            raise SourceError(f"Cannot read {path}: {error.strerror}. Check its permissions.") from error

    def content(self, key: str, *, limit: int) -> Content:
        return Content(self.read(key, limit=limit))


def open_bucket(trail: "Trail", settings: "Settings") -> Bucket:
    """The bucket of a trail, through the trail's connection.

    Raises:
        SourceError: the connection is missing or wrong, or there is no such folder.
    """
    if trail.is_copy:
        return FolderBucket(_folder(trail))
    return S3Bucket(trail.bucket, client("s3", trail.connection or settings.aws_conn_id))


def root_of(trail: "Trail") -> str:
    """The `root` that the trail's bucket has, whether or not it can be opened."""
    return f"{_folder(trail).resolve().as_uri()}/" if trail.is_copy else f"s3://{trail.bucket}/"


def _folder(trail: "Trail") -> Path:
    return Path(unquote(urlsplit(trail.bucket).path))


def _too_large(size: int, limit: int) -> ObjectError:
    return ObjectError(
        "too_large",
        f"The object has {size >> 20} MB compressed, more than DYNATRAIL_MAX_OBJECT_MB ({limit >> 20}) allows. "
        "CloudTrail writes at most 50 MB uncompressed. It was not read.",
    )


def _missing() -> ObjectError:
    return ObjectError(
        "missing", "The object was listed and is gone. Look for a lifecycle rule or for who deleted it (DeleteObject)."
    )
